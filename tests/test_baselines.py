"""Floors and spectral residual against a literal form or a library."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from anomlib import METHODS
from anomlib.methods.spectral_residual import saliency
from anomlib.ops import box_mean, gaussian_blur


def test_saliency_is_hou_and_zhang_literally():
    grey = np.random.default_rng(0).random((24, 32))
    spectrum = np.fft.fft2(grey)
    log_amplitude, phase = np.log(np.abs(spectrum)), np.angle(spectrum)
    # the mean over 3 x 3 counts what lies inside the spectrum's border
    inside = ndimage.uniform_filter(np.ones_like(grey), 3, mode="constant")
    smooth = ndimage.uniform_filter(log_amplitude, 3, mode="constant") / inside
    literal = np.abs(np.fft.ifft2(np.exp(log_amplitude - smooth + 1j * phase))) ** 2
    ours = saliency(torch.from_numpy(grey)[None, None].float())[0, 0].numpy()
    assert np.allclose(ours, literal, rtol=1e-3, atol=1e-5)


def test_spectral_residual_finds_a_spot_in_a_texture(toy):
    maps = METHODS["spectral_residual"](width=None, sigma=2.0).anomaly_map(toy.test[:1])
    row, column = np.unravel_index(maps[0].argmax().item(), (32, 32))
    assert toy.masks[0, row, column]


@pytest.mark.parametrize("sigma", [0.8, 2.5])
def test_gaussian_blur_is_scipys(sigma):
    x = torch.rand(1, 1, 24, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    reference = ndimage.gaussian_filter(x[0, 0].numpy(), sigma, mode="mirror", truncate=4.0)
    assert np.allclose(gaussian_blur(x, sigma)[0, 0].numpy(), reference, atol=1e-12)


@pytest.mark.parametrize("size", [1, 4, 5])
def test_box_mean_counts_only_what_is_inside(size):
    x = torch.rand(1, 1, 9, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low, high = (size - 1) // 2, size // 2
    for i, j in [(0, 0), (4, 3), (8, 6), (0, 5)]:
        window = x[0, 0, max(0, i - low) : i + high + 1, max(0, j - low) : j + high + 1]
        assert box_mean(x, size)[0, 0, i, j].item() == pytest.approx(window.mean().item())


def test_random_knows_nothing():
    maps = METHODS["random"](seed=3).anomaly_map(torch.rand(2, 3, 64, 64))
    assert abs(maps.mean().item() - 0.5) < 0.02 and 0.25 < maps.std().item() < 0.33
    assert not torch.equal(maps[0], maps[1])


def test_pixelmean_by_hand():
    train = torch.stack([torch.zeros(3, 2, 2), torch.ones(3, 2, 2)])
    test = torch.full((1, 3, 2, 2), 0.5)
    test[0, 0, 0, 0] = 0.8  # one channel of one pixel is 0.3 away from the mean image, 0.5
    maps = METHODS["pixelmean"](blur=1).fit(train).anomaly_map(test)
    assert torch.allclose(maps, torch.tensor([[[0.1, 0], [0, 0]]]), atol=1e-6)
