"""What the five papers claim, and what decides it: one small predicate per claim, named by its id.

Three literal tables at the end map a claim's id to its predicate:

    PRINTED   over the rows of `results/published.csv`: does the paper's own table bear it out?
    MEASURED  over our rows: is it reproduced, and on which data?
    EXACT     a calculation that needs no data

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
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

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
CORRUPTIONS = {"noise", "missing", "nseed"}  # variants that change pixels, not which images

PRINTED_WORDS = {True: "holds on the printed numbers", False: "fails on the printed numbers"}

Outcome = tuple[bool, str]  # whether it holds, and the numbers that say so


@dataclass(frozen=True)
class Decision:
    """What our rows say about a claim."""

    holds: bool
    scope: str
    evidence: str  # a short sentence with the numbers that decided it

    def __post_init__(self) -> None:
        if self.scope not in SCOPES:
            raise ValueError(f"scope must be one of {', '.join(SCOPES)}, not {self.scope!r}")


# ---- every claim, one line


def decide(claims: pd.DataFrame, published: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Gives each claim its verdict, scope and evidence, in the order of `claims`.

    Args:
        claims: `results/claims.csv`.
        published: `results/published.csv`.
        rows: our measured rows with their profile, as `results.load` returns them; may be empty.

    Returns:
        Columns id, paper, item, claim, check, kind, needs, printed, printed_evidence, verdict,
        scope, evidence, command.

    Raises:
        ValueError: a predicate for an unknown claim, or measured rows that cannot be read.
        LookupError: a printed number that a predicate needs is absent; names the claim.
    """
    _check(claims, rows)
    kept = ["id", "paper", "item", "claim", "check", "kind", "needs"]
    decided = []
    for claim in claims.to_dict("records"):
        name, command = claim["id"], command_for(claim["paper"], claim["needs"])
        outcome = _printed(name, published)
        verdict, scope, evidence = _verdict(name, outcome, rows, command)
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


def _check(claims: pd.DataFrame, rows: pd.DataFrame) -> None:
    unknown = sorted({*PRINTED, *MEASURED, *EXACT} - set(claims["id"]))
    if unknown:
        raise ValueError(f"claims.py decides {', '.join(unknown)}: no such id in claims.csv")
    if rows.empty:
        return
    absent = [c for c in COLUMNS if c not in rows.columns]
    if absent:
        raise ValueError(f"measured rows lack the columns {', '.join(absent)}")
    strange = sorted(set(rows["profile"].astype(str)) - set(PROFILES))
    if strange:
        raise ValueError(f"unknown profile {', '.join(strange)}; known are {', '.join(PROFILES)}")


def _printed(name: str, published: pd.DataFrame) -> Outcome | None:
    if name not in PRINTED:
        return None
    try:
        return PRINTED[name](published)
    except LookupError as error:
        raise LookupError(f"{name} cannot be decided: {error}") from error


def _verdict(
    name: str, printed: Outcome | None, rows: pd.DataFrame, command: str
) -> tuple[str, str, str]:
    if name in EXACT:
        holds, evidence = EXACT[name]()
        return "holds exactly" if holds else "fails exactly", "calculation", evidence
    decision = MEASURED[name](rows) if name in MEASURED and not rows.empty else None
    if decision is not None:
        verdict = "reproduced" if decision.holds else "not reproduced"
        return verdict, decision.scope, decision.evidence
    if printed is not None and not printed[0]:
        return "contradicted by the paper's own table", "printed table", printed[1]
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


def in_each(label: str, gaps: dict[str, float]) -> Outcome:
    """Differences that should all be positive: in how many places, and where least or not."""
    failing = {place: x for place, x in gaps.items() if not x > 0}
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
    whole = [not any(v.partition("=")[0] in CORRUPTIONS for v in vs) for _, *vs in split]
    return keep(
        rows, [base == dataset and ok for (base, *_), ok in zip(split, whole, strict=True)]
    )


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
    ours = (rows["method"] == method) & rows["metric"].isin(metrics)
    rows, complete = keep(rows, ours & rows["category"].isin(categories)), []
    for settings, trained_on in sorted(
        set(zip(rows["settings"], rows["trained_on"], strict=True))
    ):
        run = keep(rows, (rows["settings"] == settings) & (rows["trained_on"] == trained_on))
        if run.duplicated(subset=["dataset", "category", "seed", "metric"]).any():
            raise ValueError(f"{method} ({settings}) has two rows for one key")
        if not np.isfinite(run["value"]).all():
            raise ValueError(f"{method} ({settings}) has a value that is not a number")
        table = run.pivot_table(index="metric", columns="category", values="value")
        table = table.reindex(index=list(metrics), columns=list(categories))
        if table.notna().to_numpy().all():
            rank = (-len(run), settings != "paper", settings, trained_on)
            means = {m: float(x) for m, x in table.mean(axis=1).items()}
            complete.append((rank, means, len(set(run["seed"]))))
    if not complete:
        return None
    (_, _, settings, trained_on), means, seeds = min(complete, key=lambda found: found[0])
    words = f"{method} (settings {settings}, trained on {trained_on}, "
    words += f"mean of {seeds} seeds" if seeds > 1 else "one seed"
    words += f", most rows of {len(complete)} settings)" if len(complete) > 1 else ")"
    return means, words


def _where(rows: pd.DataFrame) -> str:
    sets = " and ".join(sorted(set(rows["dataset"] + "/" + rows["category"])))
    return f"{sets}, profile {rows['profile'].iloc[0]}"


# ---- SSDnet: our rows

# The paper averages over images; its printed pixel_auroc and pixel_ap join to these
PER_IMAGE = ("mean_image_pixel_auroc", "mean_image_pixel_ap")


def measured_ssdnet_01(rows: pd.DataFrame) -> Decision | None:
    rows = untouched(rows, "mvtec")
    return _ssdnet_leads(keep(rows, rows["category"] == "grid"), ["grid"])


def measured_ssdnet_02(rows: pd.DataFrame) -> Decision | None:
    rows = untouched(rows, "hkbu_dot")
    types = sorted(rows["category"].unique())
    # five images of each of six types: the mean over types is the mean over images
    return _ssdnet_leads(rows, types) if len(types) == 6 else None


def _ssdnet_leads(rows: pd.DataFrame, categories: list[str]) -> Decision | None:
    for scope, part in scoped(rows):
        found = {m: measured(part, m, PER_IMAGE, categories) for m in ("ssdnet", *UNTRAINED)}
        complete = {m: x for m, x in found.items() if x is not None}
        if len(complete) == len(found):
            scores = {m: means for m, (means, _) in complete.items()}
            outcomes = [top(k, {m: x[k] for m, x in scores.items()}) for k in PER_IMAGE]
            holds, words = every(*outcomes)
            runs = ", ".join(run for _, run in complete.values())
            return Decision(holds, scope, f"{_where(part)}: {words}. Runs: {runs}")
    return None


def measured_ssdnet_03(rows: pd.DataFrame) -> Decision | None:
    rows = untouched(rows, "mvtec")
    for scope, part in scoped(keep(rows, rows["category"] == "grid")):
        found = measured(part, "ssdnet", PER_IMAGE, ["grid"])
        if found is not None:
            means, run = found
            holds, words = _reaches_grid(means)
            return Decision(holds, scope, f"{_where(part)}, {run}: {words}")
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
}

EXACT: dict[str, Callable[[], Outcome]] = {
    "ssdnet-17": exact_ssdnet_17,
    "ssdnet-18": exact_ssdnet_18,
    "ssdnet-19": exact_ssdnet_19,
}
