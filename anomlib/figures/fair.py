"""The drawings of FAIR's signal processing: filters, ringing, energy, gradients, pasted pieces.

References:
    | FAIR: Frequency-aware Image Restoration for Industrial Visual Anomaly Detection
    | (Liu et al., 2023), Figures 5, 6, 9 and 10

Curves are drawn from the table of `studies.fair.table`, pictures from its tensors. Frequencies
are in cycles per 256 pixels.
"""

from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from .common import DASHES, VARIANTS, Photo, Picture, checked, finish

FILTERS = {  # name -> how it is called, colour, dashes of plotly and of matplotlib
    "ideal": ("ideal", "#d55e00", "solid", DASHES[0]),
    "butterworth3": ("Butterworth, order 3", "#cc79a7", "dash", DASHES[1]),
    "butterworth2": ("Butterworth, order 2", "#0072b2", "dashdot", DASHES[2]),
    "gaussian": ("Gaussian", "#009e73", "dot", DASHES[3]),
}
FREQUENCY = "frequency D, cycles per 256 pixels"
KERNELS = {"difference": "central difference", "sobel3": "Sobel 3 x 3", "sobel5": "Sobel 5 x 5"}
PASTED = {
    "text": "pasted, as the text says",
    "released": "pasted, as the code cuts it",
}
VIEWS = {"grey": "grey image", "g_x": "$g_x$", "g_y": "$g_y$", "bhpf": "Butterworth, order 2"}
SIGNED = "RdBu_r"  # blue is negative; told apart by the colour-blind, too
CUTOFFS = (10, 30, 60, 90)  # Table 8

# Figure 5: transfer functions and impulse responses


def responses(lines: pd.DataFrame, name: str = "fair-filters", first: float = 30.0) -> HTML:
    """Figure 5, with a slider for the cutoff; a click on the legend hides a filter.

    The script of plotly itself is not part of it: `book/_ext/plotly_js.py` loads it.

    Args:
        name: of the figure in its page.
        first: the cutoff that is shown before anyone moves the slider.
    """
    from plotly.subplots import make_subplots  # takes a second, and only this figure needs it

    part = checked(lines[lines["item"] == "figure5"], ["kind", "cutoff", "quantity", "x"], "value")
    cutoffs = sorted(part["cutoff"].unique().tolist())
    if first not in cutoffs:
        raise ValueError(f"the cutoffs are {', '.join(map(str, cutoffs))}, not {first}")
    titles = ["transfer function", "impulse response"]
    figure = make_subplots(rows=1, cols=2, subplot_titles=titles, horizontal_spacing=0.12)
    for column, quantity in enumerate(("transfer", "impulse"), 1):
        for kind in FILTERS:
            figure.add_trace(_curve(part, kind, first, quantity), row=1, col=column)
    steps = [_step(part, cutoff) for cutoff in cutoffs]
    label = {"prefix": "cutoff D<sub>0</sub> = ", "suffix": " cycles per 256 pixels"}
    figure.update_layout(
        template="plotly_white", height=480, font={"size": 14}, shapes=[_marked(first)],
        margin={"l": 70, "r": 20, "t": 50, "b": 20}, paper_bgcolor="white",
        legend={"orientation": "h", "y": -0.22, "yanchor": "top", "x": 0.5, "xanchor": "center"},
        sliders=[{"active": cutoffs.index(first), "steps": steps, "pad": {"t": 110},
                  "currentvalue": label}],
    )  # fmt: skip
    _frames(figure)
    # a name of its own, or the page would differ each time it is made
    options = {"include_plotlyjs": False, "full_html": False, "div_id": name}
    config = {"displayModeBar": False, "responsive": True}
    return HTML(figure.to_html(config=config, **options))


def _frames(figure: Any) -> None:
    """Titles and ranges that hold for every cutoff, so that curves move and axes do not."""
    figure.update_xaxes(title_text=FREQUENCY, range=[0, 128], row=1, col=1)
    figure.update_yaxes(title_text="H(D), 0 to 1", range=[-0.03, 1.05], row=1, col=1)
    figure.update_xaxes(title_text="distance, pixels", range=[0, 48], row=1, col=2)
    figure.update_yaxes(
        title_text="response of 1 - H / its peak", range=[-0.2, 0.6], zerolinecolor="#777777",
        row=1, col=2,
    )  # fmt: skip


