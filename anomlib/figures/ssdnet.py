"""The drawings of the SSDnet paper: its network, one pass through it, boxes and curves.

References:
    | A Single Image Is All You Need: Zero-Shot Anomaly Localization Without Training Data
    | (Moradi et al.), under review: Figures 1 to 8

Everything is drawn from what is handed in: a network, pictures of a real pass, or rows.
"""

import copy
import textwrap

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import nn

from .common import (
    CONTOUR,
    DASHES,
    MARKERS,
    VARIANTS,
    Photo,
    Picture,
    arrow,
    checked,
    finish,
    one_pass,
    styles,
)

LABELS = {
    "pixel_auroc": "pixel AUROC of an image (0 to 1)",
    "pixel_ap": "pixel AP (AUPRC) of an image (0 to 1)",
}

# Figure 1: one pass


def overview(steps: list[tuple[str, np.ndarray]], patch: int | None) -> Photo:
    """Figure 1 from a real pass: the pictures in their order, with an arrow into each.

    Args:
        steps: title and picture; a picture is RGB (h, w, 3), a mask of booleans (h, w), or a map
            (h, w), which is scaled to its own range and has that range written under it.
        patch: side in pixels of the square outlined on the first picture; None for no square.

    Raises:
        ValueError: there is nothing to draw, or the patch is larger than the first picture.
    """
    figure = one_pass(steps)
    if patch is not None:
        _outline(figure.axes[0], patch, steps[0][1].shape[:2])
    return figure


