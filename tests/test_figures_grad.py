"""GRAD's drawings and tables, from made-up rows, tables and arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from IPython.display import Markdown
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch

from anomlib import METHODS, results
from anomlib.figures import grad as draw
from anomlib.figures import grad_results as tables
from anomlib.methods.grad import GRAD
from anomlib.studies import grad as study

DRAWN, BASE = "textures+size=64", "epochs=20"
NORMAL, ABNORMAL = ('epochs=20,grids="normal"', 'epochs=20,grids="abnormal"')
ARMS = {"grad": BASE, "normal grid": NORMAL, "abnormal grid": ABNORMAL}
COLUMNS = "method settings trained_on dataset category seed metric value profile run".split()


def rows(
    *lines: tuple[str, str, str, int, float],
    metric: str = "image_auroc",
    trained_on: str = "all",
    dataset: str = DRAWN,
) -> pd.DataFrame:
    """Of lines of method, settings, category, seed and value."""
    out = []
    for method, settings, category, seed, value in lines:
        run = f"{method}-{settings}-{trained_on}-{seed}"
        place = (method, settings, trained_on, dataset, category, seed)
        out.append((*place, metric, value, "full", run))
    return pd.DataFrame(out, columns=COLUMNS)


def data(shown: Any) -> pd.DataFrame:
    """What is behind a table for display."""
    return shown.data


def html(shown: Any) -> str:
    return shown.to_html()


# ---- Figure 2


def test_the_framework_has_a_box_per_part():
    parts = study.parts((272, 32, 32), GRAD())
    figure = draw.framework(parts)
    axes = figure.axes[0]
    boxes = [p for p in axes.patches if isinstance(p, FancyBboxPatch)]
    assert len(boxes) == len(parts) == 10
    words = [t.get_text() for t in axes.texts if t.get_text()]
    assert "features  F\n272 x 32 x 32" in words
    assert "fused  F_rec\n272 x 32 x 32" in words  # has no parameters
    assert "blocks  x_n\n272 x 32 x 32\n48.11 million" in words
    assert "normal grids,\nsampled\n544 x 32 x 32\n17.84 million" in words
    assert "global coordinates  p_g\n2\n0.07 million" in words
    arrows = [t for t in axes.texts if not t.get_text()]
    assert len(arrows) == 12 and figure._repr_png_()


def test_the_table_of_parts_has_their_sum():
    shown = draw.part_table(study.parts((272, 32, 32), GRAD()))
    last = data(shown).iloc[-1]
    assert last["part"] == "all" and last["parameters"] == 132_054_372
    assert "132,054,372" in html(shown) and "544 x 32 x 32" in html(shown)


# ---- Figure 3


def test_blocks_share_one_scale():
    maps = [np.full((4, 4), x) for x in (1.0, 3.0)]
    figure = draw.blocks({"two": maps, "one": [np.full((4, 4), 2.0)]})
    assert len(figure.axes) == 4
    shown = [axes.images[0] for axes in figure.axes if axes.images]
    assert [im.get_clim() for im in shown] == [(0, 3)] * 3
    assert not figure.axes[3].axison and figure.axes[2].get_ylabel() == "one"
    assert figure._repr_jpeg_()


def test_changes_stand_below_their_images():
    image, mask = np.random.default_rng(0).random((8, 8, 3)), np.zeros((8, 8), dtype=bool)
    mask[2:5, 2:5] = True
    maps = {"dark": np.eye(4), "block pasted": 2 * np.eye(4)}
    figure = draw.changes({"dark": (image, mask), "block pasted": (image, None)}, maps)
    top, bottom = figure.axes[:2], figure.axes[2:]
    assert [axes.get_title() for axes in top] == ["dark", "block pasted"]
    assert np.array_equal(np.asarray(bottom[1].images[0].get_array()), 2 * np.eye(4))
    assert [len(axes.collections) for axes in top] == [1, 0]  # the outline


def test_cosines_of_pairs_stand_beside_chance():
    lines = [("a", "b", 0.2), ("a", "c", 0.6), ("a", "random", 0.1), ("b", "random", -0.3)]
    table = pd.DataFrame(lines, columns=["one", "other", "cosine"])
    found = data(draw.cosines(table.assign(profile="full", dataset=DRAWN, category="grid")))
    line = found.loc[("full", DRAWN, "grid")]
    assert line["another defect"] == pytest.approx(0.4)
    assert line["random"] == pytest.approx(-0.1)


def test_the_buffer_is_drawn_where_there_is_one():
    figure = draw.contrast_lines(study.contrasts(0.5), 0.5)
    printed, code = figure.axes
    assert printed.get_title() == "sign as printed" and code.get_title() == "sign as in the code"
    labels = [axes.get_legend_handles_labels()[1] for axes in figure.axes]
    assert labels == [
        ["similar pair", "dissimilar pair"],
        ["similar pair", "dissimilar pair", "buffer"],
    ]
    (span,) = code.patches
    box: Any = span
    assert (box.get_x(), box.get_width()) == pytest.approx((-0.5, 1), abs=0.011)


# ---- coordinates


def test_corners_differ_in_colour():
    corners = np.array([[[-1.0, -1], [1, -1]], [[-1, 1], [1, 1]]])
    found = draw.colour_of(corners)
    assert found.shape == (2, 2, 3)
    green = 1 - np.sqrt(0.5)
    assert np.allclose(found[0], [[0, green, 0], [1, green, 0]])  # red to the right
    assert np.allclose(found[1], [[0, green, 1], [1, green, 1]])  # blue downwards
    assert np.allclose(draw.colour_of(np.zeros(2)), [0.5, 1, 0.5])
    assert found.min() >= 0 and draw.colour_of(np.full((3, 2), 1.2)).max() <= 1


def test_each_position_is_a_point_in_the_grid():
    places = np.random.default_rng(0).uniform(-1, 1, (4, 4, 2))
    inside = np.zeros((4, 4), dtype=bool)
    inside[1, 1:3] = True
    mask = np.kron(inside, np.ones((2, 2))).astype(bool)
    figure = draw.coordinates(np.zeros((8, 8, 3)), mask, places, inside, nodes=2)
    image, _, grid = figure.axes
    normal, defect = (np.asarray(c.get_offsets()) for c in grid.collections)
    assert np.allclose(normal, places[~inside]) and np.allclose(defect, places[inside])
    nodes: Any = grid.lines[0].get_xydata()
    assert np.allclose(nodes, [[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]])
    assert len(image.collections) == 1  # the outline
    bare = draw.coordinates(np.zeros((8, 8, 3)), ~mask & mask, places, ~inside, nodes=2)
    assert not bare.axes[0].collections


def test_categories_differ_in_colour_and_defects_in_their_marker():
    places = np.array([[0.0, 0.1], [0.2, 0.3], [0.4, 0.5]])
    names, good = ["grid", "dots", "grid"], np.array([True, True, False])
    (axes,) = draw.whole_images(places, names, good, nodes=4).axes
    points = [c for c in axes.collections if len(np.asarray(c.get_offsets()))]
    assert [np.asarray(c.get_offsets()).tolist() for c in points] == [
        [[0.2, 0.3]],
        [[0.0, 0.1]],
        [[0.4, 0.5]],
    ]
    dots, grid, defect = (to_hex(np.asarray(c.get_facecolor())[0]) for c in points)
    assert dots != grid == defect
    assert axes.get_legend_handles_labels()[1] == ["dots", "grid"]


# ---- costs


def test_the_legend_of_lookups_has_slopes():
    lines = [
        (n, how, repeat, x * (1 + 9 * repeat))
        for how, seconds in (("grid", (2e-6, 2e-6)), ("nearest neighbour", (1e-6, 1e-5)))
        for n, x in zip((1000, 10_000), seconds, strict=True)
        for repeat in (0, 1)
    ]
    table = pd.DataFrame(lines, columns=["features", "how", "repeat", "seconds"])
    (axes,) = draw.lookup_lines(table, {"grid": 0.004, "nearest neighbour": 1.0}).axes
    labels = axes.get_legend_handles_labels()[1]
    assert labels == ["grid, slope 0.00", "nearest neighbour, slope 1.00"]
    shown = [np.asarray(line.get_ydata()).tolist() for line in axes.lines]
    assert shown == [[2e-6, 2e-6], [1e-6, 1e-5]]  # the faster repeat


def test_throughputs_by_hand():
    """30 ms and 10 ms without the cache, 10 ms with it: four times as fast."""
    place = ["full", "cpu", "tiny", 64, 272, 64, 1]
    names = ["profile", "device", "backbone", "size", "channels", "positions", "blocks"]
    seconds = {"backbone": (0.03, 0.5, 0.02), "cache": (0.001,) * 3, "head": (0.01, 0.01, 0.9)}
    lines = [[*place, what, x] for what, values in seconds.items() for x in values]
    table = pd.DataFrame(lines, columns=[*names, "what", "seconds"])
    line = data(draw.throughputs(table)).loc[tuple(place)]
    assert line["epoch, uncached"] == pytest.approx(40)
    assert line["epoch, cached"] == pytest.approx(10)
    assert line["speed-up"] == pytest.approx(4)
    assert line["images per second"] == pytest.approx(100)
    assert "4.00" in html(draw.throughputs(table))


def test_bubbles_are_of_methods_with_both_numbers():
    lines = [("padim", 10.0, 0.9, 2048.0), ("spade", np.nan, 0.8, 1.0), ("grad", 5.0, 0.7, 512.0)]
    lines.append(("random", 9.0, np.nan, 1.0))
    table = pd.DataFrame(lines, columns=["method", "fps", "image_auroc", "memory_mb"])
    (axes,) = draw.bubbles(table).axes
    assert [t.get_text() for t in axes.texts] == ["grad, 0.50 GB", "padim, 2.00 GB"]
    small, large = (float(np.asarray(c.get_sizes())[0]) for c in axes.collections)  # type: ignore[attr-defined]
    assert large == 4 * small


# ---- Tables I and II


def grids(metric: str = "image_auroc") -> pd.DataFrame:
    """Of three grids, CRAD, and PaDiM, which lacks a category."""
    lines = [
        (
            "grad",
            settings,
            category,
            seed,
            0.9 - 0.1 * k + 0.02 * seed - 0.2 * (category == "grid"),
        )
        for k, settings in enumerate(ARMS.values())
        for category in ("dots", "grid")
        for seed in (0, 1)
    ]
    crad = [("crad", BASE, c, 0, x) for c, x in (("dots", 0.6), ("grid", 0.5))]
    return rows(*lines, *crad, ("padim", "paper", "dots", 0, 0.4), metric=metric)


def test_runs_are_named_by_their_grids():
    found = tables.named(grids())
    names = found.groupby(["method", "settings"])["name"].unique().map(list)
    assert all(names["grad", settings] == [name] for name, settings in ARMS.items())
    assert names["crad", BASE] == ["crad"] and names["padim", "paper"] == ["padim"]
    other = rows(("grad", "epochs=20,local_grid=4", "dots", 0, 0.5))
    assert len(tables.named(pd.concat([grids(), other]))) == len(grids())


def test_a_mean_is_of_names_with_all_categories():
    both = pd.concat([grids(), grids("pixel_ap").assign(value=0.0)])
    cells = tables.per_category(tables.named(both), "image_auroc").loc[("full", DRAWN)]
    assert list(cells.index) == ["dots", "grid", "mean"]
    assert cells.loc["dots", "grad"] == pytest.approx(0.91)  # over seeds
    assert cells.loc["grid", "normal grid"] == pytest.approx(0.61)
    assert cells.loc["mean"].dropna().to_dict() == pytest.approx(
        {"grad": 0.81, "normal grid": 0.71, "abnormal grid": 0.61, "crad": 0.55}
    )
    assert cells.loc["dots", "padim"] == pytest.approx(0.4) and "padim" in cells
    one = tables.per_category(tables.named(grids().query("category == 'dots'")), "image_auroc")
    assert list(one.index.get_level_values("category")) == ["dots"]
    assert tables.per_category(tables.named(grids()), "aupro").empty


def test_departing_settings_stand_beside_each_name():
    found = data(tables.departing(tables.named(grids())))
    assert len(found) == 5 and found.set_index("name")["settings"]["normal grid"] == NORMAL


def test_table_2_is_shown_as_printed():
    printed = results.published("grad", "table2")
    found = data(tables.shown_printed(printed))
    assert set(found.index) <= {"both grids", "normal grid"} and len(found) == 2
    cells = printed.set_index(["variant", "dataset", "metric"])["value"]
    for name in found.index:
        for dataset, metric in found.columns:
            wanted = cells[tables.GRIDS[name][2], dataset, metric]
            assert found.loc[name, (dataset, metric)] == pytest.approx(wanted)


def test_the_normal_grid_is_compared_with_crad():
    same = [("grad", NORMAL, "dots", s, 0.6 + s) for s in (0, 1)]
    crad = [("crad", BASE, "dots", s, 0.6 + s) for s in (0, 1)]
    both = ("grad", BASE, "dots", 0, 0.9)
    (line,) = data(tables.same_as_crad(rows(both, *same, *crad))).to_dict("records")
    assert (line["numbers compared"], line["largest difference"]) == (2, 0)
    planted = [*crad[:1], ("crad", BASE, "dots", 1, 1.35)]
    (line,) = data(tables.same_as_crad(rows(both, *same, *planted))).to_dict("records")
    assert line["largest difference"] == pytest.approx(0.25)
    assert line["trained_on"] == "all"


@pytest.mark.parametrize("missing", ["crad", "grad"])
def test_words_stand_where_crad_has_no_counterpart(missing: str):
    table = rows(("grad", NORMAL, "dots", 0, 0.6), ("crad", BASE, "dots", 0, 0.6))
    found: Any = tables.same_as_crad(table.query("method != @missing"))
    assert isinstance(found, Markdown) and "no run with the same settings" in str(found.data)
    apart: Any = tables.same_as_crad(table.assign(seed=[0, 1]))
    assert isinstance(apart, Markdown)


# ---- stored maps


class Run:
    def __init__(self, id: str):
        self.id = id


def test_stored_maps_are_grouped_by_category_and_path():
    table = grids()
    ids = tables.named(table).drop_duplicates("name").set_index("name")["run"]
    maps = {
        ids["grad"]: {
            f"{DRAWN}/dots/spot/0.png": np.ones(1),
            f"{DRAWN}/grid/good/1.png": np.ones(2),
        },
        ids["crad"]: {f"{DRAWN}/dots/spot/0.png": np.zeros(1), "spot/0.png": np.ones(3)},
        "other": {f"{DRAWN}/dots/spot/0.png": np.ones(4)},  # not among the rows
    }
    asked = []

    def load(run: Any, folder: Path) -> dict[str, np.ndarray] | None:
        asked.append(folder)
        return maps.get(run.id)

    runs = [("full", Run(name)) for name in (*maps, ids["normal grid"])]
    found = tables.stored(runs, table, load, lambda profile: Path("at") / profile)
    assert set(asked) == {Path("at/full")}
    assert set(found) == {(DRAWN, "dots"), (DRAWN, "grid")}
    (here,) = found[DRAWN, "dots"].items()
    assert here[0] == "spot/0.png"
    assert {name: m.tolist() for name, m in here[1].items()} == {"grad": [1], "crad": [0]}
    assert list(found[DRAWN, "grid"]["good/1.png"]) == ["grad"]


# ---- ablations


def ablated() -> pd.DataFrame:
    """The default, a grid of four nodes and a fixed place, each of three seeds."""
    cases = {
        "blocks=1,epochs=20": (0.80, 0.80, 0.80),
        "blocks=1,epochs=20,local_grid=4": (0.81, 0.82, 0.83),
        "blocks=1,epochs=20,size=[1.0, 1.9]": (0.81, 0.79, 0.83),
    }
    lines = [
        ("grad", words, category, seed, x + shift)
        for words, values in cases.items()
        for seed, x in enumerate(values)
        for category, shift in (("dots", 0.1), ("grid", -0.1))
    ]
    return rows(*lines)


def test_settings_that_all_share_are_left_out():
    found = tables.in_settings(ablated())
    assert list(found["changed"].unique()) == ["", "local_grid = 4", "size = 1 to 1.9"]
    two = rows(("grad", 'blocks=1,epochs=20,fusion="lambda",lam=0.8', "dots", 0, 0.5))
    found = tables.in_settings(pd.concat([ablated(), two]))
    assert found["changed"].iloc[-1] == "fusion = lambda, lam = 0.8"
    assert tables.in_settings(ablated()[:0]).empty


def test_differences_are_in_points_with_their_deviation():
    shown = tables.differences(tables.in_settings(ablated()), ["image_auroc"])
    found = data(shown)["image_auroc"]
    assert list(found.index) == ["local_grid = 4", "size = 1 to 1.9"]
    assert data(shown)["", "seeds"].tolist() == [3, 3]
    assert found["difference"].tolist() == pytest.approx([2, 1])
    # 1, 2 and 3 points; 1, -1 and 3 points
    assert found["sd"].tolist() == pytest.approx([1, 2])
    text = html(shown)
    assert "+2.00" in text and "default: image_auroc 80.00" in text
    assert "color: #999999" in text
    cells: Any = shown
    grey = cells._compute().ctx  # (row, column) -> styles
    assert ("color", "#999999") in grey[1, 0]  # 1 is less than twice 2
    assert ("color", "#999999") not in grey.get((0, 0), [])  # 2 is twice 1
    assert ("color", "#999999") not in grey.get((1, 1), [])


def test_the_default_says_how_much_a_single_difference_scatters():
    known = ablated()
    first = known.query("seed == 0 or settings.str.contains('local')").copy()
    default = first["settings"] == "blocks=1,epochs=20"
    more = [first[default].assign(seed=k, value=first["value"] + 0.01 * k) for k in (1, 2)]
    cells: Any = tables.differences(tables.in_settings(pd.concat([first, *more])), ["image_auroc"])
    assert data(cells)["", "seeds"].to_dict() == {"local_grid = 4": 3, "size = 1 to 1.9": 1}
    found = data(cells)["image_auroc"].loc["size = 1 to 1.9"]
    assert found.tolist() == pytest.approx([1, 2**0.5])  # the default: 80, 81 and 82
    assert ("color", "#999999") in cells._compute().ctx[1, 0]


def test_a_difference_without_any_deviation_is_grey():
    cells: Any = tables.differences(
        tables.in_settings(ablated().query("seed == 0")), ["image_auroc"]
    )
    assert data(cells)["image_auroc"]["sd"].isna().all()
    assert ("color", "#999999") in cells._compute().ctx[0, 0]


def test_metrics_over_nodes():
    figure: Any = tables.over_nodes(tables.in_settings(ablated()), "local_grid", ["image_auroc"])
    (axes,) = figure.axes
    line = axes.containers[0].lines[0]
    assert line.get_xydata().ravel().tolist() == pytest.approx([4, 0.82, 8, 0.8])
    assert [t.get_text() for t in axes.get_xticklabels()] == ["4", "8"]


def test_words_stand_where_an_ablation_has_not_run():
    alone = tables.in_settings(ablated().query("settings == 'blocks=1,epochs=20'"))
    for found in (
        tables.over_nodes(alone, "local_grid", ["image_auroc"]),
        tables.differences(alone, ["image_auroc"]),
        tables.over_nodes(tables.in_settings(ablated()), "global_grid", ["image_auroc"]),
    ):
        assert isinstance(found, Markdown) and "make full ITEM=grad/ablations" in str(found.data)


# ---- one model for all, or one each


def test_one_model_for_all_beside_one_each():
    def lines(dots: float, grid: float, seed: int) -> Any:
        places = (("dots", dots), ("grid", grid))
        return [("grad", BASE, category, seed, x) for category, x in places]

    own = rows(*lines(0.9, 0.7, 0), *lines(0.9, 0.9, 1), trained_on="own")
    extra = rows(("grad", BASE, "twill", 0, 0.1), trained_on="own")  # in none of the others
    together = rows(*lines(0.6, 0.6, 0), *lines(0.8, 0.8, 1))
    found = tables.one_or_each(pd.concat([own, extra]), together, ["image_auroc"])
    cells = found["image_auroc"].loc[("full", DRAWN, "both grids")]
    assert cells["mean"].to_dict() == pytest.approx({"own": 0.85, "all": 0.7})
    wanted = {"own": np.std([0.8, 0.9], ddof=1), "all": np.std([0.6, 0.8], ddof=1)}
    assert cells["std"].to_dict() == pytest.approx(wanted, abs=6e-4)
    assert tables.one_or_each(own, together[:0], ["image_auroc"]).empty
    assert tables.one_or_each(own[:0], together[:0], ["image_auroc"]).empty


# ---- habits of the code


def trained() -> pd.DataFrame:
    values = {0: {2: 0.5, 4: 0.9, 20: 0.8}, 1: {2: 0.4, 4: 0.5, 20: 0.6}}
    lines = [
        ("crad", f"blocks=1,epochs={n}", category, seed, x + shift)
        for seed, by_epoch in values.items()
        for n, x in reversed(by_epoch.items())
        for category, shift in (("dots", 0.1), ("grid", -0.1))
    ]
    return tables.epochs(rows(*lines), "image_auroc")


def test_epochs_are_means_over_surfaces():
    found = trained().set_index(["seed", "epochs"])["value"]
    assert found.to_dict() == pytest.approx(
        {(0, 2): 0.5, (0, 4): 0.9, (0, 20): 0.8, (1, 2): 0.4, (1, 4): 0.5, (1, 20): 0.6}
    )
    (axes,) = tables.epoch_lines(trained(), "image_auroc").axes
    marks = {
        line.get_label(): np.asarray(line.get_xydata()).ravel().tolist() for line in axes.lines
    }
    assert marks["best on the test set"] == pytest.approx([4, 0.9])
    assert marks["last"] == pytest.approx([20, 0.8])
    assert axes.get_legend_handles_labels()[1] == ["best on the test set", "last"]


def test_looking_at_the_test_set_gains():
    one, other = data(tables.chosen(trained(), "image_auroc")).to_dict("records")
    assert (one["best epoch"], one["last epoch"]) == (4, 20)
    assert one["gained by looking"] == pytest.approx(0.1)
    assert one["image_auroc there"] == pytest.approx(0.9)
    assert other["best epoch"] == 20 and other["gained by looking"] == 0


def test_turning_aurocs_round_by_hand():
    """0.3 and 0.4 would be 0.7 and 0.6: 0.4 + 0.2 over four numbers are 15 points."""
    values = (0.3, 0.4, 0.5, 0.9)
    image = rows(*(("crad", BASE, "dots", s, x) for s, x in enumerate(values)))
    words = str(tables.turned(image).data)
    assert words.startswith("image_auroc: 2 of 4 lie below one half")
    assert "would add 15.00 points" in words and "pixel_auroc" not in words
    pixel = rows(("crad", BASE, "dots", 0, 0.9), metric="pixel_auroc")
    words = str(tables.turned(pd.concat([image, pixel])).data)
    assert "pixel_auroc: 0 of 1" in words and "would add 0.00 points" in words
    assert str(tables.turned(image[:0]).data) == ""


# ---- Figure 5


def test_methods_are_timed_as_they_ran_but_shortly():
    words = 'backbone="tiny",epochs=100,size=[0.5, 3.0]'
    table = rows(
        *(("grad", words, "dots", seed, 0.5) for seed in (0, 1)),
        ("pixelmean", "blur=3", "dots", 0, 0.5),
    )
    found = tables.to_time(METHODS, table, {"grad": {"epochs": 1}})
    assert list(found) == ["grad", "pixelmean"]
    assert found["grad"] == GRAD(backbone="tiny", epochs=1, size=(0.5, 3.0))
    assert found["pixelmean"] == METHODS["pixelmean"](blur=3)  # type: ignore[call-arg]


def test_costs_stand_beside_the_mean_auroc():
    table = rows(("grad", BASE, "dots", 0, 0.6), ("grad", BASE, "grid", 1, 0.8))
    costs = pd.DataFrame({"method": ["grad", "padim"], "fps": [5.0, 6.0], "error": [np.nan, "x"]})
    found = tables.with_auroc(costs, table)
    assert found[["error", "of", "categories"]].iloc[0].tolist() == ["", DRAWN, 2]
    assert found["image_auroc"].iloc[0] == pytest.approx(0.7)
    assert np.isnan(found["image_auroc"].iloc[1]) and list(found["fps"]) == [5, 6]
    assert "image_auroc" in tables.with_auroc(costs[:0], table)


def test_the_nearest_runs_lend_their_auroc():
    other = rows(("grad", BASE, "dots", 0, 0.9), dataset="textures+size=128")
    here = rows(("grad", BASE, "dots", 0, 0.6), ("grad", BASE, "grid", 0, 0.6))
    few = rows(("grad", "epochs=1", "dots", 0, 0.5))
    far = rows(("fae", "paper", "dots", 0, 0.7), dataset="textures+size=32")
    demo = here.assign(profile="demo", value=0.1)
    found = tables.near(pd.concat([other, demo, few, here, far]), DRAWN)
    assert found.groupby("method")["value"].mean().to_dict() == {"grad": 0.6, "fae": 0.7}
    assert tables.near(rows(("grad", BASE, "dots", 0, 0.9), dataset="mtd"), DRAWN).empty


def test_residuals_stand_side_by_side():
    lines = [("grids", 0, 4.0, 1.0, 4.0), ("grids", 1, 4.0, 2.0, 2.0), ("features", 0, 3, 3, 1)]
    names = ["blocks_see", "seed", "inside", "outside", "ratio"]
    table = pd.DataFrame(lines, columns=names)
    shown = tables.shortcuts(table.assign(profile="full", dataset=DRAWN, category="grid"))
    line = data(shown).loc[("full", DRAWN, "grid")]
    assert line["grids", "ratio"] == 3 and line["features", "ratio"] == 1
    assert line["grids", "outside"] == 1.5 and "3.00" in html(shown)
