"""FAIR's tables and figures that come from runs: ablations, speed, spectra and restorations.

References:
    | FAIR: Frequency-aware Image Restoration for Industrial Visual Anomaly Detection
    | (Liu et al., 2023): Tables 5 to 12, Figures 1 to 4, 7 and 8
"""

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from .arms import MEASURES as ALL_MEASURES
from .arms import Arm
from .arms import ablation as ablation_of
from .arms import spread as spread_of
from .common import MARKERS, VARIANTS, Columns, Photo, Picture, grid

TASKS: dict[str, Arm] = {
    "FAIR": ({}, "fair", ""),
    "ColorRe": ({"extractor": "grey"}, "colorre", ""),
    "DeAE": ({"extractor": "none"}, "deae", ""),
    "DeAE_noskip": ({"extractor": "none", "skips": False}, "deae_noskip", ""),
}
ARMS: dict[str, dict[str, Arm]] = {
    "table5": {  # widths that two cores can train; the printed ones are 128, 64 and 32
        "c = 8": ({"width": 8}, "", ""),
        "c = 4": ({"width": 4}, "", ""),
        "c = 2": ({"width": 2}, "", ""),
    },
    "table6": TASKS,
    "table7": {
        "ideal": ({"extractor": "ideal"}, "fair", "filter=ideal;cutoff=30"),
        "Butterworth, 3": ({"order": 3}, "fair", "filter=butterworth;order=3;cutoff=30"),
        "Butterworth, 2": ({}, "fair", "filter=butterworth;order=2;cutoff=30"),
        "Gaussian": ({"extractor": "gaussian"}, "fair", "filter=gaussian;cutoff=30"),
    },
    "table8": {
        "D0 = 10": ({"cutoff": 10.0}, "fair", "filter=butterworth;order=2;cutoff=10"),
        "D0 = 30": ({}, "fair", "filter=butterworth;order=2;cutoff=30"),
        "D0 = 60": ({"cutoff": 60.0}, "fair", "filter=butterworth;order=2;cutoff=60"),
        "D0 = 90": ({"cutoff": 90.0}, "fair", "filter=butterworth;order=2;cutoff=90"),
    },
    "table10": {
        "Sobel x, 3": ({"extractor": "sobel_x"}, "fair", "filter=sobel;kernel=3;directions=x"),
        "Sobel xy, 5": (
            {"extractor": "sobel_xy", "kernel": 5},
            "fair",
            "filter=sobel;kernel=5;directions=xy",
        ),
        "Sobel xy, 3": ({"extractor": "sobel_xy"}, "fair", "filter=sobel;kernel=3;directions=xy"),
        "Butterworth, 2": ({}, "", ""),  # for comparison, not in the table
    },
    "table11": {
        "MSGMS": ({"score": "msgms"}, "fair", "score=msgms"),
        "Co": ({"score": "co"}, "fair", "score=color"),
        "Dis": ({"learned": True}, "fair", "score=discriminative"),
        "MSGMS + Co": ({}, "fair", "score=msgms+color"),
    },
    "table12": {
        "without DTD": ({"textures": "train"}, "fair", "dtd=false"),
        "with DTD": ({}, "", ""),
    },
    "start": {
        f"{name}, output starts {how}": (arm | offset, "", "")
        for name, (arm, _, _) in TASKS.items()
        if name != "DeAE_noskip"
        for how, offset in (("at 0.5", {"offset": 0.5}), ("by chance", {}))
    },
    "patches": {"as in the text": ({}, "", ""), "as released": ({"clipped": True}, "", "")},
}
PICTURED = TASKS | {
    "ideal filter": ({"extractor": "ideal"}, "", ""),
    "Gaussian filter": ({"extractor": "gaussian"}, "", ""),
}
MEASURES = {
    name: ALL_MEASURES[name] for name in ("image_auroc", "pixel_auroc", "aupro", "normal_mse")
}


# ---- ablations


