"""From rows and studies to the tables of Subspace's pages."""

import pandas as pd
import pytest

from anomlib import METHODS, results
from anomlib.figures import subspace_tables as tables

COLUMNS = ["method", "settings", "dataset", "category", "seed", "metric", "value", "profile"]


def rows(*lines: tuple[str, str, float], metric: str = "aupro") -> pd.DataFrame:
    """Lines of settings, dataset and value."""
    full = [("subspace", s, d, "split0", 0, metric, v, "full") for s, d, v in lines]
    return pd.DataFrame(full, columns=COLUMNS)


def test_a_setting_is_the_papers_unless_a_row_says_otherwise():
    found = tables.with_settings(
        rows(
            ("paper", "mtd", 0.1), ("paper", "mvtec", 0.2), ("sample=20,sparsity=10", "mtd", 0.3)
        ),
        METHODS,
        "sample",
        "sparsity",
        "levels",
    )
    assert found["sample"].tolist() == [10, 40, 20]
    assert found["levels"].tolist() == [(2, 3, 4), (2, 3), (2, 3, 4)]
    banks = tables.banks(found, METHODS)  # s is half of s_ref
    assert banks["value"].tolist() == [0.3] and banks["sampling"].tolist() == ["reference"]


def test_shares_and_level_sets_are_read_from_names_and_settings():
    found = tables.shares(
        rows(
            ("clip=true", "mtd+train=0.05+tseed=2", 0.1),
            ("paper", "mtd+plain", 0.2),
            ("paper", "mtd+first=4+train=0.1", 0.3),
        ),
        METHODS,
    )
    assert found["share"].tolist() == [0.05, 1.0, 0.1]
    assert found["data"].tolist() == ["mtd", "mtd+plain", "mtd+first=4"]
    sets = tables.level_sets(rows(("levels=[2, 4]", "mtd", 0.1), ("paper", "mtd", 0.2)), METHODS)
    assert sets["levels"].tolist() == ["2 + 4", "2 + 3 + 4"]


def test_effects_are_points_against_the_plain_run_of_the_same_backbone():
    lines = rows(
        ('backbone="a",sigma=8.0', "mtd", 0.80),
        ('backbone="a"', "mtd", 0.75),
        ('backbone="a"', "mtd+crop", 0.70),
        ('backbone="b",sigma=8.0', "mtd", 0.60),  # nothing to compare it with
    )
    lines = lines.assign(run=lines["settings"] + lines["dataset"])
    shown = tables.effects(lines, METHODS, ["aupro"]).data  # type: ignore[attr-defined]
    points = shown["points of aupro"]
    assert points.loc[("a", "mtd", "-")] == 0
    assert points.loc[("a", "mtd", "sigma = 8.0")] == pytest.approx(5)
    assert points.loc[("a", "mtd+crop", "-")] == pytest.approx(-5)
    assert set(shown.index.get_level_values("backbone")) == {"a"}


def times() -> pd.DataFrame:
    key = ["profile", "form", "rule", "images", "s_ref", "s", "part", "repeat", "seconds"]
    lines = []
    for form, factor in (("literal", 10.0), ("gram", 1.0)):
        for part, seconds in (("sampling", 1.0), ("reconstruction", 3.0)):
            for repeat in range(3):
                took = factor * (seconds + repeat)
                lines.append(("full", form, "none", 50, 40, 17, part, repeat, took))
    return pd.DataFrame(lines, columns=key)


def test_seconds_are_the_sum_of_steps_and_the_speed_up_is_of_medians():
    total = tables.seconds_per_image(times().query("form == 'gram'"))
    assert total["seconds"].tolist() == [4.0, 6.0, 8.0]
    assert tables.speed_up(times()).loc[("full", "none"), 50] == pytest.approx(10)


def test_errors_are_relative_to_the_nearest_before_a_mean_is_taken():
    key = ["profile", "dataset", "backbone", "category", "kind", "level", "s_ref", "rule", "error"]
    place = ("full", "textures", "tiny")
    lines = [
        (*place, "grass", "texture", 2, 5, "nearest", 10.0),
        (*place, "grass", "texture", 2, 5, "subspace", 5.0),
        (*place, "brick", "texture", 2, 5, "nearest", 1.0),
        (*place, "brick", "texture", 2, 5, "subspace", 0.9),
    ]
    found = tables.relative_errors(pd.DataFrame(lines, columns=key)).set_index("rule")["error"]
    assert found["nearest"] == 1 and found["subspace"] == pytest.approx((0.5 + 0.9) / 2)


def test_conventions_stand_beside_the_books_own():
    lines = [("as in this book", "all", m, 0.5) for m in tables.METRICS]
    lines += [("mask", "any pixel", m, 0.6) for m in tables.METRICS]
    lines += [("images", "good", "count", 952.0)]
    shown = tables.conventions(
        pd.DataFrame(lines, columns=["choice", "value", "metric", "number"])
    )
    table = shown.data  # type: ignore[attr-defined]
    assert table.loc[("mask", "any pixel"), "points of aupro"] == pytest.approx(10)
    assert "good 952" in shown.to_html()  # type: ignore[attr-defined]


def test_backbones_with_and_without_sampling():
    printed = tables.backbones_printed(results.published("subspace", "table6"))
    table = printed.data  # type: ignore[attr-defined]
    assert table.loc["resnet50", ("aupro", "change")] == pytest.approx(91.8 - 92.3)
    ours = rows(
        ('backbone="a"', "mtd", 0.7),
        ('backbone="a",sampling="none"', "mtd", 0.8),
        ('backbone="a",levels=[2],sampling="none"', "mtd", 0.1),  # something else was changed
        ('backbone="b"', "mtd", 0.9),  # nothing to compare it with
    )
    shown = tables.backbones_ours(ours, METHODS).data  # type: ignore[attr-defined]
    assert shown["change"].tolist() == [pytest.approx(-0.1)]
