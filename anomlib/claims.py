"""What the five papers claim, and what decides it: one small predicate per claim, named by its id.

Five literal tables at the end map a claim's id to its predicate:

    PRINTED    over the rows of `results/published.csv`: does the paper's own table bear it out?
    MEASURED   over our rows: is it reproduced, and on which data?
    IMAGEWISE  over our lines of images, where a claim is about images one by one
    STUDIED    over the tables of our studies, where it is about more than a run's results
    EXACT      a calculation that needs no data

`decide` turns them into one line per claim, `summary` counts the verdicts. Thresholds are those
of the column `check` of `results/claims.csv`; every other number is read from a row, and an absent
row is an error, never an outcome. Nothing here reads or writes a file.

What the rows decide, and what they do not:
    1. Printed numbers are taken as printed, misprints included; their note shows in the evidence.
    2. A claim that holds on the printed numbers is not reproduced: only measured rows do that.
    3. Differences are rounded to 9 digits first, so that 93.5 - 93.0 <= 0.5 in floats as on paper.
    4. Rows of different scopes, profiles or sets of images never meet in one mean. The strongest
       scope that has all the rows decides alone.
    5. Of several settings the one with the most rows decides ("paper" before others in a tie).
    6. WinCLIP alone may be absent, for its weights are not everyone's to have; every other method
       is waited for. A claim that names WinCLIP and already fails without it is not reproduced.
       One that holds without it is not reproduced either: it stays "not tested yet", and the
       evidence says what holds so far, on which data.
"""

import json
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd

VERDICTS = (
    "reproduced",
    "not reproduced",
    "holds exactly",
    "fails exactly",
    "contradicted by the paper's own table",
    "not tested yet",  # followed by ": " and the command that tests it
)
SCOPES = ("full data", "real sample", "embedded stand-in", "calculation", "printed table")
PROFILES = ("full", "sample", "demo")
COLUMNS = (  # of our rows
    "method settings trained_on dataset category seed metric value profile".split()
)
LINE_COLUMNS = (  # of our lines of images; a metric's column may be absent
    "path kind label method settings trained_on dataset category seed profile".split()
)
STUDY_COLUMNS = "dataset category profile".split()  # of any study
CORRUPTIONS = {"noise", "missing", "nseed"}  # variants that change pixels, not which images

PRINTED_WORDS = {True: "holds on the printed numbers", False: "fails on the printed numbers"}

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


# ---- every claim, one line


def decide(
    claims: pd.DataFrame,
    published: pd.DataFrame,
    rows: pd.DataFrame,
    images: pd.DataFrame | None = None,
    studies: Studies | None = None,
) -> pd.DataFrame:
    """Gives each claim its verdict, scope and evidence, in the order of `claims`.

    Args:
        claims: `results/claims.csv`.
        published: `results/published.csv`.
        rows: our measured rows with their profile, as `results.load` returns them; may be empty.
        images: one line per test image, as `results.load_images(rows)` returns them.
        studies: item -> its table, as `results.load_study(item)` returns it.

    Returns:
        Columns id, paper, item, claim, check, kind, needs, printed, printed_evidence, verdict,
        scope, evidence, command.

    Raises:
        ValueError: a predicate for an unknown claim, or measured rows, lines of images or studies
            that cannot be read.
        LookupError: a printed number that a predicate needs is absent; names the claim.
    """
    images, studies = pd.DataFrame() if images is None else images, studies or {}
    _check(claims, rows, images, studies)
    kept = ["id", "paper", "item", "claim", "check", "kind", "needs"]
    decided = []
    for claim in claims.to_dict("records"):
        name, command = claim["id"], command_for(claim["paper"], claim["needs"])
        outcome = _printed(name, published)
        decision = _decision(name, rows, images, studies)
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
    predicates = {*PRINTED, *MEASURED, *IMAGEWISE, *STUDIED, *EXACT}
    unknown = sorted(predicates - set(claims["id"]))
    if unknown:
        raise ValueError(f"claims.py decides {', '.join(unknown)}: no such id in claims.csv")
    _check_table("measured rows", rows, COLUMNS)
    _check_table("lines of images", images, LINE_COLUMNS)
    for item, table in studies.items():
        _check_table(f"lines of the study {item}", table, STUDY_COLUMNS)


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


# ---- reading printed rows


def keep(rows: pd.DataFrame, wanted: object) -> pd.DataFrame:
    """The rows marked True."""
    return pd.DataFrame(rows[np.asarray(wanted, dtype=bool)])


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


# ---- comparing numbers; each answers with an outcome

RELATIONS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


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


# ---- SSDnet: the printed numbers

GRID = {"paper": "ssdnet", "item": "table1", "dataset": "mvtec", "category": "grid"}
DOTS = {"paper": "ssdnet", "item": "table1", "dataset": "hkbu_dot", "category": "mean"}
PIXEL = ("pixel_auroc", "pixel_ap")
UNTRAINED = ["spectral_residual", "pg_lsr", "winclip", "glcm"]  # they use no training images too


def ssdnet_01(rows: pd.DataFrame) -> Outcome:
    return every(*(leads(rows, "ssdnet", UNTRAINED, m, **GRID) for m in PIXEL))


def ssdnet_02(rows: pd.DataFrame) -> Outcome:
    return every(*(leads(rows, "ssdnet", UNTRAINED, m, **DOTS) for m in PIXEL))


def ssdnet_03(rows: pd.DataFrame) -> Outcome:
    return _reaches_grid({m: value(rows, method="ssdnet", metric=m, **GRID) for m in PIXEL})


def _reaches_grid(means: dict[str, float]) -> Outcome:
    pairs = zip(means.items(), (0.985, 0.595), strict=True)
    return every(
        *(compare(m, ("ssdnet", x), ">=", ("asked for", least)) for (m, x), least in pairs)
    )


def ssdnet_04(rows: pd.DataFrame) -> Outcome:
    claimed, third = {"pixel_auroc": 0.02, "pixel_ap": 0.10}, [*UNTRAINED]
    third.remove("pg_lsr")
    ahead = [leads_by(rows, claimed, 0.01, "ssdnet", ["pg_lsr"], m, **DOTS) for m in PIXEL]
    return every(*ahead, *(leads(rows, "pg_lsr", third, m, **DOTS) for m in PIXEL))


def ssdnet_05(rows: pd.DataFrame) -> Outcome:
    clip = {m: value(rows, method="winclip", metric=m, **DOTS) for m in PIXEL}
    ours = {m: value(rows, method="ssdnet", metric=m, **DOTS) for m in PIXEL}
    half = ("half of ssdnet's", 0.5 * ours["pixel_ap"])
    less = ("ssdnet's less 0.1", ours["pixel_auroc"] - 0.1)
    return every(
        compare("pixel_ap", ("winclip", clip["pixel_ap"]), "<=", half),
        compare("pixel_auroc", ("winclip", clip["pixel_auroc"]), "<=", less),
    )


# ---- Subspace: the printed numbers

LOCAL = ("pixel_auroc", "aupro")
MVTEC_OF = {"pixel_auroc": "table3", "aupro": "table4"}  # where Subspace prints MVTec
WHOLE = {"paper": "subspace", "category": "mean"}
TABLE6 = {**WHOLE, "item": "table6", "dataset": "mvtec", "method": "subspace"}
BACKBONES = {  # residual networks, then EfficientNets
    "resnets": ("resnet50", "resnet101", "wide_resnet50_2", "wide_resnet101_2"),
    "efficientnets": ("efficientnet_b1", "efficientnet_b7"),
}


def subspace_01(rows: pd.DataFrame) -> Outcome:
    place = WHOLE | {"item": "table1", "dataset": "mtd"}
    return every(*(leads(rows, "subspace", 7, m, **place) for m in LOCAL))


