"""From rows, lines of images and stored pictures to FAIR's tables and figures."""

import numpy as np
import pandas as pd
import pytest

from anomlib import results
from anomlib.figures import arms
from anomlib.figures import fair_results as draw

COLUMNS = [
    "method",
    "settings",
    "dataset",
    "category",
    "seed",
    "metric",
    "value",
    "profile",
    "run",
]
SMALL = "lr=0.001,steps=300,width=8"


def rows(*lines: tuple[str, str, int, float], metric: str = "aupro", dataset: str = "textures"):
    """Lines of settings, category, seed and value; of one profile."""
    full = [
        (
            "fair",
            words,
            dataset,
            category,
            seed,
            metric,
            value,
            "full",
            f"{words}-{category}-{seed}",
        )
        for words, category, seed, value in lines
    ]
    return pd.DataFrame(full, columns=COLUMNS)


def arm(words: str) -> str:
    return ",".join(sorted(f"{SMALL},{words}".split(",")))


def test_arms_are_what_settings_add_to_those_that_all_share():
    found = arms.in_arms(
        rows(
            (SMALL, "grid", 0, 0.9),
            (arm('extractor="none"'), "grid", 0, 0.5),
            (arm('extractor="none",skips=false'), "grid", 0, 0.6),
            (arm('extractor="grey"'), "grid", 0, 0.7),
            (arm('extractor="ideal"'), "grid", 0, 0.1),  # of another table
            ("steps=7", "grid", 0, 0.2),  # FAIR, but shares nothing with the others
        ),
        draw.TASKS,
    )
    assert dict(zip(found["arm"], found["value"], strict=True)) == {
        "FAIR": 0.9,
        "DeAE": 0.5,
        "DeAE_noskip": 0.6,
        "ColorRe": 0.7,
    }
    assert set(found["shared"]) == {"lr = 0.001, steps = 300, width = 8"}


def test_an_arm_that_all_runs_share_is_no_arm():
    train = arm('textures="train"')
    found = arms.in_arms(rows((train, "grid", 0, 0.9)), draw.ARMS["table12"])
    assert len(found) == 1
    assert draw.ablation(rows((train, "grid", 0, 0.9)), results.published("fair"), "table12").empty


def test_means_are_over_what_every_arm_has_in_printed_units():
    lines = rows(
        (SMALL, "grid", 0, 0.8),
        (SMALL, "grid", 2, 1.0),
        (SMALL, "grid", 1, 0.1),  # DeAE has no such seed
        (SMALL, "dots", 0, 0.7),
        (SMALL, "washer", 0, 0.0),  # nor a washer
        (arm('extractor="none"'), "grid", 0, 0.5),
        (arm('extractor="none"'), "grid", 2, 0.7),
        (arm('extractor="none"'), "dots", 0, 0.2),
    )
    errors = lines.assign(metric="normal_mse", value=lines["value"] / 1e4)
    wide = draw.ablation(pd.concat([lines, errors]), results.published("fair"), "table6")
    assert [*wide.index.get_level_values("arm")] == ["FAIR", "DeAE"]
    assert wide["aupro, %", "ours"].tolist() == pytest.approx([80.0, 40.0])
    assert wide["aupro, %", "printed"].tolist() == [94.0, 89.8]
    assert wide["normal_mse, 1e-4", "ours"].tolist() == pytest.approx([0.8, 0.4])
    assert wide["", "runs"].tolist() == [3, 3]
    html = arms.shown(wide).to_html()  # type: ignore[attr-defined]
    assert "row0_col2, #T" in html and "row1_col3 {" in html  # best AU-PRO, smallest error


def test_every_printed_cell_of_the_ablations_has_an_arm():
    printed = results.published("fair")
    for table, listed in draw.ARMS.items():
        cells = printed[(printed["item"] == table) & (printed["dataset"] == "mvtec")]
        keys = set(zip(cells["method"], cells["variant"].fillna(""), strict=True))
        assert keys <= {(method, variant) for _, method, variant in listed.values()}, table


def test_the_spread_is_over_seeds_of_the_same_surfaces():
    lines = rows(
        *((SMALL, c, s, v) for c, s, v in (("grid", 0, 0.8), ("grid", 1, 0.6), ("dots", 0, 0.1))),
        *((arm('extractor="none"'), "grid", s, 0.3) for s in (0, 1)),
        (SMALL, "grid", 2, 0.0),  # a seed that the other arm has not
    )
    found = draw.spread(lines, "table6")
    line, _ = found["aupro"].to_dict("records")
    assert line["mean"] == pytest.approx(0.7) and line["count"] == 2
    assert line["std"] == pytest.approx(np.std([0.8, 0.6], ddof=1))


