"""The drawings of the GRAD paper: its parts, pasted blocks, what a grid is asked, costs.

References:
    | GRAD: Bi-Grid Reconstruction for Image Anomaly Detection (Huang et al., 2025), Figures 2, 3
    | and 5

Everything is drawn from what is handed in: tables of `studies.grad`, rows, arrays.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from .common import HEAT, OTHERS, PALETTE, VARIANTS, Columns, Photo, Picture, arrow, grid, styles

# Figure 2: the framework

BOXES = {  # part -> middle, in steps to the right and up, and colour
    "features": (0.0, 0.0, "0.92"),
    "local coordinates": (1.0, 0.45, "#d0e3f0"),
    "global coordinates": (1.0, -0.45, "#d0e3f0"),
    "normal grids, sampled": (2.0, 0.9, "#c7e9c0"),
    "abnormal grids, sampled": (2.0, -0.9, "#fcd5b5"),
    "blocks": (3.0, 0.9, "#c7e9c0"),
    "standardised, blocks": (3.0, -0.9, "#fcd5b5"),
    "fused": (4.0, 0.0, "0.92"),
    "refined": (5.0, 0.0, "0.92"),
    "map": (6.0, 0.0, "0.92"),
}
JOINTS = [
    ("features", "local coordinates"), ("features", "global coordinates"),
    *((place, f"{kind} grids, sampled") for place in ("local coordinates", "global coordinates")
      for kind in ("normal", "abnormal")),
    ("normal grids, sampled", "blocks"), ("abnormal grids, sampled", "standardised, blocks"),
    ("blocks", "fused"), ("standardised, blocks", "fused"),
    ("fused", "refined"), ("refined", "map"),
]  # fmt: skip
WIDE, TALL = 0.78, 0.52  # of a box


def framework(parts: pd.DataFrame) -> Picture:
    """Figure 2 from the code: a box per part, with its output's shape and its parameters.

    Args:
        parts: of `studies.grad.parts`.
    """
    figure = Picture(figsize=(11, 3.6), dpi=110)
    axes = figure.subplots()
    for line in parts.to_dict("records"):
        x, y, color = BOXES[line["part"]]
        corner = (x - WIDE / 2, y - TALL / 2)
        box = FancyBboxPatch(corner, WIDE, TALL, "round,pad=0,rounding_size=0.06",
                             facecolor=color, edgecolor="0.4")  # fmt: skip
        axes.add_patch(box)
        shape = " x ".join(map(str, line["output"]))
        count = f"\n{line['parameters'] / 1e6:.2f} million" if line["parameters"] else ""
        words = line["part"].replace(", ", ",\n")
        symbol = f"  {line['symbol']}" if line["symbol"] else ""
        axes.text(x, y, f"{words}{symbol}\n{shape}{count}", ha="center", va="center", fontsize=7.5)
    for one, other in JOINTS:
        (x, y, _), (u, v, _) = BOXES[one], BOXES[other]
        arrow(axes, (x + WIDE / 2, y), (u - WIDE / 2, v))
    axes.set(xlim=(-0.5, 6.5), ylim=(-1.3, 1.3))
    axes.set_axis_off()
    figure.set_layout_engine("constrained")
    return figure


def part_table(parts: pd.DataFrame) -> object:
    """The same as a table, with the sum; for display."""
    shown = parts.assign(output=parts["output"].map(lambda s: " x ".join(map(str, s))))
    total = {"part": "all", "symbol": "", "output": "", "parameters": parts["parameters"].sum()}
    shown = pd.concat([shown, pd.DataFrame([total])], ignore_index=True)
    return shown.style.format({"parameters": "{:,}"}).hide()


# Figure 3: defects and blocks in feature maps


def changes(
    images: dict[str, tuple[np.ndarray, np.ndarray | None]], maps: dict[str, np.ndarray]
) -> Photo:
    """Images with the outline of their defect above how far their features have moved.

    Args:
        images: title -> image (h, w, 3) and mask.
        maps: the same titles -> a map of distances.
    """
    columns: Columns = {t: [image, (maps[t], None)] for t, image in images.items()}
    return grid(columns, ["image", "|change of F|"])


def blocks(found: dict[str, list[np.ndarray]]) -> Photo:
    """Pasted blocks: a row per parameter, a column per value; all of one colour scale.

    Args:
        found: row -> maps, which are (h, w); the key says what differs.
    """
    most, across = (
        max(m.max() for maps in found.values() for m in maps),
        max(map(len, found.values())),
    )
    figure = Photo(figsize=(1.5 * across + 1.2, 1.65 * len(found)), dpi=100)
    cells = figure.subplots(len(found), across, squeeze=False)
    for line, (name, maps) in zip(cells, found.items(), strict=True):
        for axes, block in zip(line, maps, strict=False):
            axes.imshow(block, cmap=HEAT, vmin=0, vmax=most, interpolation="nearest")
        for axes in line:
            axes.set(xticks=[], yticks=[])
        for axes in line[len(maps) :]:
            axes.set_axis_off()
        line[0].set_ylabel(name, fontsize=7)
    figure.set_layout_engine("constrained")
    return figure


def cosines(table: pd.DataFrame) -> object:
    """Mean cosines between the changes of two kinds of defect, and of random ones; for display."""
    by = ["profile", "dataset", "category"]
    kinds = table.assign(
        against=table["other"].where(table["other"] == "random", "another defect")
    )
    wide = kinds.groupby([*by, "against"], sort=False)["cosine"].mean().unstack("against")
    return wide.rename_axis(columns=None).style.format("{:.3f}")


def contrast_lines(table: pd.DataFrame, th: float) -> Picture:
    """Eq. 4's two terms over the similarity, as printed and as the code has the sign."""
    figure = Picture(figsize=(8, 2.8), dpi=110)
    for axes, (sign, part) in zip(figure.subplots(1, 2, sharey=True),
                                  table.groupby("sign", sort=False), strict=True):  # fmt: skip
        for color, (pair, line) in zip(VARIANTS, part.groupby("pair", sort=False), strict=False):
            axes.plot(line["q"], line["loss"], color=color, label=f"{pair} pair")
        zero = part[part["loss"] == 0].groupby("pair")["q"].agg(["min", "max"])
        low, high = zero.loc["dissimilar", "max"], zero.loc["similar", "min"]
        if high > low:
            axes.axvspan(low, high, color="0.9", label="buffer")
        axes.axvline(th, color="0.6", linewidth=0.8, linestyle=":")
        axes.set_title(f"sign as {'printed' if sign == 'printed' else 'in the code'}", fontsize=9)
        axes.set_xlabel("similarity q", fontsize=9)
        axes.legend(fontsize=8)
    figure.set_layout_engine("constrained")
    return figure