def _outline(axes: Axes, patch: int, shape: tuple[int, ...]) -> None:
    """One patch in the middle; a pixel's square begins half a pixel before its centre."""
    if patch > min(shape):
        raise ValueError(f"a patch of {patch} pixels does not fit into {shape[0]} x {shape[1]}")
    corner = ((shape[1] - patch) // 2 - 0.5, (shape[0] - patch) // 2 - 0.5)
    axes.add_patch(Rectangle(corner, patch, patch, fill=False, edgecolor=CONTOUR, linewidth=1.5))
    axes.set_xlabel(f"square: a patch, {patch} × {patch} pixels", fontsize=8)


# Figure 2: the network


def parts(net: nn.Module, size: int) -> pd.DataFrame:
    """A line per block of the network, measured by running a copy of it once; `net` is untouched.

    Args:
        net: an encoder-decoder with the children `down`, `skip` (or none in it), `up` and `out`.
        size: side in pixels of the square RGB image that it is fed.

    Returns:
        Columns `part` ("down 1" is the outermost), `output shape` ("channels × height × width")
        and `parameters` (numbers; they sum to all of the network's).
    """
    net = copy.deepcopy(net).eval()  # in training, BatchNorm would count this run
    shapes: dict[nn.Module, str] = {}

    def note(block: nn.Module, _: object, output: torch.Tensor) -> None:
        shapes[block] = " × ".join(str(n) for n in output.shape[1:])

    blocks = _blocks(net)
    for block in blocks.values():
        block.register_forward_hook(note)
    with torch.no_grad():
        net(torch.zeros(1, 3, size, size).to(next(net.parameters())))
    lines = [(name, shapes[block], _count(block)) for name, block in blocks.items()]
    rest = _count(net) - sum(count for *_, count in lines)
    lines += [("elsewhere", "", rest)] if rest else []
    return pd.DataFrame(lines, columns=["part", "output shape", "parameters"])


def _blocks(net: nn.Module) -> dict[str, nn.Module]:
    """The blocks by name, counted from the outermost level."""
    blocks = {
        f"{group} {i}": block
        for group in ("down", "skip", "up")
        for i, block in enumerate(net.get_submodule(group).children(), start=1)
    }
    return blocks | {"out": net.get_submodule("out")}


def _count(block: nn.Module) -> int:
    return sum(p.numel() for p in block.parameters())


FILL = {
    "input": "#ffffff",
    "down": "#cfe2f3",
    "skip": "#eeeeee",
    "up": "#fce5cd",
    "out": "#d9ead3",
}
WIDTH, HEIGHT, ROW, GAP = 1.9, 0.46, 0.78, 0.55  # of a box, between rows and columns; inches


def architecture(net: nn.Module, size: int) -> Picture:
    """Figure 2 from the code: what each block of the network puts out, and its parameters.

    A row is a resolution: a skip joins what enters a level of the encoder to the block of the
    decoder that has been enlarged to the same size. Arguments as in `parts`.
    """
    table = parts(net, size).set_index("part")
    depth = sum(name.startswith("down") for name in table.index)
    skips = sum(name.startswith("skip") for name in table.index)
    places = _places(depth, skips)
    across = 3 if skips else 2
    width, height = across * (WIDTH + GAP), (depth + 2) * ROW
    figure = Picture(figsize=(max(width, 6.2), height + 0.4), dpi=110)
    axes = figure.subplots()
    axes.set(xlim=(-GAP / 2, width - GAP / 2), ylim=(-(depth + 0.5) * ROW, 1.5 * ROW), aspect=1)
    axes.set_axis_off()
    axes.set_title(f"{type(net).__name__}: {_count(net):,} parameters", fontsize=10)
    key = "in each box: channels × height\n× width of what it puts out"
    axes.text(WIDTH / 2, ROW, key, ha="center", va="center", fontsize=8, color="0.3")
    lines = {"input": f"input\n3 × {size} × {size}"}
    for name, shape, count in table.loc[list(places)[1:]].itertuples():
        lines[str(name)] = f"{name}: {shape}\n{count:,} parameters"
    for name, place in places.items():
        _box(axes, place, lines[name], FILL[name.split()[0]])
    for start, end in _links(depth, skips):
        _join(axes, places[start], places[end])
    figure.set_layout_engine("constrained")
    return figure


def _places(depth: int, skips: int) -> dict[str, tuple[float, float]]:
    """The middle of each box, in inches; the encoder goes down on the left."""
    right = (WIDTH + GAP) * (2 if skips else 1) + WIDTH / 2
    places = {"input": (WIDTH / 2, 0.0), "out": (right, ROW)}
    for i in range(1, depth + 1):
        places |= {f"down {i}": (WIDTH / 2, -i * ROW), f"up {i}": (right, (1 - i) * ROW)}
    middle = WIDTH + GAP + WIDTH / 2
    return places | {f"skip {i}": (middle, (1 - i) * ROW) for i in range(1, skips + 1)}


def _links(depth: int, skips: int) -> list[tuple[str, str]]:
    way = ["input", *(f"down {i}" for i in range(1, depth + 1))]
    entering = way[:-1]  # what enters each level
    way += [f"up {i}" for i in range(depth, 0, -1)] + ["out"]
    links = list(zip(way, way[1:], strict=False))
    for i in range(1, skips + 1):
        links += [(entering[i - 1], f"skip {i}"), (f"skip {i}", f"up {i}")]
    return links


def _box(axes: Axes, middle: tuple[float, float], text: str, color: str) -> None:
    corner = (middle[0] - WIDTH / 2, middle[1] - HEIGHT / 2)
    axes.add_patch(Rectangle(corner, WIDTH, HEIGHT, facecolor=color, edgecolor="0.3"))
    axes.text(*middle, text, ha="center", va="center", fontsize=8, linespacing=1.3)


def _join(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """An arrow from the edge of one box to the edge of another, round one corner at the bottom."""
    (x, y), (to_x, to_y) = start, end
    up = HEIGHT / 2 if to_y > y else -HEIGHT / 2
    if x == to_x:
        arrow(axes, (x, y + up), (to_x, to_y - up))
    elif y == to_y:
        arrow(axes, (x + WIDTH / 2, y), (to_x - WIDTH / 2, to_y))
    else:
        arrow(axes, (x + WIDTH / 2, y), (to_x, to_y - up), style="angle,angleA=0,angleB=90")


# Figures 3 and 4: the values of single images


def spread(images: pd.DataFrame, metric: str) -> pd.DataFrame:
    """How the values of single images lie, a line per method, the highest median first.

    Args:
        images: columns `method`, `path`, `kind` and the metric, and perhaps `settings` (then
            departing methods get their stars), `dataset`, `category`; an image that stands in
            several lines of a method, as under several seeds, counts once with its mean.
        metric: such as "pixel_auroc" or "pixel_ap"; images where it is NaN do not count.

    Returns:
        `images` (their number), `median`, `iqr`, `min`, `max` and `mean`.
    """
    values = _per_image(images, metric).groupby("method")[metric]
    table = pd.DataFrame({
        "images": values.count(),
        "median": values.median(),
        "iqr": values.quantile(0.75) - values.quantile(0.25),
        "min": values.min(),
        "max": values.max(),
        "mean": values.mean(),
    })  # fmt: skip
    return table.sort_values("median", ascending=False, kind="stable")


def box_plots(images: pd.DataFrame, metric: str) -> Picture:
    """Figures 3 and 4: a box per method, its images as points, the highest median on top.

    Boxes hold the middle half of the images, whiskers reach as far as 1.5 times its length. Points
    of a kind of defect lie on one line through the box. Arguments as in `spread`.
    """
    order = spread(images, metric)
    values = _per_image(images, metric).dropna(subset=[metric])
    figure = Picture(figsize=(8, 0.8 + 0.65 * len(order)), dpi=110)
    axes = figure.subplots()
    looks = styles(list(order.index))
    for at, name in enumerate(order.index):
        line = {"color": looks[name]["color"], "linewidth": 1.3}
        axes.boxplot(
            values.loc[values["method"] == name, metric], positions=[at], widths=0.8,
            orientation="horizontal", showfliers=False, manage_ticks=False, boxprops=line,
            medianprops=line | {"linewidth": 2.2}, whiskerprops=line, capprops=line, capwidths=0.4,
        )  # fmt: skip
    kinds = sorted(values["kind"].unique())
    offsets = np.linspace(-0.28, 0.28, len(kinds)) if len(kinds) > 1 else [0.0]
    for i, (kind, offset) in enumerate(zip(kinds, offsets, strict=True)):
        chosen = values[values["kind"] == kind]
        at = order.index.get_indexer(chosen["method"]) + offset
        look = {"color": f"C{i % 10}", "marker": MARKERS[i % 12], "alpha": 0.75}
        axes.scatter(chosen[metric], at, s=14, label=kind, zorder=3, linewidths=0, **look)
    axes.set(xlabel=LABELS.get(metric, f"{metric} of an image"), ylabel="")
    labels = [f"{name}\n{_images(count)}" for name, count in order["images"].items()]
    axes.set_yticks(range(len(order)), labels)
    axes.set_ylim(len(order) - 0.4, -0.6)  # the first on top
    finish(figure, axes, "kind of defect")
    return figure


def _images(count: int) -> str:
    return f"{count} image" if count == 1 else f"{count} images"


def _per_image(images: pd.DataFrame, metric: str) -> pd.DataFrame:
    table = checked(images, ["method", "path", "kind"], metric)
    by = [c for c in ("method", "dataset", "category", "path", "kind") if c in table]
    return table.groupby(by, sort=False, dropna=False)[metric].mean().reset_index()


# Figures 5 to 8: noise and missing pixels


def curves(levels: pd.DataFrame, metric_label: str, x_label: str) -> Picture:
    """Figures 5 to 8: a line per method over the level of a disturbance.

    The line is the mean of the draws, the band reaches from the smallest to the largest; a level
    that a method lacks has no marker.

    Args:
        levels: columns `method`, `level` (a number, in the unit that `x_label` names), `draw` (the
            seed of the disturbance, or NaN where there is none) and `value`; several lines of a
            draw, as of several categories, are averaged first.
        metric_label: what the values are.
        x_label: what the levels are, with their unit.
    """
    table = checked(levels, ["method", "level", "draw"], "value")
    by_draw = table.groupby(["method", "level", "draw"], dropna=False)["value"].mean().dropna()
    summary = by_draw.groupby(["method", "level"]).agg(["mean", "min", "max", "count"])
    figure = Picture(figsize=(8, 3.6), dpi=110)
    axes = figure.subplots()
    for name, look in styles(list(table["method"].unique())).items():
        found = name in summary.index.get_level_values("method")
        line = summary.loc[name] if found else summary.iloc[:0].droplevel("method")
        label = name if found else f"{name} (no value)"
        axes.plot(line.index, line["mean"], label=label, markersize=5, linewidth=1.4, **look)
        axes.fill_between(
            line.index, line["min"], line["max"], color=look["color"], alpha=0.15, linewidth=0
        )
    axes.set(xlabel=x_label, ylabel=metric_label)
    few, many = summary["count"].min(), summary["count"].max()
    number = f"{few}" if few == many else f"{few} to {many}"
    finish(figure, axes, "one draw" if many == 1 else f"mean and range of\n{number} draws")
    return figure


# Ablations: what changes while the network trains


def over_steps(
    table: pd.DataFrame, y: str, y_label: str, log: bool = False, band: bool = False
) -> Picture:
    """A line per variant over the steps of training, its mean over images.

    Steps at which an image of the variant has no value are left out, so that the mean is one of
    the same images along the whole line.

    Args:
        table: columns `variant`, `image`, `step` and y; several lines of an image at a step, as
            under several seeds, are averaged first.
        y: the column to draw.
        y_label: what it is, with its unit.
        log: whether steps stand on a logarithmic axis; step 0, if there, gets a place before 1.
        band: whether a band reaches from the lowest to the highest image.
    """
    table = checked(table, ["variant", "image", "step"], y)
    summaries = {str(name): _same_images(rows, y) for name, rows in
                 table.groupby("variant", sort=False)}  # fmt: skip
    counts = {name: int(summary["count"].max()) for name, summary in summaries.items()}
    same = len(set(counts.values())) == 1
    figure = Picture(figsize=(9, max(3.6, 0.8 + 0.25 * len(summaries))), dpi=110)
    axes = figure.subplots()
    for i, (name, line) in enumerate(summaries.items()):
        color, label = VARIANTS[i % 7], name if same else f"{name} ({_images(counts[name])})"
        # markers set off against each other, so that lines on top of each other show
        apart = -(-len(line) // 8)
        axes.plot(
            line.index, line["mean"], color=color, linestyle=DASHES[i % 4], marker=MARKERS[i % 12],
            markersize=4.5, markevery=(i % apart, apart), linewidth=1.3,
            label=textwrap.fill(label, 30),
        )  # fmt: skip
        if band:
            axes.fill_between(
                line.index, line["min"], line["max"], color=color, alpha=0.12, linewidth=0
            )
    axes.set(xlabel="training step", ylabel=y_label)
    if log:
        _log_steps(axes, bool((table["step"] <= 0).any()))
    finish(figure, axes, f"mean of {_images(max(counts.values()))}" if same else "mean of images")
    return figure


def _same_images(rows: pd.DataFrame, y: str) -> pd.DataFrame:
    """Mean, min, max and count over images of one variant, at the steps that have all of them."""
    by_image = rows.groupby(["step", "image"])[y].mean().dropna()
    summary = by_image.groupby("step").agg(["mean", "min", "max", "count"])
    everyone = by_image.index.get_level_values("image").nunique()
    complete = summary[summary["count"] == everyone]
    if complete.empty:
        name = rows["variant"].iloc[0]
        raise ValueError(f"variant {name!r} has no step with a value of {y} for all its images")
    return complete


def _log_steps(axes: Axes, zero: bool) -> None:
    if zero:  # no logarithm; the stretch below 1 is linear
        axes.set_xscale("symlog", linthresh=1, linscale=0.4)
    else:
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda step, _: f"{step:g}")


# Rows in, tables out


def levels(rows: pd.DataFrame, kind: str, metric: str) -> pd.DataFrame:
    """The rows of one disturbance for `curves`, the undisturbed images as level 0.

    Args:
        rows: rows of `results.load`, of one profile.
        kind: "noise" or "missing", as in the name of a dataset.
    """
    chosen = rows[rows["metric"] == metric]
    found = {
        n: chosen["dataset"].str.extract(rf"\+{n}=([0-9.e-]+)")[0] for n in ("noise", "missing")
    }
    other = found.pop("missing" if kind == "noise" else "noise")
    draws = chosen["dataset"].str.extract(r"\+nseed=([0-9]+)")[0]
    table = chosen.assign(
        level=found[kind].astype(float).fillna(0.0), draw=draws.astype(float).fillna(0)
    )
    return table[other.isna()].astype({"draw": int})


def ranked_settings(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A line per settings of one method, a column per category, the best mean on top."""
    by = ["settings", "category"]
    cells = rows[rows["metric"] == metric].groupby(by)["value"].mean().unstack("category")
    cells.insert(0, "mean", cells.mean(axis=1, skipna=False))
    return cells.sort_values("mean", ascending=False).rename_axis(columns=None)


def tuning_cost(cells: pd.DataFrame, everywhere: str) -> pd.DataFrame:
    """What hand tuning would gain on each category: the best of the settings against one for all.

    Args:
        cells: of `ranked_settings`.
        everywhere: the settings that are used on every category.
    """
    cells = cells.drop(columns="mean")
    best = cells.max()
    found = pd.DataFrame({"one for all": cells.loc[everywhere], "tuned by hand": best})
    found["gain"] = found["tuned by hand"] - found["one for all"]
    found["tuned settings"] = cells.idxmax()
    return found.sort_values("gain", ascending=False)


def seconds(records: pd.DataFrame) -> pd.DataFrame:
    """Seconds per test image and the peak memory of a run, a line per method and settings."""
    per_image = records["seconds.map"] / records["images.test"]
    shown = records.assign(
        **{"seconds per image": per_image, "settings": records["key.settings"].astype(str)}
    )
    groups = shown.groupby(
        ["key.method", "settings", "key.dataset", "machine.device"], dropna=False
    )
    columns = {"seconds per image": "median", "peak_memory_mb": "max", "run": "count"}
    return groups.agg(columns).rename(columns={"run": "runs"}).round(2)


# Appendix 7.1


def embedding_losses(pairs: pd.DataFrame, scaled: pd.DataFrame) -> Picture:
    """Left: squared distance of unit embeddings over their cosine. Right: what length does.

    Args:
        pairs: columns `cosine` and `squared`.
        scaled: columns `length`, `inner product` and `cosine`, of one pair with a growing partner.
    """
    figure = Picture(figsize=(8.5, 3.2), dpi=110)
    left, right = figure.subplots(1, 2)
    cosine = np.array([-1.0, 1.0])
    left.plot(cosine, 2 - 2 * cosine, color=VARIANTS[0], label="2 - 2 cos")
    left.plot(
        pairs["cosine"], pairs["squared"], "o", ms=3, color=VARIANTS[1], label="random pairs"
    )
    left.set(xlabel="cosine of two embeddings", ylabel="squared distance of unit embeddings")
    for name, look in (("inner product", "-"), ("cosine", "--")):
        right.plot(scaled["length"], scaled[name], look, label=name)
    right.set(xlabel="length of the second embedding", ylabel="value")
    for axes in (left, right):
        axes.legend(fontsize=8)
        axes.grid(color="0.9", linewidth=0.6)
    figure.set_layout_engine("constrained")
    return figure
