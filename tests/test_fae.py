"""FAE's losses, penalties, network and maps against exact Jacobians, loops and work by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.func import jacrev

from anomlib import assets, metrics, results
from anomlib.methods import fae
from anomlib.methods.fae import (
    ARMS,
    DIFFS,
    FAE,
    Dilated,
    UNet,
    difference,
    loss,
    residual,
    smoothed,
)
from anomlib.ops import gms, identity_gap, ssim

SMALL = FAE(width=2, blocks=1, textures="procedural", diff="mse", times=0, steps=2, batch=2)
MANY = 20_000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(n: int = 4, height: int = 16, width: int = 24, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, height, width, generator=generator(seed))


class Linear(nn.Module):
    """f(x) = W x on images of 2 x 2 pixels, so that J = W."""

    def __init__(self):
        super().__init__()
        self.w = torch.randn(12, 12, generator=generator(5), dtype=torch.float64) / 4

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.flatten(1) @ self.w.T).view(x.shape)


class Nothing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x)


# ---- 2 and 3.2: the arms


def pair(n: int = MANY) -> tuple[torch.Tensor, torch.Tensor]:
    """One clean and one occluded image, many times."""
    both = torch.rand((2, 3, 2, 2), generator=generator(3), dtype=torch.float64)
    return both[0].repeat(n, 1, 1, 1), both[1].repeat(n, 1, 1, 1)


def added(w: torch.Tensor) -> dict[str, float]:
    """What each arm adds to |f(x^) - x|^2, over sigma^2, where f is linear: exact."""
    gap, size = (w - torch.eye(12)).square().sum().item(), w.square().sum().item()
    return {
        **{"none": 0.0, "fae": gap, "dae": size, "target": 12.0, "independent": size + 12.0},
        **{"explicit": gap, "rcae": size},
    }


@pytest.mark.parametrize("arm", ARMS)
def test_each_arm_adds_what_theorem_1_says_to_a_linear_network(arm):
    net, sigma, (x, x_hat) = Linear(), 0.7, pair()
    r, moved = residual(net, x, x_hat, sigma, arm, generator())
    found = (r.square().flatten(1).sum(1) + moved.square().sum() / MANY).mean().item()
    bare = (net(x_hat[:1]) - x[:1]).square().sum().item()
    wanted = bare + sigma**2 * added(net.w)[arm]
    assert found == pytest.approx(wanted, rel=0.02)
    assert bare != pytest.approx(wanted, rel=0.1) or arm == "none"  # the test sees the term


def test_noise_is_the_same_on_input_and_target_or_where_the_arm_says():
    x, x_hat = pair(3)
    for arm in ("none", "fae", "dae", "target", "independent"):
        r, moved = residual(nn.Identity(), x, x_hat, 0.1, arm, generator())
        other, _ = residual(Nothing(), x, x_hat, 0.1, arm, generator())
        u, v = r - other - x_hat, -other - x
        assert (u.abs().max() > 1e-12) == (arm in ("fae", "dae", "independent"))
        assert (v.abs().max() > 1e-12) == (arm in ("fae", "target", "independent"))
        assert torch.allclose(u, v) == (arm in ("none", "fae"))
        assert moved.sum() == 0


def test_the_explicit_penalty_is_that_of_the_exact_jacobian():
    """Of a network with one nonlinearity, at one image, averaged over many probes."""
    w = Linear()
    net = nn.Sequential(w, nn.Tanh(), w)
    x, x_hat = pair()
    jacobian = jacrev(lambda t: net(t[None])[0])(x_hat[0]).reshape(12, 12)
    for arm, anchor in (("explicit", torch.eye(12)), ("rcae", torch.zeros(12, 12))):
        r, moved = residual(net, x, x_hat, 0.5, arm, generator())
        wanted = 0.25 * (jacobian - anchor).square().sum()
        assert torch.allclose(moved.square().flatten(1).sum(1).mean(), wanted, rtol=0.02)
        assert torch.equal(r, net(x_hat) - x)


def test_an_explicit_penalty_trains_and_updates_running_statistics_as_a_plain_step_does():
    net, x = UNet(2, 1), photos()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        twin = UNet(2, 1)
    twin.load_state_dict(net.state_dict())
    r, moved = residual(net, x, x, 0.1, "explicit", generator())
    twin(x)
    (r.square().mean() + moved.square().mean()).backward()
    state = net.state_dict()
    assert any("running" in name for name in state)
    assert all(torch.allclose(t, state[name], atol=1e-6) for name, t in twin.state_dict().items())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_each_image_may_have_a_sigma_of_its_own():
    x, x_hat = pair(2)
    sigma = torch.tensor([0.0, 0.2], dtype=torch.float64).view(2, 1, 1, 1)
    for arm in ("fae", "explicit"):
        r, moved = residual(Linear(), x, x_hat, sigma, arm, generator())
        added = moved if arm == "explicit" else r - (Linear()(x_hat) - x)
        assert added[0].abs().max() < 1e-12 < added[1].abs().max()


def test_the_weighted_loss_by_hand():
    r = torch.full((1, 3, 2, 2), 2.0)
    r[..., 0] = 1.0
    masks = torch.tensor([[[1.0, 0.0], [0.5, 0.0]]])
    assert loss(r, masks).item() == pytest.approx((6 * 1 + 6 * 4) / 12)
    inside = 3 * (1 + 0.25) / (3 * 1.5)  # |M r|^2 over |M|_1
    outside = 3 * (0.25 + 4 + 4) / (3 * 2.5)
    for weight in (0.0, 0.9, 1.0):
        wanted = weight * inside + (1 - weight) * outside
        assert loss(r, masks, weight).item() == pytest.approx(wanted)
    assert loss(r, torch.zeros(1, 2, 2), 0.5).item() == pytest.approx(0.5 * 30 / 12)


# ---- 5: the network


@pytest.mark.parametrize("skips", [True, False])
def test_the_networks_parameters_counted_by_hand(skips):
    def conv(i: int, o: int, side: int = 3) -> int:
        return i * o * side**2 + o

    def layers(*channels: int) -> int:  # each with two numbers per channel to normalise
        pairs = zip(channels, channels[1:], strict=False)
        return sum(conv(i, o) + 2 * o for i, o in pairs)

    c, k = 4, 2 if skips else 1
    wanted = layers(3, c, c) + layers(c, 2 * c, 2 * c) + layers(2 * c, 4 * c, 4 * c)
    wanted += layers(4 * c, 6 * c, 6 * c, 6 * c)  # three blocks, of six dilations each
    for i, o in ((6 * c, 4 * c), (4 * c, 2 * c), (2 * c, c)):
        wanted += conv(i, o, 2) + layers(k * o, o, o)
    net = UNet(c, 3, skips)
    assert sum(p.numel() for p in net.parameters()) == wanted + conv(c, 3, 1)
    assert net(photos()).shape == (4, 3, 16, 24)


def test_dilated_convolutions_see_as_far_as_they_say():
    layer = Dilated(1, 1)
    for conv in layer:
        nn.init.ones_(conv.weight)  # pyright: ignore[reportArgumentType]
        nn.init.zeros_(conv.bias)  # pyright: ignore[reportArgumentType]
    spot = torch.zeros(1, 1, 65, 65)
    spot[..., 32, 32] = 1
    reach = [(t.nonzero().amax() - 32).item() for t in layer(spot)[0]]
    assert reach == [1, 2, 4, 8, 16, 32]


def test_the_output_is_not_bounded():
    net = UNet(2, 1).eval()
    nn.init.constant_(net.out.bias, 7.0)  # pyright: ignore[reportArgumentType]
    assert net(photos()).mean() > 3


# ---- 2: maps and scores


def test_the_mean_filter_is_applied_n_times():
    x = photos(2)[:, :1]
    assert torch.equal(smoothed(x, 3, 0), x)
    kernel = torch.full((1, 1, 3, 3), 1 / 9)
    once = F.conv2d(x, kernel)
    assert torch.allclose(smoothed(x, 3, 1)[..., 1:-1, 1:-1], once, atol=1e-6)
    assert torch.allclose(smoothed(x, 3, 2)[..., 2:-2, 2:-2], F.conv2d(once, kernel), atol=1e-6)
    assert torch.allclose(smoothed(torch.ones(1, 1, 8, 8), 5, 3), torch.tensor(1.0))  # at borders


def test_differences():
    x, y = photos(seed=1), photos(seed=2)
    wanted = {
        "mse": (x - y).square().mean(dim=1, keepdim=True),
        "ssim": 1 - ssim(x, y).mean(dim=1, keepdim=True),
        "gms": 1 - gms(x, y),
    }
    assert set(wanted) == set(DIFFS)
    for kind, values in wanted.items():
        assert torch.allclose(difference(x, y, kind), values)
        assert difference(x, x, kind).abs().max() < 1e-5


def test_a_map_is_the_smoothed_difference_and_a_score_its_sum_or_maximum(toy):
    method = replace(SMALL, diff="ssim", mean=5, times=2).fit(toy.train)
    x = toy.test[:2]
    y = method.net_(x)
    assert torch.equal(method.restore(x), y.detach())
    maps = method.anomaly_map(x)
    assert torch.allclose(maps, smoothed(difference(x, y, "ssim"), 5, 2)[:, 0], atol=1e-5)
    assert torch.allclose(method.image_score(maps), maps.sum(dim=(1, 2)))
    largest = method.changed(score="max")  # without another fit
    assert torch.equal(largest.image_score(largest.anomaly_map(x)), maps.amax(dim=(1, 2)))
    assert torch.equal(method.pictures(x)["restored"], method.restore(x))


# ---- what is held out


@pytest.mark.parametrize(("share", "count"), [(0.05, 1), (0.25, 2), (1.0, 7)])
def test_some_training_images_are_held_out_and_no_test_image_is_seen(
    share, count, toy, monkeypatch
):
    seen: dict[str, list[torch.Tensor]] = {"_train": [], "_grade": []}
    for name, kept in seen.items():
        real = getattr(FAE, name)

        def spy(self, *args, real=real, kept=kept):
            kept.append(next(a for a in args if isinstance(a, torch.Tensor)))
            return real(self, *args)

        monkeypatch.setattr(FAE, name, spy)
    replace(SMALL, held_out=share).fit(toy.train)
    trained, held = seen["_train"][0], seen["_grade"][0]
    assert len(held) == count and len(trained) == 8 - count
    both = torch.cat([trained, held])
    assert torch.equal(both.flatten(1).sum(1).sort()[0], toy.train.flatten(1).sum(1).sort()[0])


def test_a_grade_is_the_auroc_of_a_map_on_occluded_images(toy, monkeypatch):
    occluded: list[tuple[torch.Tensor, torch.Tensor]] = []
    real = fae.occlude

    def spy(*args):
        occluded.append(real(*args))
        return occluded[-1]

    monkeypatch.setattr(fae, "occlude", spy)
    method = replace(SMALL).fit(toy.train)
    x_hat, masks = occluded[-1]  # the last ones are those of the grades
    assert len(x_hat) == fae.OCCLUDED
    inside = masks > 0.5 * masks.amax(dim=(1, 2), keepdim=True)
    assert len(method.graded_) == len(DIFFS) * len(fae.KERNELS) * len(fae.TIMES)
    for c in (("mse", 3, 0), ("ssim", 5, 2), ("gms", 15, 1)):
        maps = method.changed(diff=c[0], mean=c[1], times=c[2]).anomaly_map(x_hat)
        assert metrics.pixel_auroc(maps, inside) == pytest.approx(method.graded_[c], abs=1e-6)


def test_the_choice_is_the_best_grade_beside_what_is_set(toy):
    method = replace(SMALL, diff=None, times=None)
    method.graded_ = {
        ("mse", 3, 0): 0.5,
        ("mse", 5, 1): 0.7,
        ("ssim", 3, 1): 0.9,
        ("gms", 3, 0): 0.6,
    }
    assert method.choice() == ("ssim", 3, 1)
    assert method.changed(diff="mse").choice() == ("mse", 5, 1)
    assert method.changed(times=0).choice() == ("gms", 3, 0)
    assert method.changed(diff="mse", times=0).choice() == ("mse", 3, 0)


def test_the_test_images_move_nothing_that_is_learned(toy):
    method = replace(SMALL, diff=None, times=None).fit(toy.train)
    choice, maps = method.choice(), method.anomaly_map(toy.test)
    method.diagnostics(toy.test, maps)
    assert method.choice() == choice and torch.equal(method.anomaly_map(toy.test), maps)


def test_one_training_image_is_enough(toy):
    maps = replace(SMALL).fit(toy.train[:1]).anomaly_map(toy.test[:1])
    assert maps.isfinite().all()


# ---- training


def test_training_lowers_the_loss_and_counts_its_steps(toy):
    method = replace(SMALL, steps=20, lr=2e-2).fit(toy.train)
    assert len(method.losses_) == 20
    assert np.mean(method.losses_[-5:]) < 0.5 * np.mean(method.losses_[:5])
    few = replace(SMALL, steps=None, epochs=3).fit(toy.train)
    assert len(few.losses_) == 3 * math.ceil(7 / 2)  # one of eight is held out


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_trains_on_the_same_occlusions(arm, toy, monkeypatch):
    seen: list[torch.Tensor] = []
    real = fae.residual

    def spy(net, x, x_hat, *rest):
        seen.append(x_hat)
        return real(net, x, x_hat, *rest)

    monkeypatch.setattr(fae, "residual", spy)
    first = replace(SMALL, penalty=arm).fit(toy.train)
    replace(SMALL, penalty="none").fit(toy.train)
    assert torch.equal(torch.stack(seen[:2]), torch.stack(seen[2:]))
    assert np.isfinite(first.losses_).all()


@pytest.mark.parametrize(
    "settings",
    [
        {"sigma_max": 0.1},
        {"weight": 0.9},
        {"skips": False},
        {"shape": "curves"},
        {"shape": "whole", "opacity": "transparent"},
        {"shape": "nothing"},
        {"opacity": 0.5},
        {"opacity": "opaque"},
        {"rotations": "quarter"},
        {"rotations": "any"},
        {"textures": "train"},
    ],
    ids=str,
)
def test_every_option_moves_the_maps(settings, toy):
    plain, other = (m.fit(toy.train) for m in (replace(SMALL), replace(SMALL, **settings)))
    maps = other.anomaly_map(toy.test[:2])
    assert maps.isfinite().all() and not torch.equal(maps, plain.anomaly_map(toy.test[:2]))


def test_in_domain_textures_are_the_training_images_that_are_not_held_out(toy, monkeypatch):
    banks: list[torch.Tensor] = []
    real = fae.occlude

    def spy(images, textures, *rest):
        banks.append(textures)
        return real(images, textures, *rest)

    monkeypatch.setattr(fae, "occlude", spy)
    replace(SMALL, textures="train").fit(toy.train)
    wanted = {tuple((255 * x).round().int().flatten().tolist()) for x in toy.train}
    assert all({tuple(t.int().flatten().tolist()) for t in bank} < wanted for bank in banks)
    assert all(len(bank) == 7 for bank in banks)


def test_textures_are_read_by_name(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "data_root", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match='textures="train"'):
        replace(SMALL, textures="dtd").fit(toy.train)
    folder = tmp_path / "dtd" / "images" / "dotted"
    folder.mkdir(parents=True)
    Image.new("RGB", (40, 30), (10, 0, 255)).save(folder / "0.png")
    replace(SMALL, textures="dtd").fit(toy.train)


# ---- 3: diagnostics


def test_the_gap_to_the_identity_is_that_of_the_exact_jacobian():
    net = Linear()
    net.w = net.w.float()
    wanted = (net.w - torch.eye(12)).square().sum().item() / 12
    x = photos(400, 2, 2)
    assert identity_gap(net, x, probes=20) == pytest.approx(wanted, rel=0.03)
    assert identity_gap(net, x[:3]) == identity_gap(net, x[:3])
    assert identity_gap(lambda t: t, x[:3]) == 0 and identity_gap(lambda t: 3 * t, x[:3]) == 4


def high_energy(x: torch.Tensor) -> float:
    """Of all frequencies beyond half of Nyquist's, one by one on the whole plane."""
    spectrum = torch.fft.fft2(x.double()).abs().square().sum(dim=(0, 1))
    frequencies = [torch.fft.fftfreq(n) for n in x.shape[-2:]]  # in cycles per pixel, to 1 / 2
    return sum(
        spectrum[i, j].item()
        for i, u in enumerate(frequencies[0])
        for j, v in enumerate(frequencies[1])
        if math.hypot(u, v) > 0.25
    )