def subspace_02(rows: pd.DataFrame) -> Outcome:
    return leads(rows, "subspace", 6, "aupro", item="table2", dataset="btad", **WHOLE)


def subspace_03(rows: pd.DataFrame) -> Outcome:
    place, reconstruct = WHOLE | {"dataset": "mvtec"}, ["ae_ssim", "dfr", "dsr"]
    return every(
        *(leads(rows, "subspace", reconstruct, m, item=MVTEC_OF[m], **place) for m in LOCAL)
    )


def subspace_04(rows: pd.DataFrame) -> Outcome:
    outcomes = []
    for m, count in {"pixel_auroc": 10, "aupro": 9}.items():
        place = WHOLE | {"dataset": "mvtec", "item": MVTEC_OF[m]}
        _, words = leads(rows, "subspace", count, m, **place)
        behind = -lead(rows, "subspace", count, metric=m, **place)
        holds, limit = compare("points behind", ("subspace", behind), "<=", ("allowed", 0.5))
        outcomes.append((holds, f"{words}, {limit}"))
    return every(*outcomes)


def subspace_05(rows: pd.DataFrame) -> Outcome:
    place, sets = WHOLE | {"item": "table5"}, ("mtd", "btad", "mtd+btad+mvtec")
    outcomes = [(s, leads(rows, "subspace", 6, "pixel_ap", dataset=s, **place)) for s in sets]
    beaten = leads(rows, "subspace", ["patchcore"], "pixel_ap", dataset="mvtec", **place)
    outcomes.append(("mvtec", beaten))
    return every(*((holds, f"{name} {words}") for name, (holds, words) in outcomes))


def subspace_10(rows: pd.DataFrame) -> Outcome:
    """Printed for one bank size only, and for the backbone of the figure."""
    with_and_without = _table6(rows, "aupro", ["wide_resnet50_2"])
    change = abs(gap(*with_and_without["wide_resnet50_2"]))
    words = "aupro, one bank size only", ("change by sampling", change)
    return compare(*words, "<=", ("allowed", 0.5))


def subspace_18(rows: pd.DataFrame) -> Outcome:
    outcomes, sampled = [], {b: f"backbone={b};sampling=true" for b in sum(BACKBONES.values(), ())}
    for m, bound in {"pixel_auroc": 1.0, "aupro": 2.0}.items():
        numbers = values(rows, sampled, metric=m, **TABLE6).values()
        spread = ("spread over backbones", gap(max(numbers), min(numbers)))
        outcomes.append(compare(m, spread, "<=", ("allowed", bound)))
    return every(*outcomes)


def subspace_19(rows: pd.DataFrame) -> Outcome:
    saved = {
        family: {
            b: 1 - sampled / full
            for b, (sampled, full) in _table6(rows, "seconds_per_image", nets).items()
        }
        for family, nets in BACKBONES.items()
    }
    least, most = min(saved["resnets"].values()), max(saved["efficientnets"].values())
    return every(
        in_each("share of time saved is positive", saved["resnets"] | saved["efficientnets"]),
        compare("share saved", ("resnets, least", least), ">", ("efficientnets, most", most)),
    )


