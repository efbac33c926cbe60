"""The rows of Subspace's figures and tables: from what runs and studies wrote to what is drawn."""

from typing import Any

import pandas as pd

from ..api import read_departures

METRICS = ["pixel_auroc", "pixel_ap", "aupro"]
WITHOUT = ("backbone", "clip")  # settings that name no variant of the method


def with_settings(rows: pd.DataFrame, methods: dict[str, Any], *names: str) -> pd.DataFrame:
    """Rows with a column for each named setting, as its run had it; `methods` is METHODS."""
    keys = zip(rows["method"], rows["dataset"], rows["category"], rows["settings"], strict=True)
    made = [methods[m].paper(d, c, **read_departures(words)) for m, d, c, words in keys]
    return rows.assign(**{name: [getattr(x, name) for x in made] for name in names})


def banks(rows: pd.DataFrame, methods: dict[str, Any]) -> pd.DataFrame:
    """Figure 6 (a): rows whose s is half of s_ref, with columns sampling, sample and backbone."""
    found = with_settings(rows, methods, "sampling", "sample", "sparsity", "backbone")
    return found[found["sparsity"] * 2 == found["sample"]]


def shares(rows: pd.DataFrame, methods: dict[str, Any]) -> pd.DataFrame:
    """Figure 8: rows with columns share (of the training images), data (without it), backbone."""
    variants = [name.split("+") for name in rows["dataset"]]
    given = [dict(v.partition("=")[::2] for v in vs[1:]) for vs in variants]
    kept = [[v for v in vs if not v.startswith(("train=", "tseed="))] for vs in variants]
    return with_settings(rows, methods, "backbone").assign(
        share=[float(g.get("train", 1)) for g in given], data=["+".join(vs) for vs in kept]
    )


def level_sets(rows: pd.DataFrame, methods: dict[str, Any]) -> pd.DataFrame:
    """Figure 9: rows with the levels in words, such as "2 + 3", and the backbone."""
    found = with_settings(rows, methods, "levels", "backbone")
    return found.assign(levels=[" + ".join(map(str, levels)) for levels in found["levels"]])


def effects(rows: pd.DataFrame, methods: dict[str, Any], metrics: list[str]) -> object:
    """What each setting, and each variant of the data, moves.

    The first line of a backbone has the fewest changes; all differences are from it, in points.
    """
    settings = [read_departures(words) for words in rows["settings"]]
    changed = [{k: v for k, v in s.items() if k not in WITHOUT} for s in settings]
    words = [", ".join(f"{k} = {v}" for k, v in c.items()) for c in changed]
    lines = with_settings(rows, methods, "backbone").assign(data=rows["dataset"])
    lines = lines.assign(change=[w or "-" for w in words], changes=[len(c) for c in changed])
    lines = lines.sort_values(["data", "changes", "change"])  # least changed first
    lines = lines[lines.groupby("backbone")["run"].transform("nunique") > 1]
    by = ["backbone", "data", "change"]
    wide = lines.pivot_table(index=by, columns="metric", values="value", sort=False)[metrics]
    for _, part in wide.groupby(level="backbone", sort=False):
        for metric in metrics:
            moved = 100 * (part[metric] - part[metric].iloc[0])
            wide.loc[part.index, f"points of {metric}"] = moved
    style = wide.style.format(precision=3)
    signed = [c for c in wide.columns if c.startswith("points")]
    return style.format("{:+.1f}", subset=signed)


def seconds_per_image(times: pd.DataFrame) -> pd.DataFrame:
    """Seconds of all steps together, a line per repeat."""
    key = ["rule", "images", "s_ref", "s", "repeat"]
    return times.groupby(key, sort=False)["seconds"].sum().reset_index()


def speed_up(times: pd.DataFrame) -> pd.DataFrame:
    """How many times as long the printed loop takes: medians of sampling and reconstruction."""
    key = ["profile", "form", "rule", "images"]
    total = times.groupby([*key, "repeat"], sort=False)["seconds"].sum()
    wide = total.groupby(key, sort=False).median().unstack("form")
    return (wide["literal"] / wide["gram"]).unstack("images")


def relative_errors(lines: pd.DataFrame) -> pd.DataFrame:
    """Figure 7: errors over that of the nearest image, mean over the categories of a kind."""
    place = ["profile", "dataset", "backbone", "category", "kind", "level", "s_ref"]
    wide = lines.pivot_table(index=place, columns="rule", values="error", sort=False)
    share = wide.div(wide["nearest"], axis=0).stack().rename("error")
    key = ["profile", "dataset", "backbone", "kind", "level", "s_ref", "rule"]
    return share.groupby(key, sort=False).mean().reset_index()


def conventions(lines: pd.DataFrame) -> object:
    """The metrics under each convention and how they differ from the book's, in points."""
    numbers = lines[lines["metric"].isin(METRICS)]
    wide = numbers.pivot_table(
        index=["choice", "value"], columns="metric", values="number", sort=False
    )[METRICS]
    moved = 100 * (wide - wide.iloc[0])
    counts = lines[lines["metric"] == "count"].set_index(["choice", "value"])["number"]
    shown = wide.join(moved.add_prefix("points of "))
    style = shown.style.format(precision=3).format("{:+.1f}", subset=list(shown.columns[3:]))
    words = ", ".join(f"{value} {number:.0f}" for (_, value), number in counts.items())
    return style.set_caption(f"Images on disk: {words}")


def backbones_printed(printed: pd.DataFrame) -> object:
    """Table 6 as printed, a line per backbone, and what sampling changes."""
    names = printed["variant"].str.extract(
        r"backbone=(?P<backbone>\w+);sampling=(?P<sampling>\w+)"
    )
    cells = printed.join(names)
    wide = cells.pivot_table(
        index="backbone", columns=["metric", "sampling"], values="value", sort=False
    )
    for metric in wide.columns.get_level_values(0).unique():
        wide[metric, "change"] = wide[metric, "true"] - wide[metric, "false"]
    return wide.sort_index(axis=1, level=0, sort_remaining=False).style.format(precision=3)


def backbones_ours(rows: pd.DataFrame, methods: dict[str, Any]) -> object:
    """Our rows with and without sampling, where both are there and nothing else was changed."""
    found = with_settings(rows, methods, "backbone", "sampling")
    plain = [set(read_departures(w)) <= {*WITHOUT, "sampling"} for w in rows["settings"]]
    key = ["profile", "dataset", "category", "backbone", "metric"]
    wide = found[plain].pivot_table(index=key, columns="sampling", values="value", sort=False)
    wide = wide.reindex(columns=["none", "reference"]).dropna()
    return wide.assign(change=wide["reference"] - wide["none"]).style.format(precision=4)