def test_similarity_is_a_mean_over_images_at_the_middle_of_each_ring():
    lines = pd.DataFrame(
        {
            "profile": "full", "dataset": "mtd", "category": "split0", "arm": "FAIR",
            "label": [0, 0, 1], "similarity_8": [0.9, 0.7, 0.5], "similarity_16": [0.4, 0.2, 0.1],
        }
    )  # fmt: skip
    means = draw.similarity(lines).set_index(["label", "radius"])["similarity"]
    assert means.to_dict() == pytest.approx(
        {(0, 4.0): 0.8, (0, 12.0): 0.3, (1, 4.0): 0.5, (1, 12.0): 0.1}
    )
    wide = draw.similarity_table(draw.similarity(lines)).data  # type: ignore[attr-defined]
    assert wide.loc[("full", "mtd", "split0", "good", "FAIR")].to_dict() == pytest.approx(
        {4: 0.8, 12: 0.3}
    )
    figure = draw.similarity_curves(draw.similarity(lines))
    good, defective = figure.axes
    assert good.lines[0].get_ydata().tolist() == pytest.approx([0.8, 0.3])  # type: ignore[union-attr]
    assert "defective" in defective.get_title() and figure._repr_png_()


def test_pictures_are_shown_where_every_arm_has_them():
    maps = {"FAIR": {"a": np.ones((4, 4)), "b": np.ones((4, 4))}, "DeAE": {"b": np.zeros((4, 4))}}
    pictures = {name: {p: {"restored": np.zeros((4, 4, 3))} for p in "ab"} for name in maps}
    found = arms.together(maps, pictures, draw.PICTURED)
    assert [*found] == ["b"] and [*found["b"]] == ["FAIR", "DeAE"]
    figure = arms.restorations(np.ones((4, 4, 3)), None, found["b"], "b")
    error = figure.axes[4].images[0].get_array()  # second row, second column
    assert error is not None and float(np.asarray(error).min()) == 1.0
    assert arms.together({}, {}, []) == {}


def test_speed_and_steps_are_tables_by_width():
    table = pd.DataFrame(
        {
            "kind": ["speed", "speed", "training", "training"],
            "profile": "full", "device": "cpu", "size": 256, "threads": [1, 1, None, None],
            "width": [128, 128, 32, 32], "part": ["network", "whole", None, None],
            "batch": [1, 1, None, None], "images_per_second": [2.0, 1.0, None, None],
            "params": [2**20, 2**20, None, None], "what": [None, None, "step", "batch"],
            "seconds": [None, None, 4.0, 0.1],
        }
    )  # fmt: skip
    shown = draw.speeds(table).data  # type: ignore[attr-defined]
    assert shown["parameters", "of 2^20"].tolist() == [1.0]
    assert shown["whole"].to_numpy().tolist() == [[1.0]]
    steps = draw.step_costs(table).data  # type: ignore[attr-defined]
    assert steps["share of the step"].tolist() == [1.0, 0.025]


def test_conventions_are_points_against_the_book():
    lines = pd.DataFrame(
        [
            (choice, metric, value)
            for choice, values in (("book", (0.9, 0.5, 0.8)), ("masks", (0.95, 0.4, 0.81)))
            for metric, value in zip(("pixel_auroc", "pixel_ap", "aupro"), values, strict=True)
        ],
        columns=["choice", "metric", "number"],
    ).assign(value="x")
    shown = draw.conventions(lines).data  # type: ignore[attr-defined]
    points = shown.loc[("masks", "x")][["points of pixel_auroc", "points of pixel_ap"]]
    assert points.tolist() == pytest.approx([5.0, -10.0])


def test_printed_speed_is_drawn_with_its_numbers():
    printed = results.published("fair", "table5")
    figure = draw.speed_bubbles(printed)
    places = [np.asarray(c.get_offsets()).ravel().tolist() for c in figure.axes[0].collections]
    assert [57.0, 97.7] in places
    assert draw.as_printed(printed).data.loc["dsr ", "fps"] == 43  # type: ignore[attr-defined]
