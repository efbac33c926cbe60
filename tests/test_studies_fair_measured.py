"""FAIR's cost and the conventions of its released code, on cases that can be worked out."""

import pytest
import torch
import torch.nn.functional as F

from anomlib.corruptions import blend_textures, to_textures
from anomlib.methods.fair import FAIR, colour, msgms
from anomlib.metrics import aupro, pixel_auroc
from anomlib.studies import fair_measured as study

SMALL = FAIR(width=2, textures="train", steps=2)


@pytest.mark.parametrize(("width", "count"), [(128, 69_046_275), (32, 4_322_307)])
def test_parameters_are_counted_without_making_the_network(width, count):
    assert study.parameters(width) == count


def test_costs_have_every_width_batch_part_and_form():
    table = study.costs([2, 1], 32, [1, 2], 2, "cpu", least=0.0)
    speed = table[table["kind"] == "speed"]
    assert len(speed) == 2 * 2 * 2 and (speed["images_per_second"] > 0).all()
    assert set(speed["part"]) == {"network", "whole"} and set(speed["batch"]) == {1, 2}
    assert speed.groupby("width")["params"].first()[2] == study.parameters(2)
    training = table[table["kind"] == "training"].set_index("what")["seconds"]
    assert {"batch", "step", "step, rows of channels"} <= set(training.index)
    assert (training > 0).all()


def test_released_masks_shrink_for_auroc_and_grow_for_aupro(toy):
    large = F.interpolate(toy.masks[:, None].float(), scale_factor=2)[:, 0].bool()
    large[:, ::2, :] &= toy.masks.any()  # a pixel's upper half stays, so nothing changes yet
    shifted = large.roll(1, dims=2)  # now the outline lies in the middle of pixels
    table = study.conventions(SMALL, toy, shifted).set_index(["choice", "value", "metric"])
    maps = FAIR(width=2, textures="train", steps=2).fit(toy.train).anomaly_map(toy.test)
    share = F.avg_pool2d(shifted[:, None].float(), 2)[:, 0]
    assert ((share > 0) & (share < 1)).any()
    released = table.xs("as released: all of a pixel for AUROC, any of it for AU-PRO", level=1)
    found = released["number"].droplevel("choice")
    assert found["pixel_auroc"] == pytest.approx(pixel_auroc(maps, share == 1))
    assert found["aupro"] == pytest.approx(aupro(maps, share > 0))
    book = table.loc["as in this book"]["number"].droplevel("value")
    assert book["pixel_auroc"] == pytest.approx(pixel_auroc(maps, toy.masks))
    assert {"colours", "restoration"} <= set(table.index.get_level_values("choice"))


def test_a_dataset_without_masks_has_no_conventions(toy):
    bare = type(toy)(**vars(toy) | {"masks": None})
    with pytest.raises(ValueError, match="no masks"):
        study.conventions(SMALL, bare, toy.masks)


def test_a_pass_shows_what_the_network_sees_and_returns(toy):
    method = FAIR(width=2, textures="train", steps=2).fit(toy.train)
    generator = torch.Generator().manual_seed(0)
    good = toy.train[:1]
    damaged, masks = blend_textures(good, to_textures(toy.train), generator)
    pictures = dict(study.training_pass(method, good, damaged, masks))
    assert [p.ndim for p in pictures.values()] == [3, 2, 3, 2, 3]
    assert torch.equal(torch.from_numpy(pictures["painted over here"]), masks[0])
    pictures = dict(study.test_pass(method, toy.test[:1]))
    restored = method.restore(toy.test[:1])
    wanted = colour(toy.test[:1], restored)[0, 0], 1 - msgms(toy.test[:1], restored)[0, 0]
    assert torch.allclose(torch.from_numpy(pictures["colours that differ (Eq. 9)"]), wanted[0])
    name = "gradients that differ, 1 - MSGMS (Eq. 8)"
    assert torch.allclose(torch.from_numpy(pictures[name]), wanted[1])