def _values(part: pd.DataFrame, kind: str, cutoff: float, quantity: str) -> pd.DataFrame:
    chosen = (part["kind"] == kind) & (part["cutoff"] == cutoff) & (part["quantity"] == quantity)
    if not chosen.any():
        raise ValueError(f"the table has no {quantity} of {kind} at cutoff {cutoff:g}")
    return part[chosen].sort_values("x")


def _curve(part: pd.DataFrame, kind: str, cutoff: float, quantity: str) -> dict[str, Any]:
    name, color, dash, _ = FILTERS[kind]
    found = _values(part, kind, cutoff, quantity)
    unit = "D" if quantity == "transfer" else "px"
    shape = "vh" if (kind, quantity) == ("ideal", "transfer") else "linear"  # it jumps
    return {
        "type": "scatter", "mode": "lines", "name": name, "legendgroup": kind,
        "showlegend": quantity == "transfer",
        "line": {"color": color, "dash": dash, "width": 3, "shape": shape},
        "x": found["x"].tolist(), "y": found["value"].round(4).tolist(),
        "hovertemplate": f"{name}: %{{y:.3f}} at %{{x}} {unit}<extra></extra>",
    }  # fmt: skip


def _step(part: pd.DataFrame, cutoff: float) -> dict[str, Any]:
    """New heights of all curves, so that a filter hidden in the legend stays hidden."""
    heights = [
        _values(part, kind, cutoff, quantity)["value"].round(4).tolist()
        for quantity in ("transfer", "impulse")
        for kind in FILTERS
    ]
    change = [{"y": heights}, {"shapes": [_marked(cutoff)]}]
    return {"label": f"{cutoff:g}", "method": "update", "args": change}


def _marked(cutoff: float) -> dict[str, Any]:
    """A thin line at the cutoff."""
    line = {"color": "#777777", "width": 1.5, "dash": "dot"}
    return {"type": "line", "xref": "x", "yref": "y", "x0": cutoff, "x1": cutoff,
            "y0": 0, "y1": 1, "line": line}  # fmt: skip


def ringing_table(lines: pd.DataFrame) -> object:
    """How much of each impulse response is negative, and how far it reaches; for display."""
    asked = lines["quantity"].isin(["negative_share", "radius_95"])
    part = checked(lines[asked], ["kind", "cutoff", "quantity"], "value")
    words = {"negative_share": "negative share", "radius_95": "radius of 95 %, pixels"}
    part = part.assign(quantity=part["quantity"].map(words), kind=part["kind"].map(_called))
    table = part.pivot_table(
        index="kind", columns=["quantity", "cutoff"], values="value", sort=False
    )
    table = table.rename_axis("filter").sort_index(axis=1)
    digits = {c: "{:.3f}" if c[0] == "negative share" else "{:.1f}" for c in table}
    return table.style.format(digits).format_index("{:g}", axis=1, level="cutoff")


def _called(kind: str) -> str:
    return FILTERS[kind][0]


