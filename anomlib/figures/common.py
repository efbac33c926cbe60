"""Pictures that every method shares: images, masks, maps and tables of rows in, figures out."""

import io
import textwrap
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Markdown
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..api import Dataset, Maps, Masks
from ..metrics import aupro, label_regions, otsu

HEAT = "magma"  # anomaly maps
FEATURES = "viridis"  # maps that are no anomaly maps
# title -> cells from top to bottom: a picture or a map, and the mask to outline on it
Columns = dict[str, list[tuple[np.ndarray, np.ndarray | None]]]
CONTOUR = "#39ff14"  # seen on dark and light textures alike

# One colour and marker per method in every figure; floors are grey. Okabe and Ito's colours first,
# which the colour-blind tell apart, then four that are farthest from them in simulated eyes.
PALETTE = {
    "ssdnet": "#d55e00",
    "spectral_residual": "#0072b2",
    "pg_lsr": "#009e73",
    "glcm": "#cc79a7",
    "rpca": "#e69f00",
    "winclip": "#56b4e9",
    "subspace": "#000000",
    "spade": "#9dc183",
    "padim": "#332288",
    "patchcore": "#b2182b",
    "stfpm": "#8c564b",
    "fastflow": "#7f3c8d",
    "dsr": "#17becf",
    "random": "#999999",
    "pixelmean": "#4d4d4d",
}
OTHERS = ["#bcbd22", "#637939", "#aec7e8", "#ff9896"]  # methods that the palette does not name
MARKERS = "osD^vPX<>ph*dH81"
DASHES: list[Any] = ["-", "--", "-.", (0, (1, 1.2))]
VARIANTS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]


class Picture(Figure):
    """A figure that a notebook shows by itself, once, with no global state of pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        FigureCanvasAgg(self).print_png(buffer)
        return buffer.getvalue()


class Photo(Figure):
    """The same for photographs and maps, whose PNG would be five times as large."""

    def _repr_jpeg_(self) -> bytes:
        buffer = io.BytesIO()
        FigureCanvasAgg(self).print_jpg(buffer, pil_kwargs={"quality": 70})
        return buffer.getvalue()


def examples(data: Dataset, maps: Maps, chosen: list[int]) -> Photo:
    """Chosen test images: image with mask contour, heat map with mask contour, Otsu's mask."""
    columns: Columns = {}
    for i in chosen:
        image, scores = to_numpy(data, i), maps[i].float().cpu().numpy()
        mask = None if data.masks is None else data.masks[i].cpu().numpy()
        columns[data.paths[i]] = [(image, mask), (scores, mask), (otsu(scores), None)]
    return grid(columns, ["image", "anomaly map", "Otsu"])


def gallery(
    image: np.ndarray, mask: np.ndarray | None, maps: dict[str, np.ndarray], title: str
) -> Photo:
    """One image beside the maps and Otsu masks of several methods."""
    columns: Columns = {title: [(image, None), (image if mask is None else mask, None)]}
    for method, scores in maps.items():
        columns[method] = [(scores, mask), (otsu(scores), None)]
    return grid(columns, ["image and maps", "mask and Otsu"])


def to_numpy(data: Dataset, i: int) -> np.ndarray:
    """Test image i as (h, w, 3) in [0, 1], missing pixels black."""
    return data.test[i].permute(1, 2, 0).nan_to_num(0).cpu().numpy()


def grid(columns: Columns, names: list[str]) -> Photo:
    """A column per title; each cell is an image or a map, with the contour of a mask or none."""
    width = 1.7
    figure = Photo(figsize=(width * len(columns) + 0.3, width * len(names) + 0.4), dpi=90)
    axes = figure.subplots(len(names), len(columns), squeeze=False)
    for j, (title, cells) in enumerate(columns.items()):
        axes[0, j].set_title(title, fontsize=7)
        for i, (picture, mask) in enumerate(cells):
            how = (
                {"cmap": "gray", "vmin": 0, "vmax": 1} if picture.dtype == bool else {"cmap": HEAT}
            )
            axes[i, j].imshow(picture, interpolation="nearest", **how)
            if mask is not None and mask.any() and not mask.all():
                axes[i, j].contour(mask, levels=[0.5], colors=CONTOUR, linewidths=0.7)
            axes[i, j].set(xticks=[], yticks=[])
    for i, name in enumerate(names):
        axes[i, 0].set_ylabel(name, fontsize=7)
    figure.set_layout_engine("constrained")
    return figure