def test_diagnostics_are_rows_of_normal_test_images(toy):
    method = replace(SMALL).fit(toy.train)
    rows = results.evaluate(method, toy, method.anomaly_map(toy.test))
    values = rows.set_index("metric")["value"]
    good = toy.test[~toy.labels]
    y = method.restore(good)
    assert values["normal_mse"] == pytest.approx(F.mse_loss(y, good).item())
    shares = [((method.restore(t[None]) - t).norm() / t.norm()).item() for t in y]
    assert values["idempotency"] == pytest.approx(np.mean(shares), rel=1e-4)
    assert values["high_frequencies"] == pytest.approx(
        high_energy(y) / high_energy(good), rel=1e-3
    )
    gap = identity_gap(method.net_, good, seed=method.seed)
    assert values["jacobian_identity"] == pytest.approx(gap)
    assert method.diagnostics(toy.test[:0], torch.zeros(0, 32, 32)) == {}


def test_the_gap_of_a_trained_network_is_that_of_its_exact_jacobian():
    x = photos(2, 16, 16)
    method = replace(SMALL).fit(x)
    exact = jacrev(lambda t: method.net_(t[None])[0])(x[0]).reshape(768, 768)
    wanted = (exact - torch.eye(768)).square().sum().item() / 768
    assert identity_gap(method.net_, x[:1], probes=100) == pytest.approx(wanted, rel=0.05)


