"""The drawings of the Subspace paper: a pass, the toy plane, curves, levels and reconstructions.

References:
    | Subspace-Guided Feature Reconstruction for Unsupervised Anomaly Localization
    | (Hotta et al., 2025), https://arxiv.org/abs/2309.13904: Figures 1 to 9

Everything is drawn from what is handed in: tables, a dataset with maps, and per test image its
`Parts`, as `studies.subspace.reconstruction` returns them.
"""

from typing import Any

import numpy as np
import pandas as pd
import torch.nn.functional as F
from IPython.display import HTML
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from torch import Tensor

from ..api import Dataset, Maps
from ..metrics import otsu
from .common import (
    DASHES,
    FEATURES,
    MARKERS,
    VARIANTS,
    Columns,
    Photo,
    Picture,
    checked,
    finish,
    grid,
    one_pass,
    styles,
    to_numpy,
    value_range,
)

Parts = dict[int, dict[str, Tensor]]  # level -> target, rebuilt, residual, bank, chosen, weights
FOUND = "#ff9f1c"  # the outline of what Otsu's threshold finds; masks are outlined in green

# Figure 2: one pass


def overview(
    data: Dataset, i: int, parts: Parts, scores: Float[Tensor, "h w"], level: int | None = None
) -> Photo:
    """Figure 2 from a real pass of test image i.

    Args:
        data: its training images are those that the method was fitted on, all of them.
        parts: of this image.
        scores: its anomaly map.
        level: whose features are shown; None is the first.
    """
    level = min(parts) if level is None else level
    part = {name: values.cpu().numpy() for name, values in parts[level].items()}
    heat, used = scores.cpu().numpy(), len(part["chosen"])
    steps = [
        ("test image", to_numpy(data, i)),
        (f"bank: the {len(part['bank'])} good images chosen for it", mosaic(data, part["bank"])),
        (f"its features at level {level}, norm over channels", part["target"]),
        (f"rebuilt as a sum of {used} of the bank", part["rebuilt"]),
        ("what is left, norm over channels", part["residual"]),
        ("anomaly map: mean of the levels, smoothed", heat),
        ("Otsu's binary map", otsu(heat)),
    ]
    if data.masks is not None:
        steps.append(("ground truth", data.masks[i].cpu().numpy()))
    return one_pass(steps, features=(2, 3))