def _table6(
    rows: pd.DataFrame, metric: str, backbones: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """By backbone: the number with sampling, then without."""
    found = {}
    for b in backbones:
        variants = {s: f"backbone={b};sampling={s}" for s in ("true", "false")}
        found[b] = tuple(values(rows, variants, metric=metric, **TABLE6).values())
    return found


# ---- FAIR: the printed numbers

MVTEC = {"paper": "fair", "dataset": "mvtec", "category": "mean"}
VISA = {"paper": "fair", "dataset": "visa", "category": "mean"}
BOTH = {"paper": "fair", "dataset": "mvtec+visa", "category": "mean", "item": "table5"}
THREE = ("image_auroc", "pixel_auroc", "aupro")
FILTERS = {  # Table 7, all at cutoff 30
    "butterworth2": "filter=butterworth;order=2;cutoff=30",
    "butterworth3": "filter=butterworth;order=3;cutoff=30",
    "gaussian": "filter=gaussian;cutoff=30",
    "ideal": "filter=ideal;cutoff=30",
}
CUTOFFS = {f"cutoff {d}": f"filter=butterworth;order=2;cutoff={d}" for d in (10, 30, 60, 90)}
WIDTHS = {c: f"channels={c}" for c in (128, 64, 32)}  # Table 5
SOBEL = {  # Table 10
    "xy3": "filter=sobel;kernel=3;directions=xy",
    "x3": "filter=sobel;kernel=3;directions=x",
    "xy5": "filter=sobel;kernel=5;directions=xy",
}
SCORES = {s: f"score={s}" for s in ("msgms+color", "msgms", "color", "discriminative")}


def fair_01(rows: pd.DataFrame) -> Outcome:
    return leads(rows, "fair", 7, "image_auroc", item="table1", **MVTEC)


def fair_02(rows: pd.DataFrame) -> Outcome:
    counts = {"pixel_auroc": 7, "aupro": 3}  # only three of the seven report aupro
    return every(*(leads(rows, "fair", n, m, item="table3", **MVTEC) for m, n in counts.items()))


def fair_03(rows: pd.DataFrame) -> Outcome:
    return leads(rows, "fair", 5, "image_auroc", item="table2", **VISA)


def fair_04(rows: pd.DataFrame) -> Outcome:
    return every(*(leads(rows, "fair", 5, m, item="table4", **VISA) for m in LOCAL))


def fair_05(rows: pd.DataFrame) -> Outcome:
    features, width = ["patchcore", "rd4ad"], WIDTHS[128]
    better = [leads(rows, "fair", features, m, variant=width, **BOTH) for m in (*THREE, "fps")]
    size = {"metric": "params_millions", **BOTH}
    mine = value(rows, method="fair", variant=width, **size)
    theirs = rivals(rows, "fair", features, **size)
    name = min(theirs, key=lambda m: theirs[m])
    return every(*better, compare("params", ("fair", mine), "<", (name, theirs[name])))


def fair_06(rows: pd.DataFrame) -> Outcome:
    measures = ("image_auroc", "aupro", "fps", "params_millions")
    ours = {m: value(rows, method="fair", metric=m, variant=WIDTHS[32], **BOTH) for m in measures}
    dsr = {m: value(rows, method="dsr", metric=m, **BOTH) for m in measures}
    ratio = {m: ours[m] / dsr[m] for m in ("fps", "params_millions")}
    return every(
        within("image_auroc over dsr", gap(ours["image_auroc"], dsr["image_auroc"]), 1.4, 0.05),
        within("aupro over dsr", gap(ours["aupro"], dsr["aupro"]), 12.0, 0.05),
        compare("fps", ("times dsr's", ratio["fps"]), ">=", ("asked for", 3.0)),
        within("params, share of dsr's", ratio["params_millions"], 0.11, 0.005),
    )


def fair_07(rows: pd.DataFrame) -> Outcome:
    fps, image = _widths(rows, "fps"), _widths(rows, "image_auroc")
    pixel = _widths(rows, "pixel_auroc", (128, 32))
    image_lost, pixel_lost = gap(image[128], image[32]), gap(pixel[128], pixel[32])
    return every(
        falling("fps", {f"c={c}": x for c, x in reversed(fps.items())}),
        falling("image_auroc", {f"c={c}": x for c, x in image.items()}),
        compare("image_auroc", ("lost in all", image_lost), "<=", ("allowed", 1.5)),
        compare("pixel_auroc", ("lost in all", pixel_lost), "<=", ("allowed", 0.2)),
    )


def fair_08(rows: pd.DataFrame) -> Outcome:
    sizes = _widths(rows, "params_millions")
    return every(
        *(
            within(f"c={c}, printed size", x, unet_parameters(c) / 2**20, 0.05)
            for c, x in sizes.items()
        )
    )


def unet_parameters(width: int, inputs: int = 1, outputs: int = 3) -> int:
    """Parameters of the released U-Net: 5 levels, skips by addition, every convolution biased."""

    def conv(a: int, b: int) -> int:  # 3 x 3, then the batch normalisation's scale and shift
        return 9 * a * b + b + 2 * b

    total, last = 0, inputs
    for wide in (width, 2 * width, 4 * width, 8 * width, 8 * width):
        total, last = total + conv(last, wide) + conv(wide, wide), wide
    for wide in (4 * width, 2 * width, width, width):
        total, last = total + 2 * conv(last, last) + conv(last, wide), wide
    return total + 9 * last * outputs + outputs


def _widths(
    rows: pd.DataFrame, metric: str, widths: Sequence[int] = (128, 64, 32)
) -> dict[int, float]:
    place = BOTH | {"method": "fair", "metric": metric}
    return {c: value(rows, variant=WIDTHS[c], **place) for c in widths}


def fair_11(rows: pd.DataFrame) -> Outcome:
    outcomes, place = [], MVTEC | {"item": "table6"}
    for m in THREE:
        order = ("fair", "colorre", "deae", "deae_noskip")
        numbers = {x: value(rows, method=x, metric=m, **place) for x in order}
        plain = ("deae_noskip", numbers.pop("deae_noskip"))
        outcomes.append(falling(m, numbers))
        outcomes.append(compare(m, ("fair", numbers["fair"]), ">", plain))
    holds, words = every(*outcomes)
    return holds, words + note(rows, method="deae_noskip", metric="image_auroc", **place)


def fair_12(rows: pd.DataFrame) -> Outcome:
    place = MVTEC | {"item": "table7", "method": "fair"}
    relations = {"image_auroc": ">", "aupro": ">", "pixel_auroc": ">="}
    return every(
        *(top(m, values(rows, FILTERS, metric=m, **place), sign) for m, sign in relations.items())
    )


def fair_13(rows: pd.DataFrame) -> Outcome:
    mse = _filters_mse(rows)
    rough_first = ("ideal", "butterworth3", "butterworth2", "gaussian")
    return falling("normal_mse in 1e-4", {f: mse[f] for f in rough_first})


def fair_14(rows: pd.DataFrame) -> Outcome:
    return falling("normal_mse in 1e-4", dict(reversed(_cutoffs_mse(rows).items())))


def fair_15(rows: pd.DataFrame) -> Outcome:
    filters, cutoffs = _filters_mse(rows), _cutoffs_mse(rows)
    low, high = (("butterworth2, " + d, cutoffs[d]) for d in ("cutoff 10", "cutoff 90"))
    ranges = [gap(max(x.values()), min(x.values())) for x in (cutoffs, filters)]
    return every(
        compare("normal_mse", low, ">", ("gaussian", filters["gaussian"])),
        compare("normal_mse", high, "<", ("ideal", filters["ideal"])),
        compare("range", ("over cutoffs", ranges[0]), "<", ("over filters", ranges[1])),
    )


def _filters_mse(rows: pd.DataFrame) -> dict[str, float]:
    return values(rows, FILTERS, item="table7", method="fair", metric="normal_mse", **MVTEC)


def _cutoffs_mse(rows: pd.DataFrame) -> dict[str, float]:
    return values(rows, CUTOFFS, item="table8", method="fair", metric="normal_mse", **MVTEC)


def fair_23(rows: pd.DataFrame) -> Outcome:
    place = MVTEC | {"item": "table10", "method": "fair"}
    return every(*(top(m, values(rows, SOBEL, metric=m, **place)) for m in THREE))


def fair_24(rows: pd.DataFrame) -> Outcome:
    outcomes = []
    for m in THREE:
        score = values(rows, SCORES, item="table11", method="fair", metric=m, **MVTEC)
        learned = ("discriminative", score.pop("discriminative"))
        outcomes.append(falling(m, score))
        outcomes.append(compare(m, ("msgms+color", score["msgms+color"]), ">", learned))
    return every(*outcomes)


def fair_25(rows: pd.DataFrame) -> Outcome:
    outcomes = []
    for m in THREE:
        place = BOTH | {"metric": m}
        theirs = rivals(rows, "fair", 5, **place)
        best = max(theirs, key=lambda name: theirs[name])
        mine = place | {"item": "table12", "method": "fair", "variant": "dtd=false"}
        holds, words = top(m, {"fair": value(rows, **mine)} | theirs)
        outcomes.append((holds, words + note(rows, **mine) + note(rows, method=best, **place)))
    return every(*outcomes)


# ---- GRAD: the printed numbers

GOODS = {"paper": "grad", "dataset": "goodsad"}
GOODS_OF = {  # where GRAD prints GoodsAD
    "image_auroc": "table1a",
    "image_ap": "table1a",
    "pixel_auroc": "table1b",
    "pixel_ap": "table1b",
}
ABLATED = {"paper": "grad", "item": "table2", "category": "mean", "method": "grad"}
GRIDS = {
    "two grids": "normal_grid=true;abnormal_grid=true",
    "normal grid only": "normal_grid=true;abnormal_grid=false",
}
AP = ("image_ap", "pixel_ap")


def grad_01(rows: pd.DataFrame) -> Outcome:
    return _goods_lead(rows, {"image_auroc": 3.4, "image_ap": 2.8})


def grad_02(rows: pd.DataFrame) -> Outcome:
    return _goods_lead(rows, {"pixel_auroc": 1.1, "pixel_ap": 3.0})


def _goods_lead(rows: pd.DataFrame, claimed: dict[str, float]) -> Outcome:
    place = GOODS | {"category": "mean"}
    return every(
        *(leads_by(rows, claimed, 0.05, "grad", 7, m, item=GOODS_OF[m], **place) for m in claimed)
    )


def grad_03(rows: pd.DataFrame) -> Outcome:
    gains = {}
    for m, item in GOODS_OF.items():
        place = GOODS | {"item": item, "metric": m}
        for c in names(rows, 6, method="grad", **place):
            gains[f"{c} {m}"] = lead(rows, "grad", ["crad"], category=c, **place)
    return in_each("ahead of crad", gains)


def grad_04(rows: pd.DataFrame) -> Outcome:
    gains = {}
    for dataset in ("mvtec", "goodsad"):
        for m in AP:
            both, one = values(rows, GRIDS, dataset=dataset, metric=m, **ABLATED).values()
            gains[f"{dataset} {m}"] = gap(both, one)
    holds, words = in_each("gain by the abnormal grid", gains)
    return holds, f"{words}: " + ", ".join(f"{k} {show(x)}" for k, x in gains.items())


def grad_05(rows: pd.DataFrame) -> Outcome:
    outcomes = []
    for m in AP:
        place = {"dataset": "goodsad", "metric": m}
        one = value(rows, variant=GRIDS["normal grid only"], **place, **ABLATED)
        table = {"paper": "grad", "item": GOODS_OF[m], "category": "mean", "method": "crad"}
        crad = value(rows, **place, **table)
        outcomes.append(within(f"{m} of the normal grid, and of crad", one, crad, 0.5))
    return every(*outcomes)


def grad_06(rows: pd.DataFrame) -> Outcome:
    asked = {
        ("mvtec", "image_ap"): 99.75,
        ("mvtec", "pixel_ap"): 54.15,
        ("goodsad", "image_ap"): 81.35,
        ("goodsad", "pixel_ap"): 36.35,
    }
    outcomes = []
    for (dataset, m), least in asked.items():
        got = value(rows, variant=GRIDS["two grids"], dataset=dataset, metric=m, **ABLATED)
        outcomes.append(compare(f"{dataset} {m}", ("grad", got), ">=", ("asked for", least)))
    return every(*outcomes)


def grad_07(rows: pd.DataFrame) -> Outcome:
    place = GOODS | {"item": "text", "category": "mean", "metric": "memory"}
    use = {
        m: value(rows, method=m, variant="where=sec4B", **place)
        for m in ("padim", "simplenet", "grad")
    }
    limit = compare("GB", ("grad", use["grad"]), "<=", ("allowed", 5.0))
    return every(falling("memory in GB", use), limit)


# ---- FAE: the printed numbers

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


# ---- reading our rows


def scope_of(dataset: str) -> str:
    """What a dataset's name says about how far a result on it reaches.

    Examples:
        "mtd" is full data, "mvtec+sample" a real sample, "textures+size=64" a stand-in.
    """
    base, *variants = dataset.split("+")
    if base == "textures":
        return "embedded stand-in"
    partial = any(v == "sample" or v.startswith("first=") for v in variants)
    return "real sample" if partial else "full data"


def scoped(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Our rows in parts that may be averaged: one scope, one profile, one set of images each.

    The strongest scope comes first, in it the fullest profile, then the plainest name. Names that
    differ in their base only (mvtec, visa), or in a corruption, stay together.
    """
    parts = [_part(d, p) for d, p in zip(rows["dataset"], rows["profile"], strict=True)]
    for part in sorted(set(parts)):
        yield SCOPES[part[0]], keep(rows, [p == part for p in parts])


def _part(dataset: str, profile: str) -> tuple[int, int, int, str]:
    variants = [v for v in dataset.split("+")[1:] if v.partition("=")[0] not in CORRUPTIONS]
    scope = SCOPES.index(scope_of(dataset))
    return scope, PROFILES.index(profile), len(variants), "+".join(variants)


def untouched(rows: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Rows of a dataset, whichever part of it, with no noise added and no pixel missing."""
    split = [name.split("+") for name in rows["dataset"]]
    whole = [not any(map(_corrupts, vs)) for _, *vs in split]
    return keep(
        rows, [base == dataset and ok for (base, *_), ok in zip(split, whole, strict=True)]
    )


def settled(
    rows: pd.DataFrame,
    method: str,
    key: Sequence[str],
    table: Callable[[pd.DataFrame], pd.DataFrame],
) -> tuple[pd.DataFrame, str] | None:
    """A method's numbers, all from the same settings, and the words that say which.

    Args:
        rows: those of one part of `scoped` that are asked for.
        key: the columns that name a row of one run; its number is its `value`.
        table: from the rows of one run to its numbers; NaN, or none at all: it is incomplete.

    Returns:
        None where no settings are complete.

    Raises:
        ValueError: two rows for one key, or a value that is not a number.
    """
    rows, complete = keep(rows, rows["method"] == method), []
    for settings, trained_on in sorted(
        set(zip(rows["settings"], rows["trained_on"], strict=True))
    ):
        run = keep(rows, (rows["settings"] == settings) & (rows["trained_on"] == trained_on))
        if run.duplicated(subset=list(key)).any():
            raise ValueError(f"{method} ({settings}) has two rows for one key")
        if not np.isfinite(run["value"].to_numpy(dtype=float)).all():
            raise ValueError(f"{method} ({settings}) has a value that is not a number")
        numbers = table(run)
        if len(numbers) and numbers.notna().to_numpy().all():
            rank = (-len(run), settings != "paper", settings, trained_on)
            complete.append((rank, numbers, len(set(run["seed"]))))
    if not complete:
        return None
    (_, _, settings, trained_on), numbers, seeds = min(complete, key=lambda found: found[0])
    words = f"{method} (settings {settings}, trained on {trained_on}, "
    words += f"mean of {seeds} seeds" if seeds > 1 else "one seed"
    words += f", most rows of {len(complete)} settings)" if len(complete) > 1 else ")"
    return numbers, words


ROW_KEY = ("dataset", "category", "seed", "metric")


def measured(
    rows: pd.DataFrame, method: str, metrics: Sequence[str], categories: Sequence[str]
) -> tuple[dict[str, float], str] | None:
    """A method's means over seeds and then categories, and the words that say what they are.

    All metrics come from the same settings: those with the most rows among the settings that have
    every metric in every category.

    Args:
        rows: one part of `scoped`, of one dataset.

    Returns:
        None where no settings are complete.

    Raises:
        ValueError: two rows for one key, or a value that is not a number.
    """

    def table(run: pd.DataFrame) -> pd.DataFrame:
        means = run.pivot_table(index="metric", columns="category", values="value")
        return means.reindex(index=list(metrics), columns=list(categories))

    rows = keep(rows, rows["metric"].isin(metrics) & rows["category"].isin(categories))
    found = settled(rows, method, ROW_KEY, table)
    if found is None:
        return None
    return {m: float(x) for m, x in found[0].mean(axis=1).items()}, found[1]


def sweeps(
    rows: pd.DataFrame, kind: str, levels: Sequence[float], methods: Sequence[str]
) -> Iterator[tuple[str, dict[str, pd.DataFrame], str, str]]:
    """Part by part, the means of methods at each level of a corruption, over its draws.

    A draw counts where every method has it at every level; level 0 is the same for all draws.

    Args:
        rows: of one dataset and category.
        kind: "noise" or "missing".

    Yields:
        Scope; method -> a table of PER_IMAGE (rows) by level (columns); which data and draws, in
        words; which runs. Nothing where more than WinCLIP is absent.
    """
    other = CORRUPTIONS - {kind, "nseed"}
    split = [dict(v.partition("=")[::2] for v in d.split("+")[1:]) for d in rows["dataset"]]
    rows = rows.assign(
        level=[float(v.get(kind, 0)) for v in split],
        draw=[int(v.get("nseed", 0)) for v in split],
        images=["+".join(v for v in d.split("+") if not _corrupts(v)) for d in rows["dataset"]],
    )
    asked = rows["metric"].isin(PER_IMAGE) & rows["level"].isin(levels)
    rows = keep(rows, asked & np.array([not other & set(v) for v in split], dtype=bool))

    def table(run: pd.DataFrame) -> pd.DataFrame:
        means = run.pivot_table(index="draw", columns=["metric", "level"], values="value")
        means = means.reindex(columns=pd.MultiIndex.from_product([PER_IMAGE, levels]))
        means = means.sort_index()  # draw 0 first, in which untouched images are counted
        for metric in PER_IMAGE if 0.0 in levels else ():
            means[metric, 0.0] = means[metric, 0.0].ffill().bfill()
        return means.dropna()  # a row for each complete draw

    for scope, part in scoped(rows):
        gathered = gather({m: settled(part, m, ROW_KEY, table) for m in methods})
        if gathered is None:
            continue
        found, runs = gathered
        draws = sorted(set.intersection(*(set(numbers.index) for numbers in found.values())))
        if draws:
            means = {m: x.loc[draws].mean().unstack() for m, x in found.items()}
            words = f"{part['images'].iloc[0]}/{part['category'].iloc[0]}, profile "
            words += f"{part['profile'].iloc[0]}, {len(draws)} draw{'s' * (len(draws) > 1)}"
            yield scope, means, words, runs


def _corrupts(variant: str) -> bool:
    return variant.partition("=")[0] in CORRUPTIONS


def imagewise(lines: pd.DataFrame, method: str) -> tuple[pd.DataFrame, str] | None:
    """A method's numbers by seed (rows) and image (columns: category, path), and words for it.

    Args:
        lines: one part of `scoped`, of `defective`; settings that lack one of its images are
            incomplete.
    """
    places = pd.MultiIndex.from_frame(lines[["category", "path"]].drop_duplicates())

    def table(run: pd.DataFrame) -> pd.DataFrame:
        numbers = run.pivot_table(index="seed", columns=["category", "path"], values="value")
        return numbers.reindex(columns=places)

    return settled(lines, method, ("dataset", "category", "seed", "path"), table)


def defective(images: pd.DataFrame, column: str) -> pd.DataFrame:
    """The lines of defective images that have a number in a column, as their `value`."""
    if column not in images.columns:  # in no file of an older version
        return images.iloc[:0].assign(value=[])
    lines = images.assign(value=images[column])
    return keep(lines, (lines["label"] == 1) & lines["value"].notna())


Found = TypeVar("Found")


def gather(
    found: dict[str, tuple[Found, str] | None],
) -> tuple[dict[str, Found], str] | None:
    """What was found of each method, and the words; None where more than WinCLIP is absent."""
    here = {m: x for m, x in found.items() if x is not None}
    if not here or set(found) - set(here) - {"winclip"}:
        return None
    return {m: x for m, (x, _) in here.items()}, ", ".join(words for _, words in here.values())


def strongest(findings: Iterable[tuple[str, Outcome, bool]]) -> Decision | None:
    """What the strongest of several scopes says that can say something.

    Args:
        findings: scope, outcome, and whether nothing was absent, the strongest scope first. An
            outcome that fails without WinCLIP decides. One that holds without it is undecided, and
            then only a finding with WinCLIP may decide in a weaker scope.
    """
    waiting = None
    for scope, (holds, words), complete in findings:
        if complete:
            return Decision(holds, scope, words)
        if waiting is None and not holds:
            return Decision(False, scope, f"{words}. It fails already without winclip")
        words = f"Holds so far: {words}. No rows of winclip: its weights are not at hand"
        waiting = waiting or Decision(None, scope, words)
    return waiting


def _where(rows: pd.DataFrame) -> str:
    sets = " and ".join(sorted(set(rows["dataset"] + "/" + rows["category"])))
    return f"{sets}, profile {rows['profile'].iloc[0]}"


# ---- SSDnet: our rows

# The paper averages over images; its printed pixel_auroc and pixel_ap join to these
PER_IMAGE = ("mean_image_pixel_auroc", "mean_image_pixel_ap")
AUROC_MEAN, AP_MEAN = PER_IMAGE
FIVE = ("ssdnet", *UNTRAINED)


def _grid(rows: pd.DataFrame) -> pd.DataFrame:
    rows = untouched(rows, "mvtec")
    return keep(rows, rows["category"] == "grid")


def _fabric(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, list[str]]]:
    """Parts with all types of defect; five images of each: their mean is the mean over images."""
    for scope, part in scoped(untouched(rows, "hkbu_dot")):
        types = sorted(part["category"].unique())
        if len(types) == 6:
            yield scope, part, types


def measured_ssdnet_01(rows: pd.DataFrame) -> Decision | None:
    parts = ((scope, part, ["grid"]) for scope, part in scoped(_grid(rows)))
    return strongest(_compared(parts, FIVE, _ssdnet_leads))


def measured_ssdnet_02(rows: pd.DataFrame) -> Decision | None:
    return strongest(_compared(_fabric(rows), FIVE, _ssdnet_leads))


Means = dict[str, dict[str, float]]  # method -> metric -> mean


def _compared(
    parts: Iterable[tuple[str, pd.DataFrame, list[str]]],
    methods: Sequence[str],
    judge: Callable[[Means], Outcome],
) -> Iterator[tuple[str, Outcome, bool]]:
    for scope, part, categories in parts:
        gathered = gather({m: measured(part, m, PER_IMAGE, categories) for m in methods})
        if gathered is not None:
            means, runs = gathered
            holds, words = judge(means)
            complete = len(means) == len(methods)
            yield scope, (holds, f"{_where(part)}: {words}. Runs: {runs}"), complete


def _ssdnet_leads(means: Means) -> Outcome:
    return every(*(top(k, {m: x[k] for m, x in means.items()}) for k in PER_IMAGE))


def measured_ssdnet_03(rows: pd.DataFrame) -> Decision | None:
    for scope, part in scoped(_grid(rows)):
        found = measured(part, "ssdnet", PER_IMAGE, ["grid"])
        if found is not None:
            means, run = found
            holds, words = _reaches_grid(means)
            return Decision(holds, scope, f"{_where(part)}, {run}: {words}")
    return None


def measured_ssdnet_04(rows: pd.DataFrame) -> Decision | None:
    return strongest(_compared(_fabric(rows), FIVE, _leads_second))


def _leads_second(means: Means) -> Outcome:
    """Our lead over the low-rank decomposition, and its own over the rest."""
    outcomes, rest = [], [m for m in means if m not in ("pg_lsr", "ssdnet")]
    for metric, claimed in zip(PER_IMAGE, (0.02, 0.10), strict=True):
        x = {m: numbers[metric] for m, numbers in means.items()}
        lead = gap(x["ssdnet"], x["pg_lsr"])
        outcomes.append(within(f"{metric}: lead of ssdnet over pg_lsr", lead, claimed, 0.01))
        outcomes.append(top(metric, {m: x[m] for m in ("pg_lsr", *rest)}))
    return every(*outcomes)


def measured_ssdnet_05(rows: pd.DataFrame) -> Decision | None:
    for scope, part, types in _fabric(rows):
        found = {m: measured(part, m, PER_IMAGE, types) for m in ("ssdnet", "winclip")}
        gathered = gather(found)
        if gathered is not None and "winclip" in gathered[0]:  # the claim is about it
            holds, words = _is_no_rescue(gathered[0])
            return Decision(holds, scope, f"{_where(part)}: {words}. Runs: {gathered[1]}")
    return None


def _is_no_rescue(means: Means) -> Outcome:
    clip, ours = means["winclip"], means["ssdnet"]
    half, less = 0.5 * ours[AP_MEAN], ours[AUROC_MEAN] - 0.1
    return every(
        compare(AP_MEAN, ("winclip", clip[AP_MEAN]), "<=", ("half of ssdnet's", half)),
        compare(AUROC_MEAN, ("winclip", clip[AUROC_MEAN]), "<=", ("ssdnet's less 0.1", less)),
    )


# Figures 3 and 4: image by image


def measured_ssdnet_06(images: pd.DataFrame) -> Decision | None:
    return strongest(_boxes(images, "pixel_auroc", _is_high_and_narrow))


def measured_ssdnet_07(images: pd.DataFrame) -> Decision | None:
    return strongest(_boxes(images, "pixel_ap", _is_high_and_spread))


Boxes = dict[str, dict[str, float]]  # mean, median, iqr -> method -> number


def _boxes(
    images: pd.DataFrame, column: str, judge: Callable[[Boxes], Outcome]
) -> Iterator[tuple[str, Outcome, bool]]:
    """A box of the box plot over images for each seed; then the mean over seeds."""
    for scope, part in scoped(defective(_grid(images), column)):
        gathered = gather({m: imagewise(part, m) for m in FIVE})
        if gathered is None:
            continue
        found, runs = gathered
        quarters = {
            m: x.quantile([0.25, 0.5, 0.75], axis=1).mean(axis=1) for m, x in found.items()
        }
        boxes = {
            "mean": {m: float(x.to_numpy().mean()) for m, x in found.items()},
            "median": {m: float(q[0.5]) for m, q in quarters.items()},
            "iqr": {m: float(q[0.75] - q[0.25]) for m, q in quarters.items()},
        }
        holds, words = judge(boxes)
        where = f"{_where(part)}, {column} of {found['ssdnet'].shape[1]} images"
        yield scope, (holds, f"{where}: {words}. Runs: {runs}"), len(found) == len(FIVE)


def _is_high_and_narrow(boxes: Boxes) -> Outcome:
    return every(top("median", boxes["median"]), least("IQR", boxes["iqr"]))


def _is_high_and_spread(boxes: Boxes) -> Outcome:
    iqr = boxes["iqr"]
    outcomes = [
        top("median", boxes["median"]),
        least("IQR", {m: iqr[m] for m in ("ssdnet", "spectral_residual", "pg_lsr")}),
        least("IQR", {"glcm": iqr["glcm"]} | iqr),
        compare("mean", ("glcm", boxes["mean"]["glcm"]), "<=", ("allowed", 0.05)),
    ]
    if "winclip" in iqr:
        ours = ("ssdnet", iqr["ssdnet"])
        outcomes.append(compare("IQR", ours, ">=", ("half winclip's", 0.5 * iqr["winclip"])))
        outcomes.append(compare("IQR", ours, "<=", ("twice winclip's", 2 * iqr["winclip"])))
    return every(*outcomes)


# Figures 5 to 8: one image of each kind of defect, with more and more noise or missing pixels

LEVELS = tuple(i / 100 for i in range(11))
Sweep = dict[str, pd.DataFrame]  # method -> PER_IMAGE by level


def _swept(
    rows: pd.DataFrame,
    kind: str,
    methods: Sequence[str],
    judge: Callable[[Sweep], Outcome],
    levels: Sequence[float] = LEVELS,
) -> Decision | None:
    """Decides over mvtec/grid with `first=1`, whatever else its name says."""
    first = [d.split("+")[0] == "mvtec" and "first=1" in d.split("+") for d in rows["dataset"]]
    rows, findings = keep(rows, np.array(first, dtype=bool) & (rows["category"] == "grid")), []
    for scope, means, where, runs in sweeps(rows, kind, levels, methods):
        holds, words = judge(means)
        complete = len(means) == len(methods)
        findings.append((scope, (holds, f"{where}: {words}. Runs: {runs}"), complete))
    return strongest(findings)


def _at(sweep: Sweep, method: str, metric: str, level: float) -> float:
    return float(sweep[method].loc[metric].loc[level])


def measured_ssdnet_08(rows: pd.DataFrame) -> Decision | None:
    return _swept(rows, "noise", FIVE, _stays_ahead)


def _stays_ahead(sweep: Sweep) -> Outcome:
    outcomes = []
    for metric in PER_IMAGE:
        gaps = {}
        for level in LEVELS:
            x = {m: _at(sweep, m, metric, level) for m in sweep}
            gaps[f"noise {level:g}"] = gap(x.pop("ssdnet"), max(x.values()))
        outcomes.append(in_each(f"{metric} of ssdnet largest of {len(sweep)}", gaps, ">="))
    return every(*outcomes)


def measured_ssdnet_09(rows: pd.DataFrame) -> Decision | None:
    methods = ("spectral_residual", "winclip", "pg_lsr", "ssdnet")
    return _swept(rows, "noise", methods, _ruins_or_not)


def _ruins_or_not(sweep: Sweep) -> Outcome:
    outcomes = []
    for m in sweep:
        before, after = (_at(sweep, m, AP_MEAN, level) for level in (0.0, 0.1))
        lost, ruined = (before - after) / before, m in ("spectral_residual", "winclip")
        words = f"{m} {show(before)} to {show(after)}, relative loss"
        limit = ("asked for", 0.5) if ruined else ("allowed", 0.2)
        outcomes.append(compare(AP_MEAN, (words, lost), ">" if ruined else "<", limit))
    return every(*outcomes)


def measured_ssdnet_10(rows: pd.DataFrame) -> Decision | None:
    return _swept(rows, "missing", ("spectral_residual", "winclip"), _is_nothing, (0.01,))


def _is_nothing(sweep: Sweep) -> Outcome:
    label = f"{AP_MEAN} at 0.01 missing"
    scores = {m: _at(sweep, m, AP_MEAN, 0.01) for m in sweep}
    return every(*(compare(label, item, "<=", ("allowed", 0.1)) for item in scores.items()))


def measured_ssdnet_11(rows: pd.DataFrame) -> Decision | None:
    return _swept(rows, "missing", ("glcm",), _is_flat)


def _is_flat(sweep: Sweep) -> Outcome:
    x = [_at(sweep, "glcm", AUROC_MEAN, level) for level in LEVELS]
    label = f"{AUROC_MEAN} of glcm from {show(min(x))} to {show(max(x))}"
    return compare(label, ("range", gap(max(x), min(x))), "<=", ("allowed", 0.05))


def measured_ssdnet_12(rows: pd.DataFrame) -> Decision | None:
    return _swept(rows, "missing", ("ssdnet", "pg_lsr"), _leads_but_once)


def _leads_but_once(sweep: Sweep) -> Outcome:
    gaps = {
        metric: {
            f"{level:g} missing": gap(
                *(_at(sweep, m, metric, level) for m in ("ssdnet", "pg_lsr"))
            )
            for level in LEVELS
        }
        for metric in PER_IMAGE
    }
    turned = gaps[AP_MEAN].pop("0.08 missing")
    lead = "lead of ssdnet over pg_lsr in"
    return every(
        *(in_each(f"{lead} {metric}", gaps[metric], ">=") for metric in PER_IMAGE),
        compare("at 0.08 missing", (f"{lead} {AP_MEAN}", turned), "<", ("none", 0.0)),
    )


# Section 3.4: the two losses

LOSSES = {(1.0, 0.0): "pixel", (0.0, 1.0): "perceptual"}  # by w_rec, w_perc
PAPER_LOSS = {"hkbu_dot": {"w_rec": 0.0, "w_perc": 1.0}}  # what its settings depart from
PIXEL_LOSS = {"w_rec": 1.0, "w_perc": 0.0}  # and those of all other data
OF_LOSSES = {"w_rec", "w_perc", "phi", "phi_layer", "phi_size"}  # settings that may differ


def read_settings(words: str) -> dict[str, Any]:
    """'mode="patch",widths=[8, 16]' as a dictionary; "paper" as an empty one."""
    found, decoder, at = {}, json.JSONDecoder(), 0
    while words != "paper" and at < len(words):
        name, _, _ = words[at:].partition("=")
        found[name], at = decoder.raw_decode(words, at + len(name) + 1)
        at += 1  # the comma
    return found


def losses(part: pd.DataFrame, categories: Sequence[str]) -> tuple[pd.DataFrame, str] | None:
    """SSDnet's AP by category (rows) and loss (columns: pixel, perceptual), and which runs.

    Both losses are scored alike, by the paper's alpha. The perceptual run is that with the most
    rows in all of the part; the pixel run that of the same mode, if there is one, and of these
    that with the fewest other settings changed.

    Args:
        part: one part of `scoped`, of one dataset.
    """
    ours = keep(part, (part["method"] == "ssdnet") & (part["metric"] == AP_MEAN))
    runs = {loss: [] for loss in LOSSES.values()}

    def table(run: pd.DataFrame) -> pd.DataFrame:
        means = run.pivot_table(index="category", values="value")
        return means.reindex(index=list(categories))

    for words in sorted(set(ours["settings"])):
        run, changed = keep(ours, ours["settings"] == words), read_settings(words)
        weights = PIXEL_LOSS | PAPER_LOSS.get(run["dataset"].iloc[0].split("+")[0], {}) | changed
        loss = LOSSES.get((weights["w_rec"], weights["w_perc"]))
        found = settled(keep(run, run["category"].isin(categories)), "ssdnet", ROW_KEY, table)
        if loss is not None and "alpha_perc" not in changed and found is not None:
            rank = (-len(run), words != "paper", words)
            runs[loss].append((rank, changed, found[0]["value"], found[1]))
    if not runs["pixel"] or not runs["perceptual"]:
        return None
    _, wanted, perceptual, perceptual_run = min(runs["perceptual"], key=lambda run: run[0])

    def unlike(changed: dict[str, Any]) -> tuple[bool, int]:
        other = {k for k in changed.keys() | wanted.keys() if changed.get(k) != wanted.get(k)}
        return "mode" in other, len(other - OF_LOSSES)

    _, _, pixel, pixel_run = min(runs["pixel"], key=lambda run: (*unlike(run[1]), run[0]))
    numbers = pd.DataFrame({"pixel": pixel, "perceptual": perceptual})
    return numbers, f"pixel loss {pixel_run}, perceptual loss {perceptual_run}"


@dataclass(frozen=True)
class Surface:
    """SSDnet's AP with each of the losses on one kind of surface."""

    name: str
    scope: str
    where: str
    pixel: float
    perceptual: float
    runs: str

    def is_better(self, relation: str) -> Outcome:
        left, right = ("pixel loss", self.pixel), ("perceptual loss", self.perceptual)
        return compare(f"{AP_MEAN} on {self.name}", left, relation, right)


def _surfaces(scope: str, part: pd.DataFrame, groups: dict[str, list[str]]) -> list[Surface]:
    """Surfaces of one part, each a mean of categories, all of the same runs; [] if incomplete."""
    found = losses(part, [c for categories in groups.values() for c in categories])
    if found is None:
        return []
    table, runs = found
    surfaces = []
    for name, categories in groups.items():
        mean = table.loc[categories].mean()
        where = _where(keep(part, part["category"].isin(categories)))
        pixel, perceptual = float(mean["pixel"]), float(mean["perceptual"])
        surfaces.append(Surface(name, scope, where, pixel, perceptual, runs))
    return surfaces


def measured_ssdnet_13(rows: pd.DataFrame) -> Decision | None:
    """Real surfaces decide if both kinds are there, otherwise the two of the stand-in."""
    mvtec, textures = ([*scoped(untouched(rows, base))] for base in ("mvtec", "textures"))
    grid, tile = ([x for p in mvtec for x in _surfaces(*p, {c: [c]})] for c in ("grid", "tile"))
    groups = ((scope, part, {"hkbu_dot": types}) for scope, part, types in _fabric(rows))
    dots = [x for group in groups for x in _surfaces(*group)]
    rough = sorted(dots + tile, key=lambda x: SCOPES.index(x.scope))  # fabric first in a tie
    drawn = [pair for p in textures if (pair := _surfaces(*p, {c: [c] for c in ("grid", "dots")}))]
    if not drawn and not (grid and rough):
        return None
    regular, stochastic = (grid[0], rough[0]) if grid and rough else drawn[0]
    (first, words), (second, more) = regular.is_better(">"), stochastic.is_better("<")
    if grid and regular is not grid[0]:
        more += f". Not decisive, {grid[0].where}: {grid[0].is_better('>')[1]} ({grid[0].runs})"
    where = " and ".join(dict.fromkeys((regular.where, stochastic.where)))
    runs = "; ".join(dict.fromkeys((regular.runs, stochastic.runs)))
    scope = max(regular.scope, stochastic.scope, key=SCOPES.index)
    return Decision(first and second, scope, f"{where}: {words}; {more}. Runs: {runs}")


# Sections 3.2 and 3.5: while the network is trained

GUARDS = "ssdnet/study_guards"
STOP = 100  # steps: where our runs stop


def measured_ssdnet_14(studies: Studies) -> Decision | None:
    return _trained(studies, ("noise", "no guard"), _noise_helps)


def measured_ssdnet_15(studies: Studies) -> Decision | None:
    return _trained(studies, ("noise",), _repeats_first)


def _trained(
    studies: Studies, variants: Sequence[str], judge: Callable[[pd.DataFrame, int], Outcome]
) -> Decision | None:
    """The strongest scope decides; the evidence shows what the others say, too."""
    lines, found = studies.get(GUARDS, pd.DataFrame()), {}
    if lines.empty:
        return None
    lines = pd.concat([untouched(lines, base) for base in ("mvtec", "textures")])
    for scope, part in scoped(keep(lines, lines["category"] == "grid")):
        means = _course(part, variants)
        if means is not None:
            last = int(means.index.get_level_values("step").max())
            holds, words = judge(means, last)
            found.setdefault(scope, (holds, f"{_where(part)}, step {last}: {words}"))
    if not found:
        return None
    (scope, (holds, words)), *others = found.items()
    for other, (agrees, more) in others:
        words += f". Not decisive, {other} {'holds' if agrees else 'fails'}: {more}"
    return Decision(holds, scope, words)


def _course(part: pd.DataFrame, variants: Sequence[str]) -> pd.DataFrame | None:
    """Means over images and seeds by variant and step, of the steps that all variants have.

    Returns:
        Columns ratio (inside / outside, of each image) and pixel_ap; steps 1 and up to STOP. None
        where an image is missing in one of the variants, or the steps are.

    Raises:
        ValueError: two lines for one key, or a number that is not one.
    """
    part = keep(part, part["variant"].isin(variants) & (part["step"] <= STOP))
    part = part.assign(ratio=part["inside"] / part["outside"])
    key, numbers = ["image", "seed", "variant", "step"], ["ratio", "pixel_ap"]
    if part.duplicated(subset=key).any():
        raise ValueError(f"the study {GUARDS} has two lines for one key")
    if not np.isfinite(part[numbers].to_numpy(dtype=float)).all():
        raise ValueError(f"the study {GUARDS} has a ratio or pixel_ap that is not a number")
    images = len(part[["image", "seed"]].drop_duplicates())
    counts = part.groupby(["variant", "step"]).size().unstack("variant")
    counts = counts.reindex(columns=list(variants)).fillna(0)
    whole = counts.index[(counts == images).all(axis=1)]
    if 1 not in whole or len(whole) < 2:
        return None
    part = keep(part, part["step"].isin([1, max(whole)]))
    return part.groupby(["variant", "step"])[numbers].mean()


def _mean_at(means: pd.DataFrame, variant: str, step: int, number: str) -> float:
    return float(means.loc[(variant, step)].loc[number])


def _noise_helps(means: pd.DataFrame, last: int) -> Outcome:
    outcomes = []
    for number, label in (("ratio", "residual inside / outside"), ("pixel_ap", "pixel_ap")):
        pair = [(v, _mean_at(means, v, last, number)) for v in ("noise", "no guard")]
        outcomes.append(compare(label, pair[0], ">", pair[1]))
    return every(*outcomes)


def _repeats_first(means: pd.DataFrame, last: int) -> Outcome:
    ratio = [_mean_at(means, "noise", step, "ratio") for step in (last, 1)]
    label, reached = "residual inside / outside", (f"step {last}", ratio[0])
    return every(
        compare(label, reached, ">", ("even", 1.0)),
        compare(label, reached, ">", ("step 1", ratio[1])),
    )


# Section 5.3 and 4.1: areas and regions

SURFACES = ("grid", "tile", "wood")


def measured_ssdnet_16(images: pd.DataFrame) -> Decision | None:
    return strongest(_areas(images))


def _areas(images: pd.DataFrame) -> Iterator[tuple[str, Outcome, bool]]:
    """Of a sample, the surfaces at hand; full data have to have all."""
    pair = ("pg_lsr", "ssdnet")
    for scope, part in scoped(defective(untouched(images, "mvtec"), "otsu")):
        have = [set(part["category"][part["method"] == m]) for m in pair]
        names = [c for c in SURFACES if c in have[0] & have[1]]
        part = keep(part, part["category"].isin(names))
        gathered = gather({m: imagewise(part, m) for m in pair})
        if gathered is None or (scope == "full data" and len(names) < len(SURFACES)):
            continue
        found, runs = gathered
        outcomes = []
        for name in names:
            of = {m: x.xs(name, axis=1, level="category") for m, x in found.items()}
            medians = {m: float(x.median(axis=1).mean()) for m, x in of.items()}
            label = f"median of Otsu area / true area, {of['ssdnet'].shape[1]} images of {name}"
            outcomes.append(top(label, medians))
            outcomes.append(compare(name, ("pg_lsr", medians["pg_lsr"]), ">", ("true area", 1.0)))
        holds, words = every(*outcomes)
        missing = [c for c in SURFACES if c not in names]
        words += f"; {' and '.join(missing)} not at hand" if missing else ""
        yield scope, (holds, f"{_where(part)}: {words}. Runs: {runs}"), True


def measured_ssdnet_20(images: pd.DataFrame) -> Decision | None:
    """The counts are those of the data, whichever method left the lines."""
    whole = keep(images, (images["dataset"] == "mvtec") & (images["category"] == "grid"))
    for scope, part in scoped(keep(whole, whole["label"] == 1)):
        found = defective(part, "regions")
        counts = found[["path", "kind", "value"]].drop_duplicates()
        if counts["path"].duplicated().any():
            raise ValueError("the lines of one image of mvtec/grid differ in their regions")
        if set(counts["path"]) == set(part["path"]):
            holds, words = every(
                within("defective images", float(len(counts)), 57.0, 0.0),
                within("kinds of defect", float(counts["kind"].nunique()), 5.0, 0.0),
                within("8-connected regions", float(counts["value"].sum()), 170.0, 0.0),
            )
            return Decision(holds, scope, f"{_where(part)}, masks as loaded: {words}")
    return None


# ---- SSDnet: by calculation


def exact_ssdnet_17() -> Outcome:
    """The smaller of two numbers exceeds t only if the larger does: here with many ties."""
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 16, (50, 3, 32, 32))  # draws, resolutions, h, w
    defect = rng.random((50, 32, 32)) < 0.1
    low, high = scores.min(axis=1), scores.max(axis=1)
    outside, recall, fpr = 0, [], []
    for t in range(-1, 17):
        careful, eager = low > t, high > t
        outside += int((careful & ~eager).sum())
        for of, gains in ((defect, recall), (~defect, fpr)):
            marked = [(m & of).sum(axis=(1, 2)) for m in (eager, careful)]
            gains.append(float(((marked[0] - marked[1]) / of.sum(axis=(1, 2))).min()))
    least = min(recall), min(fpr)
    words = f"{outside} of {defect.size} pixels at {len(recall)} thresholds have min > t >= max; "
    words += f"recall[max] - recall[min] >= {show(least[0])}, and of fpr >= {show(least[1])}"
    return outside == 0 and min(least) >= 0, words


