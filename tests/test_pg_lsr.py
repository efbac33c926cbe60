"""PG-LSR against the plain problem that it solves, and its filters against what MR8 promises."""

import numpy as np
import pytest
import torch

from anomlib import METHODS
from anomlib.methods.pg_lsr import filter_bank, prior, residual, responses

WEIGHT = 0.75


@pytest.fixture
def problem() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 40, generator=generator, dtype=torch.float64)
    return x, 2 * torch.rand(40, generator=generator, dtype=torch.float64)


def augmented_lagrangian(x: np.ndarray, weights: np.ndarray, steps: int = 3000) -> np.ndarray:
    """E of min ||Z||^2 + sum_i weights_i ||e_i||^2 subject to X = X Z + E, one block at a time."""
    e, y, mu = np.zeros_like(x), np.zeros_like(x), 1.0
    inverse = np.linalg.inv(2 * np.eye(x.shape[1]) + mu * x.T @ x)
    for _ in range(steps):
        z = inverse @ x.T @ (mu * (x - e) + y)
        e = (mu * (x - x @ z) + y) / (2 * weights + mu)
        y = y + mu * (x - x @ z - e)
    assert np.abs(x - x @ z - e).max() < 1e-8
    return e


def test_closed_form_is_the_minimum_that_an_augmented_lagrangian_finds(problem):
    x, p = problem
    literal = augmented_lagrangian(x.numpy(), WEIGHT * np.exp(-2 * p.numpy()))
    assert np.allclose(residual(x, p, WEIGHT).numpy(), literal, atol=1e-4)


def test_closed_form_is_the_formula_over_patches(problem):
    x, p = problem
    for i, column in enumerate(residual(x, p, WEIGHT).T):
        gram = x.T @ x + torch.eye(40, dtype=torch.float64) / (WEIGHT * torch.exp(-2 * p[i]))
        z = torch.linalg.solve(gram, x.T @ x[:, i])
        assert torch.allclose(column, x[:, i] - x @ z, atol=1e-8)


def test_a_patch_far_from_the_template_is_all_residual():
    x = torch.randn(8, 40, generator=torch.Generator().manual_seed(0))
    far = torch.full((40,), 1e4)  # exp(2 p) has no float
    assert torch.allclose(residual(x, far, WEIGHT), x, atol=1e-5)


def test_prior_by_hand():
    x = torch.tensor([[0.0, 2.0, 5.0, 9.0]])
    draws = torch.tensor([[0, 0], [0, 1], [3, 3]])  # means 0, 1, 9; 1 is nearest to their mean
    assert torch.equal(prior(x, draws), torch.tensor([1.0, 1.0, 16.0, 64.0]))


def test_filters_of_a_derivative_ignore_brightness():
    *derivatives, gaussian = filter_bank().flatten(1)
    assert len(derivatives) == 37 and gaussian.sum().item() == pytest.approx(1)
    assert max(abs(d.sum().item()) for d in derivatives) < 1e-12


def test_responses_turn_with_the_image():
    generator = torch.Generator().manual_seed(0)
    stripes = 0.5 + 0.2 * torch.sin(torch.arange(48.0) * 0.9).expand(1, 48, 48)
    image = (stripes + 0.05 * torch.randn(1, 48, 48, generator=generator)).double()
    maps = responses(image)
    assert maps.shape == (8, 48, 48)
    turned = responses(image.rot90(1, dims=(1, 2)))
    assert torch.allclose(turned, maps.rot90(1, dims=(1, 2)), atol=1e-10)
    assert torch.allclose(responses(3 * image + 1), maps, atol=1e-10)  # the contrast is taken out


def test_an_edge_of_the_first_scale_is_a_difference():
    image = torch.zeros(1, 40, 40, dtype=torch.float64)
    image[:, :, 20:] = 1  # a step of 2 once the image has mean 0 and deviation 1
    # a smooth step of 2 is met by half of a filter of absolute sum 1 / 0.25
    assert responses(image)[0, 20, 20].item() == pytest.approx(4, rel=0.01)


def test_any_size_that_holds_a_patch():
    images = torch.rand(1, 3, 37, 45, generator=torch.Generator().manual_seed(0))
    maps = METHODS["pg_lsr"](width=None).anomaly_map(images)
    assert maps.shape == (1, 37, 45) and maps.min() > 0  # the last patch ends at the border
    with pytest.raises(ValueError, match="does not fit"):
        METHODS["pg_lsr"](width=None).anomaly_map(images[:, :, :15])


def test_finds_a_defect_in_stripes():
    generator = torch.Generator().manual_seed(0)
    stripes = 0.5 + 0.2 * torch.sin(torch.arange(200.0) * 0.9).expand(1, 3, 150, 200)
    images = stripes + 0.02 * torch.randn(1, 1, 150, 200, generator=generator)
    images[:, :, 60:76, 120:136] = 0.5  # the stripes are gone
    maps = METHODS["pg_lsr"]().anomaly_map(images)
    row, column = divmod(int(maps[0].argmax()), 200)
    assert 56 <= row < 80 and 116 <= column < 140
    assert maps[0, 60:76, 120:136].mean() > 5 * maps.mean()
