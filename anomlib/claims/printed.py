"""Reading printed rows: one number, or several, at a place of a table."""

import numpy as np
import pandas as pd

from .outcomes import Outcome, gap, keep, top, within


def pick(rows: pd.DataFrame, **place: str) -> pd.DataFrame:
    """The rows at a place, such as `pick(rows, paper="fae", item="table3")`; "" is an empty cell.

    Raises:
        LookupError: there is none.
    """
    there = [rows[column].fillna("").to_numpy() == wanted for column, wanted in place.items()]
    found = keep(rows, np.logical_and.reduce(there))
    if found.empty:
        raise LookupError(f"no printed row at {_words(place)}")
    return found


def value(rows: pd.DataFrame, *, variant: str = "", **place: str) -> float:
    """The one printed number at a place, as printed, in its printed unit.

    Raises:
        LookupError: there is none, or more than one, or it is not a number.
    """
    place = place | {"variant": variant}
    found = pick(rows, **place)["value"]
    if len(found) != 1 or not np.isfinite(found.iloc[0]):
        raise LookupError(f"expected one printed number at {_words(place)}: {found.tolist()}")
    return float(found.iloc[0])


def values(rows: pd.DataFrame, variants: dict[str, str], **place: str) -> dict[str, float]:
    """Printed numbers that differ in their variant only, under short names."""
    return {name: value(rows, variant=variant, **place) for name, variant in variants.items()}


def names(rows: pd.DataFrame, count: int, **place: str) -> list[str]:
    """The categories printed at a place, means left out.

    Raises:
        LookupError: they are not as many as the claim speaks of.
    """
    found = pick(rows, **place)["category"].unique().tolist()
    found = [c for c in found if not c.startswith("mean")]
    if len(found) != count:
        raise LookupError(f"expected {count} categories at {_words(place)}: {found}")
    return found


def rivals(
    rows: pd.DataFrame, ours: str, others: int | list[str], **place: str
) -> dict[str, float]:
    """The printed numbers of other methods in the same place.

    Args:
        others: their names, or how many there are: all methods there but ours.

    Raises:
        LookupError: they are not as many as the claim speaks of.
    """
    table = pick(rows, **place)
    table = keep(table, table["method"].fillna("") != ours)
    if isinstance(others, list):
        table = keep(table, table["method"].isin(others))
    count = others if isinstance(others, int) else len(others)
    found = dict(zip(table["method"], table["variant"].fillna(""), strict=True))
    if not len(found) == len(table) == count:
        raise LookupError(f"expected {count} rivals of {ours} at {_words(place)}: {list(found)}")
    return {m: value(rows, method=m, variant=v, **place) for m, v in found.items()}


def note(rows: pd.DataFrame, **place: str) -> str:
    """What is known to be wrong with a printed number, in brackets; empty where nothing is."""
    table = pick(rows, **place).dropna(subset="note")
    return "".join(f" [{m}: {n}]" for m, n in zip(table["method"], table["note"], strict=True))


def _words(place: dict[str, str]) -> str:
    return ", ".join(f"{k}={v!r}" for k, v in place.items())


# ---- our method against others


def leads(
    rows: pd.DataFrame,
    ours: str,
    others: int | list[str],
    metric: str,
    *,
    variant: str = "",
    **place: str,
) -> Outcome:
    """Our printed number in a metric against the best rival's in the same place."""
    place = place | {"metric": metric}
    others_by_name = rivals(rows, ours, others, **place)
    best = max(others_by_name, key=lambda m: others_by_name[m])
    mine = place | {"method": ours, "variant": variant}
    holds, words = top(metric, {ours: value(rows, **mine)} | others_by_name)
    return holds, words + note(rows, **mine) + note(rows, method=best, **place)


def lead(rows: pd.DataFrame, ours: str, others: int | list[str], **place: str) -> float:
    """By how much our printed number exceeds the best rival's."""
    best = max(rivals(rows, ours, others, **place).values())
    return gap(value(rows, method=ours, **place), best)


def leads_by(
    rows: pd.DataFrame,
    claimed: dict[str, float],
    margin: float,
    ours: str,
    others: int | list[str],
    metric: str,
    **place: str,
) -> Outcome:
    """Our lead in a metric against the one claimed for it."""
    got = lead(rows, ours, others, metric=metric, **place)
    _, words = leads(rows, ours, others, metric, **place)
    holds, claim = within("lead", got, claimed[metric], margin)
    return holds, f"{words}, {claim}"