def ablation(rows: pd.DataFrame, printed: pd.DataFrame, table: str) -> pd.DataFrame:
    """A table of the paper, one of ARMS, with our means beside its numbers."""
    cells = printed[printed["item"] == table]
    return ablation_of(rows, ARMS[table], MEASURES, cells)


def spread(rows: pd.DataFrame, table: str) -> pd.DataFrame:
    """Mean and standard deviation over seeds of the arms of a table."""
    return spread_of(rows, ARMS[table], [*MEASURES])


# ---- Figure 7


def similarity(lines: pd.DataFrame) -> pd.DataFrame:
    """How alike images and restorations are, by ring of frequencies: mean over the images.

    Args:
        lines: of `results.load_images`, with columns `similarity_<outer radius>` and `arm`.

    Returns:
        Columns profile, dataset, category, arm, label, radius (middle of the ring, cycles per 256
        pixels), similarity.
    """
    rings = sorted(int(c.rpartition("_")[2]) for c in lines if c.startswith("similarity_"))
    by = ["profile", "dataset", "category", "arm", "label"]
    means = lines.groupby(by, sort=False)[[f"similarity_{r}" for r in rings]].mean()
    means.columns = pd.Index([(a + b) / 2 for a, b in zip([0, *rings], rings, strict=False)])
    return means.rename_axis(columns="radius").stack().rename("similarity").reset_index()


def similarity_curves(means: pd.DataFrame) -> Picture:
    """Figure 7: good images on the left, defective ones on the right, a row per category."""
    names = means["profile"] + ": " + means["dataset"] + " / " + means["category"]
    rows, shown = list(dict.fromkeys(names)), [a for a in TASKS if a in set(means["arm"])]
    figure = Picture(figsize=(8.2, 0.5 + 2.1 * len(rows)), dpi=110)
    axes = figure.subplots(len(rows), 2, sharex=True, sharey="row", squeeze=False)
    for i, row in enumerate(rows):
        for j, kind in enumerate(("good", "defective")):
            part = means[(names == row) & (means["label"] == j)]
            for k, arm in enumerate(shown):
                line = part[part["arm"] == arm]
                look = {"color": VARIANTS[k], "marker": MARKERS[k], "markersize": 4}
                label = arm if i == j == 0 else None
                axes[i, j].plot(line["radius"], line["similarity"], label=label, **look)
            axes[i, j].set_title(f"{row}, {kind} images", fontsize=8)
            axes[i, j].grid(color="0.9", linewidth=0.6)
            axes[i, j].tick_params(labelsize=8)
    figure.supxlabel("distance from the origin, cycles per 256 pixels", fontsize=9)
    figure.supylabel("cosine similarity of the spectra", fontsize=9)
    figure.set_layout_engine("constrained")
    figure.legend(loc="outside upper right", ncols=len(shown), fontsize=8)
    return figure


def similarity_table(means: pd.DataFrame) -> object:
    """The numbers of Figure 7, a column per ring; for display."""
    kinds = means["label"].map({0: "good", 1: "defective"})
    lines = means.assign(images=kinds, radius=means["radius"].astype(int))
    key = ["profile", "dataset", "category", "images", "arm"]
    wide = lines.pivot_table(index=key, columns="radius", values="similarity", sort=False)
    return wide.style.format(precision=2)


# ---- Figure 2


def speed_bubbles(printed: pd.DataFrame) -> Picture:
    """Figure 2 as printed: detection over speed, area is the number of parameters."""
    variants = printed["variant"].fillna("").str.removeprefix("channels=")
    names = printed["method"] + variants.map(lambda c: f", c = {c}" if c else "")
    wide = printed.assign(name=names).pivot_table(
        index="name", columns="metric", values="value", sort=False
    )
    figure = Picture(figsize=(6.4, 3.6), dpi=110)
    axes = figure.subplots()
    for name, line in wide.iterrows():
        ours = str(name).startswith("fair")
        shade = VARIANTS[1] if ours else VARIANTS[0]
        axes.scatter(
            line["fps"], line["image_auroc"], s=8 * line["params_millions"],
            color=shade, alpha=0.55, edgecolor=shade,
        )  # fmt: skip
        axes.annotate(
            str(name), (line["fps"], line["image_auroc"]), (0, 12), fontsize=8,
            textcoords="offset points", ha="center",
        )  # fmt: skip
    axes.set(xlabel="images per second, as printed", ylabel="image AUROC, %, mean of both sets")
    axes.margins(0.15)
    axes.grid(color="0.9", linewidth=0.6)
    figure.set_layout_engine("constrained")
    return figure