def contact_sheet(data: Dataset, per_kind: int) -> Photo:
    """The first test images of each kind, with the outline of their masks."""
    kinds: dict[str, list[int]] = {}
    for i, path in enumerate(data.paths):
        kinds.setdefault(path.partition("/")[0], []).append(i)
    columns: Columns = {
        kind: [(to_numpy(data, i), None if data.masks is None else data.masks[i].cpu().numpy())
               for i in found[:per_kind]]
        for kind, found in sorted(kinds.items(), key=lambda k: k[0] != "good")
    }  # fmt: skip
    return grid(columns, [f"{data.category} {i + 1}" for i in range(per_kind)])


# ---- one pass: pictures with arrows


def one_pass(steps: list[tuple[str, np.ndarray]], features: tuple[int, ...] = ()) -> Photo:
    """The pictures of one pass through a method in their order, with an arrow into each.

    Args:
        steps: title and picture; a picture is RGB (h, w, 3), a mask of booleans (h, w), or a map
            (h, w), which is scaled to its own range and has that range written under it.
        features: places, from 0, of the maps that are no anomaly maps; they have colours of their
            own and share one range, so that they can be compared.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not steps:
        raise ValueError("there are no pictures to draw")
    lines = -(-len(steps) // 4)  # more than four side by side are too small to see a defect
    across = -(-len(steps) // lines)
    figure = Photo(figsize=(0.3 + 2.15 * across, 2.55 * lines), dpi=110)
    cells = figure.subplots(lines, across, squeeze=False).ravel()
    limits = value_range([steps[i][1] for i in features]) if features else None
    for i, (axes, (title, picture)) in enumerate(zip(cells, steps, strict=False)):
        show(axes, picture, limits if i in features else None)
        axes.set_title(textwrap.fill(f"{i + 1}. {title}", 28), fontsize=8)
        if i:
            arrow(axes, (-0.18, 0.5), (-0.03, 0.5), "axes fraction")
    for axes in cells[len(steps) :]:
        axes.set_axis_off()
    left = 0.4 / figure.get_figwidth() if lines > 1 else 0.0  # the layout does not see arrows
    figure.set_layout_engine(
        "constrained", w_pad=0.03, wspace=0.2, hspace=0.06, rect=(left, 0, 0.99 - left, 1)
    )
    return figure


def value_range(maps: list[np.ndarray]) -> tuple[float, float]:
    """The lowest and the highest value of several maps together."""
    return float(min(np.nanmin(m) for m in maps)), float(max(np.nanmax(m) for m in maps))


def show(axes: Axes, picture: np.ndarray, limits: tuple[float, float] | None = None) -> None:
    """A picture, mask or map as in `one_pass`; `limits` make it a feature map of that range."""
    axes.set(xticks=[], yticks=[])
    if picture.ndim == 3:
        axes.imshow(np.nan_to_num(picture).clip(0, 255 if picture.dtype == np.uint8 else 1))
    elif picture.dtype == bool:  # fixed limits, or a mask that is true everywhere would be black
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    else:
        low, high = limits or value_range([picture])
        how = {"cmap": FEATURES if limits else HEAT, "vmin": low, "vmax": high}
        axes.imshow(picture, interpolation="nearest", **how)
        axes.set_xlabel(f"{low:.2g} to {high:.2g}", fontsize=8)


def arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    coordinates: str = "data",
    style: str = "arc3",
) -> None:
    """An arrow, also outside the axes, such as between two of them."""
    look = {"arrowstyle": "-|>", "color": "0.3", "shrinkA": 0, "shrinkB": 0}
    axes.annotate(
        "", end, start, coordinates, coordinates, look | {"connectionstyle": style},
        annotation_clip=False,
    )  # fmt: skip


# ---- lines: looks, checks, legend


def styles(methods: list[str]) -> dict[str, dict[str, Any]]:
    """How each method's line is drawn, in the order of the palette.

    The name gives colour and marker, the stars behind it give dashes and an empty marker, so that
    a method and its departing settings are told apart, with or without colour.
    """
    slugs = {name: name.rstrip("* †") for name in methods}
    unknown = sorted(set(slugs.values()) - set(PALETTE))
    known = [*PALETTE, *unknown]
    looks: dict[str, dict[str, Any]] = {}
    for name in sorted(methods, key=lambda n: (known.index(slugs[n]), n)):
        slug, stars = slugs[name], name.count("*")
        color = PALETTE.get(slug) or OTHERS[unknown.index(slug) % len(OTHERS)]
        looks[name] = {
            "color": color,
            "marker": MARKERS[known.index(slug) % len(MARKERS)],
            "linestyle": DASHES[stars % len(DASHES)],
            "markerfacecolor": "white" if stars else color,
        }
    return looks


def checked(table: pd.DataFrame, columns: list[str], value: str) -> pd.DataFrame:
    """The table, its departing methods starred, or a ValueError that says what it lacks."""
    if table.empty:
        raise ValueError(f"there is nothing to draw: the table for {value} has no rows")
    missing = [c for c in (*columns, value) if c not in table]
    if missing:
        raise ValueError(f"the table lacks {', '.join(missing)}; it has {', '.join(table)}")
    if table[value].isna().all():
        raise ValueError(f"there is nothing to draw: no row has a value of {value}")
    if {"method", "settings"} <= set(table) and not table["method"].str.contains("[*†]").any():
        return starred(table.reset_index(drop=True))  # it needs the lines numbered once
    return table


def finish(figure: Picture, axes: Axes, title: str) -> None:
    """Sizes of letters, a grid, and the legend beside the axes, where it hides nothing."""
    axes.tick_params(labelsize=8)
    axes.set_xlabel(axes.get_xlabel(), fontsize=9)
    axes.set_ylabel(axes.get_ylabel(), fontsize=9)
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    figure.set_layout_engine("constrained")
    figure.legend(
        loc="outside right upper", fontsize=8, title=title, title_fontsize=8, handlelength=3.2
    )


# ---- rows


def starred(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows with a star behind each method whose settings depart from the paper.

    A method's second and further departing settings get two and more stars, so that a mean over
    a name is never a mean over different settings. A dagger is one model for several categories.
    """
    kinds = rows[["method", "settings"]].drop_duplicates(ignore_index=True)
    departing = kinds[kinds["settings"] != "paper"]
    stars = (
        (departing.groupby("method").cumcount() + 1).map(lambda n: " " + "*" * n).astype(object)
    )
    names = kinds.assign(name=kinds["method"] + stars.reindex(kinds.index, fill_value=""))
    found = rows.merge(names, on=["method", "settings"])
    if "trained_on" in rows:
        found["name"] = found["name"].where(found["trained_on"] == "own", found["name"] + " †")
    return found.assign(method=found["name"]).drop(columns="name")


