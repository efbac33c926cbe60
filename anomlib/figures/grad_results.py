"""GRAD's tables and figures that come from runs: grids, choices, one model for all, epochs.

References:
    | GRAD: Bi-Grid Reconstruction for Image Anomaly Detection (Huang et al., 2025): Tables I and
    | II, Figures 1, 4 and 5
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown
from pandas.io.formats.style import Styler

from ..api import read_departures
from .arms import MEASURES as COMMON
from .arms import Arm, Measure, in_arms
from .common import VARIANTS, Picture

GRIDS: dict[str, Arm] = {  # Table II, and the row that it lacks
    "both grids": ({}, "grad", "normal_grid=true;abnormal_grid=true"),
    "normal grid": ({"grids": "normal"}, "grad", "normal_grid=true;abnormal_grid=false"),
    "abnormal grid": ({"grids": "abnormal"}, "grad", ""),
}
MEASURES: dict[str, Measure] = {
    name: COMMON.get(name, (100.0, "%", "high"))
    for name in ("image_auroc", "image_ap", "pixel_auroc", "pixel_ap", "aupro")
}
PLACE = ["profile", "dataset", "category"]


# ---- Tables I and II


def named(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with `name`: the method, or which of GRAD's grids there are."""
    grads = in_arms(rows[rows["method"] == "grad"], GRIDS).rename(columns={"arm": "name"})
    grads["name"] = grads["name"].replace("both grids", "grad")
    others = rows[rows["method"] != "grad"]
    return pd.concat([grads, others.assign(name=others["method"])], ignore_index=True)