def speeds(costs: pd.DataFrame) -> object:
    """Images per second over the width, and parameters; for display."""
    lines = costs[costs["kind"] == "speed"].astype({"batch": int, "threads": int})
    place = ["profile", "device", "threads", "size", "width"]
    wide = lines.pivot_table(
        index=place, columns=["part", "batch"], values="images_per_second", sort=False
    )
    wide["parameters", "millions"] = lines.groupby(place)["params"].first() / 1e6
    wide["parameters", "of 2^20"] = lines.groupby(place)["params"].first() / 2**20
    wide = wide.rename(columns=lambda n: f"batch {n}" if isinstance(n, int) else n, level=1)
    return wide.rename_axis(columns=[None, None]).style.format(precision=2)


def as_printed(printed: pd.DataFrame) -> object:
    """Table 5 as printed; for display."""
    label = printed["method"] + " " + printed["variant"].fillna("")
    cells = printed.assign(line=label)
    wide = cells.pivot_table(index="line", columns="metric", values="value", sort=False)
    return wide.rename_axis(index=None, columns=None).style.format(precision=1)


def step_costs(costs: pd.DataFrame) -> object:
    """Seconds of a step and of its batch, and each as a share of the step; for display."""
    lines = costs[costs["kind"] == "training"]
    place = ["profile", "device", "size", "width"]
    table = lines.set_index([*place, "what"])[["seconds"]]
    steps = table.xs("step", level="what")["seconds"]
    whole = table.index.droplevel("what").map(steps)
    table["share of the step"] = table["seconds"] / whole.to_numpy()
    return table.style.format(precision=4).format("{:.2f}", subset=["share of the step"])


def conventions(lines: pd.DataFrame) -> object:
    """The metrics under each convention, and how they differ from the book's, in points."""
    wide = lines.pivot_table(
        index=["choice", "value"], columns="metric", values="number", sort=False
    )
    wide = wide[["pixel_auroc", "pixel_ap", "aupro"]].rename_axis(columns=None)
    shown_ = wide.join((100 * (wide - wide.iloc[0])).add_prefix("points of "))
    signed = list(shown_.columns[3:])
    return shown_.style.format(precision=3, na_rep="").format("{:+.1f}", subset=signed, na_rep="")


# ---- Figures 1, 4 and 8


def synthetic(images: dict[str, tuple[Tensor, Tensor, Tensor | None]]) -> Photo:
    """Figure 4: defects on top, what the filter leaves of them below.

    Args:
        images: title -> image (3, h, w), its high-pass (1, h, w), mask (h, w) to outline or None.
    """
    columns: Columns = {
        title: [
            (_photo(image), None if mask is None else mask.cpu().numpy()),
            (passed[0].cpu().numpy(), None),
        ]
        for title, (image, passed, mask) in images.items()
    }
    return grid(columns, ["damaged", "its high frequencies"])


def training_curve(losses: list[float]) -> Picture:
    """The loss of every step of a training."""
    figure = Picture(figsize=(6, 2.4), dpi=110)
    axes = figure.subplots()
    axes.plot(range(1, len(losses) + 1), losses, color=VARIANTS[0], linewidth=0.9)
    axes.set(xlabel="step", ylabel="loss, Eq. 7")
    axes.grid(color="0.9", linewidth=0.6)
    figure.set_layout_engine("constrained")
    return figure


def _photo(image: Float[Tensor, "3 h w"]) -> np.ndarray:
    return image.permute(1, 2, 0).clamp(0, 1).cpu().numpy()
