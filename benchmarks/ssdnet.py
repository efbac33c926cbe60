"""Seconds per image of SSDnet in image mode on one core, for the networks of the book; by hand.

    python benchmarks/ssdnet.py [--size 256]

Prints a line per network: parameters, seconds per image at 100 steps, and the ratio to the first.
"""

import argparse
import time

import torch

from anomlib.methods.ssdnet import EncoderDecoder, SSDnet

NETWORKS = {
    "8-16-32 (book)": {"widths": (8, 16, 32), "skip": 0},
    "16-32-64": {"widths": (16, 32, 64), "skip": 0},
    "16-32-64, skip 4": {"widths": (16, 32, 64), "skip": 4},
    "16-32-64-128-128, skip 4 (default)": {"widths": (16, 32, 64, 128, 128), "skip": 4},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--images", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    images = torch.rand(options.images, 3, options.size, options.size)
    first = None
    for name, settings in NETWORKS.items():
        count = sum(p.numel() for p in EncoderDecoder(**settings).parameters())
        method = SSDnet(epochs=100, **settings)
        method.anomaly_map(images[:1, :, :64, :64])  # warm up
        started = time.perf_counter()
        method.anomaly_map(images)
        seconds = (time.perf_counter() - started) / options.images
        first = first or seconds
        ratio = seconds / first
        print(f"{name:36} {count:9,} parameters  {seconds:6.2f} s/image  x{ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