# ---- mistakes


@pytest.mark.parametrize(
    "settings",
    [
        {"penalty": "tikhonov"},
        {"sigma": -0.1},
        {"sigma_max": 2.0},
        {"weight": 1.5},
        {"width": 0},
        {"blocks": 0},
        {"shape": "squares"},
        {"opacity": "glass"},
        {"opacity": "opaque", "shape": "whole"},
        {"opacity": 1.0, "shape": "whole"},
        {"opacity": 1.5},
        {"opacity": -0.1},
        {"edge": -1.0},
        {"rotations": "half"},
        {"held_out": 1.1},
        {"diff": "lpips"},
        {"mean": 0},
        {"mean": 4},
        {"times": -1},
        {"score": "mean"},
        {"epochs": 0},
        {"steps": 0},
        {"batch": 0},
    ],
    ids=str,
)
def test_settings_without_meaning_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        FAE(**settings)


def test_sizes_that_the_network_cannot_halve_are_named():
    with pytest.raises(ValueError, match="multiple of 8"):
        SMALL.fit(photos(2, 20, 24))
    with pytest.raises(ValueError, match="square"):
        replace(SMALL, rotations="quarter").fit(photos())
    with pytest.raises(ValueError, match="has seen"):
        replace(SMALL).fit(photos()).anomaly_map(photos(1, 32, 32))