# What a grid is asked


def coordinates(
    image: np.ndarray, mask: np.ndarray, places: np.ndarray, inside: np.ndarray, nodes: int
) -> Photo:
    """An image, its positions coloured by where they look, and those places in the local grid.

    Args:
        places: (h, w, 2), x and y in [-1, 1].
        inside: (h, w), the positions of the defect.
        nodes: of the grid, along a side.
    """
    figure = Photo(figsize=(9.6, 3.6), dpi=110)
    one, two, three = figure.subplots(1, 3)
    one.imshow(image)
    if mask.any() and not mask.all():
        one.contour(mask, levels=[0.5], colors="#39ff14", linewidths=0.8)
    one.set_title("image", fontsize=9)
    colours = colour_of(places)
    two.imshow(colours, interpolation="nearest")
    two.set_title("its positions, coloured by place", fontsize=9)
    for axes in (one, two):
        axes.set(xticks=[], yticks=[])
    _grid_axes(three, nodes)
    for marker, chosen, label, size in (("o", ~inside, "normal", 14), ("X", inside, "defect", 34)):
        x, y = places[chosen].T
        edge = "black" if marker == "X" else "none"
        three.scatter(x, y, s=size, marker=marker, c=colours[chosen], edgecolors=edge,
                      linewidths=0.6, label=label)  # fmt: skip
    three.set_title("places in the local grid", fontsize=9)
    three.legend(fontsize=7, loc="upper right")
    figure.set_layout_engine("constrained")
    return figure


def colour_of(places: np.ndarray) -> np.ndarray:
    """Places in [-1, 1]^2 as RGB: red to the right, blue downwards, lighter in the middle."""
    x, y = ((places[..., k] + 1) / 2 for k in (0, 1))
    green = 1 - np.hypot(x - 0.5, y - 0.5)
    return np.stack([x, green, y], axis=-1).clip(0, 1)


