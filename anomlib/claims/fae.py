"""FAE's claims: an autoencoder of features, kept near the identity by noise and penalty."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from .outcomes import Outcome, compare, every, gap, in_each, within
from .printed import leads, names, value, values

# ---- the printed numbers

FAE = {"paper": "fae", "dataset": "mvtec"}
NOISE = {"noise": "noise=true", "none": "noise=false"}  # Table 3


def fae_01(rows: pd.DataFrame) -> Outcome:
    place = FAE | {"item": "table1", "category": "mean"}
    mean = value(rows, method="fae", metric="image_auroc", **place)
    return compare("image_auroc", ("fae", mean), ">=", ("asked for", 99.85))


def fae_02(rows: pd.DataFrame) -> Outcome:
    place = FAE | {"item": "table2", "category": "mean"}
    mean = value(rows, method="fae", metric="pixel_auroc", **place)
    reaches = compare("pixel_auroc", ("fae", mean), ">=", ("asked for", 99.35))
    holds, words = every(reaches, leads(rows, "fae", 15, "pixel_auroc", **place))
    elsewhere = np.mean([with_noise for with_noise, _ in _table3(rows, "pixel_auroc").values()])
    return holds, f"{words} (the column of table3 averages {elsewhere:.2f})"


def fae_03(rows: pd.DataFrame) -> Outcome:
    gains = {c: gap(noise, none) for c, (noise, none) in _table3(rows, "pixel_auroc").items()}
    return in_each("pixel_auroc larger with noise", gains)


def fae_04(rows: pd.DataFrame) -> Outcome:
    scatter = _table3(rows, "pixel_auroc_std")
    return in_each("scatter larger without noise", {c: gap(b, a) for c, (a, b) in scatter.items()})


def fae_05(rows: pd.DataFrame) -> Outcome:
    table = _table3(rows, "pixel_auroc")
    gains = {c: gap(noise, none) for c, (noise, none) in table.items()}
    widest = max(gains, key=lambda c: gains[c])
    mean = float(np.mean([none for _, none in table.values()]))
    return every(
        in_each("gain is positive", gains),
        compare("largest gain", (widest, gains[widest]), "<=", ("allowed", 1.5)),
        compare("mean pixel_auroc", ("without noise", mean), ">=", ("asked for", 98.5)),
    )


def _table3(rows: pd.DataFrame, metric: str) -> dict[str, tuple[float, float]]:
    """By category: the number with noise, then without."""
    place = FAE | {"item": "table3", "method": "fae", "metric": metric}
    found = {}
    for c in names(rows, 15, variant=NOISE["noise"], **place):
        found[c] = tuple(values(rows, NOISE, category=c, **place).values())
    return found


def fae_21(rows: pd.DataFrame) -> Outcome:
    """Counts that two papers print; the defect types and regions stand in one only."""
    counts = {("mean", "images"): ("subspace", "where=sec4.2.3")}
    for c in ("mean", "mean_objects", "mean_textures"):
        counts[c, "categories"] = ("fair", "where=sec4.1")
    outcomes = []
    for (c, metric), (other, where) in counts.items():
        place = {"item": "text", "dataset": "mvtec", "category": c, "method": "", "metric": metric}
        ours = value(rows, paper="fae", variant="where=sec5", **place)
        theirs = value(rows, paper=other, variant=where, **place)
        outcomes.append(within(f"{metric} ({c}) in fae, and in {other}", ours, theirs, 0.0))
    holds, words = every(*outcomes)
    return holds, f"{words}; defect types and regions are printed in fae only"


# ---- which predicate decides which claim

PRINTED: dict[str, Callable[[pd.DataFrame], Outcome]] = {
    "fae-01": fae_01,
    "fae-02": fae_02,
    "fae-03": fae_03,
    "fae-04": fae_04,
    "fae-05": fae_05,
    "fae-21": fae_21,
}
