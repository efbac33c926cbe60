"""How a run was made: code, versions, machine, time, data. The rows hold none of it."""

import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from .api import Dataset
from .assets import PROJECT
from .experiments import Run
from .metrics import VERSION

PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy", "scikit-image", "scikit-learn")


def record(
    run: Run, data: Dataset, seconds: dict[str, float], complete: bool | None
) -> dict[str, Any]:
    """Everything about a run that the machine or the day decides.

    Args:
        seconds: wall time of each part, such as {"fit": 1.2, "map": 0.3}.
        complete: whether the data are the complete official set; None where nobody knows.
    """
    return {
        "key": asdict(run),
        "run": run.id,
        "code": _code_state(),
        "versions": {"python": platform.python_version()} | {n: _version(n) for n in PACKAGES},
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "system": platform.system(),
            "device": torch.cuda.get_device_name() if data.test.is_cuda else "cpu",
        },
        "threads": torch.get_num_threads(),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "peak_memory_mb": _peak_memory_mb(),
        "image_size": list(data.test.shape[-2:]),
        "images": {"train": len(data.train), "test": len(data.test)},
        "metric_version": VERSION,
        "data_hash": data_hash(data),
        "complete": complete,
    }


def _code_state() -> dict[str, Any]:
    """The commit, and whether the code that makes numbers differs from it."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(PROJECT), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        dirty = git("status", "--porcelain", "--", "anomlib", "notebooks", "data_scripts")
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(dirty)}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}  # not a checkout


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    names = info.read_text().splitlines() if info.is_file() else []
    found = [line.partition(":")[2].strip() for line in names if line.startswith("model name")]
    return found[0] if found else platform.processor() or platform.machine()


def _peak_memory_mb() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def data_hash(data: Dataset) -> str:
    """Changes whenever a pixel, a mask or a path of the data changes."""
    digest = hashlib.sha256(json.dumps(data.paths).encode())
    for tensor in (data.train, data.test, data.labels, data.masks):
        if tensor is not None:
            digest.update(str(tuple(tensor.shape)).encode())
            digest.update(tensor.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
