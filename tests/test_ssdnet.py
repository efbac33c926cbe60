"""SSDnet's equations against the paper's own form, a loop over patches."""

import pytest
import torch
import torch.nn.functional as F

from anomlib.features import PatchEmbedding, vgg19
from anomlib.methods.ssdnet import AGGREGATE, EncoderDecoder, SSDnet, min_max
from anomlib.ops import Patches


def slices(height, width, m, stride=1):
    """The paper's form: the patches one by one; the last of each axis ends at the border."""
    starts = [
        sorted({*range(0, length - m + 1, stride), length - m}) for length in (height, width)
    ]
    return [(slice(i, i + m), slice(j, j + m)) for i in starts[0] for j in starts[1]]


SIZES = [(9, 11, 4, 1), (8, 8, 8, 1), (7, 9, 1, 1), (20, 23, 5, 3), (16, 12, 4, 4), (12, 9, 4, 9)]


def random_error(height, width):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, height, width, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("height", "width", "m", "stride"), SIZES)
def test_patches_are_those_of_a_loop(height, width, m, stride):
    error, patches = random_error(height, width), Patches(height, width, m, stride)
    loop = torch.stack([error[0][p] for p in slices(height, width, m, stride)])
    assert torch.equal(patches.cut(error[None])[:, 0], loop)
    assert torch.allclose(patches.mean(error).flatten(), loop.mean(dim=(1, 2)), atol=1e-12)
    # Eq. 2 with one resolution is a weighted mean of the pixels' errors
    weights = patches.coverage(error) / m**2
    assert (weights * error).sum().item() == pytest.approx(loop.mean().item(), abs=1e-12)


@pytest.mark.parametrize(("height", "width", "m", "stride"), SIZES)
def test_map_is_the_sum_over_covering_patches(height, width, m, stride):
    error, patches = random_error(height, width), Patches(height, width, m, stride)
    literal = torch.zeros(height, width, dtype=torch.float64)
    found = slices(height, width, m, stride)
    for patch in found:
        literal[patch] += error[0][patch].mean() / len(found)
    assert torch.allclose(patches.spread(patches.mean(error))[0], literal, atol=1e-10)


def test_coverage_by_hand():
    # 2 x 2 patches in 3 x 3 pixels: four patches, the centre is in all, an edge in two
    counts = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])
    assert torch.allclose(Patches(3, 3, 2).coverage(counts)[0], counts / 4)


@pytest.mark.parametrize("mode", ["image", "patch"])
def test_first_loss_is_equation_2_literally(mode):
    """Both terms at two resolutions, with every patch cut, embedded and compared one by one."""
    y = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    settings = {"noise": 0.0, "widths": (4,), "skip": 0, "resolutions": (6, 9), "stride": 3}
    settings |= {"phi": "tiny", "phi_size": 16, "w_rec": 2.0, "w_perc": 0.5, "stop": -1e9}
    method = SSDnet(mode=mode, batch=1000, epochs=1, **settings)
    seen = []
    with pytest.MonkeyPatch.context() as patch:  # the network before its first step
        patch.setattr(torch.optim.Adam, "step", lambda self: None)
        method.train(y, lambda step, loss, net: seen.append((loss, net)))
    ((loss, net),) = seen
    phi = vgg19("tiny", 8)
    mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    losses = []
    for m in (6, 9):
        places = slices(24, 24, m, 3)
        targets = torch.cat([y[:, :, *p] for p in places])
        whole = net.train()(y)
        outputs = torch.cat([whole[:, :, *p] for p in places]) if mode == "image" else net(targets)
        terms = []
        for a, b in zip(targets, outputs, strict=True):
            maps = [
                phi((F.interpolate(x[None], 16, mode="bilinear") - column(mean)) / column(std))[0]
                for x in (a, b)
            ]
            inner = (maps[0] * maps[1]).sum(dim=0).mean()
            terms.append(2.0 * (a - b).square().mean() - 0.5 * inner)
        losses.append(torch.stack(terms).mean())
    assert loss == pytest.approx(max(losses).item(), rel=2e-3)  # features are kept in half


