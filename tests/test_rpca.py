"""RPCA against a plain inexact augmented Lagrangian, and against parts that are known."""

import numpy as np
import pytest
import torch

from anomlib import METHODS
from anomlib.methods.rpca import decompose


def plain(x: np.ndarray, growth: float = 1.05) -> tuple[np.ndarray, np.ndarray]:
    """Inexact augmented Lagrangian with one singular value thresholding a step (Lin et al.)."""
    weight, mu = max(x.shape) ** -0.5, 1.25 / np.linalg.norm(x, 2)
    s, y = np.zeros_like(x), np.zeros_like(x)
    for _ in range(400):
        u, values, v = np.linalg.svd(x - s + y / mu, full_matrices=False)
        low_rank = (u * np.maximum(values - 1 / mu, 0)) @ v
        rest = x - low_rank + y / mu
        s = np.sign(rest) * np.maximum(np.abs(rest) - weight / mu, 0)
        y, mu = y + mu * (x - low_rank - s), growth * mu
    return low_rank, s


@pytest.fixture
def parts() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    low_rank = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 60))
    sparse = np.where(rng.random((40, 60)) < 0.05, rng.choice([-3.0, 3.0], (40, 60)), 0)
    return torch.from_numpy(low_rank), torch.from_numpy(sparse)


def test_the_parts_are_found_and_add_up(parts):
    low_rank, sparse = decompose(parts[0] + parts[1], METHODS["rpca"]().growth)
    assert torch.allclose(low_rank + sparse, parts[0] + parts[1], atol=1e-3)
    assert torch.allclose(low_rank, parts[0], atol=1e-2)
    assert torch.allclose(sparse, parts[1], atol=1e-2)


def test_the_library_solves_the_plain_problem(parts):
    noise = torch.randn(40, 60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = parts[0] + parts[1] + 0.1 * noise  # no exact parts: only the right weights agree
    literal = plain(x.numpy())
    for ours, theirs in zip(decompose(x, growth=1.02), literal, strict=True):
        assert np.linalg.norm(ours.numpy() - theirs) < 0.01 * np.linalg.norm(theirs)


def objective(low_rank: torch.Tensor, sparse: torch.Tensor) -> float:
    weight = max(sparse.shape) ** -0.5
    return float(torch.linalg.matrix_norm(low_rank, "nuc") + weight * sparse.abs().sum())


def test_the_default_growth_ends_near_the_minimum(parts):
    noise = torch.randn(40, 60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = parts[0] + parts[1] + 0.1 * noise
    fast, slow = (objective(*decompose(x, growth)) for growth in (METHODS["rpca"]().growth, 1.02))
    assert slow - 1e-3 <= fast < 1.01 * slow


def test_finds_a_spot_in_stripes_of_any_size():
    stripes = 0.5 + 0.2 * torch.sin(torch.arange(61.0) * 0.8).expand(1, 3, 50, 61)
    images = stripes.clone()
    images[:, :, 30:34, 40:44] += 0.4
    maps = METHODS["rpca"](patch=8, stride=4).anomaly_map(images)
    assert maps.shape == (1, 50, 61)
    inside = torch.zeros(50, 61, dtype=torch.bool)
    inside[30:34, 40:44] = True
    assert maps[0][inside].min() > 0.3 and maps[0][~inside].max() < 0.1
    with pytest.raises(ValueError, match="smaller"):
        METHODS["rpca"](patch=51).anomaly_map(images)


@pytest.mark.parametrize("grey", [0.0, 0.5])
def test_a_plain_image_has_no_sparse_part(grey):
    maps = METHODS["rpca"](patch=8, stride=4).anomaly_map(torch.full((1, 3, 32, 32), grey))
    assert maps.abs().max() < 1e-3
