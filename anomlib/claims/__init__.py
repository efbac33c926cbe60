"""What the five papers claim, and what decides it: one small predicate per claim, named by its id.

Six literal tables in each paper's file, joined here, map a claim's id to its predicate:

    PRINTED    over the rows of `results/published.csv`: does the paper's own table bear it out?
    MEASURED   over our rows: is it reproduced, and on which data?
    IMAGEWISE  over our lines of images, where a claim is about images one by one
    STUDIED    over the tables of our studies, where it is about more than a run's results
    JOINED     over our rows and the tables of our studies, where it is about both
    EXACT      a calculation that needs no data

`decide` turns them into one line per claim, `summary` counts the verdicts. Thresholds are those
of the column `check` of `results/claims.csv`; every other number is read from a row, and an absent
row is an error, never an outcome. Nothing here reads or writes a file.

What the rows decide, and what they do not:
    1. Printed numbers are taken as printed, misprints included; their note shows in the evidence.
    2. A claim that holds on the printed numbers is not reproduced: only measured rows do that.
    3. Differences are rounded to 9 digits first, so that 93.5 - 93.0 <= 0.5 in floats as on paper.
    4. Rows of different scopes, profiles or sets of images never meet in one mean, nor do those
       of all training images and of a share of them. The strongest scope that has all the rows
       decides alone. A claim about one dataset that is measured on another has a scope of its own.
    5. Of several settings the one with the most rows decides ("paper" before others in a tie).
       Methods that look through a backbone are compared with one and the same.
    6. Methods that are `ABSENT`, for their weights are not everyone's to have or nobody runs them
       here, are not waited for; every other method is. A claim that names one of them and already
       fails without it is not reproduced. One that holds without it is not reproduced either: it
       stays "not tested yet", and the evidence says what holds so far, on which data. So it is,
       too, where a dataset, a backbone or a kind of surface is absent that the claim speaks of.
    7. One model for several categories is GRAD's subject: no other paper's claim is about it.
"""

from collections.abc import Callable, Sequence

import pandas as pd

from . import (
    fae,
    fae_measured,
    fae_theory,
    fair,
    fair_signals,
    grad,
    grad_measured,
    ssdnet,
    subspace,
)
from .ours import COLUMNS, LINE_COLUMNS, STUDY_COLUMNS
from .outcomes import PROFILES, SCOPES, Decision, Outcome, Studies, keep

__all__ = ["PROFILES", "SCOPES", "VERDICTS", "Decision", "command_for", "decide", "summary"]

VERDICTS = (
    "reproduced",
    "not reproduced",
    "holds exactly",
    "fails exactly",
    "contradicted by the paper's own table",
    "not tested yet",  # followed by ": " and the command that tests it
)
PRINTED_WORDS = {True: "holds on the printed numbers", False: "fails on the printed numbers"}


# ---- which predicate decides which claim

PRINTED: dict[str, Callable[[pd.DataFrame], Outcome]] = {
    **ssdnet.PRINTED,
    **subspace.PRINTED,
    **fair.PRINTED,
    **grad.PRINTED,
    **fae.PRINTED,
}
MEASURED: dict[str, Callable[[pd.DataFrame], Decision | None]] = {
    **ssdnet.MEASURED,
    **subspace.MEASURED,
    **fair.MEASURED,
    **grad_measured.MEASURED,
    **fae.MEASURED,
}
IMAGEWISE: dict[str, Callable[[pd.DataFrame], Decision | None]] = {
    **ssdnet.IMAGEWISE,
    **fair.IMAGEWISE,
}
STUDIED: dict[str, Callable[[Studies], Decision | None]] = {
    **ssdnet.STUDIED,
    **subspace.STUDIED,
    **fair_signals.STUDIED,
    **grad_measured.STUDIED,
    **fae_measured.STUDIED,
}
JOINED: dict[str, Callable[[pd.DataFrame, Studies], Decision | None]] = {**fair.JOINED}
EXACT: dict[str, Callable[[], Outcome]] = {
    **ssdnet.EXACT,
    **subspace.EXACT,
    **fair.EXACT,
    **fair_signals.EXACT,
    **grad_measured.EXACT,
    **fae_theory.EXACT,
}


# ---- every claim, one line