def column(values):
    return torch.tensor(values)[:, None, None]


def test_inner_product_and_its_gradient():
    """The gradient that is taken chunk by chunk is that of the whole sum."""
    patches = torch.rand(5, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    embedding = PatchEmbedding("tiny", 9, 14, patches.device)
    targets = embedding.targets(patches.flip(0))
    values = []
    for chunk in (2, 5):
        embedding.chunk = chunk
        x = patches.clone().requires_grad_()
        value = (embedding.inner(x, targets) * torch.arange(5)).sum()
        value.backward()
        assert x.grad is not None
        values.append((value.item(), x.grad))
    x = patches.clone().requires_grad_()
    plain = ((embedding(x) * targets).sum(dim=1).mean(dim=(1, 2)) * torch.arange(5)).sum()
    plain.backward()
    assert x.grad is not None
    for value, gradient in values:
        assert value == pytest.approx(plain.item(), rel=1e-5)
        assert torch.allclose(gradient, x.grad, rtol=1e-4, atol=1e-7)


def test_map_is_equation_3_literally():
    y = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    settings = {"widths": (4,), "skip": 0, "stride": 2, "phi": "tiny", "phi_size": 8}
    method = SSDnet(
        epochs=3, resolutions=(5, 8), alpha_rec=0.3, alpha_perc=0.7, aggregate="min", **settings
    )
    net, views = method.train(y)
    with torch.no_grad():
        output = net(y)
    maps = []
    for m, view in zip((5, 8), views, strict=True):
        assert view.features is not None
        rec, perc = torch.zeros(2, 20, 20)
        found = slices(20, 20, m, 2)
        embedding = PatchEmbedding("tiny", 8, 8, y.device)
        for p, feature in zip(found, view.features, strict=True):
            rec[p] += (output - y)[0][:, *p].square().mean() / len(found)
            perc[p] += (embedding(output[:, :, *p])[0] * feature).sum(0).mean() / len(found)
        maps.append(0.3 * min_max(rec[None]) - 0.7 * min_max(perc[None]))
    assert torch.allclose(method.anomaly_map(y), torch.minimum(*maps), atol=1e-4)


def test_coverage_normalised_maps_have_no_dark_border():
    y = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    plain, even = (
        SSDnet(epochs=1, widths=(4,), skip=0, coverage_normalise=c).anomaly_map(y)[0]
        for c in (False, True)
    )
    assert plain[:2].mean() < 0.4 * plain[12:20].mean()  # two of 16 rows of patches reach there
    assert even[:2].mean() > 0.8 * even[12:20].mean()


def test_an_epoch_is_a_step_or_a_pass_over_all_patches():
    y, steps = torch.rand(1, 3, 16, 16), []
    base = {"epochs": 3, "widths": (4,), "skip": 0, "resolutions": (8,), "stop": -1.0}
    SSDnet(**base).train(y, lambda step, loss, net: steps.append(step))
    assert steps == [1, 2, 3]
    SSDnet(mode="patch", batch=30, **base).train(y, lambda step, loss, net: steps.append(step))
    assert steps[-1] == 9  # 81 patches in batches of at most 30, three times


def test_permuted_outputs_meet_another_patch():
    method = SSDnet(permute=0.5, resolutions=(4,))
    partners = method._partners(16)
    assert sorted(partners.tolist()) == list(range(16))
    assert (partners != torch.arange(16)).sum() == 8
    image = torch.arange(3 * 64.0).view(1, 3, 8, 8)
    tiles = {t.flatten().tolist()[0]: t for t in Patches(8, 8, 4, 4).cut(image)}
    swapped = SSDnet(permute=1.0, resolutions=(4,))._swap_tiles(image)
    for tile in Patches(8, 8, 4, 4).cut(swapped):  # the same tiles, whole, elsewhere
        assert torch.equal(tile, tiles[tile.flatten().tolist()[0]])
    assert not torch.equal(swapped, image)
    assert torch.equal(SSDnet()._swap_tiles(image), image)


def test_several_resolutions_are_aggregated():
    maps = torch.stack([torch.tensor([0.2, 0.8]), torch.tensor([0.6, 0.4])])
    found = {name: combine(maps, dim=0).tolist() for name, combine in AGGREGATE.items()}
    wanted = {"max": [0.6, 0.8], "min": [0.2, 0.4], "mean": [0.4, 0.6]}
    assert all(found[name] == pytest.approx(wanted[name]) for name in wanted)


def test_min_max():
    assert min_max(torch.tensor([[[1.0, 3], [2, 5]]]))[0].flatten().tolist() == [0, 0.5, 0.25, 1]
    assert not min_max(torch.full((1, 4, 4), 7.0)).any()  # constant: zeros, no NaN


@pytest.mark.parametrize("skip", [0, 4])
@pytest.mark.parametrize("size", [(32, 32), (37, 51)])
def test_network_gives_back_the_size_of_the_image(skip, size):
    net = EncoderDecoder((4, 8, 16), skip)
    output = net(torch.rand(1, 3, *size))
    assert output.shape == (1, 3, *size)
    assert output.min() >= 0 and output.max() <= 1


def test_default_network_is_the_size_of_deep_image_priors_default():
    # the [16, 32, 64, 128, 128] generator has 1.04 M parameters
    count = sum(p.numel() for p in EncoderDecoder((16, 32, 64, 128, 128), 4).parameters())
    assert count == pytest.approx(1.04e6, rel=0.01)


def test_settings_reach_the_training(toy):
    def maps(**settings):
        base = {"epochs": 5, "widths": (4,), "skip": 0, "resolutions": (8,)}
        return SSDnet(**base | settings).anomaly_map(toy.test[:1])

    first = maps()
    for name, value in [
        ("epochs", 6),
        ("noise", 0.1),
        ("mask_rate", 0.3),
        ("widths", (4, 4)),
        ("skip", 2),
        ("lr", 1e-3),
        ("resolutions", (9,)),
        ("stop", 1.0),
        ("stride", 2),
        ("permute", 0.5),
        ("mode", "patch"),
        ("coverage_normalise", True),
        ("w_rec", 0.1),
    ]:
        assert not torch.equal(first, maps(**{name: value})), name
    perceptual = {"phi": "tiny", "phi_size": 8, "stride": 9, "stop": -1e9}
    felt = maps(w_perc=1.0, **perceptual)
    assert not torch.equal(maps(**perceptual), felt)
    for name, value in [("phi_layer", 9), ("phi_size", 12), ("w_rec", 0.0)]:
        assert not torch.equal(felt, maps(w_perc=1.0, **perceptual | {name: value})), name
    seen = maps(alpha_rec=0.0, alpha_perc=1.0, **perceptual)
    assert not torch.equal(maps(**perceptual), seen)
    batched = [maps(mode="patch", batch=b) for b in (16, 64)]
    assert not torch.equal(*batched)
    several = [maps(resolutions=(3, 9), aggregate=a) for a in ("max", "min", "mean")]
    assert not torch.equal(several[0], several[1]) and not torch.equal(several[1], several[2])


@pytest.mark.parametrize("mode", ["image", "patch"])
def test_missing_pixels_are_filled_by_what_surrounds_them(mode):
    """The first of the two stages: a hole in a plain image is inpainted, so it is no anomaly."""
    image = torch.full((1, 3, 32, 32), 0.7)
    image[:, :, 12:16, 12:16] = torch.nan
    epochs = {"image": 100, "patch": 10}[mode]
    method = SSDnet(mode=mode, epochs=epochs, widths=(8, 16), skip=0, resolutions=(5,))
    filled = method.reconstruct(image)
    hole = filled[:, :, 12:16, 12:16]
    assert (hole - 0.7).abs().mean() < 0.1  # an untrained network says 0.5, the hole was given 0


def test_what_cannot_be_done_is_said(toy):
    with pytest.raises(ValueError, match="patch of 64 pixels does not fit into 32 x 32"):
        SSDnet(resolutions=(64,)).anomaly_map(torch.rand(1, 3, 32, 32))
    with pytest.raises(ValueError, match="infinite"):
        SSDnet().anomaly_map(torch.full((1, 3, 32, 32), torch.inf))
    with pytest.raises(ValueError, match="max, min, mean, not 'median'"):
        SSDnet(aggregate="median")
    with pytest.raises(ValueError, match="mode is one of image, patch"):
        SSDnet(mode="tile")
    with pytest.raises(ValueError, match="sum to 1"):
        SSDnet(alpha_perc=1.0)
    with pytest.raises(ValueError, match="5 levels shrink 32 x 32 pixels to one"):
        SSDnet().anomaly_map(toy.test[:1])
    with pytest.raises(ValueError, match="tiles of 5 must fill 32 x 32"):
        SSDnet(permute=0.1, widths=(4,), resolutions=(5,)).anomaly_map(toy.test[:1])
    with pytest.raises(ValueError, match="289 patches would take .* larger stride"):
        SSDnet(w_perc=1.0, phi="tiny", phi_size=1000, widths=(4,)).anomaly_map(toy.test[:1])


@pytest.mark.parametrize("mode", ["image", "patch"])
def test_a_constant_image_is_a_map_of_zeros(mode):
    flat = torch.full((1, 3, 32, 32), 0.5)
    method = SSDnet(mode=mode, epochs=1, widths=(4,), skip=0, resolutions=(5,), noise=0.0)
    maps = method.anomaly_map(flat)
    assert maps.isfinite().all()
    assert not SSDnet(epochs=0, widths=(4,), skip=0, alpha_rec=1.0).anomaly_map(flat).isnan().any()


def test_all_pixels_missing_is_a_finite_map():
    maps = SSDnet(epochs=2, widths=(4,), skip=0).anomaly_map(torch.full((1, 3, 32, 32), torch.nan))
    assert maps.isfinite().all()


def test_missing_vgg_weights_are_named_with_the_fix(tmp_path, monkeypatch):
    monkeypatch.setenv("ANOMLIB_DATA", str(tmp_path))
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", no_network)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
    vgg19.cache_clear()
    with pytest.raises(FileNotFoundError, match="vgg19_features_to_relu2_2.pth.*make data"):
        SSDnet(w_perc=1.0).fit(torch.rand(1, 3, 32, 32))


def no_network(*args, **kwargs):
    raise OSError("no network")


def test_vgg_takes_its_weights_from_the_data_folder(tmp_path, monkeypatch):
    """By position, from names such as torchvision's: a file that does not fit is refused."""
    monkeypatch.setenv("ANOMLIB_DATA", str(tmp_path))
    (tmp_path / "weights").mkdir()
    path = tmp_path / "weights" / "vgg19_features_to_relu2_2.pth"
    tensors = {f"features.{k}": v + 1 for k, v in vgg19("tiny", 9).state_dict().items()}
    torch.save(tensors, path)
    vgg19.cache_clear()
    found = vgg19("vgg19", 8)
    assert torch.equal(found.state_dict()["7.weight"], tensors["features.7.weight"])
    assert len(found) == 8 and len(vgg19("vgg19", 9)) == 9
    torch.save(dict(list(tensors.items())[:4]), path)
    vgg19.cache_clear()
    with pytest.raises(ValueError, match="do not fit"):
        vgg19("vgg19", 8)
    vgg19.cache_clear()


def test_published_settings_are_those_of_section_4():
    grid, dots, knots = (
        SSDnet.paper(*place)
        for place in (("mvtec", "grid"), ("hkbu_dot", "hole"), ("hkbu_dot", "knots"))
    )
    assert isinstance(grid, SSDnet) and isinstance(dots, SSDnet) and isinstance(knots, SSDnet)
    assert (grid.epochs, grid.stop, grid.resolutions) == (10, 1e-4, (16,))
    assert (grid.w_rec, grid.w_perc, grid.alpha_rec) == (1, 0, 1)
    assert (dots.epochs, dots.stop, dots.w_rec, dots.w_perc) == (1, -100, 0, 1)
    assert (dots.alpha_rec, dots.alpha_perc) == (1, 0)
    assert (knots.alpha_rec, knots.alpha_perc, knots.epochs) == (0, 1, 1)