def impulses(found: dict[str, Float[Tensor, "n n"]], far: int = 32, most: float = 0.05) -> Photo:
    """Figure 5's impulse responses as pictures, negative values blue.

    Args:
        found: filter -> the impulse response of 1 - H, its origin in the middle.
        far: how many pixels around the origin are shown.
        most: where colours end, as a share of the peak, so that weak rings can be seen.
    """
    figure = Photo(figsize=(2.35 * len(found) + 0.6, 2.9), dpi=110)
    cells = figure.subplots(1, len(found), squeeze=False)[0]
    for axes, (kind, h) in zip(cells, found.items(), strict=True):
        middle, edge = len(h) // 2, far + 0.5
        cut = (h / h.max())[middle - far : middle + far + 1, middle - far : middle + far + 1]
        how = {"cmap": SIGNED, "vmin": -most, "vmax": most, "extent": (-edge, edge, edge, -edge)}
        axes.imshow(cut.numpy(), interpolation="nearest", **how)
        axes.set_title(_called(kind), fontsize=10)
        axes.set_xlabel("x, pixels", fontsize=9)
        axes.tick_params(labelsize=8, labelleft=axes is cells[0])
    cells[0].set_ylabel("y, pixels", fontsize=9)
    bar = figure.colorbar(cells[0].images[0], ax=cells.tolist(), shrink=0.75, extend="both")
    bar.set_label("response / its peak", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    figure.set_layout_engine("constrained")
    return figure


# Figure 6: ringing


def edge_lines(lines: pd.DataFrame) -> Picture:
    """What each filter makes of an edge from 0 to 1, pixel by pixel."""
    part = checked(lines[lines["quantity"] == "edge"], ["kind", "x", "cutoff"], "value")
    figure = Picture(figsize=(8, 3.6), dpi=110)
    axes = figure.subplots()
    for kind, (name, color, _, dashes) in FILTERS.items():
        line = part[part["kind"] == kind].sort_values("x")
        axes.plot(line["x"], line["value"], color=color, linestyle=dashes, label=name, lw=2)
    axes.axhline(0, color="0.5", linewidth=0.8)
    axes.set(xlabel="distance from the edge, pixels", ylabel="filtered grey value")
    finish(figure, axes, f"high-pass filter,\ncutoff {part['cutoff'].iloc[0]:g}")
    return figure


def ringing(images: Float[Tensor, "n 3 h w"], seen: dict[str, Float[Tensor, "n 1 h w"]]) -> Photo:
    """Figure 6: a row per image, a column per filter; one range of grey values in a row.

    Args:
        seen: filter -> what it leaves of each image.
    """
    figure = Photo(figsize=(2.1 * (1 + len(seen)), 2.2 * len(images)), dpi=110)
    cells = figure.subplots(len(images), 1 + len(seen), squeeze=False)
    for i, row in enumerate(cells):
        row[0].imshow(images[i].permute(1, 2, 0).clamp(0, 1).numpy())
        left = {kind: x[i, 0].numpy() for kind, x in seen.items()}
        most = float(np.quantile(np.abs(np.stack([*left.values()])), 0.98)) or 1.0
        for axes, picture in zip(row[1:], left.values(), strict=True):
            axes.imshow(picture, cmap="gray", vmin=-most, vmax=most)
    for axes, title in zip(cells[0], ["image", *map(_called, seen)], strict=True):
        axes.set_title(title, fontsize=10)
    for axes in cells.ravel():
        axes.set(xticks=[], yticks=[])
    figure.set_layout_engine("constrained")
    return figure


# Figure 9: energy by radius


def energy(lines: pd.DataFrame) -> Picture:
    """Figure 9: energy by radius, mean removed, of each category; beside it what lies within.

    Drawn images have thin lines, real ones thick. On the left, rings are pooled to four an octave.
    """
    wanted = (lines["quantity"] == "energy_ppm") & (lines["x"] > 0)
    part = checked(lines[wanted], ["dataset", "category", "x"], "value")
    figure = Picture(figsize=(9.5, 4), dpi=110)
    each, within = figure.subplots(1, 2)
    groups = part.groupby(["dataset", "category"], sort=False)
    for k, (place, ring) in enumerate(groups):
        ring = ring.sort_values("x")
        x, share = ring["x"].to_numpy(), (ring["value"] / ring["value"].sum()).to_numpy()
        thin = str(ring["dataset"].iloc[0]).startswith("textures")
        look = {
            "color": VARIANTS[k % 7],
            "linestyle": DASHES[k // 7 % 4],
            "lw": 1 if thin else 2.4,
        }
        each.plot(*_by_octave(x, share), label=" / ".join(map(str, place)), **look)
        within.plot(x, share.cumsum(), **look)
    each.set(ylabel="share of the energy per cycle", xscale="log", yscale="log")
    within.set(ylabel="share of the energy up to D", ylim=(0, 1.02), xlim=(0, 128))
    for axes in (within, each):
        axes.set_xlabel(FREQUENCY)
        _mark_cutoffs(axes)
        figure.legends.clear()  # each call makes one; that of the lines with names stays
        finish(figure, axes, "training images,\nmean removed")
    return figure


def _by_octave(x: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean radius and energy per cycle of a quarter of an octave, up to the axes' last radius.

    Args:
        x: radii of all rings, evenly spaced; the first is the spacing.
    """
    x, share = x[x <= 128], share[x <= 128]
    band = np.floor(4 * np.log2(x) + 1e-9).astype(int)
    band -= band.min()
    count = np.bincount(band)
    full = count > 0
    radius, mean = (np.bincount(band, y)[full] / count[full] for y in (x, share / x[0]))
    return radius, mean


def _mark_cutoffs(axes: Axes) -> None:
    for cutoff in CUTOFFS:
        axes.axvline(cutoff, color="0.4", linewidth=0.8, linestyle=":")
    ticks = [*((1, 3) if axes.get_xscale() == "log" else (0,)), *CUTOFFS, 128]
    axes.set_xticks(ticks, [*map(str, ticks)])
    axes.set_xticks([], minor=True)


# 5.4 and Figure 10: image gradients


def directions(views: dict[str, Float[Tensor, "h w"]]) -> Photo:
    """Figure 10: what gradients and the paper's filter leave of an image, and of its spectrum.

    Args:
        views: as `studies.fair.directions` returns them.
    """
    figure = Photo(figsize=(2.5 * len(views) + 0.8, 5.3), dpi=110)
    above, below = cells = figure.subplots(2, len(views), squeeze=False)
    for top, bottom, (name, x) in zip(above, below, views.items(), strict=True):
        picture = x.double().numpy()
        most = float(np.quantile(np.abs(picture), 0.99)) or 1.0
        top.imshow(picture, cmap="gray", vmin=0 if name == "grey" else -most, vmax=most)
        top.set(xticks=[], yticks=[])
        top.set_title(VIEWS[name], fontsize=11)
        how = {"cmap": "magma", "vmin": -60, "vmax": 0, "extent": (-128, 128, 128, -128)}
        bottom.imshow(_decibels(picture), interpolation="nearest", **how)
        bottom.set(xticks=[-128, 0, 128], yticks=[-128, 0, 128])
        bottom.set_xlabel("u, cycles per 256 pixels", fontsize=9)
        bottom.tick_params(labelsize=8, labelleft=name == next(iter(views)))
    below[0].set_ylabel("v, cycles per 256 pixels", fontsize=9)
    bar = figure.colorbar(
        below[0].images[0], ax=cells.ravel().tolist(), shrink=0.5, extend="min", anchor=(0, 0)
    )
    bar.set_label("energy, dB below the largest", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    figure.set_layout_engine("constrained")
    return figure


def _decibels(picture: np.ndarray) -> np.ndarray:
    """|F|^2 as a share of its largest but the mean's, in dB; the origin is in the middle."""
    power = np.abs(np.fft.fft2(picture - picture.mean())) ** 2
    power = np.fft.fftshift(power) / (power.max() or 1.0)
    return 10 * np.log10(np.maximum(power, 1e-12))


def kernel_lines(lines: pd.DataFrame) -> Picture:
    """How strongly gradients pass a frequency, beside the paper's filter."""
    part = checked(lines[lines["item"] == "section5.4"], ["kind", "quantity", "x"], "value")
    share = part[part["quantity"] == "share_above_64"].set_index("kind")["value"]
    figure = Picture(figsize=(8, 3.6), dpi=110)
    axes = figure.subplots()
    for k, (kind, name) in enumerate(KERNELS.items()):
        line = part[(part["kind"] == kind) & (part["quantity"] == "amplitude")].sort_values("x")
        label = f"{name}: {share[kind]:.2f} above 64"
        axes.plot(line["x"], line["value"], color=VARIANTS[k], linestyle=DASHES[k], lw=2,
                  label=label)  # fmt: skip
    beside = _values(lines, "butterworth2", 30.0, "transfer")
    axes.plot(beside["x"], beside["value"], color="0.6", lw=1.5, label="Butterworth, order 2")
    axes.axvline(64, color="0.4", linewidth=0.8, linestyle=":")
    axes.set(xlabel=FREQUENCY, ylabel="amplitude, share of largest", ylim=(0, 1.05))
    finish(figure, axes, "share of squared\namplitude")
    return figure


# 3.1 Large CutPaste


def coverage(lines: pd.DataFrame) -> Picture:
    """How much of an image the pasted pieces cover, by each way of cutting them."""
    part = checked(lines[lines["item"] == "section3.1"], ["kind", "quantity", "x"], "value")
    figure = Picture(figsize=(8, 3.4), dpi=110)
    axes = figure.subplots()
    for k, (kind, name) in enumerate(PASTED.items()):
        mine = part[part["kind"] == kind]
        bars = mine[mine["quantity"] == "draws"].sort_values("x")
        mean = mine.loc[mine["quantity"] == "mean", "value"].iloc[0]
        steps = [*bars["x"], 1.0]
        axes.stairs(bars["value"], steps, color=VARIANTS[k], linestyle=DASHES[k], lw=2,
                    label=f"{name}:\nmean {mean:.2f}")  # fmt: skip
    axes.axvline(0.5, color="0.4", linewidth=1, linestyle=":")
    axes.set(xlabel="share of the image that is covered, 0 to 1", ylabel="share of draws")
    finish(figure, axes, "large CutPaste")
    return figure
