"""CRAD and GRAD: grids, refinement, paste and losses on cases by hand; stages; bad input."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from anomlib.methods import crad, grad
from anomlib.methods.crad import CRAD, Coordinates, Grids, aligned, refine, sample, similarity
from anomlib.methods.grad import (
    GRAD,
    BiGrid,
    blur,
    contrast,
    largest_block,
    marked_walk,
    noised,
    paste,
    random_walk,
    standardise,
)

TINY: dict[str, Any] = {
    **{"backbone": "tiny", "levels": (1,), "blocks": 1, "epochs": 2, "global_grid": 4},
    **{"smooth": 1, "pool": 4},
}


def tiny(**settings: Any) -> GRAD:
    values: dict[str, Any] = TINY | {"size": (0.5, 3.0)} | settings
    return GRAD(**values)


def bigrid(**settings: Any) -> BiGrid:
    torch.manual_seed(0)
    return BiGrid((3, 8, 8), tiny(**settings))


# ---- CRAD's equations


def test_levels_are_aligned_to_the_largest():
    small, large = torch.full((1, 2, 1, 2), 7.0), torch.arange(4.0).view(1, 1, 2, 2)
    x = aligned([small, large], corners=True)  # Eq. 1
    assert x.shape == (1, 3, 2, 2)
    assert (x[:, :2] == 7).all() and torch.equal(x[:, 2:], large)


def test_a_grid_is_sampled_between_its_nodes():
    grid = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])  # nodes at x, y of -1/2 and 1/2
    places = torch.tensor([[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.0, 0.0], [1.0, 0.5]])
    found = sample(grid, places.view(1, 5, 1, 2))[0, 0, :, 0]
    # at the outer edge half of the value is the zero beyond it
    assert found.tolist() == [0, 1, 2, 1.5, 1.5]


def test_sampling_is_that_of_the_library():
    grid = torch.randn(1, 3, 4, 4, requires_grad=True)
    places = (2.4 * torch.rand(5, 2, 6, 2) - 1.2).requires_grad_()  # some beyond the edge
    repeated = torch.nn.functional.grid_sample(
        grid.repeat(5, 1, 1, 1), places, align_corners=False
    )
    found = sample(grid, places)
    assert torch.allclose(found, repeated, atol=1e-6)
    slopes = [torch.autograd.grad(x.square().sum(), (grid, places)) for x in (found, repeated)]
    for one, other in zip(*slopes, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_grids_give_a_map_of_the_image_and_a_feature_of_each_position():
    grids = Grids((2, 1, 3), local=2, whole=1)
    with torch.no_grad():
        grids.whole.copy_(torch.arange(6.0).view(1, 6, 1, 1))
        grids.local.copy_(torch.arange(8.0).view(1, 2, 2, 2))
    local = torch.full((2, 1, 3, 2), -0.5)
    x = grids(local, torch.zeros(2, 2))
    assert x.shape == (2, 4, 1, 3)
    assert x[1, :2, 0].tolist() == [[0, 1, 2], [3, 4, 5]]  # the global map, channel by channel
    assert x[1, 2:, 0].tolist() == [[0, 0, 0], [4, 4, 4]]


def test_coordinates_jitter_in_training_only():
    torch.manual_seed(0)
    net, x = Coordinates(4, jitter=0.05, rate=1.0), torch.randn(50, 4, 6, 6)
    plain, whole = net.eval()(x)
    moved, same = net.train()(x)
    assert plain.shape == (50, 6, 6, 2) and whole.shape == (50, 2)
    assert plain.abs().max() <= 1 and torch.equal(whole, same)
    assert (moved - plain).std().item() == pytest.approx(0.05, rel=0.05)
    never = Coordinates(4, jitter=0.05, rate=0.0).train()
    assert torch.equal(never(x)[0], never.eval()(x)[0])


def test_refinement_by_hand():
    x = torch.tensor([[3.0, 4.0], [1.0, 0.0]]).view(2, 2, 1, 1)
    rebuilt = torch.tensor([[3.0, 4.0], [0.0, 9.0]]).view(2, 2, 1, 1)
    # equal: 1. At right angles with a mean squared error of 41, 0.05 of it beyond 1: 0
    sim = similarity(rebuilt, x, distance=0.3, scale=0.05)
    assert sim.flatten().tolist() == pytest.approx([1, 0], abs=1e-6)
    # with a mean squared error of (1 + 1) / 2, 0.05 of which rounds to 0: 0.3
    near = similarity(torch.tensor([[[[0.0]], [[1.0]]]]), x[1:], distance=0.3, scale=0.05)
    assert near.item() == pytest.approx(0.3)
    half = torch.full((2, 1, 1, 1), 0.25)
    far = refine(rebuilt, x, half) - x
    assert torch.allclose(far, 0.75 * (rebuilt - x))


def test_blocks_have_the_parameters_of_both_releases():
    """At 2 x 216 channels 7 residual blocks have 23.5 million, 11 bottlenecks 12.5."""

    def count(blocks: int, expansion: float | None = None) -> int:
        with torch.device("meta"):
            net = crad.recovery(216, blocks, expansion)
        return sum(p.numel() for block in list(net)[:-1] for p in block.parameters())

    assert count(7) == 7 * (2 * 9 * 432**2 + 4 * 432)
    assert round(count(7) / 1e6, 1) == 23.5
    wide = 864
    excite = 2 * wide * wide // 4 + wide + wide // 4
    inside = 2 * 432 * wide + 9 * wide + 4 * wide + 2 * 432
    assert count(11, 2.0) == 11 * (inside + excite)
    assert round(count(11, 2.0) / 1e6, 1) == 12.5


def test_the_final_release_of_crad():
    method: Any = CRAD.as_released("mvtec", "grid", backbone="tiny")
    assert (method.blocks, method.expansion, method.epochs) == (11, 2.0, 50)
    assert set(method.changes("mvtec", "grid")) == {"backbone", "blocks", "expansion", "epochs"}
    for expansion in (None, 0.5):
        net = crad.recovery(8, 2, expansion)
        assert net(torch.randn(3, 16, 5, 5)).shape == (3, 8, 5, 5)


def test_networks_start_small_and_without_bias():
    torch.manual_seed(0)
    net: Any = crad.coordinate_net(100)
    assert net[0].weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not net[0].bias.any() and not net[2].bias.any()
    block: Any = crad.recovery(50, 1)[0]
    assert block.inner[0].weight.std().item() == pytest.approx(0.01, rel=0.05)


def test_rates_differ_between_grids_and_networks(monkeypatch, toy):
    found = []
    adam = torch.optim.AdamW

    def spy(groups, lr, **settings):
        optimizer = adam(groups, lr, **settings)
        found.append([(len(g["params"]), g["lr"]) for g in optimizer.param_groups])
        return optimizer

    monkeypatch.setattr(torch.optim, "AdamW", spy)
    tiny(freeze_shared=False).fit(toy.train)
    # 8 tensors of coordinates, 2 x 7 of blocks and the weight; one pair of grids in each stage
    assert found == 2 * [[(8 + 2 * 7 + 1, 1e-3), (2, 0.1)]]


# ---- GRAD's equations


def test_the_full_size_has_the_parameters_of_the_code():
    """c = 272 at 32 x 32: 48 million in the blocks of a branch, 17.8 in a global grid."""
    with torch.device("meta"):
        net = BiGrid((272, 32, 32), GRAD())
    for blocks in (net.recover, net.recover_abnormal):
        assert sum(p.numel() for p in blocks.parameters()) // 10**6 == 48
    for grids in (net.normal, net.abnormal):
        assert grids.whole.numel() == 17825792 and grids.local.shape == (1, 272, 8, 8)


def test_standardised_over_positions():
    x = torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]])
    expected = torch.tensor([[[[-1.0, 1.0]], [[0.0, 0.0]]]])
    assert torch.allclose(standardise(x), expected, atol=1e-4)


def test_the_abnormal_sample_is_standardised():
    net, x = bigrid().eval(), torch.randn(2, 3, 8, 8)
    _, before = net.both(x)
    with torch.no_grad():
        for grid in net.abnormal.parameters():
            grid.mul_(1000.0)
    _, scaled = net.both(x)
    with torch.no_grad():
        for grid in net.abnormal.parameters():
            grid.mul_(10.0)
    assert not torch.equal(before, scaled)  # the first values are as small as the eps
    assert torch.allclose(net.both(x)[1], scaled, atol=1e-2)


def test_fusion_by_hand():
    normal, abnormal = torch.full((1, 3, 8, 8), 4.0), torch.full((1, 3, 8, 8), 10.0)
    assert bigrid().fuse(normal, abnormal).unique().item() == pytest.approx(2)  # 4 - 0.2 * 10
    found = bigrid(fusion="lambda", lam=0.25).fuse(normal, abnormal)  # Eq. 2
    assert found.unique().item() == pytest.approx(8.5)


def test_contrast_by_hand():
    q = torch.tensor([[[0.25, 0.9], [-0.75, 0.0]]])
    mask = torch.tensor([[[True, True], [False, False]]])
    # positives miss 0.25 and 0; negatives are above -0.5 by 0 and 0.5
    assert contrast(q, mask, 0.5).item() == pytest.approx((0.25 + 0.5) / 2)
    assert contrast(q, mask, 0.5, literal=True).item() == pytest.approx(0.25 / 2)
    # two such maps: the sums double, the positives' divisor stays 2, the negatives' is 8 - 2
    pair = contrast(q.repeat(2, 1, 1), mask.repeat(2, 1, 1), 0.5, one_mask_mean=True)
    assert pair.item() == pytest.approx(0.5 / 2 + 1 / 6)
    assert contrast(q, torch.zeros_like(mask), 0.5).isfinite()


def test_a_walk_by_hand():
    steps = torch.tensor([[0, 1], [0, 1], [0, -1], [1, 0], [0, 0]])  # the second leaves M
    assert marked_walk(steps, 1).tolist() == [[0, 0, 0], [0, 1, 1], [0, 0, 1]]
    assert marked_walk(steps, 0).tolist() == [[1]]


@pytest.mark.parametrize("walk, most", [("paper", 2 * 4 + 1), ("code", 81)])
def test_walks_start_at_the_centre_and_hang_together(walk, most):
    torch.manual_seed(0)
    for _ in range(20):
        block = random_walk(4, walk)
        assert block.shape == (9, 9) and block[4, 4] == 1 and 1 <= block.sum() <= most


def test_a_block_is_pasted_where_it_was_before_the_blur():
    block = torch.zeros(1, 1, 5, 5)
    block[0, 0, 2, 2] = 10
    x = torch.ones(1, 2, 5, 5)
    pasted, mask = paste(x, block, 0.8)
    assert mask.nonzero().tolist() == [[0, 2, 2]]
    side = torch.exp(torch.tensor(-0.5 / 0.8**2)).item()
    centre = 1 / (1 + 2 * side)
    for channel in pasted[0] - 1:  # the same in all
        assert channel[2, 2].item() == pytest.approx(10 * centre**2, rel=1e-5)
        assert channel[1, 2].item() == pytest.approx(10 * side * centre**2, rel=1e-5)
        assert channel[1, 1].item() == pytest.approx(10 * side**2 * centre**2, rel=1e-5)
        assert channel.sum().item() == pytest.approx(10, rel=1e-5) and channel[0, 0] == 0
    assert torch.equal(paste(x, block, 0.0)[0], x + block)
    assert torch.allclose(blur(torch.ones(1, 1, 3, 3), 0.8), torch.ones(1, 1, 3, 3))


def test_noise_instead_of_blocks_is_on_every_second_map():
    torch.manual_seed(0)
    x = torch.ones(5, 4, 20, 20)
    found, mask = noised(x, 0.3)
    assert mask.flatten(1).float().mean(dim=1).tolist() == [1, 0, 1, 0, 1]
    assert torch.equal(found[1::2], x[1::2])
    assert (found[::2] - 1).std().item() == pytest.approx(0.3, rel=0.05)


def test_blocks_have_the_size_intensity_and_position_asked_for():
    x = torch.zeros(6, 3, 9, 12)
    point = tiny(size=(0.0, 0.0), intensity=(5.0, 5.0), position=(0.5, 0.25))
    found = point.blocks_for(x)
    assert found.nonzero().tolist() == [[i, 0, 4, 3] for i in range(6)]
    assert found.unique().tolist() == [0, 5]
    corner = replace(point, size=(2.0, 2.0), position=(1.0, 1.0)).blocks_for(x)
    assert (corner[:, 0, 6, 9] == 5).all()  # as far down and right as the block fits
    torch.manual_seed(0)
    free = tiny().blocks_for(x)
    values = free.flatten(1).amax(dim=1)
    assert (values >= 8).all() and (values < 16).all() and len(values.unique()) == 6
    shared = tiny(batch_shared_fbp=True).blocks_for(x)
    assert (shared == shared[:1]).all()


@pytest.mark.parametrize(
    "sizes, most", [((0.5, 10.0), 9), ((0.5, 3.0), 2), ((2.0, 2.0), 2), ((0.5, 3.5), 3)]
)
def test_largest_block(sizes, most):
    assert largest_block(sizes) == most


# ---- stages


def test_normal_grid_only_is_crad(toy):
    one, other = tiny(grids="normal").fit(toy.train), CRAD(**TINY).fit(toy.train)
    assert one.losses_ == other.losses_
    assert torch.equal(one.anomaly_map(toy.test), other.anomaly_map(toy.test))
    maps = one.anomaly_map(toy.test)
    assert torch.equal(one.image_score(maps), other.image_score(maps))


def test_a_stage_trains_what_it_should(toy):
    def learned(net):
        return {name.split(".")[0] for name, p in net.named_parameters() if p.requires_grad}

    net, shared = bigrid(), {"coordinates", "recover_abnormal", "weight"}
    assert learned(net.stage(1, True)) == shared | {"abnormal", "recover"}
    assert learned(net.stage(2, True)) == {"normal", "recover"}
    assert learned(net.stage(2, False)) == shared | {"normal", "recover"}
    assert not net.stage(2, True).recover_abnormal.training
    assert net.recover.training and net.coordinates.training  # its jitter goes on


@pytest.mark.parametrize("freeze", [True, False])
def test_stage_2_leaves_the_abnormal_grids_alone(toy, freeze):
    settings = tiny(epochs=4, stage1=0.5, freeze_shared=freeze, lr_step=100)
    whole = settings.fit(toy.train).net_.state_dict()
    # the same stage 1, and then nothing
    half = replace(settings, epochs=2, stage1=1.0).fit(toy.train).net_.state_dict()
    frozen = [n for n in whole if n.startswith("abnormal.")]
    if freeze:
        frozen += [n for n in whole if n.startswith(("recover_abnormal.", "coordinates."))]
    assert all(torch.equal(whole[name], half[name]) for name in frozen)
    assert not torch.equal(whole["normal.local"], half["normal.local"])
    same = torch.equal(whole["coordinates.local.0.weight"], half["coordinates.local.0.weight"])
    assert same == freeze


@pytest.mark.parametrize(
    "settings",
    [
        {"grids": "abnormal"},
        {"fusion": "lambda"},
        {"literal_eq4": True},
        {"clean_target": True},
        {"refine_training": False},
        {"noise": 0.015},
        {"walk": "code", "one_mask_mean": True, "batch_shared_fbp": True},
    ],
)
def test_each_setting_moves_the_map(toy, settings):
    plain = tiny().fit(toy.train).anomaly_map(toy.test)
    maps = tiny(**settings).fit(toy.train).anomaly_map(toy.test)
    assert maps.isfinite().all() and not torch.equal(maps, plain)


def test_stage_1_separates_blocks_from_the_rest(toy):
    method = tiny(grids="abnormal", epochs=15, batch=2, lr=3e-3).fit(toy.train)
    assert method.losses_[-1] < 0.7 * method.losses_[0]


def test_as_released():
    method = GRAD.as_released("goodsad", "drink_can")
    changed = {"walk", "one_mask_mean", "freeze_shared", "batch_shared_fbp"}
    assert set(method.changes("goodsad", "drink_can")) == changed


# ---- bad input


def test_a_map_smaller_than_a_block_is_an_error(toy):
    with pytest.raises(ValueError, match="19 x 19 positions does not fit into .* 8 x 8"):
        tiny(size=(0.5, 10.0)).fit(toy.train)
    tiny(size=(0.5, 10.0), grids="normal").fit(toy.train)  # needs no block


def test_an_interrupted_stage_leaves_nothing_half_learned(toy, monkeypatch):
    method = tiny().fit(toy.train)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(grad, "paste", interrupted)
    with pytest.raises(KeyboardInterrupt):
        method.fit(toy.train)
    with pytest.raises(RuntimeError, match="no finished fit of GRAD"):
        method.anomaly_map(toy.test)


def test_images_of_another_size_are_an_error(toy):
    method = tiny().fit(toy.train)
    with pytest.raises(ValueError, match="load both at one size"):
        method.anomaly_map(toy.test[..., :16])


@pytest.mark.parametrize(
    "settings",
    [
        {"grids": "none"},
        {"fusion": "sum"},
        {"walk": "spiral"},
        {"size": (3.0, 1.0)},
        {"stage1": 1.5},
        {"position": (0.5, 2.0)},
        {"local_grid": 0},
        {"batch": 0},
    ],
)
def test_bad_settings_name_themselves(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=name):
        tiny(**settings)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_jitter_and_blocks_are_the_same_on_a_gpu(toy):
    there = toy.to("cuda")
    maps = tiny().fit(there.train).anomaly_map(there.test)
    assert maps.is_cuda
    assert torch.allclose(maps.cpu(), tiny().fit(toy.train).anomaly_map(toy.test), rtol=0.1)
