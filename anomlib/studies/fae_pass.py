"""One pass of FAE, picture by picture (Figures 2 to 4): how it trains, how it tests.

References:
    | Noise & Pattern: Identity-Anchored Tikhonov Regularization for Robust Structural Anomaly
    | Detection (Bauer & Mueller, 2025), Sec. 2
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..api import Images
from ..corruptions import Textures, occlude
from ..methods.fae import FAE, difference, smoothed

Steps = list[tuple[str, np.ndarray]]  # title and picture, as `figures.common.one_pass` takes them


def training_pass(
    method: FAE, good: Images, textures: Textures | None, seed: int, sigma: float
) -> Steps:
    """The pictures of one training sample, as Eq. 3 puts them together.

    Args:
        method: fitted.
        good: one image, (1, 3, h, w).
        textures: of its size; None makes procedural ones.
        sigma: of the noise; larger than in training it can be seen.
    """
    g = torch.Generator().manual_seed(seed)
    x_hat, masks = occlude(good, textures, g, method.shape, method.opacity, method.edge)
    noise = sigma * torch.randn(good.shape, generator=g).to(good)
    return [
        ("normal image x", _photo(good)),
        ("mask M, from 0 to 1", masks[0].cpu().numpy()),
        ("occluded, x^", _photo(x_hat)),
        ("input: x^ + noise", _photo(x_hat + noise)),
        ("output", _photo(method.restore(x_hat + noise))),
        ("target: x + the same noise", _photo(good + noise)),
    ]


def test_pass(method: FAE, image: Images) -> Steps:
    """The pictures of one test image, as (1, 3, h, w), through a fitted method."""
    restored, (diff, k, n) = method.restore(image), method.choice()
    found = difference(image, restored, diff)
    return [
        ("test image", _photo(image)),
        ("repaired", _photo(restored)),
        (f"Diff, here {diff}", found[0, 0].cpu().numpy()),
        (f"smoothed by {k} x {k}, {n} times (Eq. 2)", smoothed(found, k, n)[0, 0].cpu().numpy()),
    ]


def _photo(x: Float[Tensor, "1 3 h w"]) -> np.ndarray:
    return x[0].permute(1, 2, 0).clamp(0, 1).cpu().numpy()
