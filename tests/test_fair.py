"""FAIR's filters, network, loss and scores against numpy, scikit-image and work by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.metrics import structural_similarity

from anomlib import assets, results
from anomlib.corruptions import to_textures
from anomlib.methods.fair import (
    CHANNELS,
    FAIR,
    FILTERS,
    UNet,
    colour,
    focal,
    grey,
    lab,
    loss,
    msgms,
    sobel,
    transfer,
)
from anomlib.ops import distance, gms, ring_cosine, ssim

CPU = torch.device("cpu")
SMALL = FAIR(width=2, textures="train", steps=2)


def photos(n: int = 4, height: int = 32, width: int = 48, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(seed))


# ---- 3.2 filters


def whole_spectrum(x: np.ndarray, kind: str, cutoff: float, order: int) -> np.ndarray:
    """The paper's way: D from the middle of the shifted spectrum, full FFT, real part."""
    height, width = x.shape
    u, v = (np.arange(n) - n // 2 for n in x.shape)
    d = np.hypot(256 / height * u[:, None], 256 / width * v)
    with np.errstate(divide="ignore"):
        h = {
            "ideal": (d > cutoff).astype(float),
            "gaussian": 1 - np.exp(-(d**2) / (2 * cutoff**2)),
            "butterworth": 1 / (1 + (cutoff / d) ** (2 * order)),
        }[kind]
    spectrum = np.fft.fftshift(np.fft.fft2(x)) * h
    back = np.fft.ifft2(np.fft.ifftshift(spectrum))
    assert np.abs(back.imag).max() < 1e-9
    return back.real


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize(("order", "cutoff"), [(1, 10.0), (2, 30.0), (3, 90.0)])
@pytest.mark.parametrize("size", [(32, 48), (64, 64)])
def test_half_a_spectrum_gives_what_the_whole_one_gives(kind, order, cutoff, size):
    x = photos(2, *size)
    found = FAIR(extractor=kind, cutoff=cutoff, order=order).highpass(x)
    for image, wanted in zip(found[:, 0], grey(x)[:, 0], strict=True):
        by_hand = whole_spectrum(wanted.double().numpy(), kind, cutoff, order)
        assert np.allclose(image.numpy(), by_hand, atol=1e-5)
    assert found.mean(dim=(2, 3)).abs().max() < 1e-6  # no mean is left


def test_a_cutoff_is_where_the_equations_say_at_every_size():
    for size in (256, 64):
        d = distance(size, size)
        at = d == 32.0  # (32, 0), (0, 32) and their mirror image
        assert at.sum() == 3
        values = {kind: transfer(kind, 32.0, 2, size, size, CPU) for kind in FILTERS}
        assert torch.allclose(values["butterworth"][at], torch.tensor(0.5))
        assert torch.allclose(values["gaussian"][at], 1 - torch.exp(torch.tensor(-0.5)))
        assert not values["ideal"][at].any() and values["ideal"][d > 32].all()
        assert all(h[0, 0] == 0 for h in values.values())


@pytest.mark.parametrize("size", [256, 64])
def test_a_wave_of_so_many_pixels_is_filtered_alike_at_every_size(size):
    rows = torch.arange(float(size))[:, None] / 16  # 16 waves in 256 pixels
    wave = (0.4 * torch.sin(2 * torch.pi * rows)).expand(1, 3, size, size)
    left = 1 / (1 + (30 / 16) ** 4)
    assert torch.allclose(FAIR().highpass(0.5 + wave), left * wave[:, :1], atol=1e-5)


def test_a_transfer_function_is_computed_once():
    assert transfer("ideal", 30.0, 2, 32, 32, CPU) is transfer("ideal", 30.0, 2, 32, 32, CPU)


@pytest.mark.parametrize("size", [3, 5])
def test_sobel_is_scipys(size):
    x = grey(photos(1))
    smooth, derive = {
        3: ([1, 2, 1], [-1, 0, 1]),
        5: ([1, 4, 6, 4, 1], [-1, -2, 0, 2, 1]),
    }[size]
    image = x[0, 0].numpy()
    for direction, axes in {"x": (1, 0), "y": (0, 1)}.items():
        wanted = ndimage.correlate1d(image, derive, axis=axes[0], mode="mirror")
        wanted = ndimage.correlate1d(wanted, smooth, axis=axes[1], mode="mirror")
        assert np.allclose(sobel(x, direction, size)[0, 0].numpy(), wanted, atol=1e-4)
    both = sobel(x, "xy", size)
    each = torch.cat([sobel(x, "x", size), sobel(x, "y", size)], dim=1)
    assert torch.allclose(both, each, atol=1e-6)


@pytest.mark.parametrize("extractor", CHANNELS)
def test_every_extractor_gives_the_network_its_channels(extractor, toy):
    x = replace(SMALL, extractor=extractor).highpass(photos())
    assert x.shape == (4, CHANNELS[extractor], 32, 48)
    maps = replace(SMALL, extractor=extractor).fit(toy.train).anomaly_map(toy.test[:2])
    assert maps.shape == (2, 32, 32) and maps.isfinite().all()


def test_colorre_sees_grey_and_deae_everything():
    x = photos()
    assert torch.equal(FAIR(extractor="none").highpass(x), x)
    assert torch.equal(FAIR(extractor="grey").highpass(x), grey(x))


# ---- 4.3 network


@pytest.mark.parametrize(
    ("channels", "width", "count"),
    [
        (1, 128, 69_046_275),  # printed as 65.8 MB, which is 2^20 parameters
        (1, 64, 17_270_787),  # 16.5
        (1, 32, 4_322_307),  # 4.1
        (2, 128, 69_047_427),
        (3, 128, 69_048_579),
    ],
)
def test_the_network_has_the_parameters_of_the_released_one(channels, width, count):
    with torch.device("meta"):
        net = UNet(channels, width)
    assert sum(p.numel() for p in net.parameters()) == count


def test_skips_are_all_that_carries_detail_past_the_bottom():
    x = photos(1)[:, :1]
    net, bare = UNet(1, 4, skips=True), UNet(1, 4, skips=False)
    bare.load_state_dict(net.state_dict())
    assert not torch.allclose(net(x), bare(x))
    for module in bare.down[4].modules():  # a bottom that says nothing
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.zeros_(module.weight)
    assert torch.equal(bare(x), bare(1 - x))


# ---- 3.3 loss


def test_ssim_is_scikit_images_away_from_the_border():
    x, y = photos(2, seed=1), photos(2, seed=2)
    found = ssim(x, y)
    for k in range(2):
        _, wanted = structural_similarity(  # pyright: ignore[reportAssignmentType]
            x[k].double().numpy(),
            y[k].double().numpy(),
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            truncate=5 / 1.5,  # radius 5
            use_sample_covariance=False,
            data_range=1.0,
            full=True,
        )
        inner = (slice(None), slice(5, -5), slice(5, -5))
        assert np.allclose(found[k][inner].numpy(), wanted[inner], atol=1e-4)


def test_the_loss_of_an_image_with_itself_is_none():
    x, y = photos(), photos(seed=1)
    assert loss(x, x).abs() < 1e-5
    assert torch.allclose(loss(x, y), F.mse_loss(x, y) + 1 - ssim(x, y).mean())


# ---- 3.4 scores


def test_gms_of_an_edge_by_hand():
    edge = torch.zeros(1, 3, 6, 6)
    edge[..., 3:] = 1
    flat = torch.zeros_like(edge)
    found = gms(edge, flat)[0, 0]
    assert torch.allclose(found[2, 2:4], torch.tensor(0.0026 / 1.0026))  # gradient of 1, and of 0
    assert torch.allclose(found[2, :2], torch.tensor(1.0))
    assert torch.allclose(gms(edge, edge), torch.tensor(1.0))


def test_msgms_averages_full_and_half_size():
    x, y = photos(2, seed=1), photos(2, seed=2)
    half = gms(F.avg_pool2d(x, 2), F.avg_pool2d(y, 2))
    wanted = (gms(x, y) + F.interpolate(half, (32, 48), mode="bilinear")) / 2
    assert torch.allclose(msgms(x, y), wanted)


def test_lab_is_scikit_images():
    x = photos(2)
    wanted = rgb2lab(x.double().numpy(), channel_axis=1)
    assert np.allclose(lab(x).numpy(), wanted, atol=2e-2)
    assert lab(4 * x - 2).isfinite().all()  # a restored image is not bounded


def test_colour_does_not_see_lightness():
    grey_one, grey_two = torch.full((1, 3, 4, 4), 0.2), torch.full((1, 3, 4, 4), 0.8)
    assert colour(grey_one, grey_two).max() < 1e-2
    red = torch.tensor([0.8, 0.2, 0.2])[None, :, None, None].expand(1, 3, 4, 4)
    assert colour(grey_one, red).min() > 1000


def test_a_map_is_the_sum_of_both_scores_in_a_mean_filter(toy):
    method = replace(SMALL, k=0.01, mean=5).fit(toy.train)
    x = toy.test[:2]
    y = method.restore(x)
    scores = {"co": 0.01 * colour(x, y), "msgms": 1 - msgms(x, y)}
    scores["msgms+co"] = scores["co"] + scores["msgms"]
    for name, wanted in scores.items():
        method.score = name
        kernel = torch.full((1, 1, 5, 5), 1 / 25)
        assert torch.allclose(
            method.anomaly_map(x), F.conv2d(wanted, kernel, padding=2)[:, 0], atol=1e-5
        )
    plain, method.bgr = method.anomaly_map(x), True
    swapped = 0.01 * colour(x.flip(1), y.flip(1)) + scores["msgms"]
    assert torch.allclose(method.anomaly_map(x), F.conv2d(swapped, kernel, padding=2)[:, 0])
    assert plain.shape == (2, 32, 32)


def test_focal_loss_by_hand():
    logits = torch.zeros(1, 2, 1, 2)
    logits[0, 1, 0, 1] = math.log(3)  # probabilities of a defect: 1/2 and 3/4
    masks = torch.tensor([[[False, True]]])
    wanted = (0.5**2 * math.log(2) + 0.25**2 * math.log(4 / 3)) / 2
    assert focal(logits, masks).item() == pytest.approx(wanted)


def test_the_discriminative_network_is_trained_along_and_scores(toy):
    method = FAIR(width=4, textures="train", steps=30, lr=1e-2, learned=True, mean=1).fit(
        toy.train
    )
    maps = method.anomaly_map(toy.test)
    assert maps.shape == (8, 32, 32) and maps.min() >= 0 and maps.max() <= 1
    plain = FAIR(width=4, textures="train", steps=30, lr=1e-2, mean=1).fit(toy.train)
    assert not torch.allclose(plain.restore(toy.test), method.restore(toy.test))
    assert not hasattr(plain.changed(learned=True), "nets_")  # that needs another fit


def test_the_output_starts_where_it_is_told_to(toy):
    still = {"steps": 1, "lr": 0.0, "width": 2, "textures": "train"}
    start = FAIR(**still, offset=0.5).fit(toy.train)
    assert torch.equal(start.nets_[0].get_parameter("out.bias"), torch.full((3,), 0.5))
    chance = FAIR(**still).fit(toy.train)
    assert chance.nets_[0].get_parameter("out.bias").unique().numel() == 3
    x = photos(1)
    negative, same = loss(x, -x), loss(x, x)
    assert negative < loss(x, torch.zeros_like(x)) and same < negative  # why it is there


def test_one_fit_serves_all_scores(toy):
    method = replace(SMALL).fit(toy.train)
    other = method.changed(score="co", k=1.0, mean=1)
    assert (method.score, vars(other)["score"]) == ("msgms+co", "co")
    wanted = colour(toy.test, method.restore(toy.test))[:, 0]
    assert torch.allclose(other.anomaly_map(toy.test), wanted)
    assert not hasattr(method.changed(width=3, score="co"), "nets_")  # that needs another fit
    with pytest.raises(TypeError, match="depth"):
        method.changed(depth=3)
    with pytest.raises(ValueError, match="mean"):
        method.changed(mean=2)


# ---- Figure 7


def test_ring_cosine_counts_the_whole_spectrum():
    x, y = photos(2, 32, 48, seed=1).double(), photos(2, 32, 48, seed=2).double()
    radius = np.hypot(*np.meshgrid(*(256 * np.fft.fftfreq(n) for n in (32, 48)), indexing="ij"))
    a, b = np.fft.fft2(x.numpy()), np.fft.fft2(y.numpy())
    found = ring_cosine(x, y, ring=16)
    assert [*found] == [16, 32, 48, 64, 80, 96, 112, 128]
    for outer, values in found.items():
        ring = (radius > outer - 16) & (radius <= outer)
        for k in range(2):
            u, v = a[k][:, ring], b[k][:, ring]
            wanted = (u * v.conj()).real.sum() / np.sqrt((abs(u) ** 2).sum() * (abs(v) ** 2).sum())
            assert values[k].item() == pytest.approx(wanted)


def test_ring_cosine_of_an_image_with_itself_its_negative_and_a_shade():
    x = photos(2)
    same, negative = ring_cosine(x, x), ring_cosine(x, 1 - x)
    assert all(torch.allclose(v, torch.ones(2)) for v in same.values())
    assert all(torch.allclose(v, -torch.ones(2)) for v in negative.values())  # no mean is left
    flat = ring_cosine(x, torch.full_like(x, 0.5))
    assert all(v.abs().max() < 0.02 for v in flat.values())


def test_lines_of_images_have_the_similarity_of_each_ring(toy):
    method = replace(SMALL).fit(toy.train)
    lines = results.per_image(method, toy, method.anomaly_map(toy.test))
    wanted = ring_cosine(toy.test, method.restore(toy.test))
    for outer, values in wanted.items():
        assert np.allclose(lines[f"similarity_{outer}"], values.numpy())


def test_what_was_restored_is_stored_with_the_maps(toy, tmp_path):
    method = replace(SMALL).fit(toy.train)
    maps = method.anomaly_map(toy.test)
    images, rows = results.per_image(method, toy, maps), results.evaluate(method, toy, maps)
    run = results.run_of(method, toy)
    stored = results.maps_to_store(method, toy, maps, images)
    results.save(results.reserve(run, tmp_path), rows, images, {}, stored)
    found = results.load_pictures(run, tmp_path)
    assert set(found) == {toy.paths[i] for i in results.exemplars(images)}
    for path, pictures in found.items():
        wanted = method.restore(toy.test)[toy.paths.index(path)].clamp(0, 1).permute(1, 2, 0)
        assert np.allclose(pictures["restored"], wanted.numpy(), atol=1e-3)
    assert results.load_pictures(run, tmp_path / "elsewhere") == {}


# ---- training


def test_training_lowers_the_loss_and_counts_its_steps(toy):
    method = FAIR(width=4, textures="train", steps=40, lr=1e-2).fit(toy.train)
    assert len(method.losses_) == 40
    assert np.mean(method.losses_[-5:]) < 0.8 * np.mean(method.losses_[:5])
    assert len(replace(SMALL, steps=None, epochs=3, batch=3).fit(toy.train).losses_) == 9


def test_the_learning_rate_falls_twice(toy, monkeypatch):
    rates: list[float] = []
    step = torch.optim.Adam.step

    def spy(self, *args):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    replace(SMALL, steps=10, lr=1.0).fit(toy.train)
    assert rates == pytest.approx([1.0] * 8 + [0.2, 0.04])


def test_samples_are_turned_and_the_images_stay(toy):
    before = toy.train.clone()
    generator = torch.Generator().manual_seed(0)
    textures = to_textures(toy.train)
    for share, some in ((0.0, 0), (1.0, 8)):
        method = replace(SMALL, turned=share, clean=1.0)
        clean, damaged, masks = method.draw(toy.train, textures, generator)
        assert torch.equal(clean, damaged) and not masks.any()  # both are turned
        known = [any(torch.equal(x, t) for t in toy.train) for x in clean]
        assert known.count(False) == some
    assert torch.equal(toy.train, before)


def test_a_training_that_is_stopped_leaves_the_earlier_fit(toy, monkeypatch):
    method = replace(SMALL).fit(toy.train)
    before, calls = method.anomaly_map(toy.test), []

    def stop(*_):
        calls.append(0)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(torch.optim.lr_scheduler.MultiStepLR, "step", stop)
    with pytest.raises(KeyboardInterrupt):
        method.fit(1 - toy.train)
    assert torch.equal(method.anomaly_map(toy.test), before)


def test_one_training_image_is_enough_and_seeds_differ(toy):
    first, second = (replace(SMALL, seed=s).fit(toy.train[:1]) for s in (0, 1))
    maps = first.anomaly_map(toy.test[:1])
    assert maps.isfinite().all() and not torch.equal(maps, second.anomaly_map(toy.test[:1]))


def test_the_normal_error_is_that_of_normal_test_images(toy):
    method = replace(SMALL).fit(toy.train)
    rows = results.evaluate(method, toy, method.anomaly_map(toy.test))
    (found,) = rows.loc[rows["metric"] == "normal_mse", "value"]
    good = toy.test[~toy.labels]
    assert found == pytest.approx(F.mse_loss(method.restore(good), good).item())
    assert method.diagnostics(toy.test[:0], torch.zeros(0, 32, 32)) == {}


# ---- textures and mistakes


def test_textures_are_read_at_the_size_of_the_images(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "data_root", lambda: tmp_path)
    folder = tmp_path / "dtd" / "images" / "dotted"
    folder.mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match='textures="train"'):
        replace(SMALL, textures="dtd").fit(toy.train)
    for k, shade in enumerate((10, 200)):
        Image.new("RGB", (40, 30), (shade, 0, 255)).save(folder / f"{k}.png")
    found = assets.textures("dtd", 32, 48)
    assert found.shape == (2, 3, 32, 48) and found.dtype == torch.uint8
    assert found[:, :, 0, 0].tolist() == [[10, 0, 255], [200, 0, 255]]
    replace(SMALL, textures="dtd").fit(toy.train)


