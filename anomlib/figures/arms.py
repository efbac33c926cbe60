"""Arms are runs that differ in what a table varies, and in nothing else: tables and pictures."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown
from scipy.stats import ttest_rel

from ..api import read_departures
from .common import Columns, Photo, grid

# An arm is what a line of a table changes, and where that line is printed: method, variant.
# Everything else an arm's settings hold, such as fewer steps, all arms of a table have in common.
Arm = tuple[dict[str, Any], str, str]
Measure = tuple[float, str, str]  # factor, unit, and which end is better: high, low or neither
MEASURES: dict[str, Measure] = {
    **{m: (100.0, "%", "high") for m in ("image_auroc", "pixel_auroc", "pixel_ap", "aupro")},
    "normal_mse": (1e4, "1e-4", "low"),
    "jacobian_identity": (1.0, "per value", "low"),
    "idempotency": (100.0, "%", "low"),
    "high_frequencies": (100.0, "%", ""),  # best is 100, neither more nor less
}


# ---- tables


def in_arms(rows: pd.DataFrame, arms: dict[str, Arm]) -> pd.DataFrame:
    """Rows of the arms, with columns `arm` and `shared`, the settings that all arms have.

    In each profile and dataset these are the settings to which the most arms can be found; of two
    arms with the same settings the first one counts.
    """
    found = [rows.iloc[:0].assign(arm="", shared="")]
    for _, part in rows.groupby(["profile", "dataset"], sort=False):
        known = {words: read_departures(words) for words in part["settings"].unique()}
        chosen: dict[str, str] = {}
        changed = {key for arm, _, _ in arms.values() for key in arm}
        plain = any(not arm for arm, _, _ in arms.values())  # one arm is the base itself
        bases = [w for w in known.values() if not (plain and changed & set(w))]
        for base in sorted(bases or known.values(), key=len):
            names = {w: name for name, arm in reversed(arms.items()) for w in known
                     if known[w] == base | arm[0]}  # fmt: skip
            chosen = max(chosen, names, key=len)
        named = part.assign(arm=part["settings"].map(chosen)).dropna(subset="arm")
        words = [{f"{k} = {v}" for k, v in known[w].items()} for w in chosen]
        shared = set.intersection(*words) if words else set()
        found.append(named.assign(shared=", ".join(sorted(shared))))
    return pd.concat(found, ignore_index=True)


def ablation(
    rows: pd.DataFrame, arms: dict[str, Arm], measures: dict[str, Measure], printed: pd.DataFrame
) -> pd.DataFrame:
    """A table of a paper with our means beside its numbers, in its units.

    A mean is over seeds and then over categories, of those that every arm of a dataset has.

    Args:
        rows: of any runs.
        printed: rows of `results.published` of that table; those of MVTec AD's mean are shown.

    Returns:
        A line per profile, dataset and arm; columns `metric, unit`, each printed and ours, and of
        how many runs.
    """
    lines = in_arms(rows[rows["metric"].isin([*measures])], arms)
    if lines.empty:
        return pd.DataFrame()
    lines = of_every_arm(lines)
    by = ["profile", "dataset", "shared", "arm"]
    over_seeds = lines.groupby([*by, "category", "metric"], sort=False)["value"].mean()
    means = over_seeds.groupby([*by, "metric"], sort=False).mean().unstack("metric")
    runs = lines.groupby(by, sort=False)["run"].nunique()
    cells = printed[(printed["category"] == "mean") & (printed["dataset"] == "mvtec")]
    cells = cells.set_index([cells["method"], cells["variant"].fillna(""), cells["metric"]])
    out: dict[tuple[str, str], Any] = {("", "runs"): runs}
    for metric, (scale, unit, _) in measures.items():
        if metric not in means:
            continue
        keys = [(*arms[arm][1:], metric) for arm in means.index.get_level_values("arm")]
        values = [cells["value"].get(key, np.nan) for key in keys]
        if not np.isnan(values).all():
            out[f"{metric}, {unit}", "printed"] = values
        out[f"{metric}, {unit}", "ours"] = scale * means[metric]
    wide = pd.DataFrame(out, index=means.index)
    order = {name: k for k, name in enumerate(arms)}
    return wide.sort_index(
        key=lambda i: i.map(order) if i.name == "arm" else i, sort_remaining=False
    )


def of_every_arm(lines: pd.DataFrame) -> pd.DataFrame:
    """The categories and seeds that every arm of a dataset has; none where there is one arm."""
    place = ["profile", "dataset"]
    many = lines.groupby([*place, "category", "seed"])["arm"].transform("nunique")
    most = lines.groupby(place)["arm"].transform("nunique")
    return lines[(many == most) & (most > 1)]


def shown(
    wide: pd.DataFrame, caption: str = "", measures: dict[str, Measure] = MEASURES
) -> object:
    """An ablation for display: the best of ours in bold, in each profile and dataset."""
    if wide.empty:
        return Markdown("*No two arms of this table have run here.*")
    style = wide.style.format("{:.1f}", na_rep="").format("{:.0f}", subset=[("", "runs")])
    low = [c for c in wide.columns if measures.get(c[0].partition(",")[0], ("",) * 3)[2] == "low"]
    style = style.format("{:.2f}", subset=low, na_rep="")

    def bold(column: pd.Series) -> list[str]:
        groups = column.groupby(level=["profile", "dataset"])
        best = groups.transform("min" if column.name in low else "max")
        return ["font-weight: bold" if hit else "" for hit in (column == best)]

    judged = {f"{name}, {unit}" for name, (_, unit, end) in measures.items() if end}
    ours = [c for c in wide.columns if c[1] == "ours" and c[0] in judged]
    return style.apply(bold, subset=ours).set_caption(caption)


def spread(rows: pd.DataFrame, arms: dict[str, Arm], metrics: list[str]) -> pd.DataFrame:
    """Mean and standard deviation over seeds, for the categories that have several seeds."""
    lines = of_every_arm(in_arms(rows[rows["metric"].isin(metrics)], arms))
    place = ["profile", "dataset", "category", "arm", "metric"]
    many = lines[lines.groupby(place)["seed"].transform("nunique") > 1]
    by_seed = many.groupby(["profile", "dataset", "arm", "metric", "seed"], sort=False)["value"]
    found = by_seed.mean().groupby(level=[0, 1, 2, 3], sort=False).agg(["mean", "std", "count"])
    return found.unstack("metric").swaplevel(axis=1).sort_index(axis=1)


def paired(rows: pd.DataFrame, arms: dict[str, Arm], metrics: list[str]) -> pd.DataFrame:
    """How the first arm differs from each other one, on the same images with the same seed.

    Returns:
        A line per place, metric and arm: both means, the mean difference and its standard
        deviation over pairs (a category and a seed), in how many it is positive, and p of a paired
        t-test, which takes pairs for independent; seeds of one category are not quite that.
    """
    lines = of_every_arm(in_arms(rows[rows["metric"].isin(metrics)], arms))
    out = []
    for (profile, dataset, metric), part in lines.groupby(["profile", "dataset", "metric"]):
        wide = part.pivot_table(index=["category", "seed"], columns="arm", values="value")
        first, *others = [name for name in arms if name in wide]
        for other in others:
            gaps = wide[first] - wide[other]
            p = ttest_rel(wide[first], wide[other]).pvalue if len(gaps) > 1 else np.nan
            means = wide[first].mean(), wide[other].mean()
            out.append((profile, dataset, metric, first, other, *means, gaps.mean(), gaps.std(),
                        int((gaps > 0).sum()), len(gaps), p))  # fmt: skip
    columns = ["profile", "dataset", "metric", "arm", "other", "mean", "mean of other"]
    return pd.DataFrame(out, columns=[*columns, "difference", "sd", "positive", "pairs", "p"])


def show_paired(table: pd.DataFrame) -> object:
    if table.empty:
        return Markdown("*No two arms have run on the same images with the same seed.*")
    digits = {"mean": "{:.4f}", "mean of other": "{:.4f}", "difference": "{:+.4f}"}
    return table.style.format({**digits, "sd": "{:.4f}", "p": "{:.3f}"}, na_rep="").hide()


# ---- pictures


def together(
    maps: dict[str, dict[str, np.ndarray]],
    pictures: dict[str, dict[str, dict[str, np.ndarray]]],
    order: Iterable[str],
) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Path -> arm -> restoration and map, of the images for which every arm has stored both.

    Args:
        maps: arm -> path -> map, as `results.load_maps` gives them.
        pictures: arm -> path -> {"restored": ...}, as `results.load_pictures` gives them.
        order: in which arms come.
    """
    arms = [name for name in order if name in maps]
    both = [set(maps[arm]) & set(pictures[arm]) for arm in arms]
    paths = sorted(set.intersection(*both)) if both else []
    return {
        path: {arm: (pictures[arm][path]["restored"], maps[arm][path]) for arm in arms}
        for path in paths
    }


def restorations(
    image: np.ndarray,
    mask: np.ndarray | None,
    arms: dict[str, tuple[np.ndarray, np.ndarray]],
    title: str,
) -> Photo:
    """An image, and what each arm restores of it and finds.

    Args:
        image: (h, w, 3) in [0, 1].
        arms: name -> restoration (h, w, 3) and anomaly map (h, w).
    """
    truth = np.zeros(image.shape[:2], dtype=bool) if mask is None else mask
    columns: Columns = {title: [(image, None), (image, mask), (truth, None)]}
    for name, (restored, scores) in arms.items():
        error = np.abs(restored - image).mean(axis=-1)
        columns[name] = [(restored, None), (error, mask), (scores, mask)]
    return grid(columns, ["restored", "error", "anomaly map"])