def test_the_papers_settings():
    assert FAE.paper("mvtec", "grid") == FAE()
    assert FAE.paper("mvtec", "transistor") == FAE(rotations="any")
    assert FAE.paper("mvtec+size=512", "grid", penalty="none").departures("mvtec", "grid") == (
        'penalty="none"'
    )


def statistics(toy, monkeypatch, **settings):
    """The first layer's running mean and variance, the same over what was drawn, its weights."""
    seen: list[torch.Tensor] = []
    real = FAE.draw

    def spy(self, *args):
        seen.append((found := real(self, *args))[1])
        return found

    monkeypatch.setattr(FAE, "draw", spy)
    method = replace(SMALL, steps=3, **settings).fit(toy.train)
    first, norm = method.net_.down[0][0][0], method.net_.down[0][0][1]  # pyright: ignore
    with torch.no_grad():
        found = [first(x) for x in seen[3 : 3 + fae.SETTLING]]
    mean = torch.stack([y.mean(dim=(0, 2, 3)) for y in found]).mean(dim=0)
    var = torch.stack([y.var(dim=(0, 2, 3)) for y in found]).mean(dim=0)
    return norm.running_mean, norm.running_var, mean, var, first.weight.detach()


@pytest.mark.parametrize("penalty", ["none", "target", "explicit"])
def test_statistics_are_those_of_the_last_network(toy, monkeypatch, penalty):
    """Averages over batches as the network is in the end, not a running mean over its history."""
    means, variances, mean, var, _ = statistics(toy, monkeypatch, penalty=penalty)
    assert torch.allclose(means, mean, atol=1e-5)
    assert torch.allclose(variances, var, rtol=1e-4)


@pytest.mark.parametrize("penalty", fae.NOISY)
@pytest.mark.parametrize("settings, square", [({"sigma": 0.3}, 0.09), ({"sigma_max": 0.6}, 0.12)])
def test_statistics_are_those_of_inputs_with_their_noise(
    toy, monkeypatch, penalty, settings, square
):
    """White noise adds sigma^2 |w|^2 to a layer's variance; U(0, a) has a mean square of a^2/3."""
    _, variances, _, var, w = statistics(toy, monkeypatch, penalty=penalty, **settings)
    added = square * w.square().sum(dim=(1, 2, 3))
    assert torch.allclose(variances - var, added, rtol=0.15)  # borders are padded with zeros
