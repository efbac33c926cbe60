"""What GRAD costs: looking features up, training with and without a cache, speed and memory.

References:
    | GRAD: Bi-Grid Reconstruction for Image Anomaly Detection (Huang et al., 2025): Figure 5,
    | Secs. II-B and IV-B
"""

import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..api import Images, Method
from ..features import cached_features, features, uncached
from ..methods.crad import CRAD, sample
from ..ops import nearest, seeded

# Sec. II-B: "the O(1) time complexity of grid calculations"


def lookups(
    sizes: Sequence[int], queries: int, channels: int, nodes: int, repeats: int
) -> pd.DataFrame:
    """Seconds to look features up, among so many normal features or in a grid learned from them.

    A grid's size does not depend on how many features it was learned from, so neither do the
    seconds; they are measured next to those of the exact nearest neighbour all the same.

    Args:
        nodes: of the grid, along a side.

    Returns:
        Columns features, how (grid, nearest neighbour), repeat, seconds (of all queries).
    """
    lines = []
    with seeded(0):
        grid = torch.randn(1, channels, nodes, nodes)
        where = 2 * torch.rand(queries, 1, 1, 2) - 1
        asked = torch.randn(queries, channels)
        for n in sizes:
            bank = torch.randn(n, channels)
            calls: dict[str, Callable[[], object]] = {
                "grid": lambda: sample(grid, where),
                "nearest neighbour": lambda bank=bank: nearest(asked, bank),
            }
            for repeat in range(-1, repeats):  # the first warms up
                for how, call in calls.items():
                    begin = time.perf_counter()
                    call()
                    took = time.perf_counter() - begin
                    if repeat >= 0:
                        lines.append((n, how, repeat, took))
    return pd.DataFrame(lines, columns=["features", "how", "repeat", "seconds"])


def slopes(table: pd.DataFrame) -> dict[str, float]:
    """Way of looking up -> slope of log seconds (the least of the repeats) over log features."""
    found = {}
    for how, part in table.groupby("how", sort=False):
        least = part.groupby("features")["seconds"].min()
        x, y = np.log(least.index.to_numpy(dtype=float)), np.log(least.to_numpy())
        found[str(how)] = float(np.polyfit(x, y, 1)[0])
    return found


# Training from cached features


def throughput(images: Images, method: CRAD, repeats: int) -> pd.DataFrame:
    """Seconds per image of what an epoch needs: features from the network, from disk, the head.

    The three take turns, so that a busy machine slows all alike.

    Args:
        images: at least one batch; their features end in the cache.

    Returns:
        Columns what, repeat, seconds (per image).
    """
    one = images[: method.batch]
    with seeded(0), torch.enable_grad():
        x = method.features(one)
        net = method.head(x)
        calls: dict[str, Callable[[], object]] = {
            "backbone": lambda: [features(i[None], method.backbone, method.levels) for i in one],
            "cache": lambda: cached_features(one, method.backbone, method.levels),
            "head": lambda: method.minimise(net, x, 1, lambda f: method.loss(net(f), f)),
        }
        lines = []
        for repeat in range(-1, repeats):
            for what, call in calls.items():
                begin = time.perf_counter()
                call()
                if images.is_cuda:
                    torch.cuda.synchronize()
                took = (time.perf_counter() - begin) / len(one)
                if repeat >= 0:
                    lines.append((what, repeat, took))
    return pd.DataFrame(lines, columns=["what", "repeat", "seconds"])


# Figure 5: images per second and memory


def footprints(methods: dict[str, Method], train: Images, test: Images) -> pd.DataFrame:
    """Speed and memory of methods, each fitted in a process of its own.

    Returns:
        A line per method: method, fps (maps of the test images), fit_seconds, memory_mb (the
        peak of the process, libraries included), cuda_mb (the peak of torch on a GPU, 0 without),
        error (why there is nothing, else "").
    """
    lines = []
    spawn = multiprocessing.get_context("spawn")
    for name, method in methods.items():
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            try:
                found = pool.submit(footprint, method, train.numpy(), test.numpy()).result()
            except (ValueError, FileNotFoundError, ImportError) as error:  # such as no weights
                found = {"error": str(error)}
        lines.append({"method": name, "error": ""} | found)
    columns = ["method", "error", "device", "fps", "fit_seconds", "memory_mb", "cuda_mb"]
    return pd.DataFrame(lines, columns=columns)


def footprint(method: Method, train: np.ndarray, test: np.ndarray) -> dict[str, float | str]:
    """The numbers of one method; called in a process that has done nothing else.

    An image passes the backbone each time: its features are not kept.
    """
    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    normal, images = (torch.from_numpy(x).to(device) for x in (train, test))
    took = []
    with uncached():
        begin = time.perf_counter()
        method.fit(normal)
        fitted = time.perf_counter() - begin
        method.anomaly_map(images[:1])
        for _ in range(3):
            begin = time.perf_counter()
            method.anomaly_map(images)
            if images.is_cuda:
                torch.cuda.synchronize()
            took.append(time.perf_counter() - begin)
    cuda = torch.cuda.max_memory_allocated() / 2**20 if images.is_cuda else 0.0
    return {
        "device": device,
        "fps": len(images) / statistics.median(took),
        "fit_seconds": fitted,
        "memory_mb": _peak_mb(),
        "cuda_mb": cuda,
    }


def _peak_mb() -> float:
    """The peak of this process alone; what `getrusage` says may be that of its parent."""
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS
