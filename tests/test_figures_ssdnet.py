"""The drawings of the SSDnet paper say what the network, the rows and the pictures say."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, PolyCollection
from torch import nn

from anomlib.figures import common, ssdnet
from anomlib.methods.ssdnet import EncoderDecoder


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def lines(axes: Axes) -> dict[str, np.ndarray]:
    """Label -> points (x, y) of each named line."""
    found = {str(line.get_label()): line.get_xydata() for line in axes.lines}
    return {k: np.asarray(v) for k, v in found.items() if not k.startswith("_")}


def bands(axes: Axes) -> list[np.ndarray]:
    """The corners of each band, in the order in which they were drawn."""
    polygons = [c for c in axes.collections if isinstance(c, PolyCollection)]
    corners = [[np.asarray(p.vertices) for p in c.get_paths()] for c in polygons]
    return [np.concatenate(found) for found in corners if found]


# The network


@pytest.mark.parametrize(("widths", "skip"), [((4, 8), 0), ((4, 8, 8, 8, 8), 2)])
def test_the_parts_sum_to_the_network(widths, skip):
    net = EncoderDecoder(widths, skip)
    table = ssdnet.parts(net, 64)
    assert table["parameters"].sum() == sum(p.numel() for p in net.parameters())
    kinds = table["part"].str.split().str[0].value_counts().to_dict()
    levels = len(widths)
    expected = {"down": levels, "skip": levels if skip else 0, "up": levels, "out": 1}
    assert kinds == {k: n for k, n in expected.items() if n}
    # 3 x 3 convolutions of 3 to 4 and 4 to 4 channels with bias, two BatchNorms of 4 channels
    assert table.set_index("part").loc["down 1", "parameters"] == 112 + 148 + 2 * 8


def test_shapes_of_an_odd_size_are_those_of_the_network():
    table = ssdnet.parts(EncoderDecoder((4, 8), 2), 37).set_index("part")["output shape"]
    assert table.to_dict() == {
        "down 1": "4 × 19 × 19",
        "down 2": "8 × 10 × 10",
        "skip 1": "2 × 37 × 37",
        "skip 2": "2 × 19 × 19",
        "up 1": "4 × 37 × 37",
        "up 2": "8 × 19 × 19",
        "out": "3 × 37 × 37",
    }


def test_parameters_outside_the_blocks_are_not_lost():
    net = EncoderDecoder((4,), 0)
    net.register_parameter("gain", nn.Parameter(torch.ones(5)))
    table = ssdnet.parts(net, 16)
    assert table.iloc[-1].to_list() == ["elsewhere", "", 5]
    assert f"{table['parameters'].sum():,}" in ssdnet.architecture(net, 16).axes[0].get_title()


def test_drawing_a_network_leaves_it_and_the_random_stream_alone():
    net = EncoderDecoder((4, 8), 2)
    net.down[0].eval()  # a part frozen by its owner stays frozen, the rest stays in training
    modes = [m.training for m in net.modules()]
    before = {k: v.clone() for k, v in net.state_dict().items()}
    stream, numpy_stream = torch.get_rng_state(), str(np.random.get_state())
    ssdnet.architecture(net, 32)._repr_png_()
    assert [m.training for m in net.modules()] == modes and any(modes) and not all(modes)
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert all(not m._forward_hooks for m in net.modules())
    assert all(p.grad is None for p in net.parameters())
    assert torch.equal(torch.get_rng_state(), stream)
    assert str(np.random.get_state()) == numpy_stream


@pytest.mark.parametrize(("widths", "skip"), [((4, 8, 8), 0), ((4, 8, 8, 8, 8), 2)])
def test_the_drawing_holds_every_block_once_and_none_on_another(widths, skip):
    net = EncoderDecoder(widths, skip)
    figure = ssdnet.architecture(net, 64)
    total = sum(p.numel() for p in net.parameters())
    (axes,) = figure.axes
    assert f"{total:,} parameters" in axes.get_title()
    table = ssdnet.parts(net, 64)
    wanted = [f"{n}: {s}\n{c:,} parameters" for n, s, c in table.itertuples(index=False)]
    boxes = [t for t in texts(figure) if re.match(r"(input|down|skip|up|out)\b", t)]
    assert sorted(boxes) == sorted([*wanted, "input\n3 × 64 × 64"])
    figure._repr_png_()  # the layout is settled
    corners = [p.get_window_extent() for p in axes.patches]
    assert len(corners) == len(boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(corners) for b in corners[:i])
    inside = [t for t in axes.texts if t.get_text() in boxes]
    for text in inside:
        extent = text.get_window_extent()
        assert any(
            c.contains(extent.x0, extent.y0) and c.contains(extent.x1, extent.y1) for c in corners
        )


# One pass


def steps(count: int) -> list[tuple[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [("image", rng.random((20, 30, 3)))] + [
        (f"map {i}", rng.random((20, 30))) for i in range(count - 1)
    ]


@pytest.mark.parametrize("count", [1, 3, 4, 5, 7])
def test_a_pass_is_drawn_in_order_with_an_arrow_into_all_but_the_first(count):
    figure = ssdnet.overview(steps(count), None)
    drawn = [a for a in figure.axes if a.images]
    titles = [a.get_title() for a in drawn]
    assert titles == [f"{i + 1}. {title}" for i, (title, _) in enumerate(steps(count))]
    assert [len(a.texts) for a in drawn] == [0] + [1] * (count - 1)
    assert figure._repr_jpeg_().startswith(b"\xff\xd8")


def test_the_patch_covers_whole_pixels_of_the_first_picture():
    figure = ssdnet.overview(steps(2), 8)
    (patch,) = figure.axes[0].patches
    assert patch.get_bbox().bounds == (10.5, 5.5, 8, 8)  # type: ignore[attr-defined]
    assert "8 × 8 pixels" in figure.axes[0].get_xlabel()
    assert not figure.axes[1].patches
    with pytest.raises(ValueError, match="patch of 21 pixels does not fit into 20 x 30"):
        ssdnet.overview(steps(1), 21)
    with pytest.raises(ValueError, match="no pictures"):
        ssdnet.overview([], None)


def test_maps_say_their_range_and_full_masks_are_white():
    scores = np.linspace(0, 0.25, 600).reshape(20, 30)
    figure = ssdnet.overview([("map", scores), ("mask", np.ones((20, 30), bool))], None)
    assert figure.axes[0].get_xlabel() == "0 to 0.25"
    (mask,) = figure.axes[1].images
    assert np.asarray(mask.to_rgba(np.ones(1)))[0, :3].tolist() == [1, 1, 1]
    holes = np.full((4, 4, 3), np.nan)  # missing pixels are black
    shown = ssdnet.overview([("holes", holes)], None).axes[0].images[0].get_array()
    assert (np.asarray(shown) == 0).all()


# Boxes


def images(**methods: list[float]) -> pd.DataFrame:
    rows = [
        (method, f"{kind}/{i}.png", kind, value)
        for method, values in methods.items()
        for i, value in enumerate(values)
        for kind in ["bent" if i % 2 else "cut"]
    ]
    return pd.DataFrame(rows, columns=["method", "path", "kind", "pixel_ap"])


def test_the_spread_is_that_of_the_images():
    table = ssdnet.spread(images(b=[0.1, 0.2, 0.3, 0.4, 0.9], a=[0.6, 0.8, np.nan]), "pixel_ap")
    assert table.index.to_list() == ["a", "b"]  # falling median
    assert table.loc["b"].to_dict() == pytest.approx(
        {"images": 5, "median": 0.3, "iqr": 0.2, "min": 0.1, "max": 0.9, "mean": 0.38}
    )
    assert table.loc["a", "images"] == 2 and table.loc["a", "median"] == pytest.approx(0.7)


def test_an_image_counts_once_however_many_seeds_saw_it():
    once = images(a=[0.1, 0.2, 0.6])
    again = once.iloc[[2]].assign(pixel_ap=0.8)  # a second seed
    table = ssdnet.spread(pd.concat([once, again]), "pixel_ap")
    assert table.loc["a", "images"] == 3 and table.loc["a", "max"] == pytest.approx(0.7)
    elsewhere = pd.concat([once.assign(dataset="d"), once.assign(dataset="e")])
    assert ssdnet.spread(elsewhere, "pixel_ap").loc["a", "images"] == 6  # same file names


def test_departing_settings_keep_a_box_of_their_own():
    paper, more = images(ssdnet=[0.2, 0.2]), images(ssdnet=[0.8, 0.8])
    both = pd.concat([paper.assign(settings="paper"), more.assign(settings="epochs=100")])
    table = ssdnet.spread(both, "pixel_ap")
    assert table["median"].to_dict() == pytest.approx({"ssdnet *": 0.8, "ssdnet": 0.2})
    # names that carry their stars already get no second one
    starred = both.assign(method=["ssdnet", "ssdnet", "ssdnet *", "ssdnet *"])
    assert ssdnet.spread(starred, "pixel_ap").index.to_list() == ["ssdnet *", "ssdnet"]


def test_boxes_stand_in_order_and_every_image_has_its_point():
    table = images(low=[0.1, 0.2, 0.3, 0.4, 0.9], high=[0.7, 0.8, np.nan], none=[np.nan])
    figure = ssdnet.box_plots(table, "pixel_ap")
    (axes,) = figure.axes
    labels = [t.get_text() for t in axes.get_yticklabels()]
    assert labels == ["high\n2 images", "low\n5 images", "none\n0 images"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first is on top
    medians = [np.asarray(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 2.2]
    assert [m[0] for m in medians if np.isfinite(m).all()] == pytest.approx([0.75, 0.3])
    points = [c for c in axes.collections if isinstance(c, PathCollection)]
    assert [c.get_label() for c in points] == legend(figure) == ["bent", "cut"]
    bent, cut = (np.asarray(c.get_offsets()) for c in points)
    assert sorted(bent[:, 0]) == pytest.approx([0.2, 0.4, 0.8])
    assert sorted(cut[:, 0]) == pytest.approx([0.1, 0.3, 0.7, 0.9])
    for x, y in [*bent, *cut]:  # each at the box of its method
        assert round(y) == (0 if x in (0.7, 0.8) else 1)
    assert figure._repr_png_().startswith(b"\x89PNG")


# Curves


def levels(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["method", "level", "draw", "value"])


def test_a_curve_is_the_mean_of_its_draws_and_the_band_their_range():
    table = levels(
        ("a", 0.1, 0, 0.2),
        ("a", 0.1, 1, 0.6),
        ("a", 0.1, 2, 0.1),
        ("a", 0.0, np.nan, 0.8),  # undisturbed, so no draw
        ("b", 0.1, 0, 0.5),  # lacks level 0
        ("c", 0.1, 0, np.nan),
    )
    figure = ssdnet.curves(table, "pixel AP", "noise")
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("noise", "pixel AP")
    found = lines(axes)
    assert found["a"] == pytest.approx(np.array([[0, 0.8], [0.1, 0.3]]))
    assert found["b"] == pytest.approx(np.array([[0.1, 0.5]]))
    assert len(found["c (no value)"]) == 0
    band = bands(axes)[0]
    at = band[np.isclose(band[:, 0], 0.1), 1]
    assert at.min() == pytest.approx(0.1) and at.max() == pytest.approx(0.6)
    assert "1 to 3 draws" in figure.legends[0].get_title().get_text()
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_lines_of_a_draw_are_averaged_before_its_range_is_taken():
    table = levels(("a", 1, 0, 0.0), ("a", 1, 0, 1.0), ("a", 1, 1, 0.7))  # two categories
    (axes,) = ssdnet.curves(table, "", "").axes
    assert lines(axes)["a"] == pytest.approx(np.array([[1, 0.6]]))
    assert bands(axes)[0][:, 1].min() == pytest.approx(0.5)


def test_a_method_keeps_its_colour_and_its_stars_show_without_colour():
    looks = common.styles(["winclip", "new", "ssdnet **", "ssdnet", "ssdnet *"])
    assert list(looks) == ["ssdnet", "ssdnet *", "ssdnet **", "winclip", "new"]
    for name in ("ssdnet", "ssdnet *", "ssdnet **"):
        assert looks[name]["color"] == common.PALETTE["ssdnet"]
    assert looks["winclip"] == common.styles(["winclip"])["winclip"]
    assert looks["new"]["color"] not in common.PALETTE.values()
    everyone = [*common.PALETTE, *(f"{name} *" for name in common.PALETTE), "ssdnet **", "new"]
    plain = [(k["marker"], str(k["linestyle"])) for k in common.styles(everyone).values()]
    assert len(set(plain)) == len(everyone)
    assert len(set(common.PALETTE.values())) == len(common.PALETTE)


# Training steps


def training(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["variant", "image", "step", "ap"])


def test_a_variant_is_the_mean_of_the_same_images_along_its_line():
    table = training(
        ("a", "x", 0, 0.0), ("a", "x", 10, 0.4), ("a", "x", 20, 0.9),
        ("a", "y", 0, 0.2), ("a", "y", 10, 0.8),  # stopped before step 20
        ("a", "good", 0, np.nan),  # an image without a metric does not count
        ("b", "x", 0, 0.5),
    )  # fmt: skip
    figure = ssdnet.over_steps(table, "ap", "pixel AP")
    (axes,) = figure.axes
    found = lines(axes)
    assert found["a (2 images)"] == pytest.approx(np.array([[0, 0.1], [10, 0.6]]))
    assert found["b (1 image)"] == pytest.approx(np.array([[0, 0.5]]))
    assert not bands(axes)
    band = bands(ssdnet.over_steps(table, "ap", "pixel AP", band=True).axes[0])[0]
    at = band[band[:, 0] == 10, 1]
    assert at.min() == pytest.approx(0.4) and at.max() == pytest.approx(0.8)
    with pytest.raises(ValueError, match="'c' has no step with a value of ap for all"):
        ssdnet.over_steps(training(("c", "x", 0, 1.0), ("c", "y", 1, 1.0)), "ap", "")


def test_step_zero_is_seen_on_a_logarithmic_axis():
    table = training(*(("a", "x", step, 0.1) for step in (0, 1, 10, 100)))
    figure = ssdnet.over_steps(table, "ap", "pixel AP", log=True)
    (axes,) = figure.axes
    at = axes.transData.transform([(step, 0.1) for step in (0, 1, 10, 100)])[:, 0]
    assert np.isfinite(at).all() and (np.diff(at) > 10).all()
    assert at[3] - at[2] == pytest.approx(at[2] - at[1], rel=0.05)
    later = ssdnet.over_steps(table[table["step"] > 0], "ap", "pixel AP", log=True)
    assert later.axes[0].get_xscale() == "log"


def test_twelve_variants_are_told_apart_with_and_without_colour():
    rows = [(f"variant {i}", "x", step, i / 12) for i in range(12) for step in range(100)]
    figure = ssdnet.over_steps(training(*rows), "ap", "pixel AP")
    drawn = figure.axes[0].lines
    assert len({(line.get_color(), str(line.get_linestyle())) for line in drawn}) == 12
    assert len({str(line.get_marker()) for line in drawn}) == 12
    assert legend(figure) == [f"variant {i}" for i in range(12)]
    assert figure._repr_png_()
    right = figure.axes[0].get_window_extent().x1
    assert figure.legends[0].get_window_extent().x0 >= right  # beside the lines, not on them


# Nothing to draw


@pytest.mark.parametrize(
    "draw",
    [
        lambda t: ssdnet.spread(t, "pixel_ap"),
        lambda t: ssdnet.box_plots(t, "pixel_ap"),
        lambda t: ssdnet.curves(t, "", ""),
        lambda t: ssdnet.over_steps(t, "pixel_ap", ""),
    ],
)
def test_nothing_to_draw_is_said(draw):
    with pytest.raises(ValueError, match="nothing to draw"):
        draw(pd.DataFrame())
    with pytest.raises(ValueError, match="the table lacks .*; it has wrong"):
        draw(pd.DataFrame({"wrong": [1]}))
    names = ["method", "path", "kind", "level", "draw", "variant", "image", "step"]
    empty = pd.DataFrame({name: ["x"] for name in names}).assign(pixel_ap=np.nan, value=np.nan)
    with pytest.raises(ValueError, match="no row has a value of"):
        draw(empty)


# ---- tables of rows


def disturbed(*lines):
    columns = ["method", "settings", "dataset", "category", "metric", "value", "profile"]
    return pd.DataFrame([("pg_lsr", "paper", *line, "full") for line in lines], columns=columns)


def test_levels_are_read_from_the_name_and_the_plain_images_are_level_0():
    rows = disturbed(
        ("mvtec+sample", "grid", "ap", 0.9),
        ("mvtec+sample+noise=0.05", "grid", "ap", 0.8),
        ("mvtec+sample+noise=0.05+nseed=2", "grid", "ap", 0.7),
        ("mvtec+sample+missing=0.01", "grid", "ap", 0.1),
        ("mvtec+sample", "grid", "auroc", 0.5),
    )
    noise = ssdnet.levels(rows, "noise", "ap")
    assert noise[["level", "draw", "value"]].values.tolist() == [
        [0, 0, 0.9], [0.05, 0, 0.8], [0.05, 2, 0.7],
    ]  # fmt: skip
    missing = ssdnet.levels(rows, "missing", "ap")
    assert missing[["level", "value"]].values.tolist() == [[0, 0.9], [0.01, 0.1]]


def test_what_tuning_by_hand_gains():
    values = {("a", "x"): 0.5, ("a", "y"): 0.9, ("b", "x"): 0.8, ("b", "y"): 0.2, ("c", "x"): 1.0}
    rows = pd.DataFrame(
        [(s, c, "ap", v) for (s, c), v in values.items()],
        columns=["settings", "category", "metric", "value"],
    )
    cells = ssdnet.ranked_settings(rows, "ap")
    assert list(cells.index)[:2] == ["a", "b"]  # 0.7, 0.5
    assert np.isnan(cells.loc["c", "mean"])  # c has not seen y: no mean to compare
    cost = ssdnet.tuning_cost(cells, "a")
    assert cost.loc["x", "gain"] == pytest.approx(0.5) and cost.loc["x", "tuned settings"] == "c"
    assert cost.loc["y", "gain"] == 0


def test_seconds_per_image_are_medians_over_runs():
    records = pd.DataFrame({
        "run": ["a", "b", "c"], "key.method": ["m", "m", "n"], "key.dataset": "d",
        "key.settings": [{}, {}, {"blur": 3}], "machine.device": "cpu",
        "seconds.map": [2.0, 6.0, 1.0], "images.test": [2, 2, 4], "peak_memory_mb": [5, 7, 1],
    })  # fmt: skip
    table = ssdnet.seconds(records)
    assert table.loc["m", "seconds per image"].tolist() == [2.0]
    assert table.loc["m", "peak_memory_mb"].tolist() == [7] and table.loc["m", "runs"].item() == 2
    assert table.loc["n", "seconds per image"].tolist() == [0.25]


def test_embedding_losses_draw_the_points_given():
    pairs = pd.DataFrame({"cosine": [0.0, 0.5], "squared": [2.0, 1.0]})
    scaled = pd.DataFrame({"length": [1.0, 2.0], "inner product": [0.3, 0.6], "cosine": 0.3})
    left, right = ssdnet.embedding_losses(pairs, scaled).axes
    assert lines(left)["random pairs"][:, 1].tolist() == [2.0, 1.0]
    assert {k: xy[:, 1].tolist() for k, xy in lines(right).items()} == {
        "inner product": [0.3, 0.6],
        "cosine": [0.3, 0.3],
    }
