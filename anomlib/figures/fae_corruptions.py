"""FAE's corruption model by its axes, what curves in it change, and what a training step costs.

References:
    | Noise & Pattern: Identity-Anchored Tikhonov Regularization for Robust Structural Anomaly
    | Detection (Bauer & Mueller, 2025): Figures 5 and 7, Remark 2, Sec. 3.2
"""

import numpy as np
import pandas as pd
from IPython.display import Markdown
from torch import Tensor

from ..api import Images
from .common import HEAT, VARIANTS, Columns, Photo, Picture, grid, value_range

# ---- Sec. 3.2: seconds per step

PLACE = ["profile", "device", "threads", "width", "blocks", "size", "batch"]


def steps(costs: pd.DataFrame) -> object:
    """Median milliseconds of each kind of step, and its ratio to one without noise; for display.

    A ratio is the median of the ratios within a repeat; beside it their quartiles.
    """
    lines = costs.sort_values("repeat")
    seconds = lines.pivot_table(index=[*PLACE, "repeat"], columns="what", values="seconds")
    ratios = seconds.div(seconds["none"], axis=0).stack()
    times = seconds.stack().groupby([*PLACE, "what"]).median() * 1000
    by = ratios.groupby([*PLACE, "what"])
    table = pd.DataFrame({"ms": times, "ratio to none": by.median()})
    table["quartiles"] = [
        f"{low:.2f} to {high:.2f}"
        for low, high in zip(by.quantile(0.25), by.quantile(0.75), strict=True)
    ]
    order = {what: i for i, what in enumerate(dict.fromkeys(costs["what"]))}
    table = table.reset_index().sort_values(
        [*PLACE, "what"], key=lambda c: c.map(order) if c.name == "what" else c
    )
    table = table.set_index([*PLACE, "what"])
    return table.style.format({"ms": "{:.1f}", "ratio to none": "{:.3f}"})


# ---- Figure 5: the axes of the corruption model


def axis(found: dict[str, tuple[Images, Tensor]]) -> Photo:
    """Occluded images of each value of an axis, and below them how much is covered, white all."""
    columns: Columns = {}
    for value, (images, masks) in found.items():
        for k, (image, mask) in enumerate(zip(images, masks, strict=True), start=1):
            grey = mask.cpu().numpy()[..., None].repeat(3, axis=-1)
            name = f"{value} ({k})" if len(images) > 1 else value
            columns[name] = [(image.permute(1, 2, 0).cpu().numpy(), None), (grey, None)]
    return grid(columns, ["occluded", "mask"])


def measures(masks: pd.DataFrame) -> object:
    """The middle of many draws and their range from 10 to 90 %, a line per value; for display."""
    by = masks.groupby(["axis", "value"], sort=False)
    shown = pd.DataFrame(index=by.size().index)
    names = {
        "covered": ("share of the image covered", 3),
        "thickness": ("mean thickness, px", 1),
        "outline": ("width of the outline, px", 1),
    }
    for name, (title, digits) in names.items():
        low, middle, high = (by[name].quantile(q) for q in (0.1, 0.5, 0.9))
        shown[title] = [
            f"{m:.{digits}f} ({a:.{digits}f} to {b:.{digits}f})"
            for a, m, b in zip(low, middle, high, strict=True)
        ]
    shown["draws that hide a pixel fully"] = (
        (masks["most"] > 0.999)
        .groupby([masks["axis"], masks["value"]], sort=False)
        .mean()
        .map("{:.0%}".format)
    )
    return shown.style


# ---- Figure 7: with curves in training, and without

WORDS = {"ellipses": "ellipses only", "both": "with curves"}
# name -> which lines, what of them, and whether more is better
MEASURES = {
    "left of thin curves": ("curves", "share", False),
    "left of ellipses (control)": ("ellipses", "share", False),
    "pixel AUROC, thin defects": ("thin", "auroc", True),
    "pixel AUROC, other defects": ("broad", "auroc", True),
}
NETWORK = ["profile", "dataset", "category", "seed"]


def restorations(rows: dict[str, list[np.ndarray]]) -> Photo:
    """Figure 7: a line per defect; both maps of a line share one range.

    Args:
        rows: title -> input, restored without and with curves, the maps of both, the mask.

    Raises:
        ValueError: there are no defects.
    """
    if not rows:
        raise ValueError("there are no thin defects to draw")
    figure = Photo(figsize=(10.5, 0.3 + 1.9 * len(rows)), dpi=100)
    cells = figure.subplots(len(rows), 6, squeeze=False)
    titles = ["input", "defect"]
    titles += [f"{what}, {words}" for what in ("restored", "map") for words in WORDS.values()]
    for line, (title, (image, *pictures, mask)) in zip(cells, rows.items(), strict=True):
        low, high = value_range(pictures[2:])
        for axes, picture in zip(line, [image, mask, *pictures], strict=True):
            how = {"cmap": HEAT, "vmin": low, "vmax": high}
            how = {"cmap": "gray", "vmin": 0, "vmax": 1} if picture.dtype == bool else how
            axes.imshow(picture.clip(0, 1) if picture.ndim == 3 else picture, **how)
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(title, fontsize=7)
    for axes, name in zip(cells[0], titles, strict=True):
        axes.set_title(name, fontsize=8)
    figure.set_layout_engine("constrained")
    return figure