def decide(
    claims: pd.DataFrame,
    published: pd.DataFrame,
    rows: pd.DataFrame,
    images: pd.DataFrame | None = None,
    studies: Studies | None = None,
    wanted: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Gives each claim its verdict, scope and evidence, in the order of `claims`.

    Args:
        claims: `results/claims.csv`.
        published: `results/published.csv`.
        rows: our measured rows with their profile, as `results.load` returns them; may be empty.
        images: one line per test image, as `results.load_images(rows)` returns them.
        studies: item -> its table, as `results.load_study(item)` returns it.
        wanted: the claims to decide, by id; all if None.

    Returns:
        Columns id, paper, item, claim, check, kind, needs, printed, printed_evidence, verdict,
        scope, evidence, command.

    Raises:
        ValueError: a predicate for an unknown claim, an unknown id that is wanted, or measured
            rows, lines of images or studies that cannot be read.
        LookupError: a printed number that a predicate needs is absent; names the claim.
    """
    images, studies = pd.DataFrame() if images is None else images, studies or {}
    _check(claims, rows, images, studies)
    if wanted is not None:
        if unknown := sorted(set(wanted) - set(claims["id"])):
            raise ValueError(f"no claim {', '.join(unknown)} in claims.csv")
        claims = claims[claims["id"].isin(wanted)]
    own = _own(rows), _own(images)
    kept = ["id", "paper", "item", "claim", "check", "kind", "needs"]
    decided = []
    for claim in claims.to_dict("records"):
        name, command = claim["id"], command_for(claim["paper"], claim["needs"])
        outcome = _printed(name, published)
        ours, lines = (rows, images) if claim["paper"] == "grad" else own
        decision = _decision(name, ours, lines, studies)
        verdict, scope, evidence = _verdict(name, outcome, decision, command)
        decided.append(
            {column: claim[column] for column in kept}
            | {
                "printed": "not printed" if outcome is None else PRINTED_WORDS[outcome[0]],
                "printed_evidence": "" if outcome is None else outcome[1],
                "verdict": verdict,
                "scope": scope,
                "evidence": evidence,
                "command": command,
            }
        )
    return pd.DataFrame(decided)


def summary(decided: pd.DataFrame) -> pd.DataFrame:
    """Counts claims by paper (rows) and by verdict without its command (columns)."""
    family = decided["verdict"].str.partition(":")[0]
    counts = pd.crosstab(decided["paper"], family)
    papers = list(dict.fromkeys(decided["paper"]))
    counts = counts.reindex(index=papers, columns=list(VERDICTS), fill_value=0)
    return counts.rename_axis(columns=None)


def command_for(paper: str, needs: str) -> str:
    """The command that measures what a claim needs."""
    return f"make {'paper' if needs == 'gpu_full' else 'full'} ITEM={paper}"


def _check(
    claims: pd.DataFrame, rows: pd.DataFrame, images: pd.DataFrame, studies: Studies
) -> None:
    predicates = {*PRINTED, *MEASURED, *IMAGEWISE, *STUDIED, *JOINED, *EXACT}
    unknown = sorted(predicates - set(claims["id"]))
    if unknown:
        raise ValueError(f"claims decides {', '.join(unknown)}: no such id in claims.csv")
    _check_table("measured rows", rows, COLUMNS)
    _check_table("lines of images", images, LINE_COLUMNS)
    for item, table in studies.items():
        columns = ["profile"] if item == fair.SPEED else STUDY_COLUMNS  # speed is of no dataset
        _check_table(f"lines of the study {item}", table, columns)


def _check_table(what: str, table: pd.DataFrame, columns: Sequence[str]) -> None:
    if table.empty:
        return
    absent = [c for c in columns if c not in table.columns]
    if absent:
        raise ValueError(f"{what} lack the columns {', '.join(absent)}")
    strange = sorted(set(table["profile"].astype(str)) - set(PROFILES))
    if strange:
        raise ValueError(
            f"{what}: unknown profile {', '.join(strange)}; known are {', '.join(PROFILES)}"
        )


def _own(table: pd.DataFrame) -> pd.DataFrame:
    return table if table.empty else keep(table, table["trained_on"] == "own")


def _printed(name: str, published: pd.DataFrame) -> Outcome | None:
    if name not in PRINTED:
        return None
    try:
        return PRINTED[name](published)
    except LookupError as error:
        raise LookupError(f"{name} cannot be decided: {error}") from error


def _decision(
    name: str, rows: pd.DataFrame, images: pd.DataFrame, studies: Studies
) -> Decision | None:
    if name in MEASURED and not rows.empty:
        return MEASURED[name](rows)
    if name in IMAGEWISE and not images.empty:
        return IMAGEWISE[name](images)
    if name in JOINED:
        return JOINED[name](rows, studies)
    return STUDIED[name](studies) if name in STUDIED else None


def _verdict(
    name: str, printed: Outcome | None, decision: Decision | None, command: str
) -> tuple[str, str, str]:
    if name in EXACT:
        holds, evidence = EXACT[name]()
        return "holds exactly" if holds else "fails exactly", "calculation", evidence
    if decision is not None and decision.holds is not None:
        verdict = "reproduced" if decision.holds else "not reproduced"
        return verdict, decision.scope, decision.evidence
    if printed is not None and not printed[0]:
        return "contradicted by the paper's own table", "printed table", printed[1]
    if decision is not None:  # a part of the claim holds, the rest waits for the command
        return f"not tested yet: {command}", decision.scope, decision.evidence
    return f"not tested yet: {command}", "", ""