def whole_images(places: np.ndarray, names: list[str], good: np.ndarray, nodes: int) -> Picture:
    """Where images look into the global grid, a colour per category; defective ones as crosses.

    Args:
        places: (n, 2).
        names: the category of each image.
    """
    figure = Picture(figsize=(6, 4.2), dpi=110)
    axes = figure.subplots()
    _grid_axes(axes, nodes)
    colours = dict.fromkeys([*VARIANTS, *PALETTE.values(), *OTHERS])
    for color, name in zip(colours, sorted(set(names)), strict=False):
        here = np.array([n == name for n in names])
        for marker, chosen in (("o", here & good), ("x", here & ~good)):
            x, y = places[chosen].T
            label = name if marker == "o" else None
            axes.scatter(x, y, s=22, marker=marker, color=color, linewidths=0.9, label=label)
    figure.legend(loc="outside right upper", fontsize=8, title="x: defective", title_fontsize=8)
    figure.set_layout_engine("constrained")
    return figure


def _grid_axes(axes: Axes, nodes: int) -> None:
    """The square of a grid with its nodes; beyond its edge are zeros."""
    at = (2 * np.arange(nodes) + 1) / nodes - 1
    x, y = np.meshgrid(at, at)
    axes.plot(x.ravel(), y.ravel(), "+", color="0.6", markersize=5, zorder=0)
    axes.set(xlim=(-1.05, 1.05), ylim=(1.05, -1.05), xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    axes.set_aspect("equal")
    axes.tick_params(labelsize=7)


# Costs


def lookup_lines(table: pd.DataFrame, slopes: dict[str, float]) -> Picture:
    """Seconds of all queries over the number of normal features, on logarithmic axes."""
    least = table.groupby(["how", "features"], sort=False)["seconds"].min().reset_index()
    figure = Picture(figsize=(5.6, 3.3), dpi=110)
    axes = figure.subplots()
    for color, (how, part) in zip(VARIANTS, least.groupby("how", sort=False), strict=False):
        label = f"{how}, slope {slopes[str(how)]:.2f}"
        axes.loglog(part["features"], part["seconds"], "o-", color=color, label=label)
    axes.set(xlabel="normal features", ylabel="seconds for all queries")
    axes.grid(color="0.9", linewidth=0.6)
    axes.legend(fontsize=8)
    figure.set_layout_engine("constrained")
    return figure


def bubbles(table: pd.DataFrame) -> Picture:
    """Figure 5, ours: detection over speed; the area of a bubble is the peak memory.

    Args:
        table: columns method, fps, image_auroc, memory_mb.
    """
    figure = Picture(figsize=(8, 5.5), dpi=110)
    axes = figure.subplots()
    shown = table.dropna(subset=["fps", "image_auroc"]).sort_values("fps")
    looks = styles([*shown["method"]])
    for i, line in enumerate(shown.to_dict("records")):
        color = looks[line["method"]]["color"]
        at = (line["fps"], line["image_auroc"])
        axes.scatter(*at, s=line["memory_mb"] / 4, color=color, alpha=0.5, edgecolor=color)
        words = f"{line['method']}, {line['memory_mb'] / 1024:.2f} GB"
        slow = 2 * i < len(shown)  # slow ones are named to the left, fast ones to the right
        place = {"xytext": (-10 if slow else 10, -2), "textcoords": "offset points"}
        axes.annotate(words, at, ha="right" if slow else "left", fontsize=7, **place)
    axes.set_xscale("log")
    axes.set(xlabel="images per second", ylabel="image AUROC")
    axes.margins(0.25, 0.18)
    axes.grid(color="0.9", linewidth=0.6)
    figure.set_layout_engine("constrained")
    return figure


def throughputs(table: pd.DataFrame) -> object:
    """Seconds per image of an epoch with and without the cache, and the ratio; for display."""
    place = ["profile", "device", "backbone", "size", "channels", "positions", "blocks"]
    wide = table.groupby([*place, "what"], sort=False)["seconds"].median().unstack("what") * 1000
    wide["epoch, uncached"] = wide["backbone"] + wide["head"]
    wide["epoch, cached"] = wide["head"]  # the features are read once, and kept
    wide["speed-up"] = wide["epoch, uncached"] / wide["epoch, cached"]
    wide["images per second"] = 1000 / wide["epoch, cached"]
    style = wide.rename_axis(columns=None).style.format(precision=1)
    return style.format("{:.2f}", subset=["speed-up"]).set_caption("milliseconds per image")