def networks(lines: pd.DataFrame) -> pd.DataFrame:
    """Each network's four measures: a line per profile, category, seed, measure; two columns.

    What is left is the sum over all images by the sum of what was painted.
    """
    kind = lines["kind"].where(
        lines["kind"] != "defect", lines["thin"].map({True: "thin", False: "broad"})
    )
    by = lines.assign(group=kind).groupby([*NETWORK, "group", "trained"])
    sums = by[["left", "painted"]].sum()
    values = {"share": sums["left"] / sums["painted"], "auroc": by["pixel_auroc"].mean()}
    parts = {
        name: values[what].xs(group, level="group").unstack("trained")
        for name, (group, what, _) in MEASURES.items()
        if group in set(kind)
    }
    return pd.concat(parts, names=["measure"]).reorder_levels([*NETWORK, "measure"])


def agreement(lines: pd.DataFrame) -> pd.DataFrame:
    """By profile, category and measure: means over seeds, and in how many curves are better."""
    found = networks(lines)
    better = {name: more for name, (_, _, more) in MEASURES.items()}
    sign = found.index.get_level_values("measure").map(lambda m: 1 if better[m] else -1)
    gain = (found["both"] - found["ellipses"]) * sign
    by = ["profile", "dataset", "category", "measure"]
    shown = found.groupby(by, sort=False).mean().rename(columns=WORDS)[list(WORDS.values())]
    groups = gain.groupby(by, sort=False)
    shown["better with curves"] = [f"{int((g > 0).sum())} of {len(g)}" for _, g in groups]
    thin = lines[lines["thin"]].groupby(by[:3])["path"].nunique()
    counts = [
        thin.get(place[:3], 0) if "thin" in place[3] and "AUROC" in place[3] else None
        for place in shown.index
    ]
    return shown.assign(**{"thin defects": pd.array(counts, dtype="Int64")})


def agreement_table(lines: pd.DataFrame) -> object:
    """`agreement` for display."""
    return agreement(lines).style.format(precision=3, na_rep="")


def paired(lines: pd.DataFrame) -> Picture:
    """A panel per measure, a line per category and seed from one network to the other."""
    found = networks(lines)
    names = [n for n in MEASURES if n in set(found.index.get_level_values("measure"))]
    figure = Picture(figsize=(2.5 * len(names), 3), dpi=110)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    where = found.reset_index()[["dataset", "category"]].drop_duplicates()
    places = [*where.itertuples(index=False, name=None)]
    for axes, name in zip(panels, names, strict=True):
        for (_, dataset, category, _), line in found.xs(name, level="measure").iterrows():
            k = places.index((dataset, category))
            axes.plot(
                [0, 1],
                line[list(WORDS)],
                color=VARIANTS[k % len(VARIANTS)],
                marker="osD^vP"[k % 6],
                markersize=4,
                linewidth=0.9,
                label=category,
            )
        axes.set(xlim=(-0.3, 1.3), xticks=[0, 1], xticklabels=list(WORDS.values()))
        values = found.xs(name, level="measure").to_numpy()  # ranges that let a small gap be small
        limits = (
            (min(0.5, values.min()) - 0.05, 1) if MEASURES[name][2] else (0, 1.1 * values.max())
        )
        axes.set_ylim(*limits)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.grid(color="0.9", linewidth=0.6)
    handles = {str(h.get_label()): h for h in panels[0].get_lines()}
    figure.legend(
        handles.values(), handles, loc="outside lower center", ncols=len(places), fontsize=8
    )
    figure.set_layout_engine("constrained")
    return figure


def reading(lines: pd.DataFrame) -> Markdown:
    """Do seeds agree? A sentence per measure, computed from the table of one profile."""
    found, said = networks(lines), []
    for name, (_, _, more) in MEASURES.items():
        if name not in found.index.get_level_values("measure"):
            continue
        part = found.xs(name, level="measure")
        gain = (part["both"] - part["ellipses"]) * (1 if more else -1)
        wins = int((gain > 0).sum())
        verdict = "all agree" if wins in (0, len(gain)) else "they do not agree"
        verdict = "a single pair" if len(gain) == 1 else verdict
        means = f"{part['both'].mean():.3f} with curves, {part['ellipses'].mean():.3f} without"
        said.append(
            f"- *{name}*: {means}; better with curves in {wins} of {len(gain)} pairs of networks"
            f" ({verdict})."
        )
    return Markdown("\n".join(said))