def stars(rows: pd.DataFrame) -> object:
    """Which settings stand behind each name that `starred` gives; for display."""
    names = starred(rows)[["method", "settings"]].drop_duplicates()
    return names.sort_values("method").style.hide()


def table(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean over seeds of one metric: a line per dataset and category, a column per method."""
    chosen = starred(rows[rows["metric"] == metric])
    by = ["profile", "dataset", "category", "method"]
    cells = chosen.groupby(by, sort=False)["value"].mean().unstack("method")
    return cells.rename_axis(columns=None)


def shaded(cells: pd.DataFrame, low: float = 0.5, high: float = 1.0) -> object:
    """A table of numbers whose background says how high they are; for display in a notebook."""
    style = cells.style.format("{:.3f}", na_rep="")
    style = style.background_gradient("YlGnBu", axis=None, vmin=low, vmax=high)
    return style.highlight_null("transparent")


def by_dataset(rows: pd.DataFrame, metric: str) -> Picture:
    """One dot per category and seed, a colour per method, a panel per dataset."""
    chosen = rows[rows["metric"] == metric]
    names = list(dict.fromkeys(chosen["profile"] + ": " + chosen["dataset"]))
    figure = Picture(figsize=(8, 0.6 + 0.55 * len(names)), dpi=110)
    axes = figure.subplots()
    sns.stripplot(
        data=chosen.assign(data=chosen["profile"] + ": " + chosen["dataset"]),
        x="value", y="data", hue="method", order=names, dodge=True, size=4, ax=axes,
    )  # fmt: skip
    axes.axvline(0.5, color="0.6", linewidth=0.8, linestyle=":")
    axes.set(xlabel=metric, ylabel="")
    axes.legend(fontsize=7, loc="best")
    axes.tick_params(labelsize=7)
    figure.set_layout_engine("constrained")
    return figure


def threshold_figure(maps: Maps, masks: Masks, most: int) -> Picture:
    """AU-PRO of S^p over p: exact, and with 200 thresholds equally spaced in the score."""
    powers = list(range(1, most + 1))
    scores = (maps / maps.max()).double()
    exact = [aupro(scores**p, masks) for p in powers]
    spaced = [_spaced_aupro((scores**p).numpy(), masks.numpy()) for p in powers]
    figure = Picture(figsize=(5, 3), dpi=110)
    axes = figure.subplots()
    axes.plot(powers, exact, "o-", label="exact (ours)")
    axes.plot(powers, spaced, "s--", label="200 equally spaced thresholds")
    axes.set(xlabel="power p applied to all scores", ylabel="AU-PRO", ylim=(0, 1))
    axes.legend(fontsize=8)
    figure.set_layout_engine("constrained")
    return figure


def _spaced_aupro(scores: np.ndarray, masks: np.ndarray, count: int = 200) -> float:
    """The shortcut, for the figure above: thresholds at equal steps from lowest to highest."""
    regions = label_regions(masks)
    area = np.bincount(regions.ravel())[1:]
    rates, overlaps = [0.0], [0.0]
    for threshold in np.linspace(scores.max(), scores.min(), count):
        above = scores >= threshold
        rates.append(float((above & ~masks).sum() / (~masks).sum()))
        hits = np.bincount(regions[above], minlength=len(area) + 1)[1:]
        overlaps.append(float((hits / area).mean()))
    grid_ = np.linspace(0, 0.3, 1001)
    return float(np.trapezoid(np.interp(grid_, rates, overlaps), grid_) / 0.3)


def resize_effect(rows: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Rows of a dataset and of its `+plain` twin side by side, and their difference."""
    by = ["method", "settings", "category", "metric"]
    twins = rows[rows["dataset"].isin([dataset, f"{dataset}+plain"])]
    twins = twins[twins["metric"].isin(["image_auroc", "pixel_auroc", "pixel_ap", "aupro"])]
    wide = twins.pivot_table(index=by, columns="dataset", values="value").rename_axis(columns=None)
    if wide.shape[1] < 2:
        return wide.iloc[:0]
    wide = wide.dropna().rename(columns={dataset: "antialiased", f"{dataset}+plain": "plain"})
    return wide.assign(difference=wide["plain"] - wide["antialiased"]).round(4)


def pooled_or_mean(rows: pd.DataFrame) -> pd.DataFrame:
    """Pooled pixel AUROC and AP beside their means over images, per method and dataset."""
    names = ["pixel_auroc", "mean_image_pixel_auroc", "pixel_ap", "mean_image_pixel_ap"]
    chosen = starred(rows[rows["metric"].isin(names)])
    by = ["profile", "dataset", "method"]
    means = chosen.groupby([*by, "metric"], sort=False)["value"].mean().unstack("metric")
    return means.reindex(columns=names).rename_axis(columns=None).round(3)


def reading(rows: pd.DataFrame, images: pd.DataFrame, seconds: dict[str, float]) -> Markdown:
    """What a run's numbers say, in three sentences computed from them."""
    values = rows.groupby("metric")["value"].mean()  # of a unified run over its categories
    parts = [f"{name} {values[name]:.3f}" for name in ("image_auroc", "pixel_auroc", "pixel_ap")
             if name in values]  # fmt: skip
    text = [f"On {len(images)} test images: {', '.join(parts) or 'no metric is defined'}."]
    kinds = images[images["label"] == 1].groupby("kind").mean(numeric_only=True)
    if "pixel_ap" in kinds and kinds["pixel_ap"].notna().any():
        ranked = kinds["pixel_ap"].sort_values()
        text.append(
            f"Best found is *{ranked.index[-1]}* (mean AP {ranked.iloc[-1]:.2f}), "
            f"worst *{ranked.index[0]}* ({ranked.iloc[0]:.2f})."
        )
    per_image = seconds["map"] / len(images)
    text.append(f"Fitting took {seconds['fit']:.1f} s, a map {per_image:.2f} s.")
    return Markdown(" ".join(text))
