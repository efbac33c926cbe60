"""Runs of one method that differ in a setting, compared: what the claims of two papers share."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import pandas as pd

from ..api import read_departures
from .ours import MVTEC_CATEGORIES, ROW_KEY, settled
from .outcomes import Decision, Outcome, falling, gap, keep, listed, show, top

DRAWN = "textures"
CATEGORIES = {
    "mvtec": MVTEC_CATEGORIES,
    "visa": tuple(
        "candle capsules cashew chewinggum fryum macaroni1 macaroni2 pcb1 pcb2 pcb3 pcb4 "
        "pipe_fryum".split()
    ),
    DRAWN: tuple("brick dots grass gravel grid twill washer".split()),
}
Arms = dict[str, dict[str, Any]]  # name -> settings that differ from the paper's
Parts = Iterable[tuple[str, pd.DataFrame]]  # scope, and rows that may be averaged


@dataclass(frozen=True)
class Design:
    """How the runs of a method may differ that a claim compares.

    A setting that is not named is shared by all arms of a comparison, whatever its value.
    """

    method: str
    settings: Mapping[str, Any]  # that an arm may differ in, and the paper's values
    reduced: frozenset[str] = frozenset()  # of those, what all arms may depart in together
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: CATEGORIES)
    units: Mapping[str, str] = field(default_factory=lambda: {"normal_mse": "1e-4"})


FAIR_RUNS = Design(  # of which FAE has a claim, too
    "fair",
    {
        "extractor": "butterworth",
        "order": 2,
        "cutoff": 30.0,
        "kernel": 3,
        "skips": True,
        "score": "msgms+co",
        "learned": False,
        "noise": 0.0,
        "width": 128,
        "textures": "dtd",
    },
    frozenset({"width", "textures"}),
)


# ---- from rows to arms

RUN = ["settings", "trained_on", "dataset", "category", "seed"]


def in_arms(rows: pd.DataFrame, design: Design, arms: Arms) -> pd.DataFrame:
    """The method's rows, or lines of images, in one of the arms, which becomes a column.

    Column `settings` keeps what all arms have to share.
    """
    paper = dict(design.settings)
    varied = (set(paper) - design.reduced).union(*arms.values())
    wanted = {name: {k: (paper | arm)[k] for k in varied} for name, arm in arms.items()}
    rows = keep(rows, rows["method"] == design.method)
    names, rest = {}, {}
    for words in set(rows["settings"]):
        changed = read_departures(words)
        here = {k: (paper | changed)[k] for k in varied}
        names[words] = next((name for name, x in wanted.items() if x == here), None)
        kept = [f"{k}={json.dumps(v)}" for k, v in changed.items() if k not in varied]
        rest[words] = ",".join(kept) or "paper"
    arm, settings = (rows["settings"].map(x) for x in (names, rest))
    rows = rows.assign(arm=arm, settings=settings)
    return keep(rows, rows["arm"].notna())


def shared(rows: pd.DataFrame, cells: pd.Series, count: int) -> pd.DataFrame:
    """Without the categories and seeds that lack one of so many cells."""
    found = rows.assign(cell=cells).groupby(RUN)["cell"].transform("nunique")
    return keep(rows, found == count)


def complete(design: Design, scope: str, part: pd.DataFrame, numbers: pd.DataFrame) -> bool:
    """Whether all categories are there, where a mean is of all and not of those at hand."""
    there = set(zip(*(numbers.index.get_level_values(k) for k in RUN[2:4]), strict=True))
    for dataset, profile in set(zip(part["dataset"], part["profile"], strict=True)):
        base = dataset.partition("+")[0]
        whole = scope == "full data" or (base == DRAWN and profile == "full")
        if whole and any((dataset, name) not in there for name in design.categories[base]):
            return False
    return len(numbers) > 0


def place_of(part: pd.DataFrame, numbers: pd.DataFrame) -> str:
    """In words: the data that some numbers are of."""
    level = numbers.index.get_level_values
    sets, categories = sorted(set(level("dataset"))), sorted(set(level("category")))
    names = listed(categories) if len(categories) < 10 else f"{len(categories)} categories"
    words = f"mean of {names}" if len(categories) > 1 else names
    return f"{listed(sets)}, {words}, profile {part['profile'].iloc[0]}"


# ---- arms compared


@dataclass(frozen=True)
class Compared:
    """The numbers of arms that differ in nothing else, on the same images, of the same seeds."""

    means: pd.Series  # by metric and arm: over seeds, then categories, then datasets
    by_seed: pd.DataFrame  # the same of each seed that all categories have
    each: pd.DataFrame  # of each dataset, category and seed
    place: str
    runs: str
    units: Mapping[str, str]

    def of(self, metric: str, arms: Iterable[str]) -> dict[str, float]:
        return {arm: float(self.means[metric, arm]) for arm in arms}

    def falls(self, metric: str, *arms: str) -> Outcome:
        """The arms should be in strictly falling order."""
        doubts = [self.doubt(metric, *pair) for pair in pairwise(arms)]
        holds, words = falling(self._label(metric), self.of(metric, arms))
        return holds, words + "".join(doubts)

    def leads(self, metric: str, *arms: str, relation: str = ">") -> Outcome:
        """The first arm against the best of the others."""
        best = max(arms[1:], key=lambda arm: self.means[metric, arm])
        holds, words = top(self._label(metric), self.of(metric, arms), relation)
        return holds, words + self.doubt(metric, arms[0], best)

    def doubt(self, metric: str, a: str, b: str) -> str:
        """In words, where two arms differ by less than twice what that varies by over seeds."""
        gaps = self.by_seed[metric, a] - self.by_seed[metric, b]
        return unsure(f"{a} less {b}", gap(self.means[metric, a], self.means[metric, b]), gaps)

    def _label(self, metric: str) -> str:
        return f"{metric} in {self.units[metric]}" if metric in self.units else metric


def unsure(label: str, difference: float, by_seed: pd.Series) -> str:
    """In words, where a difference is less than twice what it varies by over seeds."""
    if len(by_seed) < 2 or abs(difference) >= 2 * by_seed.std():
        return ""
    return f" (sd of {label} over {len(by_seed)} seeds: {show(float(by_seed.std()))})"


def compared(
    scope: str, part: pd.DataFrame, design: Design, arms: Arms, metrics: Sequence[str]
) -> Compared | None:
    """The arms of the settings that have the most rows; None where no settings have them all."""
    cells = pd.MultiIndex.from_product([metrics, arms])
    rows = in_arms(keep(part, part["metric"].isin(metrics)), design, arms)
    if rows.empty:
        return None
    rows = shared(rows, rows["metric"] + " of " + rows["arm"], len(cells))
    unit = rows["metric"].map({m: float(words) for m, words in design.units.items()})
    rows = rows.assign(value=rows["value"] / unit.fillna(1.0))

    def table(run: pd.DataFrame) -> pd.DataFrame:
        numbers = run.pivot_table(index=RUN[2:], columns=["metric", "arm"], values="value")
        numbers = numbers.reindex(columns=cells).dropna()
        return numbers if complete(design, scope, part, numbers) else numbers.iloc[:0]

    found = settled(rows, design.method, (*ROW_KEY, "arm"), table)
    if found is None:
        return None
    numbers, runs = found
    by_category = numbers.groupby(["dataset", "category"]).mean()
    everywhere = numbers.groupby("seed").filter(lambda x: len(x) == len(by_category))
    return Compared(
        by_category.groupby("dataset").mean().mean(),
        everywhere.groupby(["seed", "dataset"]).mean().groupby("seed").mean(),
        numbers,
        place_of(part, numbers),
        runs,
        design.units,
    )


# ---- what they say


class Said(NamedTuple):
    """What one part of our rows says."""

    scope: str
    place: str
    outcome: Outcome  # its words say where, and by which runs


def said(
    parts: Parts,
    design: Design,
    arms: Arms,
    metrics: Sequence[str],
    judge: Callable[[Compared], Outcome | None],
) -> list[Said]:
    """Part by part; those that lack rows, or that the judge cannot tell from, say nothing."""
    found = []
    for scope, part in parts:
        x = compared(scope, part, design, arms, metrics)
        outcome = None if x is None else judge(x)
        if x is not None and outcome is not None:
            holds, words = outcome
            found.append(Said(scope, x.place, (holds, f"{x.place}: {words}. Runs: {x.runs}")))
    return found


def decided(found: Sequence[Said], further: str = "") -> Decision | None:
    """The first decides, and the others show.

    Args:
        further: what shows as well.
    """
    if not found:
        return None
    (scope, _, (holds, words)), *others = found
    return Decision(holds, scope, words + aside(others) + further)


def aside(others: Sequence[Said]) -> str:
    return "".join(
        f". Not decisive: it {'holds' if x.outcome[0] else 'fails'} on {x.place}" for x in others
    )


def alone(
    parts: Parts, design: Design, arms: Arms, metrics: Sequence[str], rivals: str
) -> Decision | None:
    """The method's own numbers, which decide nothing: few of the rivals are in this package."""

    def show_all(x: Compared) -> Outcome:
        pairs = {m: x.of(m, arms) for m in metrics}
        words = [
            f"{m} {', '.join(f'{show(v)} {arm}' for arm, v in values.items())}"
            for m, values in pairs.items()
        ]
        return True, "; ".join(words)

    for scope, _, (_, words) in said(parts, design, arms, metrics, show_all):
        words = f"{design.method.upper()}'s numbers alone, not compared with {rivals}: {words}"
        return Decision(None, scope, words)
    return None
