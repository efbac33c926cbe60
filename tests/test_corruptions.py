"""Synthetic defects against loops written out, and what must hold for every seed."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from anomlib import corruptions
from anomlib.corruptions import (
    AUGMENTERS,
    OPACITIES,
    SHAPES,
    augment,
    blend_textures,
    curves,
    ellipses,
    large_cutpaste,
    moved,
    occlude,
    occlusion_masks,
    patches,
    perlin,
    perlin_masks,
    procedural,
    reoriented,
    restore_task,
    rotate,
    to_textures,
    turned,
)

CPU = torch.device("cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(n: int = 6, height: int = 48, width: int = 64) -> torch.Tensor:
    return torch.rand(n, 3, height, width, generator=generator(9))


def bank(height: int = 48, width: int = 64) -> torch.Tensor:
    return to_textures(torch.rand(4, 3, height, width, generator=generator(8)))


# ---- places and turns


def test_textures_are_images_in_8_bits_and_missing_pixels_black():
    images = torch.full((1, 3, 1, 4), 0.5)
    images[..., 1], images[..., 2], images[..., 3] = torch.nan, 1.0, 0.0
    assert to_textures(images)[0, 0, 0].tolist() == [128, 0, 255, 0]


def test_a_pixel_moved_to_itself_stays_and_outside_is_black():
    x = photos(2)
    here = turned(torch.zeros(2), torch.zeros(2, 2), (48, 64))
    assert torch.allclose(moved(x, here), x, atol=1e-4)
    assert not moved(x, here + 1000).any()
    down = moved(x, here + torch.tensor([1.0, 0.0]))
    assert torch.allclose(down[:, :, :-1], x[:, :, 1:], atol=1e-4)


@pytest.mark.parametrize("quarters", [-1, 1, 2])
def test_a_quarter_turn_is_exact(quarters):
    x = photos(1, 32, 32)
    found = rotate(x, torch.tensor([quarters * math.pi / 2]))
    assert torch.allclose(found, torch.rot90(x, -quarters, dims=(2, 3)), atol=1e-3)


def test_opposite_turns_cancel_in_an_image_that_is_not_square():
    rows, columns = torch.arange(48.0)[:, None] / 48, torch.arange(64.0) / 64
    x = (rows + columns).expand(1, 3, 48, 64)
    back = rotate(rotate(x, torch.tensor([0.3])), torch.tensor([-0.3]))
    assert torch.allclose(back[..., 16:32, 20:44], x[..., 16:32, 20:44], atol=1e-3)


# ---- Perlin noise


def noise_by_loop(cells, gradients, size) -> np.ndarray:
    """One image, pixel by pixel, as Perlin describes it."""

    def fade(t):
        return 6 * t**5 - 15 * t**4 + 10 * t**3

    out = np.zeros(size)
    for row in range(size[0]):
        for column in range(size[1]):
            y, x = row / size[0] * cells[0], column / size[1] * cells[1]
            i, j = int(y), int(x)
            dots = {
                (a, b): gradients[i + a, j + b] @ np.array([y - i - a, x - j - b])
                for a in (0, 1)
                for b in (0, 1)
            }
            over, down = fade(x - j), fade(y - i)
            top = dots[0, 0] * (1 - over) + dots[0, 1] * over
            bottom = dots[1, 0] * (1 - over) + dots[1, 1] * over
            out[row, column] = math.sqrt(2) * (top * (1 - down) + bottom * down)
    return out


def test_perlin_noise_is_the_loops_for_each_number_of_cells():
    angles = 2 * math.pi * torch.rand(3, 9, 9, generator=generator())
    gradients = torch.stack([angles.cos(), angles.sin()], dim=-1)
    cells = torch.tensor([[1, 1], [2, 8], [4, 1]])
    found = perlin(cells, gradients, (16, 24))
    for k in range(3):
        wanted = noise_by_loop(cells[k].tolist(), gradients[k].numpy(), (16, 24))
        assert np.allclose(found[k].numpy(), wanted, atol=1e-5)
    assert found.abs().max() <= 1.0


def test_perlin_masks_mark_some_but_not_most_of_an_image():
    masks = perlin_masks(100, (64, 64), generator(), CPU)
    share = masks.flatten(1).float().mean(dim=1)
    assert 0.01 < share.mean() < 0.15 and share.max() < 0.6
    assert (share > 0).float().mean() > 0.7


# ---- textures


@pytest.mark.parametrize("k", range(len(AUGMENTERS)))
def test_every_augmenter_keeps_a_texture_a_texture(k):
    x = photos(1)[0]
    for seed in range(5):
        found = AUGMENTERS[k](x, generator(seed))
        assert found.shape == x.shape and found.dtype == x.dtype
        assert found.min() >= 0 and found.max() <= 1 + 1e-6


def test_three_different_augmenters_are_drawn(monkeypatch):
    called: list[int] = []
    spies = [lambda x, _, k=k: called.append(k) or x for k in range(10)]
    monkeypatch.setattr(corruptions, "AUGMENTERS", spies)
    for seed in range(50):
        augment(photos(1)[0], generator(seed))
    triples = [called[i : i + 3] for i in range(0, 150, 3)]
    assert all(len(set(t)) == 3 for t in triples) and set(called) == set(range(10))


def test_blending_changes_images_inside_its_masks_only(monkeypatch):
    monkeypatch.setattr(corruptions, "augment", lambda x, _: x)
    x, textures = photos(), torch.full((1, 3, 48, 64), 255, dtype=torch.uint8)
    damaged, masks = blend_textures(x, textures, generator())
    outside = ~masks[:, None].expand_as(x)
    assert torch.equal(damaged[outside], x[outside]) and masks.any()
    for image, was, mask in zip(damaged, x, masks, strict=True):
        if mask.any():  # white * (1 - beta) + beta * image, one beta for the whole image
            beta = (1 - image[:, mask]) / (1 - was[:, mask])
            assert beta.max() - beta.min() < 1e-2 and -1e-3 <= beta.mean() <= 0.8


# ---- CutPaste


def test_a_large_piece_covers_more_than_half_of_the_image():
    _, masks = large_cutpaste(torch.rand(100, 3, 64, 64), generator())
    assert masks.flatten(1).float().mean(dim=1).min() > 0.5
    _, cut = large_cutpaste(torch.rand(100, 3, 64, 64), generator(), clipped=True)
    share = torch.cat([cut.flatten(1).float().mean(dim=1)])
    assert share.mean() < 0.35 and share.median() < share.mean()


def test_the_released_piece_is_an_upright_rectangle_that_fits():
    x = torch.full((2000, 3, 32, 32), 0.5)
    damaged, masks = large_cutpaste(x, generator(), clipped=True)
    share = masks.flatten(1).float().mean(dim=1)
    assert share.mean().item() == pytest.approx(
        0.238, abs=0.02
    )  # E[min(s, 1 - u)]^2, s ~ U(.8, .9)
    for mask in masks[:50]:
        rows, columns = mask.any(dim=1).nonzero()[:, 0], mask.any(dim=0).nonzero()[:, 0]
        assert mask.sum() == len(rows) * len(columns)  # no corner is missing
    assert (
        damaged[masks[:, None].expand_as(x)] == 0
    ).any()  # what the turned piece leaves is black
    assert torch.equal(damaged[~masks[:, None].expand_as(x)], x[~masks[:, None].expand_as(x)])


@pytest.mark.parametrize("clipped", [False, True])
def test_what_is_pasted_comes_from_the_image_itself(clipped, monkeypatch):
    """Without a turn, the piece is the image shifted by whole pixels."""
    straight = corruptions.turned
    monkeypatch.setattr(corruptions, "turned", lambda angles, *rest: straight(0 * angles, *rest))
    x = photos(8)
    damaged, masks = large_cutpaste(x, generator(3), clipped=clipped)
    outside = ~masks[:, None].expand_as(x)
    assert torch.equal(damaged[outside], x[outside])
    for image, was, mask in zip(damaged, x, masks, strict=True):
        if mask.sum() < 20:
            continue
        values = {tuple(v) for v in (255 * was).round().int().flatten(1).T.tolist()}
        pasted = (255 * image[:, mask]).round().int().T.tolist()
        assert np.mean([tuple(v) in values for v in pasted]) > 0.95


# ---- the task


def test_half_of_a_batch_is_clean_and_the_rest_has_either_defect():
    x = torch.rand(400, 3, 32, 32, generator=generator(1))
    damaged, masks = restore_task(x, bank(32, 32), generator())
    share = masks.flatten(1).float().mean(dim=1)
    same = (damaged == x).flatten(1).all(dim=1)
    assert torch.equal(same, share == 0) or (same & (share > 0)).sum() < 3
    assert (share > 0.4).float().mean() == pytest.approx(0.25, abs=0.06)
    assert 0.45 < same.float().mean() < 0.65  # some masks of Perlin noise are empty


@pytest.mark.parametrize("clean", [0.0, 1.0])
@pytest.mark.parametrize("cutpaste", [0.0, 1.0])
def test_shares_of_none_and_all(clean, cutpaste):
    x = photos()
    before = x.clone()
    damaged, masks = restore_task(x, bank(), generator(), clean, cutpaste)
    assert torch.equal(x, before)  # the images themselves stay
    assert damaged.shape == x.shape and damaged.min() >= 0 and damaged.max() <= 1 + 1e-6
    assert masks.any().item() == (clean == 0)
    outside = ~masks[:, None].expand_as(x)
    assert torch.equal(damaged[outside], x[outside])


def test_a_seed_is_a_batch_and_the_global_stream_is_not_used():
    stream = torch.get_rng_state()
    first, second, other = (restore_task(photos(), bank(), generator(s))[0] for s in (0, 0, 1))
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert torch.equal(stream, torch.get_rng_state())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_seed_means_the_same_defects_on_a_gpu():
    here, masks = restore_task(photos(), bank(), generator())
    there, others = restore_task(photos().cuda(), bank(), generator())
    assert there.is_cuda and (masks == others.cpu()).float().mean() > 0.99
    assert (here - there.cpu()).abs().mean() < 0.01


# ---- occlusions


def masks_of(n: int = 60, size: tuple[int, ...] = (64, 96), seed: int = 0, **axes) -> torch.Tensor:
    return occlusion_masks(n, size, generator(seed), CPU, **axes)


def test_a_straight_round_ellipse_is_a_disc(monkeypatch):
    """Without bends, and both axes of 20 pixels, the depth is 10 minus the distance."""
    flat = corruptions.uniform

    def no_bends(low, high, shape, g):
        return 0 * flat(low, high, shape, g) if len(shape) == 4 else flat(low, high, shape, g)

    monkeypatch.setattr(corruptions, "uniform", no_bends)
    depth = ellipses(20, (80, 96), generator(), CPU, axes=(0.25, 0.25), most=1)
    for image in depth:
        middle = divmod(int(image.argmax()), image.shape[1])
        rows, columns = np.indices(image.shape)
        wanted = 10 - np.hypot(rows - middle[0], columns - middle[1])
        assert image.max() <= 10 and np.abs(image.numpy() - wanted).max() < 1.5


def test_ellipses_are_partial_and_of_many_sizes():
    share = masks_of(200, shape="ellipses", opacity="opaque", edge=0.0).mean(dim=(1, 2))
    assert share.max() < 0.25 and 0.01 < share.mean() < 0.1
    assert share.quantile(0.9) > 4 * share.quantile(0.1)


def widest(mask: torch.Tensor) -> float:
    """The diameter of the largest disc inside a mask."""
    depth = ndimage.distance_transform_edt(np.pad(mask.numpy(), 1))
    return 2 * np.max(np.asarray(depth))


def test_curves_are_thin_and_ellipses_are_not():
    size = (128, 128)  # where curves are 1 to 2.5 pixels wide
    thin = curves(60, size, generator(), CPU, most=1) > 0
    thick = ellipses(60, size, generator(), CPU, most=1) > 0
    assert max(map(widest, thin)) <= 4
    assert np.median([widest(m) for m in thick]) > 6
    for mask in thin:  # as long as they say, or cut off by the border
        rows, columns = mask.nonzero().T
        if len(rows):
            assert math.hypot(np.ptp(rows.numpy()), np.ptp(columns.numpy())) < 0.6 * 128 + 4


def test_a_curve_is_the_distance_to_its_walk(monkeypatch):
    """Straight to the right: a box around a segment, with round ends."""
    monkeypatch.setattr(
        corruptions, "uniform", lambda low, high, shape, g: torch.zeros(shape) + low
    )
    depth = curves(1, (40, 60), generator(), CPU, (0.5, 0.5), (0.1, 0.1), most=1)[0]
    g = generator()
    torch.randint(1, 2, (1, 1), generator=g)
    torch.randn((1, 12), generator=g)
    row, column = (torch.rand((1, 1, 2), generator=g) * torch.tensor([40, 60])).flatten().tolist()
    rows, columns = np.indices((40, 60))
    along = np.clip(columns - column, 0, 20)
    wanted = 2 - np.hypot(rows - row, columns - column - along)
    assert np.abs(depth.numpy() - wanted).max() < 1e-3


def test_both_shapes_add_curves_to_ellipses():
    assert all(
        masks_of(shape=shape).flatten(1).any(dim=1).float().mean() > 0.9
        for shape in SHAPES
        if shape != "nothing"
    )
    assert not masks_of(shape="nothing").any()
    more, less = masks_of(200, shape="both"), masks_of(200, shape="ellipses")
    assert (more > 0).float().mean() > 1.1 * (less > 0).float().mean()
    assert (masks_of(shape="whole", opacity="opaque") == 1).all()


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "nothing"])
def test_opacities(shape):
    top = {o: masks_of(shape=shape, opacity=o, edge=0.0).amax(dim=(1, 2)) for o in OPACITIES}
    top = {name: values[values > 0] for name, values in top.items()}
    assert (top["opaque"] == 1).all()
    assert top["transparent"].min() >= 0.2 and top["transparent"].max() <= 0.9
    assert 0.3 < (top["mixed"] == 1).float().mean() < 0.7
    some = masks_of(shape=shape, opacity=0.25, edge=0.0)
    assert some.max() == 0.25 and some.min() >= 0


def test_edges_are_soft_or_not():
    hard, soft = (masks_of(shape="ellipses", opacity="opaque", edge=e) for e in (0.0, 4.0))
    between = [((m > 0) & (m < 1)).float().mean() for m in (hard, soft)]
    assert between[0] < 1e-4 and between[1] > 0.003
    assert soft.min() == 0 and soft.max() == 1
    assert (soft[hard == 1] == 1).all()  # what is inside stays covered, thin or not


def test_an_occlusion_is_the_mask_times_a_texture_and_the_image_elsewhere():
    x, white = photos(), torch.full((1, 3, 48, 64), 255, dtype=torch.uint8)
    before = x.clone()
    for opacity in OPACITIES:
        damaged, masks = occlude(x, white, generator(), opacity=opacity)
        inside = damaged[:, :, 1:-1, 1:-1]  # windows end half a pixel before the border
        wanted = (x + masks[:, None] * (1 - x))[:, :, 1:-1, 1:-1]
        assert torch.allclose(inside, wanted, atol=1e-4)
        assert torch.equal(
            damaged[:, :, 0, 0][masks[:, 0, 0] == 0], x[:, :, 0, 0][masks[:, 0, 0] == 0]
        )
        assert damaged.min() >= 0 and damaged.max() <= 1 + 1e-6
    assert torch.equal(x, before)


def test_patches_are_windows_of_the_textures():
    rows, columns = torch.arange(48)[:, None].expand(48, 64), torch.arange(64).expand(48, 64)
    place = torch.stack([rows, columns, torch.full((48, 64), 77)])[None].to(torch.uint8)
    found = 255 * patches(place, 50, generator(), CPU)
    assert (found[:, 2] - 77).abs().max() < 1e-2  # no black from outside
    for axis, n in ((0, 48), (1, 64)):
        steps = found[:, axis].diff(dim=axis + 1)
        assert steps.min() > 0.49 and steps.max() < 1.01  # enlarged up to twice
        assert found[:, axis].min() >= -1e-3 and found[:, axis].max() <= n - 1 + 1e-3
        assert found[:, axis].amin(dim=(1, 2)).max() > 5  # from many places


def test_procedural_textures_differ_in_colour_and_grain():
    found = procedural(40, (48, 64), generator(), CPU)
    assert found.min() >= 0 and found.max() <= 1
    assert found.mean(dim=(2, 3)).std() > 0.1
    assert found.std(dim=(2, 3)).amax(dim=1).median() > 0.05


def test_a_seed_is_an_occlusion_and_the_global_stream_is_not_used():
    stream = torch.get_rng_state()
    for textures in (None, bank()):
        first, second, other = (occlude(photos(), textures, generator(s))[0] for s in (0, 0, 1))
        assert torch.equal(first, second) and not torch.equal(first, other)
    assert torch.equal(stream, torch.get_rng_state())


def test_reoriented_images_are_flips_and_turns_of_themselves():
    x = photos(40, 32, 32)
    assert torch.equal(reoriented(x, False, "none", generator()), x)
    counts = {}
    for flips, rotations in ((True, "none"), (False, "quarter"), (True, "quarter")):
        found = reoriented(x, flips, rotations, generator())
        ways = [
            [y.rot90(k, (1, 2)) for y in (image, image.flip(2)) for k in range(4)] for image in x
        ]
        which = [
            [torch.equal(y, way) for way in some].index(True)
            for y, some in zip(found, ways, strict=True)
        ]
        counts[flips, rotations] = set(which)
    assert counts == {
        (True, "none"): {0, 2, 4, 6},
        (False, "quarter"): {0, 1, 2, 3},
        (True, "quarter"): set(range(8)),
    }


def test_by_any_angle_what_is_outside_is_reflected():
    found = reoriented(torch.full((20, 3, 32, 48), 0.7), True, "any", generator())
    assert torch.allclose(found, torch.tensor(0.7), atol=1e-4)
    x = photos(4)
    assert not torch.allclose(reoriented(x, False, "any", generator()), x, atol=0.1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_seed_means_the_same_occlusions_on_a_gpu():
    here, masks = occlude(photos(), bank(), generator())
    there, others = occlude(photos().cuda(), bank(), generator())
    assert there.is_cuda and (masks - others.cpu()).abs().mean() < 1e-2
    assert (here - there.cpu()).abs().mean() < 0.01
