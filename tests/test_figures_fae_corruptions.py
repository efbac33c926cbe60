"""Figures of FAE's corruption model, its costs and its thin curves show what their tables hold."""

import numpy as np
import pandas as pd
import pytest
import torch
from pandas.io.formats.style import Styler

from anomlib.figures import fae_corruptions as draw


def html(styled):
    assert isinstance(styled, Styler)
    return styled.to_html()


def table(gain=0.1, seeds=(0, 1)):
    found = []
    for seed in seeds:
        for trained, extra in (("ellipses", 0.0), ("both", gain if seed == 0 else -gain)):
            place = {"trained": trained, "seed": seed, "path": "a/0.png"}
            for kind in ("curves", "ellipses"):
                area = {"painted": 2.0, "left": 2 * (0.5 - extra), "pixel_auroc": 0.9}
                found.append(place | area | {"kind": kind, "thin": False})
            for thin in (True, False):
                defect = {"kind": "defect", "thin": thin, "pixel_auroc": 0.8 + extra}
                found.append(place | defect)
    return pd.DataFrame(found).assign(dataset="textures", category="grid", profile="demo")


def test_networks_have_four_measures():
    found = draw.networks(table()).xs(0, level="seed").droplevel([0, 1, 2])
    assert set(found.index) == set(draw.MEASURES)
    assert found.loc["left of thin curves", "both"] == pytest.approx(0.4)
    assert found.loc["pixel AUROC, thin defects", "both"] == pytest.approx(0.9)


def test_seeds_are_said_to_agree_only_if_they_do():
    said = str(draw.reading(table()).data)
    assert said.count("1 of 2 pairs") == 4 and said.count("do not agree") == 4
    assert str(draw.reading(table(seeds=(0,))).data).count("a single pair") == 4
    counts = draw.agreement(table())["better with curves"]
    assert set(counts) == {"1 of 2"}
    assert draw.agreement(table())["thin defects"].dropna().tolist() == [1]
    assert "1 of 2" in html(draw.agreement_table(table()))


def test_a_line_per_pair_of_networks():
    figure = draw.paired(table())
    assert len(figure.axes) == 4 and all(len(axes.get_lines()) == 2 for axes in figure.axes)
    assert list(np.asarray(figure.axes[0].get_lines()[0].get_ydata())) == pytest.approx([0.5, 0.4])


def test_maps_of_a_defect_share_one_range():
    photo, outline = np.zeros((8, 8, 3)), np.eye(8, dtype=bool)
    row = [photo, photo, photo, np.full((8, 8), 1.0), np.full((8, 8), 3.0), outline]
    figure = draw.restorations({"grid/thread/000.png": row})
    limits = [axes.get_images()[0].get_clim() for axes in figure.axes[4:]]
    assert limits == [(1.0, 3.0)] * 2
    with pytest.raises(ValueError, match="no thin defects"):
        draw.restorations({})


def test_an_axis_has_a_column_per_value_and_image():
    pair = torch.rand(2, 3, 8, 8), torch.rand(2, 8, 8)
    figure = draw.axis({"opaque": pair, "mixed": pair})
    assert [axes.get_title() for axes in figure.axes[:4]] == [
        "opaque (1)", "opaque (2)", "mixed (1)", "mixed (2)",
    ]  # fmt: skip


def test_masks_are_summed_up_by_value():
    lines = pd.DataFrame({"axis": "shape", "value": ["curves"] * 3 + ["both"] * 3})
    lines = lines.assign(covered=0.1, thickness=2.0, outline=1.0, most=[1, 1, 1, 1, 0.5, 0.5])
    shown = html(draw.measures(lines))
    assert "100%" in shown and "33%" in shown and "0.100 (0.100 to 0.100)" in shown


def test_ratios_are_within_a_repeat():
    place = {"profile": "demo", "device": "cpu", "threads": 1, "width": 8, "blocks": 2}
    lines = [(r, what, s * (1 + r)) for r in (0, 1, 2) for what, s in (("none", 1), ("fae", 1.1))]
    costs = pd.DataFrame(lines, columns=["repeat", "what", "seconds"])
    styled = draw.steps(costs.assign(**place, size=64, batch=4))
    assert isinstance(styled, Styler)
    ratios = styled.data["ratio to none"].droplevel([*range(7)])  # pyright: ignore[reportAttributeAccessIssue]
    assert ratios.to_dict() == pytest.approx({"none": 1.0, "fae": 1.1})
    assert "1.100" in html(styled)