def per_category(lines: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Means over seeds: a line per category and one for their mean, a column per name."""
    chosen = lines[lines["metric"] == metric]
    cells = chosen.groupby([*PLACE, "name"], sort=False)["value"].mean().unstack("name")
    order = ["grad", *(n for n in GRIDS if n in cells), "crad"]
    cells = cells[[n for n in order if n in cells] + [n for n in cells if n not in order]]
    found = []
    for (profile, dataset), part in cells.groupby(level=PLACE[:2], sort=False):
        found.append(part)
        if len(part) > 1:  # a name that lacks a category has no mean
            mean = part.mean(skipna=False).to_frame().T
            mean.index = pd.MultiIndex.from_tuples([(profile, dataset, "mean")], names=PLACE)
            found.append(mean)
    return pd.concat(found).rename_axis(columns=None) if found else cells


def departing(lines: pd.DataFrame) -> object:
    """What the settings of each name are, and what it was trained on; for display."""
    columns = ["profile", "dataset", "name", "trained_on", "settings"]
    return lines[columns].drop_duplicates().sort_values(columns).style.hide()


def shown_printed(printed: pd.DataFrame) -> object:
    """Table II as printed; for display."""
    names = {variant: name for name, (_, _, variant) in GRIDS.items()}
    cells = printed.assign(grids=printed["variant"].map(names))
    wide = cells.pivot_table(
        index="grids", columns=["dataset", "metric"], values="value", sort=False
    )
    return wide.style.format(precision=1).set_caption("Table II as printed, percent")


def same_as_crad(rows: pd.DataFrame) -> object:
    """CRAD's rows beside those of GRAD's normal grid alone, and the largest difference."""
    key = [*PLACE, "trained_on", "seed", "metric"]
    lines = named(rows).query("name in ['crad', 'normal grid']")
    wide = lines.pivot_table(index=key, columns="name", values="value").dropna()
    if wide.shape[1] < 2 or wide.empty:
        return Markdown("*CRAD and GRAD have no run with the same settings here.*")
    wide["difference"] = wide["normal grid"] - wide["crad"]
    worst = wide["difference"].abs().groupby(level=["profile", "dataset", "trained_on"])
    table = worst.agg(["count", "max"]).rename(
        columns={"count": "numbers compared", "max": "largest difference"}
    )
    return table.reset_index().style.format({"largest difference": "{:.6f}"}).hide()


# ---- Figures 1 and 4


def stored(
    runs: Iterable[tuple[str, Any]],
    rows: pd.DataFrame,
    load: Callable[[Any, Path], dict[str, np.ndarray] | None],
    folder: Callable[[str], Path],
) -> dict[tuple[str, str], dict[str, dict[str, np.ndarray]]]:
    """(dataset, category) -> path -> method -> map, of unified runs that stored maps.

    Args:
        runs: profile and run.
        load: `results.load_maps`.
        folder: `experiments.folder_of`.
    """
    names = named(rows).query("name not in @GRIDS").drop_duplicates("run").set_index("run")["name"]
    found: dict[tuple[str, str], dict[str, dict[str, np.ndarray]]] = {}
    for profile, run in runs:
        maps = load(run, folder(profile)) or {}
        for path, scores in maps.items():
            if path.count("/") == 3 and run.id in names:
                dataset, category, rest = path.split("/", 2)
                here = found.setdefault((dataset, category), {}).setdefault(rest, {})
                here[str(names[run.id])] = scores
    return found


# ---- ablations


def in_settings(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with `changed`, what differs from the settings that most of the runs share.

    A setting that is written differently for the same value, such as 4 and 4.0, is another.
    """
    known = {words: read_departures(words) for words in rows["settings"].unique()}
    if not known:
        return rows.assign(changed="")
    items = pd.Series([(k, str(v)) for settings in known.values() for k, v in settings.items()])
    counts = items.value_counts()
    usual = {key for key, n in counts.items() if n > len(known) / 2}
    names = {}
    for words, settings in known.items():
        own = {k: v for k, v in settings.items() if (k, str(v)) not in usual}
        names[words] = ", ".join(f"{k} = {_value(v)}" for k, v in sorted(own.items()))
    return rows.assign(changed=rows["settings"].map(names))


def _value(value: Any) -> str:
    return " to ".join(f"{v:g}" for v in value) if isinstance(value, list) else str(value)


def over_nodes(lines: pd.DataFrame, setting: str, metrics: list[str], default: int = 8) -> object:
    """Each metric over the nodes of a grid, with the deviation over seeds; the default as well."""
    chosen = lines[lines["changed"].str.startswith(f"{setting} = ") | (lines["changed"] == "")]
    if chosen["changed"].nunique() < 2:
        return Markdown("*Its runs are not here: `make full ITEM=grad/ablations`.*")
    nodes = chosen["changed"].str.rpartition(" = ")[2].replace("", str(default)).astype(int)
    figure = Picture(figsize=(3.2 * len(metrics), 2.8), dpi=110)
    for axes, metric in zip(
        figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True
    ):
        part = chosen.assign(nodes=nodes)[chosen["metric"] == metric]
        found = (
            part.groupby(["nodes", "seed"])["value"].mean().groupby("nodes").agg(["mean", "std"])
        )
        axes.errorbar(found.index, found["mean"], found["std"].fillna(0), fmt="o-", capsize=2,
                      color=VARIANTS[0], markersize=4)  # fmt: skip
        axes.axvline(default, color="0.7", linewidth=0.8, linestyle=":")
        axes.set_xscale("log", base=2)
        axes.set_xticks(found.index, [str(n) for n in found.index])
        axes.set_xlabel("nodes along a side", fontsize=9)
        axes.set_ylabel(metric, fontsize=9)
        axes.grid(color="0.93", linewidth=0.6)
    figure.set_layout_engine("constrained")
    return figure


def differences(lines: pd.DataFrame, metrics: list[str]) -> object:
    """Each changed setting against none, in points, with the deviation over seeds; for display.

    Of one seed, the deviation is the one of two runs that scatter as the default does.
    """
    means = lines[lines["metric"].isin(metrics)]
    means = means.groupby(["changed", "metric", "seed"], sort=False)["value"].mean()
    known = set(means.index.get_level_values("changed"))
    if len(known) < 2 or "" not in known:
        return Markdown("*Its runs are not here: `make full ITEM=grad/ablations`.*")
    plain = means.loc[""]
    gaps = 100 * (means - plain.reindex(means.index.droplevel("changed")).to_numpy())
    found = gaps.groupby(level=["changed", "metric"], sort=False).agg(["mean", "std", "count"])
    wide = found[["mean", "std"]].unstack("metric").swaplevel(axis=1)
    columns = [(m, k) for m in metrics for k in ("mean", "std")]
    wide = wide.reindex(columns=pd.MultiIndex.from_tuples(columns)).drop(index="").sort_index()
    default = {m: f"{100 * plain.loc[m].mean():.2f}" for m in metrics}
    words = "default: " + ", ".join(f"{m} {v}" for m, v in default.items())
    wide = wide.rename(columns={"mean": "difference", "std": "sd"}, level=1)
    wide["", "seeds"] = found["count"].groupby(level="changed").min()
    for m in metrics:
        wide.loc[wide["", "seeds"] == 1, (m, "sd")] = 100 * 2**0.5 * plain.loc[m].std()
    style = wide.rename_axis("changed").style.format("{:+.2f}", na_rep="")
    sds = [c for c in wide.columns if c[1] == "sd"]
    style = style.format("{:.2f}", subset=sds, na_rep="").format("{:.0f}", subset=[("", "seeds")])
    gaps = [c for c in wide.columns if c[1] == "difference"]
    return _grey(style.set_caption(words), wide, gaps)


def _grey(style: Styler, wide: pd.DataFrame, gaps: list[tuple[str, str]]) -> Styler:
    """Differences in grey of less than twice their deviation, or that have none."""

    def colour(column: pd.Series) -> list[str]:
        sure = column.abs() >= 2 * wide[column.name[0], "sd"]  # pyright: ignore[reportIndexIssue]
        return ["" if x else "color: #999999" for x in sure]

    return style.apply(colour, subset=gaps)


# ---- one model for all, or one each


def one_or_each(own: pd.DataFrame, together: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """Means over surfaces, and the deviation over seeds, of one model for all and of one each."""
    lines = pd.concat([in_arms(rows, GRIDS) for rows in (own, together) if len(rows)] or [own])
    if "arm" not in lines or lines["trained_on"].nunique() < 2:
        return pd.DataFrame()
    lines = lines[lines["metric"].isin(metrics)]
    both = lines.groupby(["arm", *PLACE, "seed", "metric"])["trained_on"].transform("nunique") == 2
    kept = lines[both]
    by = ["profile", "dataset", "arm", "trained_on", "metric"]
    seeds = kept.groupby([*by, "seed"], sort=False)["value"].mean().groupby(level=by, sort=False)
    found = seeds.agg(["mean", "std"]).unstack("metric").swaplevel(axis=1)
    columns = [(m, k) for m in metrics for k in ("mean", "std")]
    return found.reindex(columns=pd.MultiIndex.from_tuples(columns)).round(3)


# ---- habits of the released code


def epochs(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The mean over surfaces after so many epochs, in columns epochs and value, by seed."""
    chosen = rows[rows["metric"] == metric]
    after = chosen["settings"].map(lambda words: read_departures(words).get("epochs"))
    by = ["profile", "dataset", "epochs", "seed"]
    return chosen.assign(epochs=after).groupby(by)["value"].mean().reset_index()


def epoch_lines(table: pd.DataFrame, metric: str) -> Picture:
    """A line per seed over epochs; the best epoch by the test set, and the last."""
    figure = Picture(figsize=(5.6, 3.0), dpi=110)
    axes = figure.subplots()
    for (_, _, seed), part in table.groupby(["profile", "dataset", "seed"]):
        axes.plot(part["epochs"], part["value"], color="0.6", linewidth=1)
        best, last = part.loc[part["value"].idxmax()], part.iloc[-1]
        first = "best on the test set" if seed == 0 else None
        axes.plot(best["epochs"], best["value"], "o", color=VARIANTS[1], label=first)
        axes.plot(last["epochs"], last["value"], "s", color=VARIANTS[0],
                  label="last" if seed == 0 else None)  # fmt: skip
    axes.set(xlabel="epochs", ylabel=metric)
    axes.legend(fontsize=8)
    axes.grid(color="0.93", linewidth=0.6)
    figure.set_layout_engine("constrained")
    return figure


def chosen(table: pd.DataFrame, metric: str) -> object:
    """What choosing the epoch on the test set adds, seed by seed; for display."""
    lines = []
    for key, part in table.groupby(["profile", "dataset", "seed"]):
        best, last = part.loc[part["value"].idxmax()], part.iloc[-1]
        gain = best["value"] - last["value"]
        lines.append((*key, best["epochs"], best["value"], last["epochs"], last["value"], gain))
    names = ["profile", "dataset", "seed", "best epoch", f"{metric} there", "last epoch"]
    found = pd.DataFrame(lines, columns=[*names, f"{metric} in the end", "gained by looking"])
    return found.style.format(precision=4).hide()


def turned(rows: pd.DataFrame) -> Markdown:
    """In words: how many AUROCs lie below one half, and what turning them round would add."""
    found = []
    for metric in ("image_auroc", "pixel_auroc"):
        values = rows.loc[rows["metric"] == metric, "value"]
        low = values[values < 0.5]
        if values.empty:
            continue
        add = (1 - 2 * low).sum() / len(values)
        words = f"{metric}: {len(low)} of {len(values)} lie below one half; turned round they"
        found.append(f"{words} would add {100 * add:.2f} points to the mean.")
    return Markdown(" ".join(found))


# ---- Figure 5


def to_time(
    methods: dict[str, Any], rows: pd.DataFrame, few: dict[str, dict[str, int]]
) -> dict[str, Any]:
    """Each method as its runs on these images have it, but trained only shortly.

    Args:
        methods: `anomlib.METHODS`.
        rows: of `near`.
        few: method -> settings that shorten its `fit`; what trains on test images has none.
    """
    found = {}
    for name, part in rows.groupby("method", sort=False):
        asked = read_departures(part["settings"].iloc[0]) | few.get(str(name), {})
        found[str(name)] = methods[str(name)](
            **{k: tuple(v) if isinstance(v, list) else v for k, v in asked.items()}
        )
    return found


def near(rows: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """The image AUROC of each method in one place: on the dataset, or a variant of it.

    Where there are several profiles or variants, those of the dataset itself come first, then the
    fullest profile, and the settings that depart least.
    """
    base = dataset.partition("+")[0]
    lines = rows[
        (rows["metric"] == "image_auroc") & (rows["dataset"].str.split("+").str[0] == base)
    ]
    places = ["method", "dataset", "profile", "trained_on", "settings"]
    counts = lines.groupby(places, sort=False).size().rename("n").reset_index()
    counts = counts.assign(exact=counts["dataset"] == dataset, full=counts["profile"] == "full")
    counts = counts.assign(plain=-counts["settings"].str.count("="))
    best = counts.sort_values(["exact", "full", "plain", "n"], ascending=False, kind="stable")
    return lines.merge(best.drop_duplicates("method")[places], on=places)


def with_auroc(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The measured costs, and each method's mean image AUROC, on what and of how many categories.

    Args:
        rows: of `near`.
    """
    found = rows.groupby("method").agg(
        image_auroc=("value", "mean"), of=("dataset", "first"), categories=("category", "nunique")
    )
    return table.assign(error=table["error"].fillna("")).join(found, on="method")


# ---- identical shortcut


def shortcuts(table: pd.DataFrame) -> object:
    """Residuals with grids and without, means over seeds; for display."""
    by = ["profile", "dataset", "category", "blocks_see"]
    means = table.groupby(by, sort=False)[["inside", "outside", "ratio"]].mean()
    return (
        means.unstack("blocks_see").swaplevel(axis=1).sort_index(axis=1).style.format(precision=2)
    )
