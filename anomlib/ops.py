"""Tensor operations that two or more methods share. Nothing here knows what an anomaly is."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

T = TypeVar("T")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Runs a block on its own random stream and gives the caller's stream back untouched."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def progress(items: Iterable[T], what: str) -> Iterable[T]:
    """Shows how far a loop has come; silent where nobody watches, or with `--quiet`."""
    silent = not sys.stderr.isatty() or "--quiet" in sys.argv
    return tqdm(items, desc=what, leave=False, disable=silent)


def fill_missing(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Puts 0 in place of missing (NaN) pixels, for methods that do not treat them otherwise."""
    return images.nan_to_num(nan=0.0)


def box_mean(x: Float[Tensor, "n c h w"], size: int) -> Float[Tensor, "n c h w"]:
    """Mean over a size x size window centred on each pixel; the border counts what is inside."""
    left, right = (size - 1) // 2, size // 2
    ones = F.pad(torch.ones_like(x[:1, :1]), (left, right, left, right))
    total = F.avg_pool2d(F.pad(x, (left, right, left, right)), size, stride=1)
    return total / F.avg_pool2d(ones, size, stride=1)


def gaussian_blur(x: Float[Tensor, "n c h w"], sigma: float) -> Float[Tensor, "n c h w"]:
    """Gaussian filter with reflected borders, cut off at four standard deviations.

    Args:
        sigma: standard deviation in pixels; 0 returns the input.
    """
    if sigma == 0:
        return x
    # a reflection cannot be longer than the image, so the kernel of a tiny image is cut shorter
    radius = min(int(4 * sigma + 0.5), min(x.shape[-2:]) - 1)
    offsets = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1)
    x = F.pad(x, (radius, radius, radius, radius), mode="reflect")
    x = F.conv2d(x, kernel[:, :, None, :], groups=x.shape[1])
    return F.conv2d(x, kernel[:, :, :, None], groups=x.shape[1])
