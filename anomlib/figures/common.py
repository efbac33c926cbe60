"""Pictures that every method shares: images, masks, maps and tables of rows in, figures out."""

import io

import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Markdown
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..api import Dataset, Maps, Masks
from ..metrics import aupro, label_regions, otsu

HEAT = "magma"
# title -> cells from top to bottom: a picture or a map, and the mask to outline on it
Columns = dict[str, list[tuple[np.ndarray, np.ndarray | None]]]
CONTOUR = "#39ff14"  # seen on dark and light textures alike


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


def starred(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows with a star behind each method whose settings depart from the paper.

    A method's second and further departing settings get two and more stars, so that a mean over
    a name is never a mean over different settings.
    """
    kinds = rows[["method", "settings"]].drop_duplicates(ignore_index=True)
    departing = kinds[kinds["settings"] != "paper"]
    stars = (departing.groupby("method").cumcount() + 1).map(lambda n: " " + "*" * n)
    names = kinds.assign(name=kinds["method"] + stars.reindex(kinds.index).fillna(""))
    found = rows.merge(names, on=["method", "settings"])
    return found.assign(method=found["name"]).drop(columns="name")


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
    values = rows.set_index("metric")["value"]
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
