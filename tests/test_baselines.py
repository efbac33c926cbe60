"""Floors, spectral residual and GLCM against a literal form or a library."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from anomlib import METHODS
from anomlib.methods.glcm import energy
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


def literal_energy(window: np.ndarray) -> float:
    """Haralick et al.: count pairs of neighbours both ways, root of the sum of squares, mean."""
    size, energies = len(window), []
    for down, right in [(0, 1), (1, 1), (1, 0), (1, -1)]:
        counts = np.zeros((8, 8))
        for i, j in np.ndindex(size, size):
            if i + down < size and 0 <= j + right < size:
                pair = window[i, j], window[i + down, j + right]
                counts[pair] += 1
                counts[pair[::-1]] += 1
        energies.append(np.sqrt(np.square(counts / counts.sum()).sum()))
    return float(np.mean(energies))


def test_glcm_of_a_window_is_counted_by_hand():
    steps = np.random.default_rng(0).integers(0, 8, (13, 16)).astype(np.uint16)
    energies = energy(steps, window=5, levels=8, distance=1, stride=2)
    assert energies.shape == (5, 6)
    for i, j in [(0, 0), (2, 3), (4, 5)]:
        literal = literal_energy(steps[2 * i : 2 * i + 5, 2 * j : 2 * j + 5])
        assert energies[i, j] == pytest.approx(literal)


def test_glcm_puts_a_window_at_its_centre():
    grey = torch.rand(1, 1, 13, 16, generator=torch.Generator().manual_seed(0))
    settings = {"window": 5, "levels": 8, "stride": 2}
    maps = METHODS["glcm"](**settings, score="energy").anomaly_map(grey.expand(1, 3, 13, 16))[0]
    energies = energy((grey[0, 0] * 8).numpy().astype(np.uint16), distance=1, **settings)
    assert np.allclose(maps[2:11:2, 2:13:2], energies)
    assert torch.equal(maps[:3, :3], maps[2, 2].expand(3, 3))  # the border repeats
    assert maps[2, 3].item() == pytest.approx(energies[0, :2].mean())
    deviation = METHODS["glcm"](**settings).anomaly_map(grey.expand(1, 3, 13, 16))[0]
    assert np.allclose(deviation[2:11:2, 2:13:2], np.abs(energies - np.median(energies)))


def test_glcm_of_a_plain_image_is_zero_and_mistakes_are_loud():
    assert not METHODS["glcm"]().anomaly_map(torch.full((1, 3, 20, 24), 0.5)).any()
    with pytest.raises(ValueError, match="smaller than the window"):
        METHODS["glcm"]().anomaly_map(torch.rand(1, 3, 15, 24))
    with pytest.raises(ValueError, match="deviation"):
        METHODS["glcm"](score="contrast")
