"""What stands under every table and figure: who made it, its rows, and how to make it again."""

import base64
import gzip
import html
from collections import Counter
from urllib.parse import quote

import pandas as pd
from IPython.display import HTML

from ..api import Dataset

NO_ROWS = pd.DataFrame()  # for pages that show pictures or definitions only
LARGE = 100_000  # bytes of rows from which on a page holds them packed, at a twentieth of the size


def sources(item: str, rows: pd.DataFrame, failures: dict[str, str] | None = None) -> HTML:
    """A box with the notebook, the rows and the command of an item, and what failed.

    Args:
        item: the notebook's name below `notebooks/`, such as "ssdnet/gallery".
        rows: the numbers shown, as `results.load` gives them; they can be downloaded as CSV.
        failures: run id or page -> what went wrong the last time it was made.
    """
    box = _box(item, item, rows, f"make item ITEM={item}")
    for name, error in (failures or {}).items():
        message = f"<strong>{html.escape(name)} failed</strong>: {html.escape(error)}"
        box += f'<div class="admonition warning"><p>{message}</p></div>'
    return HTML(box)


def run_sources(job: str, run: str, folder: str, rows: pd.DataFrame) -> HTML:
    """The same box for the page of one run, whose notebook every run shares.

    Args:
        job: name of the executed notebook; of a sweep, which makes several runs, not the run's.
        folder: where its results are, relative to the project: "results/demo".
    """
    return HTML(_box(f"{folder}/{job}", "run", rows, f"make rerun RUN={run}"))


def _box(page: str, notebook: str, rows: pd.DataFrame, command: str) -> str:
    up = "../" * (page.count("/") + 1)
    executed = html.escape(quote(f"{up}_sources/executed/{page}.ipynb"))
    parts = [f'Made by <a href="{executed}" download>notebooks/{notebook}.ipynb</a>']
    if len(rows):
        table, kind, name = rows.to_csv(index=False).encode(), "text/csv", page.rpartition("/")[2]
        ending = "csv"
        if len(table) > LARGE:
            table, kind, ending = gzip.compress(table, mtime=0), "application/gzip", "csv.gz"
        encoded, name = base64.b64encode(table).decode(), html.escape(f"{name}.{ending}")
        link = f'href="data:{kind};base64,{encoded}" download="{name}"'
        parts.append(f"<a {link}>its {len(rows)} rows (CSV)</a>")
    parts.append(f"again: <code>{html.escape(command)}</code>")
    return f'<p class="sources">{" · ".join(parts)}</p>'


def heading(text: str) -> HTML:
    """A small heading between the tables of one cell."""
    return HTML(f"<h4>{html.escape(text)}</h4>")


def printed_beside(both: pd.DataFrame, reasons: dict[str, str]) -> object:
    """Our numbers beside the printed ones with the gap and its reason; for display.

    Args:
        both: rows of `results.beside`.
        reasons: dataset with its variants -> why its numbers differ from the printed ones.
    """
    if both.empty:
        return absent("a run on the images of the paper's table", "make paper")
    both = both.assign(note=both["note"].fillna(""))
    by = ["profile", "dataset", "category", "method", "metric", "printed", "settings", "note"]
    cells = both.groupby(by, sort=False, dropna=False)
    shown = cells["value"].agg(["mean", "std", "count"]).reset_index()
    shown = shown.rename(columns={"mean": "ours", "std": "sd over runs", "count": "runs"})
    shown["gap"] = shown["ours"] - shown["printed"]
    shown["reason for the gap"] = shown["dataset"].map(reasons).fillna("")
    order = ["profile", "dataset", "category", "method", "metric", "printed", "ours", "gap"]
    shown = shown[[*order, "sd over runs", "runs", "reason for the gap", "settings", "note"]]
    digits = {name: "{:.3f}" for name in ("printed", "ours", "sd over runs")}
    style = shown.style.format(digits | {"gap": "{:+.3f}"}, na_rep="").hide()
    return style.set_table_attributes('class="beside"')


def printed_table(printed: pd.DataFrame, metric: str, mine: pd.DataFrame) -> object:
    """A printed table as its paper shows it, a line per method, and ours below it; in percent.

    Args:
        printed: rows of `results.published` of one item.
        mine: rows of `results.beside` for the same metric; none is fine.
    """
    cells = printed[printed["metric"] == metric]
    label = cells["method"] + cells["variant"].fillna("").map(lambda v: f" ({v})" if v else "")
    columns = [c for c in ("dataset", "category") if cells[c].nunique() > 1] or ["category"]
    order = list(dict.fromkeys(label))
    shown = cells.assign(line=label).pivot_table(
        index="line", columns=columns, values="value", sort=False
    )
    shown = shown.reindex(order)
    ours = mine.assign(
        line="ours: " + mine["method"] + ", " + mine["settings"] + ", " + mine["dataset"],
        dataset=mine["dataset"].astype(str).str.split("+").str[0],
        value=100 * mine["value"],
    )
    if len(ours):
        lines = ours.pivot_table(index="line", columns=columns, values="value", sort=False)
        shown = pd.concat([shown, lines.reindex(columns=shown.columns)])
    style = shown.rename_axis(None).style.format("{:.1f}", na_rep="")
    return style.set_table_attributes('class="beside"')


def misprints(printed: pd.DataFrame) -> object:
    """The printed cells that cannot be right, and why; for display."""
    noted = printed[printed["note"].fillna("").str.startswith("misprint")]
    return noted[["item", "category", "method", "metric", "value", "note"]].style.hide()


def verdicts(decided: pd.DataFrame, paper: str) -> object:
    """The claims of one paper with their verdicts coloured; for display."""
    columns = ["id", "item", "claim", "printed", "verdict", "scope", "evidence"]
    shown = decided[columns].assign(
        evidence=decided["evidence"].where(decided["evidence"] != "", decided["printed_evidence"])
    )

    def colour(text: str) -> str:
        first = [shade for word, shade in SHADES.items() if str(text).startswith(word)]
        return f"background-color: {first[0]}; color: black" if first else ""

    style = shown.style.map(colour, subset=["printed", "verdict"]).hide()
    return style.set_caption(paper).set_table_attributes('class="claims"')


SHADES = {
    "reproduced": "#c7e9c0",
    "holds": "#c7e9c0",
    "not reproduced": "#fcbba1",
    "fails": "#fcbba1",
    "contradicted": "#fcbba1",
}


def absent(what: str, command: str) -> HTML:
    """A box that says what is not at hand and the one command that fills the gap."""
    text = f"Not at hand: {what}. To fill this: <code>{command}</code>."
    return HTML(f'<div class="admonition note"><p>{text}</p></div>')


def counts(data: Dataset) -> dict[str, int | str]:
    """How many images of each kind a dataset holds; for tables of data."""
    found = Counter(path.partition("/")[0] for path in data.paths)
    kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(found.items()) if kind != "good")
    return {"train": len(data.train), "test good": found["good"], "test defective": kinds}
