"""FAIR's signal processing, by hand and against full Fourier transforms."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm

from anomlib.methods.fair import FAIR, grey, sobel
from anomlib.studies import fair as study

# ---- Figure 5


@pytest.mark.parametrize("name", study.FILTERS)
@pytest.mark.parametrize("size", [32, 33])
def test_an_impulse_response_is_the_whole_inverse_transform(name, size):
    h = study.impulse(name, 30.0, size).numpy()
    u = np.fft.fftfreq(size, 1 / 256)
    d = np.hypot(u[:, None], u)
    n = {"butterworth2": 2, "butterworth3": 3}.get(name, 0)
    low = {
        "ideal": (d <= 30) * 1.0,
        "gaussian": np.exp(-(d**2) / (2 * 30**2)),
    }.get(name, 1 - d ** (2 * n) / (d ** (2 * n) + 30 ** (2 * n)))
    np.testing.assert_allclose(h, np.fft.fftshift(np.fft.ifft2(low).real), atol=1e-7)
    assert h.sum() == pytest.approx(1)  # the mean is taken away whole
    assert np.unravel_index(h.argmax(), h.shape) == (size // 2, size // 2)


def test_ringing_measures_by_hand():
    h = torch.zeros(5, 5)
    h[2, 2], h[2, 3], h[0, 2], h[4, 4] = 6, -1, 2, -1
    assert study.negative_share(h) == pytest.approx(0.2)
    radii = [study.radius_holding(h, share) for share in (0.5, 0.7, 0.85, 1.0)]
    assert radii == pytest.approx([0, 1, 2, math.sqrt(8)])


def test_responses_hold_every_filter_at_every_cutoff():
    table = study.responses([20.0, 40.0], far=16)
    one = table[(table["kind"] == "ideal") & (table["cutoff"] == 20)].set_index(["quantity", "x"])
    assert one.loc[("transfer", 20), "value"] == 0 and one.loc[("transfer", 22), "value"] == 1
    assert one.loc[("impulse", 0), "value"] == 1
    counts = table.groupby(["kind", "cutoff", "quantity"]).size().unstack()
    assert len(counts) == 8
    assert counts.drop_duplicates().to_dict("records") == [
        {"impulse": 17, "negative_share": 1, "radius_95": 1, "transfer": 65}
    ]
    with pytest.raises(ValueError, match="ideal, butterworth3.*not 'bessel'"):
        study.impulse("bessel", 30.0)


# ---- Figure 6


def test_a_gaussian_turns_an_edge_into_the_gap_to_its_own_sums():
    table = study.edges(far=12)
    line = table[(table["kind"] == "gaussian") & (table["quantity"] == "edge")]
    x, seen = line["x"].to_numpy(), line["value"].to_numpy()
    sigma = 256 / (2 * np.pi * 30)  # of the blur, in pixels
    blur = norm.pdf(np.arange(-30, 31), scale=sigma).cumsum()  # of pixels left of the edge
    np.testing.assert_allclose(
        seen, (x > 0) - np.interp(x - 0.5, np.arange(-30, 31), blur), atol=1e-4
    )


def test_the_sharper_the_filter_the_larger_the_overshoot():
    table = study.edges()
    over = table[table["quantity"] == "overshoot"].set_index("kind")["value"]
    assert over["ideal"] > over["butterworth3"] > over["butterworth2"] > 0.02
    assert over["ideal"] == pytest.approx(0.09, abs=0.01)  # Gibbs: 9 % of the step
    assert abs(over["gaussian"]) < 1e-4


def test_pictures_are_what_the_method_sees():
    images = torch.rand(2, 3, 32, 32)
    seen = study.filtered(images, cutoff=20.0)
    assert list(seen) == list(study.FILTERS)
    third = FAIR(extractor="butterworth", cutoff=20.0, order=3).highpass(images)
    assert (seen["butterworth3"] == third).all()
    views = study.directions(images[:1])
    assert (torch.stack([views["g_x"], views["g_y"]]) == sobel(grey(images[:1]), "xy", 3)[0]).all()
    both = study.sample(study.disc(64), images)
    assert both.shape == (2, 3, 32, 32) and (both[1] == images[0]).all()
    assert both[0, 0, 16, 16] == 1 and both[0, 0, 0, 0] == 0


# ---- Figure 9


@pytest.mark.parametrize("size", [15, 16])
def test_energy_counts_each_frequency_of_the_plane_once(size):
    images = torch.rand(9, 3, size, size, dtype=torch.double)
    power = np.abs(np.fft.fft2(grey(images)[:, 0].numpy())) ** 2
    k = np.fft.fftfreq(size, 1 / size)
    ring = np.hypot(k[:, None], k).round().astype(int)
    wanted = np.bincount(ring.ravel(), power.sum(axis=0).ravel())
    np.testing.assert_allclose(study.energy(images), wanted / wanted.sum(), rtol=1e-6)


def test_a_wave_has_one_ring_and_a_grey_image_only_its_mean():
    at = torch.arange(64) * 2 * torch.pi / 64
    wave = (0.5 + 0.5 * torch.cos(5 * at)).expand(1, 3, 64, 64)
    found = study.energy(wave)
    assert found[[0, 5]].tolist() == pytest.approx([2 / 3, 1 / 3], rel=1e-5)
    assert study.energy(torch.full((1, 3, 8, 8), 0.3))[0] == pytest.approx(1)
    with pytest.raises(ValueError, match="square images, not 8 x 9"):
        study.energy(torch.zeros(1, 3, 8, 9))


def test_radii_are_those_of_256_pixels_whatever_the_size(toy):
    table = study.energies([toy, replace(toy, category="other")])
    assert set(table["category"]) == {"toy", "other"}
    toys = table[table["category"] == "toy"]
    assert toys["x"].tolist()[:3] == [0, 8, 16]  # 32 pixels
    assert toys["value"].sum() == pytest.approx(1e6)
    striped = toys[toys["x"] > 0]  # a period of 8 pixels
    assert striped.loc[striped["value"].idxmax(), "x"] == 256 / 8


# ---- Equations 12 to 16


def test_a_central_difference_by_hand():
    x = torch.tensor([[0.0, 1.0, 4.0, 9.0]])
    assert study.periodic_gradient(x, "difference").tolist() == [[-8.0, 4.0, 8.0, -4.0]]
    factor = study.kernel_transfer("difference", 8)
    u = torch.fft.fftfreq(8, dtype=torch.double)
    torch.testing.assert_close(factor.imag, (2 * torch.sin(2 * torch.pi * u)).expand(8, 8))
    assert factor.real.abs().max() < 1e-15
    assert factor[:, [0, 4]].abs().max() < 1e-15  # u = 0, and u = M/2


@pytest.mark.parametrize("name", study.KERNELS)
def test_a_gradient_multiplies_the_spectrum(name):
    x = torch.rand(16, 16, dtype=torch.double)
    there = torch.fft.fft2(study.periodic_gradient(x, name))
    torch.testing.assert_close(there, torch.fft.fft2(x) * study.kernel_transfer(name, 16))


@pytest.mark.parametrize("size", [3, 5])
def test_the_kernels_are_those_of_the_method(size):
    x = torch.rand(1, 1, 12, 12)
    inside = slice(2, -2)
    mine = study.periodic_gradient(x[0, 0], f"sobel{size}")
    torch.testing.assert_close(mine[inside, inside], sobel(x, "x", size)[0, 0, inside, inside])


def test_the_share_above_a_radius_by_hand():
    power = torch.zeros(4, 4)
    power[0, 1], power[0, 2], power[2, 2] = 5, 3, 2  # D = 64, 128, 181
    assert study.share_above(power, 64.0) == pytest.approx(0.5)
    assert study.share_above(power, 150.0) == pytest.approx(0.2)


def test_larger_kernels_pass_less_above_the_middle():
    table = study.kernels()
    share = table[table["quantity"] == "share_above_64"].set_index("kind")["value"]
    assert share.round(2).to_dict() == {"difference": 0.84, "sobel3": 0.65, "sobel5": 0.27}
    assert (table.loc[table["x"] == 0, "value"] == 0).all()


# ---- Section 3.1


def test_pieces_as_described_cover_half_and_as_released_do_not():
    text = study.pasted_shares(150, 64, clipped=False)
    assert len(text) == 150 and text.min() > 0.5
    released = study.pasted_shares(4000, 64, clipped=True)
    side = 0.85 - (0.85**2 + 0.1**2 / 12) / 2  # mean of min(s, 1 - start), s ~ U(0.8, 0.9)
    error = released.std().item() / math.sqrt(len(released))
    assert released.mean().item() == pytest.approx(side**2, abs=4 * error + 0.01)  # whole pixels
    assert released.median() < released.mean()


def test_coverage_is_a_distribution():
    table = study.coverage(120, 32)
    bars = table[table["quantity"] == "draws"].groupby("kind")["value"]
    assert bars.sum().tolist() == pytest.approx([1, 1]) and set(bars.size()) == {20}
    assert set(table.loc[table["quantity"] == "count", "value"]) == {120}
    with pytest.raises(ValueError, match="at least one draw, not 0"):
        study.coverage(0, 32)


# ---- the whole table


def test_one_line_per_key_with_and_without_images(toy):
    key = study.COLUMNS[:-1]
    table = study.table([toy], [30.0], draws=10, side=32)
    assert table.columns.tolist() == study.COLUMNS
    assert not table.duplicated(subset=key).any() and table["value"].notna().all()
    assert set(table["dataset"]) == {"synthetic", "textures"}
    none = study.table([], [30.0], draws=10, side=32)
    assert len(none) == len(table) - (table["item"] == "figure9").sum()