def mosaic(data: Dataset, places: np.ndarray) -> np.ndarray:
    """Training images side by side in a square, (k h, k w, 3); where none is left it is white."""
    images = data.train[places].permute(0, 2, 3, 1).cpu().numpy()  # (k, h, w, 3)
    edge = max(1, images.shape[1] // 32)
    images = np.pad(images, ((0, 0), (edge, edge), (edge, edge), (0, 0)), constant_values=1)
    across = int(np.ceil(np.sqrt(len(images))))
    full = np.ones((across**2, *images.shape[1:]), dtype=images.dtype)
    full[: len(images)] = images
    full = full.reshape(across, across, *images.shape[1:]).swapaxes(1, 2)
    return full.reshape(across * images.shape[1], across * images.shape[2], 3)


def combination(data: Dataset, part: dict[str, Tensor], most: int = 8) -> Photo:
    """The training images that a level is rebuilt from, each with its weight, as they were chosen.

    Args:
        part: of one level.
        most: how many of the images are drawn.
    """
    images = data.train.permute(0, 2, 3, 1).cpu().numpy()  # (N, h, w, 3)
    pairs = list(zip(part["chosen"].tolist(), part["weights"].tolist(), strict=True))[:most]
    columns: Columns = {
        f"{k}. weight {c:+.2f}": [(images[j], None)] for k, (j, c) in enumerate(pairs, 1)
    }
    figure = grid(columns, [""])
    for axes in figure.axes:
        axes.set_title(axes.get_title(), fontsize=12)  # a wide strip, shrunk to fit a page
    return figure


def level_table(maps: list[Float[Tensor, "1 _c _h _w"]]) -> object:
    """The shape of one image's feature map at each level, and how long it is; for display.

    Args:
        maps: of `features.features`, all levels from 0.
    """
    table = pd.DataFrame([m.shape[1:] for m in maps], columns=["channels", "height", "width"])
    length = table.prod(axis=1)
    share = "share of the level before"
    table = table.assign(**{"numbers per image": length, share: length / length.shift()})
    return table.rename_axis("level").style.format({share: "{:.2f}"}, na_rep="")


# Figure 3: a toy


def toy_plane(
    points: Float[Tensor, "n 3"],
    bank: Int[Tensor, "2"],
    rebuilt: Float[Tensor, "n 3"],
    off: Float[Tensor, "2 3"],
) -> HTML:
    """Figure 3: points of a plane through the origin, and the two that rebuild all others.

    The script of plotly itself is not part of it: `book/_ext/plotly_js.py` loads it.

    Args:
        points: "images" of three features each.
        bank: places of the two that matching pursuit chose.
        rebuilt: what the bank makes of each point.
        off: a point that is not on the plane, and what the bank makes of it.
    """
    import plotly.graph_objects as go  # takes a second, and only this figure needs it

    others = np.setdiff1d(np.arange(len(points)), bank.numpy())
    axes = points[bank].numpy()  # (2, 3)
    plane = _corners(axes, points.numpy())
    figure = go.Figure(
        [
            _surface(plane),
            *(_segment(np.stack([0 * a, a]), BANK, 6, f"basis vector {k}")
              for k, a in enumerate(axes, 1)),
            _markers(points[others], "good images, not in the bank", POINT, 4),
            _markers(rebuilt[others], "rebuilt from the bank", REBUILT, 8, symbol="circle-open"),
            _markers(points[bank], "the bank: two chosen images", BANK, 8, symbol="diamond"),
            _markers(off[:1], "a defective image, off the plane", OFF, 7, symbol="square"),
            _segment(off.numpy(), OFF, 6, "what is left of it (residual)", legend=True),
            _markers(off[1:], "rebuilt from the bank", OFF, 8, symbol="circle-open", legend=False),
        ]
    )  # fmt: skip
    figure.update_layout(
        scene=_scene(np.concatenate([plane, off.numpy()])) | {"camera": _camera(axes)},
        legend={"orientation": "h", "y": 0, "yanchor": "top", "font": {"size": 13}},
        margin={"l": 0, "r": 0, "t": 0, "b": 0}, height=560, paper_bgcolor="white",
    )  # fmt: skip
    # a name of its own, or the page would differ each time it is made
    options = {"include_plotlyjs": False, "full_html": False, "div_id": "toy-plane"}
    config = {"displayModeBar": False, "responsive": True}
    return HTML(figure.to_html(config=config, **options))


POINT, REBUILT, BANK, OFF = "#0072b2", "#d55e00", "#009e73", "#000000"


def _markers(
    points: Float[Tensor, "n 3"], name: str, color: str, size: int, symbol: str = "circle",
    legend: bool = True,
) -> dict[str, Any]:  # fmt: skip
    x, y, z = points.numpy().round(4).T.tolist()
    edge = {"color": color, "width": 2 if symbol.endswith("open") else 0}
    marker = {"color": color, "size": size, "symbol": symbol, "line": edge}
    text = {"hovertemplate": f"{name}<br>(%{{x:.2f}}, %{{y:.2f}}, %{{z:.2f}})<extra></extra>"}
    look = {"type": "scatter3d", "mode": "markers", "marker": marker, "showlegend": legend}
    return look | text | {"x": x, "y": y, "z": z, "name": name}


def _segment(
    ends: np.ndarray, color: str, width: int, name: str, legend: bool = False
) -> dict[str, Any]:
    x, y, z = ends.round(4).T.tolist()
    line = {"color": color, "width": width}
    look = {"type": "scatter3d", "mode": "lines", "line": line, "showlegend": legend}
    return look | {"x": x, "y": y, "z": z, "name": name, "hoverinfo": "name"}


def _corners(axes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A rectangle of the plane that two points span, around all points; (4, 3)."""
    basis, _ = np.linalg.qr(axes.T)  # (3, 2)
    inside = points @ basis
    pad = 0.05 * np.ptp(inside, axis=0)
    low, high = inside.min(axis=0) - pad, inside.max(axis=0) + pad
    return np.array([low, [high[0], low[1]], high, [low[0], high[1]]]) @ basis.T


def _surface(corners: np.ndarray) -> dict[str, Any]:
    x, y, z = corners.round(4).T.tolist()
    sides = {"i": [0, 0], "j": [1, 2], "k": [2, 3]}  # two triangles
    look = {"type": "mesh3d", "color": "#999999", "opacity": 0.25, "hoverinfo": "skip"}
    return look | sides | {"x": x, "y": y, "z": z}


def _scene(points: np.ndarray) -> dict[str, Any]:
    """Axes around all that is drawn, in one scale, or a right angle would not look like one."""
    pad = 0.08 * np.ptp(points, axis=0)  # or a marker at the edge is cut off
    low, high = points.min(axis=0) - pad, points.max(axis=0) + pad
    ratio = 1.7 * (high - low) / (high - low).max()  # fills the page
    look = {"showbackground": False, "gridcolor": "#dddddd", "zerolinecolor": "#999999"}
    scene: dict[str, Any] = {
        f"{name}axis": look | {"title": {"text": f"feature {k + 1}"}, "nticks": 4,
                               "range": [low[k].item(), high[k].item()]}
        for k, name in enumerate("xyz")
    }  # fmt: skip
    return scene | {
        "aspectmode": "manual",
        "aspectratio": dict(zip("xyz", ratio.tolist(), strict=True)),
    }


def _camera(axes: np.ndarray) -> dict[str, Any]:
    """The plane as a floor, seen from a little above, so that what stands off it is seen."""
    normal = np.cross(*axes)
    normal = normal / np.linalg.norm(normal)
    normal = normal if normal[2] >= 0 else -normal
    side = axes.sum(axis=0) / np.linalg.norm(axes.sum(axis=0))
    places = {"up": normal, "eye": 0.6 * normal + 1.1 * side}
    named = {
        name: dict(zip("xyz", at.round(3).tolist(), strict=True)) for name, at in places.items()
    }
    return named | {"projection": {"type": "orthographic"}}


# Figures 4, 6, 7 and 8: curves


def lines(
    table: pd.DataFrame,
    x: str,
    y: str,
    hue: str,
    labels: dict[str, str],
    printed: pd.DataFrame | None = None,
    repeat: str | None = None,
    spread: str = "range",
    log: bool = False,
) -> Picture:
    """A line per value of `hue`: the mean of its repeats, in a band of their spread.

    Args:
        table: columns x, y and hue; several lines at one x are repeats, as under several seeds.
        hue: what tells the lines apart; of "method" (with its stars, where there are `settings`)
            each has the colour it has everywhere.
        labels: column -> what it is, with its unit; the column's name where there is none.
        printed: values of the paper, columns x, y and hue: a hollow marker, or where x is NaN a
            dotted line across.
        repeat: the column that numbers the repeats; lines of one repeat, as of several categories,
            are averaged first. None: every line is a repeat.
        spread: "range", from the lowest to the highest repeat, or "sd", one standard deviation.
        log: whether x stands on a logarithmic axis.

    Raises:
        ValueError: there is nothing to draw, or a column is missing.
    """
    table = checked(table, [x, hue, *([repeat] if repeat else [])], y)
    values = table.iloc[:0] if printed is None else checked(printed, [x, hue], y)
    summary = _summary(table, [hue, x], y, repeat, spread)
    names = [str(n) for n in dict.fromkeys([*table[hue], *values[hue]])]
    looks = styles(names) if hue == "method" else _looks(names)
    figure = Picture(figsize=(8, 3.8), dpi=110)
    axes = figure.subplots()
    for name, look in looks.items():
        if name in summary.index.get_level_values(hue):
            line = summary.loc[name]
            axes.plot(line.index, line["mean"], label=name, markersize=5.5, linewidth=1.5, **look)
            axes.fill_between(
                line.index, line["low"], line["high"], color=look["color"], alpha=0.15, linewidth=0
            )
    for name, look in looks.items():
        _printed(axes, values[values[hue].astype(str) == name], x, y, name, look["color"])
    axes.set(xlabel=labels.get(x, x), ylabel=labels.get(y, y))
    _place_ticks(axes, sorted(map(float, table[x].dropna().unique())), log)
    most = summary["count"].max()
    what = f"mean and {spread} of\n{most} {repeat or 'repeat'}s" if most > 1 else ""
    finish(figure, axes, "\n".join(filter(None, [labels.get(hue, ""), what])))
    return figure


def _summary(
    table: pd.DataFrame, by: list[str], y: str, repeat: str | None, spread: str
) -> pd.DataFrame:
    """Columns mean, low, high, count of y, by hue (as text) and x."""
    if spread not in ("range", "sd"):
        raise ValueError(f"spread is range or sd, not {spread!r}")
    values = table.dropna(subset=[y]).astype({by[0]: str})
    if repeat:
        values = values.groupby([*by, repeat], dropna=False)[y].mean().reset_index()
    found = values.groupby(by)[y].agg(["mean", "min", "max", "std", "count"])
    sd = found["std"].fillna(0.0)  # of one repeat
    return found.assign(
        low=found["min"] if spread == "range" else found["mean"] - sd,
        high=found["max"] if spread == "range" else found["mean"] + sd,
    )


def _looks(names: list[str]) -> dict[str, dict[str, Any]]:
    """Lines that are no methods, in the order given, told apart with and without colour."""
    return {
        name: {"color": VARIANTS[i % 7], "linestyle": DASHES[i % 4], "marker": MARKERS[i % 12]}
        for i, name in enumerate(names)
    }


def _printed(axes: Axes, rows: pd.DataFrame, x: str, y: str, name: str, color: str) -> None:
    label = f"{name}, printed"
    for value in rows.loc[rows[x].isna(), y]:
        axes.axhline(value, color=color, linestyle=(0, (1, 2)), linewidth=1.5, label=label)
    at = rows[rows[x].notna()]
    if len(at):
        look = {"linestyle": "", "markersize": 10, "markerfacecolor": "none"}
        axes.plot(at[x], at[y], marker="o", color=color, label=label, **look)


def _place_ticks(axes: Axes, values: list[float], log: bool) -> None:
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if len(values) <= 8:  # few enough to be read
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.set_xticks([], minor=True)


# Figure 9: levels


def level_bars(
    table: pd.DataFrame, value: str = "value", label: str = "AU-PRO, 0 to 1"
) -> Picture:
    """Figure 9: a bar per set of levels and backbone, single levels first.

    Args:
        table: columns `levels` (text such as "2 + 3"), `backbone` and the value; several lines of
            a bar, as of several seeds or categories, are averaged, a thin line is their range.
        label: what the value is, with its unit.
    """
    table = checked(table, ["levels", "backbone"], value)
    sets = sorted(table["levels"].unique(), key=lambda text: (text.count("+"), text))
    backbones = list(dict.fromkeys(table["backbone"]))
    summary = table.groupby(["backbone", "levels"])[value].agg(["mean", "min", "max"])
    width = 0.8 / len(backbones)
    figure = Picture(figsize=(8, 3.6), dpi=110)
    axes = figure.subplots()
    for k, name in enumerate(backbones):
        bars = summary.loc[name].reindex(sets)
        at = np.arange(len(sets)) + (k - (len(backbones) - 1) / 2) * width
        axes.bar(at, bars["mean"], 0.92 * width, color=VARIANTS[k % 7], label=name)
        axes.vlines(at, bars["min"], bars["max"], color="0.2", linewidth=1.2)
        for place, mean, top in zip(at, bars["mean"], bars["max"], strict=True):
            if np.isfinite(mean):
                axes.text(place, top + 0.01, f"{mean:.2f}", ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(sets)), sets)
    axes.set(xlabel="levels that are rebuilt", ylabel=label)
    axes.margins(y=0.1)
    finish(figure, axes, "backbone")
    axes.grid(False, axis="x")
    return figure


# Figures 1 and 5: reconstructions


def reconstruction_panels(
    data: Dataset, chosen: list[int], maps: Maps, parts: list[Parts], level: int | None = None
) -> Photo:
    """Figures 1 and 5: a row per test image, from its most used good image to what is found.

    Target and reconstruction share their colours. Green outlines the mask, orange what Otsu's
    threshold finds.

    Args:
        data: its training images are those that the method was fitted on, all of them.
        chosen: places of the test images.
        maps: their anomaly maps, in this order.
        parts: of each of them.
        level: whose features are shown; None is the first.
    """
    level = min(parts[0]) if level is None else level
    columns: Columns = {name: [] for name in (
        "good image used most", "test image", f"features, level {level}", "rebuilt",
        "anomaly map", "mask, found (orange)",
    )}  # fmt: skip
    notes = []
    for i, scores, part in zip(chosen, maps, [p[level] for p in parts], strict=True):
        cells, note = _row(data, i, scores.float().cpu().numpy(), part)
        notes.append(note)
        for column, cell in zip(columns.values(), cells, strict=True):
            column.append(cell)
    names = [data.paths[i].rpartition(".")[0].replace("/", "\n") for i in chosen]
    figure = grid(columns, names)
    for axes in figure.axes:  # a large figure, shrunk to fit a page
        axes.set_title(axes.get_title(), fontsize=9.5)
        axes.set_ylabel(axes.get_ylabel(), fontsize=9)
    for k, (scores, note) in enumerate(zip(maps, notes, strict=True)):
        axes = figure.axes[k * len(columns) : (k + 1) * len(columns)]
        for place, text in note.items():
            axes[place].set_xlabel(text, fontsize=8.5, labelpad=2)
        axes[-1].contour(otsu(scores.float().cpu().numpy()), [0.5], colors=FOUND, linewidths=1.2)
    return figure


def _row(
    data: Dataset, i: int, scores: np.ndarray, part: dict[str, Tensor]
) -> tuple[list[tuple[np.ndarray, np.ndarray | None]], dict[int, str]]:
    """The cells of one test image, and what is written under some of them."""
    image, mask = to_numpy(data, i), None if data.masks is None else data.masks[i].cpu().numpy()
    first = int(part["weights"].abs().argmax())
    good = data.train[part["chosen"][first]].permute(1, 2, 0).cpu().numpy()
    target, rebuilt = (_enlarged(part[name], image.shape[:2]) for name in ("target", "rebuilt"))
    low, high = value_range([target, rebuilt])
    painted = [_painted(m, low, high) for m in (target, rebuilt)]
    cells = [
        (good, None),
        (image, mask),
        *((p, mask) for p in painted),
        (scores, mask),
        (image, mask),
    ]
    span, heat = f"{low:.2g} to {high:.2g}", f"{scores.min():.2g} to {scores.max():.2g}"
    return cells, {0: f"weight {part['weights'][first]:+.2f}", 2: span, 3: span, 4: heat}


def _enlarged(values: Float[Tensor, "h w"], shape: tuple[int, ...]) -> np.ndarray:
    """A feature map at the size of its image, its positions still seen as squares."""
    return F.interpolate(values[None, None].cpu(), shape, mode="nearest")[0, 0].numpy()


def _painted(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """A map as colours, (h, w, 3), so that several can share one range."""
    from matplotlib import colormaps

    return colormaps[FEATURES](Normalize(low, high)(values))[..., :3]