@pytest.mark.parametrize("size", [(30, 32), (32, 40)])
def test_a_size_that_cannot_be_halved_four_times_is_named(size):
    with pytest.raises(ValueError, match="multiple of 16"):
        SMALL.fit(photos(2, *size))


def test_maps_are_of_the_size_of_the_fit(toy):
    with pytest.raises(ValueError, match="has seen"):
        replace(SMALL).fit(toy.train).anomaly_map(photos(1, 64, 64))


@pytest.mark.parametrize(
    "settings",
    [
        {"cutoff": 0.0},
        {"cutoff": -3.0},
        {"cutoff": 128.0},
        {"order": 0},
        {"batch": 0},
        {"epochs": 0},
        {"steps": 0},
        {"kernel": 7},
        {"mean": 20},
        {"score": "mse"},
        {"extractor": "wavelet"},
    ],
)
def test_settings_without_meaning_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        FAIR(**settings)


def test_the_papers_settings():
    assert FAIR.paper("visa", "candle") == FAIR(epochs=400)
    assert FAIR.paper("mvtec", "grid") == FAIR()
    assert FAIR.as_released("visa", "candle") == FAIR(epochs=400, clipped=True, bgr=True)


def test_the_noise_of_fae_is_the_same_on_both_sides_and_draws_nothing_where_it_is_off(toy):
    plain, noisy = (FAIR(width=1, textures="train", noise=x) for x in (0.0, 0.1))
    textures = to_textures(toy.train)

    def drawn(method):
        generator = torch.Generator().manual_seed(3)
        return *method.draw(toy.train, textures, generator), generator.get_state()

    clean, damaged, masks, state = drawn(plain)
    other_clean, other_damaged, other_masks, _ = drawn(noisy)
    assert torch.equal(masks, other_masks)
    added = other_clean - clean
    assert torch.allclose(other_damaged - damaged, added, atol=1e-6)
    assert added.std().item() == pytest.approx(0.1, rel=0.05)
    assert torch.equal(drawn(plain)[3], state)
    with pytest.raises(ValueError, match="noise"):
        FAIR(noise=-0.1)