def exact_ssdnet_18() -> Outcome:
    a, b = _embeddings()
    unit = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b)]
    squared = ((unit[0] - unit[1]) ** 2).sum(axis=-1)
    cosine = (a * b).sum(axis=-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))
    error = float(np.abs(squared - (2 - 2 * cosine)).max())
    same = bool((np.argsort(squared, axis=1) == np.argsort(-cosine, axis=1)).all())
    words = f"largest difference {error:.1e} over {squared.size} pairs"
    words += f"; {'the same' if same else 'another'} order of {squared.shape[1]} candidates"
    return error <= 1e-12 and same, words


def exact_ssdnet_19() -> Outcome:
    a, b = _embeddings()
    inner, cosine = (a * b).sum(axis=-1), _cosine(a, b)
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    errors = [np.abs(inner - lengths * cosine) / lengths]
    for s in (0.1, 3.0, 100.0):
        errors.append(np.abs((a * (s * b)).sum(axis=-1) - s * inner) / (s * lengths))
        errors.append(np.abs(_cosine(a, s * b) - cosine))
    error = float(np.max(errors))
    return error <= 1e-12, f"largest relative error {error:.1e} over {np.size(errors)} identities"


def _embeddings() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(20, 1, 16)), rng.normal(size=(20, 50, 16))  # a; 50 candidates b


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """By the angle between the unit vectors, not by the inner product that it is compared with."""
    u, v = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b))
    half = np.arctan2(np.linalg.norm(u - v, axis=-1), np.linalg.norm(u + v, axis=-1))
    return np.cos(2 * half)


