"""SSDnet's equations against the paper's own form, a loop over patches."""

import pytest
import torch

from anomlib.methods.ssdnet import (
    AGGREGATE,
    EncoderDecoder,
    SSDnet,
    accumulate,
    coverage,
    min_max,
    patch_loss,
)


def patches(height, width, m):
    return [
        (slice(i, i + m), slice(j, j + m))
        for i in range(height - m + 1)
        for j in range(width - m + 1)
    ]


@pytest.mark.parametrize(("height", "width", "m"), [(9, 11, 4), (8, 8, 8), (7, 9, 1), (10, 6, 5)])
def test_loss_is_the_mean_over_patches(height, width, m):
    error = torch.rand(1, height, width, generator=torch.Generator().manual_seed(0)).double()
    literal = torch.stack([error[0][p].mean() for p in patches(height, width, m)]).mean()
    ours = patch_loss(error.float(), [coverage(height, width, m)], "max")
    assert ours.item() == pytest.approx(literal.item(), rel=1e-5)


def test_coverage_by_hand():
    # 2 x 2 patches in 3 x 3 pixels: four patches, the centre is in all, an edge in two
    counts = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])
    assert torch.allclose(coverage(3, 3, 2)[0], counts / 16)  # 16 pixels in four patches


@pytest.mark.parametrize(("height", "width", "m"), [(20, 23, 5), (16, 16, 16), (12, 9, 4)])
def test_map_is_the_sum_over_covering_patches(height, width, m):
    error = torch.rand(
        1, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    literal = torch.zeros(height, width, dtype=torch.float64)
    found = patches(height, width, m)
    for patch in found:
        literal[patch] += error[0][patch].mean() / len(found)
    assert torch.allclose(accumulate(error, m)[0], literal, atol=1e-12)


def test_several_resolutions_are_aggregated():
    error = torch.tensor([[[9.0, 0, 0], [0, 0, 0], [0, 0, 9]]])
    weights = [coverage(3, 3, 1), coverage(3, 3, 2)]  # means: 18 / 9, and (9 + 9) / 4 / 4
    assert patch_loss(error, weights, "max").item() == pytest.approx(2)
    assert patch_loss(error, weights, "min").item() == pytest.approx(1.125)
    assert patch_loss(error, weights, "mean").item() == pytest.approx(1.5625)
    maps = torch.stack([torch.tensor([0.2, 0.8]), torch.tensor([0.6, 0.4])])
    assert AGGREGATE["max"](maps, dim=0).tolist() == pytest.approx([0.6, 0.8])


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
    # methods.md: the [16, 32, 64, 128, 128] generator has 1.04 M parameters
    count = sum(p.numel() for p in EncoderDecoder((16, 32, 64, 128, 128), 4).parameters())
    assert count == pytest.approx(1.04e6, rel=0.01)


def test_settings_reach_the_training(toy):
    def maps(**settings):
        base = {"epochs": 5, "widths": (4,), "skip": 0, "resolutions": (5,)}
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
    ]:
        assert not torch.equal(first, maps(**{name: value})), name
    several = [maps(resolutions=(3, 9), aggregate=a) for a in ("max", "min", "mean")]
    assert not torch.equal(several[0], several[1]) and not torch.equal(several[1], several[2])


def test_missing_pixels_are_filled_by_what_surrounds_them(toy):
    """The first of the two stages: a hole in a plain image is inpainted, so it is no anomaly."""
    image = torch.full((1, 3, 32, 32), 0.7)
    image[:, :, 12:16, 12:16] = torch.nan
    method = SSDnet(epochs=100, widths=(8, 16), skip=0, resolutions=(5,))
    observed = image.isfinite().all(dim=1)
    filled = method._reconstruct(image.nan_to_num(0.0), observed)
    assert (
        filled[:, :, 12:16, 12:16] - 0.7
    ).abs().mean() < 0.1  # an untrained network says 0.5, the hole was given 0


def test_what_cannot_be_done_is_said(toy):
    with pytest.raises(ValueError, match="patch of 64 pixels does not fit into 32 x 32"):
        SSDnet(resolutions=(64,)).anomaly_map(toy.test[:1])
    with pytest.raises(ValueError, match="infinite"):
        SSDnet().anomaly_map(torch.full((1, 3, 32, 32), torch.inf))
    with pytest.raises(ValueError, match="max, min, mean"):
        SSDnet(aggregate="median")


def test_published_settings_are_those_of_section_4():
    method = SSDnet.paper("mvtec", "grid")
    assert isinstance(method, SSDnet)
    assert (method.epochs, method.stop, method.resolutions) == (10, 1e-4, (16,))
