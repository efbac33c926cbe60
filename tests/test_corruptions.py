"""Synthetic defects against loops written out, and what must hold for every seed."""

import math

import numpy as np
import pytest
import torch

from anomlib import corruptions
from anomlib.corruptions import (
    AUGMENTERS,
    augment,
    blend_textures,
    large_cutpaste,
    moved,
    perlin,
    perlin_masks,
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
