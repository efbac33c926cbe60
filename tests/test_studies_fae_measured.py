"""FAE's measured studies and what they decide, on cases that can be worked out."""

import numpy as np
import pandas as pd
import pytest
import torch

from anomlib.claims import fae_measured as claims
from anomlib.methods.fae import ARMS, FAE
from anomlib.studies import fae_measured as study

SMALL = FAE(
    width=2, blocks=1, batch=2, steps=2, textures="procedural", diff="mse", mean=3, times=1
)


def test_every_arm_is_timed_in_every_repeat(toy):
    table = study.step_costs(toy.train, 2, 1, 2, repeats=2)
    assert set(table["what"]) >= {*ARMS, study.AGAIN}
    assert (table.groupby("what").size() == 2).all() and (table["seconds"] > 0).all()
    first = table[table["repeat"] == 1]["what"].iloc[0]
    assert first == study.AGAIN  # another one begins


def test_an_axis_changes_nothing_else():
    images = torch.rand(2, 3, 32, 32)
    found = study.axis(images, "opacity", {"procedural": None}, seed=1)
    opaque, transparent = (found[value][1] for value in ("opaque", "transparent"))
    assert torch.equal(opaque > 0, transparent > 0) and opaque.max() == 1 > transparent.max()
    banks = {"procedural": None, "own": (images * 255).to(torch.uint8)}
    assert list(study.axis(images, "texture", banks)) == list(banks)


def test_thickness_is_the_width_of_a_bar():
    mask = np.zeros((40, 40), dtype=bool)
    mask[10:13, 5:35] = True
    assert study.thickness(mask) == pytest.approx(3, abs=0.3)
    assert np.isnan(study.thickness(np.zeros((8, 8), dtype=bool)))


def test_measures_of_a_soft_square():
    mask = torch.zeros(1, 16, 16)
    mask[0, 4:12, 4:12] = 0.2
    mask[0, 5:11, 5:11] = 0.8
    (line,) = study.mask_measures(mask).to_dict("records")
    assert line["covered"] == 36 / 256 and line["most"] == pytest.approx(0.8)
    assert line["outline"] == pytest.approx(28 / 20)  # of 64 - 36 pixels, along 36 - 16


def test_a_table_of_masks_has_every_value():
    table = study.mask_table(32, 3)
    assert len(table) == 3 * sum(len(values) for values in study.AXES.values())
    hard = table[table["value"] == "0 px"]
    assert (hard["outline"] == 0).all()


def test_a_pair_differs_in_curves_only(toy):
    pair = study.pair(SMALL, toy.train)
    assert list(pair) == ["ellipses", "both"]
    assert all(method.changed(shape="both") == SMALL for method in pair.values())


class Lazy(FAE):  # it repairs nothing
    def restore(self, images):
        return images


def test_what_is_left_is_relative_to_what_was_painted(toy):
    lazy = Lazy(diff="mse", mean=3, times=0)
    lazy.graded_ = {("mse", 3, 0): 1.0}
    table = study.shapes({"ellipses": lazy, "both": lazy}, toy, copies=2, thin=3.0)
    painted = table[table["kind"] != "defect"]
    assert (painted["left"] == painted["painted"]).all() and (painted["painted"] > 0).all()
    defects = table[table["kind"] == "defect"]
    assert defects["left"].isna().all() and defects["thin"].any()
    assert set(defects["path"]) <= set(toy.paths)
    pictures = study.figure_7({"ellipses": lazy, "both": lazy}, toy, table)
    assert pictures and all(len(row) == 6 for row in pictures.values())


def test_without_masks_there_are_no_thin_defects(toy):
    bare = type(toy)(**vars(toy) | {"masks": None})
    with pytest.raises(ValueError, match="no masks"):
        study.shapes({}, bare, 1, 3.0)


# ---- claims


def costs(fae, explicit, width=8, profile="full"):
    seconds = {"none": 1.0, "none, again": 1.01, "fae": fae, "explicit": explicit}
    place = {"width": width, "blocks": 2, "size": 64, "batch": 4, "device": "cpu", "threads": 1}
    lines = [
        {"what": w, "seconds": s * (1 + r), "repeat": r}
        for w, s in seconds.items()
        for r in (0, 1)
    ]
    return pd.DataFrame(lines).assign(**place, profile=profile)


@pytest.mark.parametrize(
    ("fae", "explicit", "holds"), [(1.05, 1.5, True), (1.06, 2, False), (1, 1.4, False)]
)
def test_noise_is_cheap_and_the_explicit_penalty_dear(fae, explicit, holds):
    decision = claims.measured_fae_12({claims.COSTS: costs(fae, explicit)})
    assert decision is not None
    assert decision.holds == holds and decision.scope == "embedded stand-in"


def test_the_widest_network_decides_and_others_show():
    table = pd.concat([costs(1.2, 3.0, 8), costs(1.01, 3.0, 32), costs(2, 3, 64, "demo")])
    decision = claims.measured_fae_12({claims.COSTS: table})
    assert decision is not None
    assert decision.holds and decision.evidence.startswith("c=32")
    assert "Not decisive, c=8" in decision.evidence and "(fails)" in decision.evidence
    assert claims.measured_fae_12({}) is None
    with pytest.raises(ValueError, match="positive"):
        claims.measured_fae_12({claims.COSTS: costs(float("nan"), 2)})


def lines(left, auroc, seeds=(0, 1, 2)):
    """`left` and `auroc` with curves; 0.5 and 0.8 without."""
    found = []
    for seed in seeds:
        for trained, share, area in (("ellipses", 0.5, 0.8), ("both", left, auroc)):
            place = {"trained": trained, "seed": seed, "path": "a/0.png", "thickness": 2.0}
            found.append(
                place
                | {
                    "kind": "curves",
                    "thin": False,
                    "painted": 2.0,
                    "left": 2 * share,
                    "pixel_auroc": 1.0,
                }
            )
            found.append(place | {"kind": "defect", "thin": True, "pixel_auroc": area})
    return pd.DataFrame(found).assign(dataset="textures+size=64", category="grid", profile="full")


@pytest.mark.parametrize(
    ("left", "auroc", "holds"), [(0.4, 0.9, True), (0.6, 0.9, False), (0.4, 0.7, False)]
)
def test_curves_have_to_erase_and_to_find(left, auroc, holds):
    decision = claims.measured_fae_17({claims.SHAPES: lines(left, auroc)})
    assert decision is not None
    assert decision.holds == holds and decision.scope == "embedded stand-in"
    assert f"{3 if left < 0.5 else 0} of 3 pairs" in decision.evidence
    few = claims.measured_fae_17({claims.SHAPES: lines(left, auroc, seeds=(0,))})
    assert few is not None and few.holds is None and "1 pairs" in few.evidence
    assert claims.measured_fae_17({}) is None
