"""The study of SSDnet's guards: what it looks at is what the method would return."""

from dataclasses import replace

import pandas as pd
import pytest

from anomlib.methods.ssdnet import SSDnet
from anomlib.metrics import per_image_pixel
from anomlib.studies.ssdnet import ablation, trajectory, turning_points

SMALL = {"widths": (4,), "skip": 0, "resolutions": (5,)}


def test_a_trajectory_passes_through_the_maps_of_the_method(toy):
    image, mask = toy.test[:1], toy.masks[:1]
    table = trajectory(SSDnet(**SMALL), image, mask, steps=[2, 6])
    assert table["step"].tolist() == [2, 6]
    for step, ap in zip(table["step"], table["pixel_ap"], strict=True):
        maps = SSDnet(epochs=step, stop=-1.0, **SMALL).anomaly_map(image)
        assert ap == pytest.approx(per_image_pixel(maps, mask)["pixel_ap"][0], abs=1e-5)


def test_residuals_inside_and_outside_of_a_defect(toy):
    image, mask = toy.test[:1], toy.masks[:1]
    method = SSDnet(epochs=3, stop=-1.0, **SMALL)
    error = (method.reconstruct(image) - image).square().mean(dim=1)
    line = trajectory(method, image, mask, steps=[3]).iloc[0]
    assert line["inside"] == pytest.approx(error[mask].mean().item(), rel=1e-5)
    assert line["outside"] == pytest.approx(error[~mask].mean().item(), rel=1e-5)


def test_an_ablation_has_a_line_per_variant_image_seed_and_step(toy):
    variants = {"noise": {}, "none": {"noise": 0.0}}
    table = ablation(toy, SMALL, variants, steps=[1, 3], seeds=[0, 1])
    counts = table.groupby(["variant", "seed", "step"])["image"].nunique()
    assert len(counts) == 8 and (counts == toy.labels.sum().item()).all()
    assert table["category"].unique().tolist() == ["toy"]
    values = table.set_index(["variant", "seed", "step", "image"])["inside"]
    assert (values["noise"] != values["none"]).any()
    with pytest.raises(ValueError, match="no masks"):
        ablation(replace(toy, masks=None), SMALL, variants, steps=[1], seeds=[0])


def test_turning_points_by_hand():
    place = {"profile": "demo", "dataset": "d", "category": "c", "variant": "v"}
    steps = pd.DataFrame({"step": [1, 1, 2, 2, 3, 3], "pixel_ap": [0, 0.2, 0.4, 0.8, 0.1, 0.3]})
    line = turning_points(steps.assign(**place)).iloc[0]
    assert line["at step"] == 2
    assert line.drop("at step").tolist() == pytest.approx([0.6, 0.2, 0.4])  # means of two images
