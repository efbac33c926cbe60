"""Seconds per image of SSDnet and of the methods it is compared with, one core each; by hand.

    python benchmarks/ssdnet.py [--size 256] [--images 2] [--device cuda]

A line per network in image mode (100 steps), per mode and loss, and per baseline, each with its
ratio to the book's network. The perceptual loss is measured where VGG19's weights are at hand.
"""

import argparse
import time

import torch

from anomlib import METHODS
from anomlib.assets import local_weights
from anomlib.features import VGG

SMALL = {"widths": (8, 16, 32), "skip": 0}
PATCH = SMALL | {"mode": "patch", "lr": 1e-3}
FABRIC = PATCH | {"stride": 8, "batch": 16, "epochs": 1, "stop": -1e9, "w_rec": 0.0, "w_perc": 1.0}
CASES = {
    "ssdnet 8-16-32 (book), 100 steps": ("ssdnet", SMALL | {"epochs": 100}),
    "ssdnet 16-32-64": ("ssdnet", {"epochs": 100, "widths": (16, 32, 64), "skip": 0}),
    "ssdnet 16-32-64, skip 4": ("ssdnet", {"epochs": 100, "widths": (16, 32, 64), "skip": 4}),
    "ssdnet 16-32-64-128-128, skip 4 (default)": ("ssdnet", {"epochs": 100}),
    "ssdnet by patch, stride 4, 10 epochs": ("ssdnet", PATCH | {"stride": 4}),
    "ssdnet perceptual, phi_size 64, 1 epoch": ("ssdnet", FABRIC | {"phi_size": 64}),
    "ssdnet perceptual, phi_size 224, 1 epoch": ("ssdnet", FABRIC),
    "spectral residual": ("spectral_residual", {"width": None, "sigma": 4.0}),
    "glcm": ("glcm", {}),
    "pg_lsr": ("pg_lsr", {}),
    "rpca": ("rpca", {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    images = torch.rand(options.images, 3, options.size, options.size, device=options.device)
    first = None
    for name, (method, settings) in CASES.items():
        if settings.get("w_perc") and local_weights(VGG) is None:
            print(f"{name:42} VGG19's weights are not at hand")
            continue
        model = METHODS[method](**settings)
        model.fit(images).anomaly_map(images[:1, :, :64, :64])  # warm up
        started = time.perf_counter()
        model.anomaly_map(images)
        if options.device == "cuda":
            torch.cuda.synchronize()
        seconds = (time.perf_counter() - started) / options.images
        first = first or seconds
        print(f"{name:42} {seconds:7.2f} s/image  x{seconds / first:.2f}", flush=True)


if __name__ == "__main__":
    main()
