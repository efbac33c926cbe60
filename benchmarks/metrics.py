"""Seconds and peak memory of `pixel_metrics` beside a bare sort, scikit-learn and anomalib.

Run by hand: `python benchmarks/metrics.py`. The case has the size of a category of MVTec AD: 117
maps of 256 x 256, some hundred defective regions, about 2 % of the pixels. Each contender gets a
process of its own, so that none inherits memory from another. anomalib is left out where it is
not installed. Memory is the peak above the inputs, as Linux counts it.
"""

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from anomlib import metrics

LIMIT_SECONDS, LIMIT_GB = 2.5, 1.0  # what we ask of pixel_metrics on two cores


def build_case(n: int = 117, size: int = 256, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    masks = np.zeros((n, size, size), bool)
    for mask in masks[: n * 4 // 5]:  # the others are good images
        for _ in range(rng.integers(1, 8)):
            (top, left), (height, width) = rng.integers(0, size - 40, 2), rng.integers(3, 40, 2)
            mask[top : top + height, left : left + width] = True
    maps = rng.standard_normal(masks.shape, np.float32)
    return torch.from_numpy(maps + np.float32(1.5) * masks), torch.from_numpy(masks)


# Contenders: from maps and masks to what they find, if anything
def ours(maps: Tensor, masks: Tensor) -> dict[str, float]:
    return metrics.pixel_metrics(maps, masks)


def ours_float64(maps: Tensor, masks: Tensor) -> dict[str, float]:
    """The same on float64 maps, which `measure` hands it."""
    return metrics.pixel_metrics(maps, masks)


def numpy_sort(maps: Tensor, masks: Tensor) -> dict[str, float]:
    np.sort(maps.numpy().ravel())
    return {}


def torch_sort(maps: Tensor, masks: Tensor) -> dict[str, float]:
    maps.flatten().sort()
    return {}


def sklearn_auroc_ap(maps: Tensor, masks: Tensor) -> dict[str, float]:
    truth, scores = masks.numpy().ravel(), maps.numpy().ravel()
    auroc, ap = roc_auc_score(truth, scores), average_precision_score(truth, scores)
    return {"pixel_auroc": float(auroc), "pixel_ap": float(ap)}


def anomalib_all(maps: Tensor, masks: Tensor) -> dict[str, float]:
    from anomalib.metrics import AUPR, AUPRO, AUROC  # type: ignore  (optional)

    # Scores outside [0, 1] would pass through a sigmoid; anomalib normalises its maps as well.
    batch = SimpleNamespace(
        maps=(maps - maps.min()) / (maps.max() - maps.min()), masks=masks.int()
    )
    found = {}
    for name, kind in {"pixel_auroc": AUROC, "pixel_ap": AUPR, "aupro": AUPRO}.items():
        metric = kind(fields=["maps", "masks"])
        metric.update(batch)
        found[name] = float(metric.compute())
    return found


CONTENDERS = [ours, ours_float64, numpy_sort, torch_sort, sklearn_auroc_ap, anomalib_all]


# Measuring
def memory_gb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024 / 1e9


def measure(position: int, repeats: int = 3) -> tuple[list[float], float, dict[str, float]]:
    """The seconds of each repeat, the peak memory above the inputs in GB, and the values."""
    contender = CONTENDERS[position]
    maps, masks = build_case()
    maps = maps.double() if contender is ours_float64 else maps
    contender(maps[:2], masks[:2])  # imports and first-use set-up are not what we time
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    start, seconds, found = memory_gb("VmRSS"), [], {}
    for _ in range(repeats):
        begin = time.perf_counter()
        found = contender(maps, masks)
        seconds.append(time.perf_counter() - begin)
    return seconds, memory_gb("VmHWM") - start, found


def main() -> None:
    maps, masks = build_case()
    print(f"{len(maps)} maps, {maps.numel() / 1e6:.1f} M pixels", end="")
    print(f", {masks.float().mean():.1%} defective, {torch.get_num_threads()} threads")
    rows = {}
    for position, contender in enumerate(CONTENDERS):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            try:
                rows[contender.__name__] = pool.submit(measure, position).result()
            except ImportError as error:
                print(f"{contender.__name__} left out: {error}")
    print(f"{'':18}{'seconds':>8}{'worst':>8}{'x np.sort':>10}{'x ours':>8}{'GB':>7}  values")
    for name, (seconds, peak, found) in rows.items():
        ratios = [min(seconds) / min(rows[other][0]) for other in ("numpy_sort", "ours")]
        print(f"{name:18}{min(seconds):8.2f}{max(seconds):8.2f}", end="")
        print(f"{ratios[0]:10.1f}{ratios[1]:8.1f}{peak:7.2f}  ", end="")
        print(", ".join(f"{k} {v:.7f}" for k, v in found.items()))
    seconds, peak, _ = rows["ours"]
    verdict = "met" if max(seconds) <= LIMIT_SECONDS and peak <= LIMIT_GB else "MISSED"
    print(f"target of {LIMIT_SECONDS} s and {LIMIT_GB} GB: {verdict}")


if __name__ == "__main__":
    main()