# ---- which predicate decides which claim

PRINTED: dict[str, Callable[[pd.DataFrame], Outcome]] = {
    "ssdnet-01": ssdnet_01,
    "ssdnet-02": ssdnet_02,
    "ssdnet-03": ssdnet_03,
    "ssdnet-04": ssdnet_04,
    "ssdnet-05": ssdnet_05,
    "subspace-01": subspace_01,
    "subspace-02": subspace_02,
    "subspace-03": subspace_03,
    "subspace-04": subspace_04,
    "subspace-05": subspace_05,
    "subspace-10": subspace_10,
    "subspace-18": subspace_18,
    "subspace-19": subspace_19,
    "fair-01": fair_01,
    "fair-02": fair_02,
    "fair-03": fair_03,
    "fair-04": fair_04,
    "fair-05": fair_05,
    "fair-06": fair_06,
    "fair-07": fair_07,
    "fair-08": fair_08,
    "fair-11": fair_11,
    "fair-12": fair_12,
    "fair-13": fair_13,
    "fair-14": fair_14,
    "fair-15": fair_15,
    "fair-23": fair_23,
    "fair-24": fair_24,
    "fair-25": fair_25,
    "grad-01": grad_01,
    "grad-02": grad_02,
    "grad-03": grad_03,
    "grad-04": grad_04,
    "grad-05": grad_05,
    "grad-06": grad_06,
    "grad-07": grad_07,
    "fae-01": fae_01,
    "fae-02": fae_02,
    "fae-03": fae_03,
    "fae-04": fae_04,
    "fae-05": fae_05,
    "fae-21": fae_21,
}

