"""What a predicate answers with, and comparisons of numbers that answer so."""

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

SCOPES = (  # the strongest first
    "full data",
    "real sample",  # some images of the dataset that the claim is about
    "real stand-in",  # another dataset of real images
    "embedded stand-in",  # drawn images
    "calculation",
    "printed table",
)
PROFILES = ("full", "sample", "demo")

Outcome = tuple[bool, str]  # whether it holds, and the numbers that say so
Studies = dict[str, pd.DataFrame]  # by item, such as "ssdnet/study_guards"


@dataclass(frozen=True)
class Decision:
    """What our rows say about a claim."""

    holds: bool | None  # None: undecided, for only a part of the claim could be tested
    scope: str
    evidence: str  # a short sentence with the numbers that decided it

    def __post_init__(self) -> None:
        if self.scope not in SCOPES:
            raise ValueError(f"scope must be one of {', '.join(SCOPES)}, not {self.scope!r}")


def keep(rows: pd.DataFrame, wanted: object) -> pd.DataFrame:
    """The rows marked True."""
    return pd.DataFrame(rows[np.asarray(wanted, dtype=bool)])


# ---- comparing numbers; each answers with an outcome

RELATIONS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def listed(names: Iterable[str]) -> str:
    """'a, b and c'."""
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last


def gap(a: float, b: float) -> float:
    """a - b without the dust of binary fractions."""
    return round(a - b, 9) + 0.0  # no negative zero


def show(x: float) -> str:
    return f"{x:.6g}"


def compare(
    label: str, left: tuple[str, float], relation: str, right: tuple[str, float]
) -> Outcome:
    """Two named numbers; the evidence shows the relation they are in, asked for or not."""
    (name, a), (other, b) = left, right
    difference = gap(a, b)
    sign = ">" if difference > 0 else "<" if difference < 0 else "="
    words = f"{label}: {name} {show(a)} {sign} {show(b)} {other}"
    return bool(RELATIONS[relation](difference, 0)), words


def top(label: str, numbers: dict[str, float], relation: str = ">") -> Outcome:
    """The first of the named numbers against the largest of the others."""
    first, *others = numbers.items()
    rival, best = max(others, key=lambda item: item[1])
    rival += f" (best of {len(others)})" if len(others) > 1 else ""
    return compare(label, first, relation, (rival, best))


def least(label: str, numbers: dict[str, float]) -> Outcome:
    """The first of the named numbers against the smallest of the others."""
    first, *others = numbers.items()
    rival, low = min(others, key=lambda item: item[1])
    rival += f" (least of {len(others)})" if len(others) > 1 else ""
    return compare(label, first, "<", (rival, low))


def falling(label: str, numbers: dict[str, float]) -> Outcome:
    """Named numbers that should decrease strictly in the order given."""
    (name, last), *rest = numbers.items()
    holds, words = True, f"{label}: {name} {show(last)}"
    for name, x in rest:
        step = gap(last, x)
        sign = ">" if step > 0 else "<" if step < 0 else "="
        holds, words, last = holds and step > 0, f"{words} {sign} {name} {show(x)}", x
    return holds, words


def within(label: str, got: float, wanted: float, margin: float) -> Outcome:
    """A number against the one claimed."""
    words = f"{label}: {show(got)} against {show(wanted)}"
    words += f" +- {show(margin)}" if margin else ""
    return abs(gap(got, wanted)) <= margin, words


def in_each(label: str, gaps: dict[str, float], relation: str = ">") -> Outcome:
    """Differences that should all be positive: in how many places, and where least or not."""
    failing = {place: x for place, x in gaps.items() if not RELATIONS[relation](x, 0)}
    narrow = min(gaps, key=lambda place: gaps[place])
    words = f"{label} in {len(gaps) - len(failing)} of {len(gaps)}"
    if failing:
        return False, f"{words}, not in " + ", ".join(
            f"{k} ({show(x)})" for k, x in failing.items()
        )
    return True, f"{words}, least in {narrow} ({show(gaps[narrow])})"


def every(*outcomes: Outcome) -> Outcome:
    """Holds where all of them hold; evidence of all."""
    if not outcomes:
        raise LookupError("nothing to decide by")
    return all(holds for holds, _ in outcomes), "; ".join(words for _, words in outcomes)