MEASURED: dict[str, Callable[[pd.DataFrame], Decision | None]] = {
    "ssdnet-01": measured_ssdnet_01,
    "ssdnet-02": measured_ssdnet_02,
    "ssdnet-03": measured_ssdnet_03,
    "ssdnet-04": measured_ssdnet_04,
    "ssdnet-05": measured_ssdnet_05,
    "ssdnet-08": measured_ssdnet_08,
    "ssdnet-09": measured_ssdnet_09,
    "ssdnet-10": measured_ssdnet_10,
    "ssdnet-11": measured_ssdnet_11,
    "ssdnet-12": measured_ssdnet_12,
    "ssdnet-13": measured_ssdnet_13,
}

IMAGEWISE: dict[str, Callable[[pd.DataFrame], Decision | None]] = {
    "ssdnet-06": measured_ssdnet_06,
    "ssdnet-07": measured_ssdnet_07,
    "ssdnet-16": measured_ssdnet_16,
    "ssdnet-20": measured_ssdnet_20,
}

STUDIED: dict[str, Callable[[Studies], Decision | None]] = {
    "ssdnet-14": measured_ssdnet_14,
    "ssdnet-15": measured_ssdnet_15,
}

EXACT: dict[str, Callable[[], Outcome]] = {
    "ssdnet-17": exact_ssdnet_17,
    "ssdnet-18": exact_ssdnet_18,
    "ssdnet-19": exact_ssdnet_19,
}
