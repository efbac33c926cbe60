"""Subspace's claims: feature maps rebuilt from few good images'."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..api import read_departures
from .ours import (
    COLUMNS,
    MVTEC_CATEGORIES,
    ROW_KEY,
    SHARES,
    Finding,
    gather,
    measured,
    scope_of,
    scoped,
    settled,
    stood_in,
    strongest,
    untouched,
)
from .outcomes import (
    PROFILES,
    SCOPES,
    Decision,
    Outcome,
    Studies,
    compare,
    every,
    gap,
    in_each,
    keep,
    listed,
    show,
    top,
    within,
)
from .printed import lead, leads, values

# ---- the printed numbers

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


# ---- our rows

BANKS = ("spade", "padim", "patchcore")  # the memory banks that are rivals
TABLE1 = (*BANKS, "stfpm", "dsr", "simplenet", "destseg")
TABLE2 = ("stfpm", "fastflow", "patchcore", "dsr", "simplenet", "destseg")
TABLE4 = (*TABLE1, "ae_ssim", "dfr")
TABLE3 = (*TABLE4, "riad")
TABLE5 = ("spade", "stfpm", "patchcore", "dsr", "simplenet", "destseg")
RECONSTRUCT = ("ae_ssim", "dfr", "dsr")
CATEGORIES = {
    "mtd": ("split0", "split1", "split2"),  # ours, the paper's is not published
    "btad": ("01", "02", "03"),
    "mvtec": MVTEC_CATEGORIES,
}
STAND_INS = ("mtd", "textures")  # where a claim about MVTec is measured, too
PREFERRED = ("wide_resnet50_2", "resnet50_msra_v1")  # backbones; the paper's first
SIX: tuple[str, ...] = sum(BACKBONES.values(), ())
OWN_NETWORK = ("ae_ssim", "dsr", "riad")  # methods that look through no backbone
RANDOM_NET = "tiny"  # of tests and demonstrations: its rows decide nothing
SETTINGS = {"levels": [2, 3], "sampling": "reference", "sample": 40, "sparsity": 17}
PAPER = {  # what its settings depart from, by dataset
    "btad": {"sample": 80, "sparsity": 40},
    "mtd": {"levels": [2, 3, 4], "sample": 10, "sparsity": 7},
}

Scores = dict[str, dict[str, float]]  # metric -> method -> mean, Subspace first


class Said(NamedTuple):
    """What the rows of one backbone say."""

    holds: bool
    words: str  # the data and the numbers
    runs: str = ""
    absent: Sequence[str] = ()


def measured_subspace_01(rows: pd.DataFrame) -> Decision | None:
    return _ranked(rows, "mtd", dict.fromkeys(LOCAL, TABLE1), _subspace_leads)


def measured_subspace_02(rows: pd.DataFrame) -> Decision | None:
    return _ranked(rows, "btad", {"aupro": TABLE2}, _subspace_leads)


def measured_subspace_03(rows: pd.DataFrame) -> Decision | None:
    return _ranked(rows, "mvtec", dict.fromkeys(LOCAL, RECONSTRUCT), _subspace_leads)


def measured_subspace_04(rows: pd.DataFrame) -> Decision | None:
    others = {"pixel_auroc": TABLE3, "aupro": TABLE4}
    return _ranked(rows, "mvtec", others, _subspace_is_close)


def _subspace_leads(scores: Scores) -> Outcome:
    return every(*(top(metric, x) for metric, x in scores.items()))


def _subspace_is_close(scores: Scores) -> Outcome:
    outcomes = []
    for metric, x in scores.items():
        _, words = top(metric, x)
        behind = gap(max(v for m, v in x.items() if m != "subspace"), x["subspace"])
        limit = compare("behind the best", ("subspace", behind), "<=", ("allowed", 0.005))
        outcomes.append((limit[0], f"{words}, {limit[1]}"))
    return every(*outcomes)


def _ranked(
    rows: pd.DataFrame,
    about: str,
    others: dict[str, Sequence[str]],
    judge: Callable[[Scores], Outcome],
) -> Decision | None:
    """Subspace against what is at hand of the methods that the paper prints beside it.

    Args:
        others: by metric.
    """
    methods = list(dict.fromkeys(m for names in others.values() for m in names))

    def said(scope: str, part: pd.DataFrame) -> Said | None:
        found = _means(scope, part, methods, [*others])
        if found is None:
            return None
        means, place, runs = found
        scores = {
            k: {m: means[m][k] for m in ("subspace", *names) if m in means}
            for k, names in others.items()
        }
        scores = {k: x for k, x in scores.items() if len(x) > 1}
        if not scores:  # none of the others has rows
            return None
        holds, words = judge(scores)
        return Said(holds, f"{place}: {words}", runs, [m for m in methods if m not in means])

    return _decided(stood_in(_uncut(rows), about, ()), said)


def _uncut(rows: pd.DataFrame) -> pd.DataFrame:
    """Without runs that had too few training images, so that s_ref was cut down (`clip`).

    They decide only what is claimed of few training images.
    """
    cut = [words for words in set(rows["settings"]) if read_departures(words).get("clip")]
    return keep(rows, ~rows["settings"].isin(cut))


def _means(
    scope: str, part: pd.DataFrame, others: Sequence[str], metrics: Sequence[str]
) -> tuple[dict[str, dict[str, float]], str, str] | None:
    """Means of Subspace and others by method and metric, the data and the runs in words.

    Args:
        part: one part of `scoped`, of one dataset and one backbone.
    """
    methods = ("subspace", *others)
    categories = _expected(scope, part)
    if categories is None:
        of = [set(part["category"][part["method"] == m]) for m in methods]
        categories = sorted(set.intersection(*filter(None, of))) if any(of) else []
    gathered = gather({m: measured(part, m, metrics, categories) for m in methods})
    if gathered is None:
        return None
    return gathered[0], _place(part, categories), gathered[1]


def _expected(scope: str, part: pd.DataFrame) -> Sequence[str] | None:
    """The categories that a mean is of; None where it is of those at hand."""
    return CATEGORIES[_base(part["dataset"].iloc[0])] if scope == "full data" else None


def _base(dataset: str) -> str:
    return dataset.partition("+")[0]


def _place(part: pd.DataFrame, categories: Sequence[str]) -> str:
    """In words: one dataset, variants of a sweep left out, its categories and the profile."""
    plain = untouched(part, _base(part["dataset"].iloc[0]))
    name = min(plain["dataset"] if len(plain) else part["dataset"])
    names = listed(categories) if len(categories) < 10 else f"{len(categories)} categories"
    place = f"{name}, mean of {names}" if len(categories) > 1 else f"{name}/{names}"
    return f"{place}, profile {part['profile'].iloc[0]}"


Judge = Callable[[str, pd.DataFrame], Said | None]  # of a scope and rows of one backbone


def _decided(parts: Iterable[tuple[str, pd.DataFrame]], judge: Judge) -> Decision | None:
    """Methods are compared with one backbone only; the preferred one decides, the others show."""
    return strongest(x for scope, part in parts for x in _by_backbone(scope, part, judge))


def _by_backbone(scope: str, part: pd.DataFrame, judge: Judge) -> Iterator[Finding]:
    """One finding, or none.

    Args:
        part: rows, or lines of a study that have a column `backbone`.
    """
    if "backbone" not in part:
        names = {words: _backbone(words) for words in set(part["settings"])}
        own = part["method"].isin(OWN_NETWORK)
        part = part.assign(backbone=part["settings"].map(names).mask(own))
    found = {}
    for name in sorted(set(part["backbone"].dropna()) - {RANDOM_NET}, key=_preference):
        rows = keep(part, (part["backbone"] == name) | part["backbone"].isna())
        if (said := judge(scope, rows)) is not None:
            found[name] = said
    if found:
        (_, first), *others = found.items()
        aside = "".join(_aside(name, x) for name, x in others)
        words = f"{first.words}. Runs: {first.runs}" if first.runs else first.words
        yield Finding(scope, (first.holds, words), first.absent, aside)


def _backbone(settings: str) -> str:
    return read_departures(settings).get("backbone", PREFERRED[0])


def _preference(backbone: str) -> tuple[int, str]:
    known = backbone in PREFERRED
    return PREFERRED.index(backbone) if known else len(PREFERRED), backbone


def _aside(name: str, said: Said) -> str:
    agrees = "fails" if not said.holds else "holds so far" if said.absent else "holds"
    return f". Not decisive, {name} {agrees}: {said.words}"


def measured_subspace_05(rows: pd.DataFrame) -> Decision | None:
    return _decided(_three_sets(_uncut(rows)), _is_most_precise)


def _three_sets(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Of each scope, the first part of each of the three datasets."""
    found: dict[str, dict[str, pd.DataFrame]] = {}
    for base in CATEGORIES:
        for scope, part in scoped(untouched(rows, base)):
            found.setdefault(scope, {}).setdefault(base, part)
    for scope in sorted(found, key=SCOPES.index):
        yield scope, pd.concat(found[scope].values())


def _is_most_precise(scope: str, part: pd.DataFrame) -> Said | None:
    bases, found = part["dataset"].map(_base), {}
    for name in CATEGORIES:
        there = keep(part, bases == name)
        means = _means(scope, there, TABLE5, ["pixel_ap"]) if len(there) else None
        if means is not None:
            found[name] = means
    if not found:
        return None
    scores = {
        name: {m: x["pixel_ap"] for m, x in means.items()} for name, (means, _, _) in found.items()
    }
    outcomes = [top(f"{k} pixel_ap", scores[k]) for k in ("mtd", "btad") if k in scores]
    if len(scores) == len(CATEGORIES):
        shared = [m for m in scores["mtd"] if all(m in x for x in scores.values())]
        mean = {m: float(np.mean([x[m] for x in scores.values()])) for m in shared}
        outcomes.append(top("mean of the three", mean))
    if "mvtec" in scores:
        pair = {m: scores["mvtec"][m] for m in ("subspace", "patchcore")}
        outcomes.append(top("mvtec pixel_ap", pair))
    holds, words = every(*outcomes)
    absent = [m for m in TABLE5 if any(m not in x for x in scores.values())]
    absent += [name for name in CATEGORIES if name not in scores]
    place = " and ".join(place for _, place, _ in found.values())
    runs = "; ".join(f"on {name} {runs}" for name, (_, _, runs) in found.items())
    return Said(holds, f"{place}: {words}", runs, absent)


# Figures 6, 8 and 9, Table 6: Subspace against itself

Cell = Callable[[dict[str, Any], str], str | None]


def _varied(part: pd.DataFrame, free: Set[str], cell: Cell) -> pd.DataFrame:
    """Subspace's rows with what is compared as `cell`, all other settings as `settings`.

    Args:
        free: the settings that may differ between what is compared.
        cell: from all settings and the dataset's name to a row's place; None: it has none.
    """
    ours = keep(part, (part["method"] == "subspace") & part["metric"].isin(LOCAL))
    pairs = [*zip(ours["settings"], ours["dataset"], strict=True)]
    cells, rest = {}, {}
    for words, dataset in set(pairs):
        changed = read_departures(words)
        cells[words, dataset] = cell(SETTINGS | PAPER.get(_base(dataset), {}) | changed, dataset)
        kept = [f"{k}={json.dumps(v)}" for k, v in changed.items() if k not in free]
        rest[words] = ",".join(kept) or "paper"
    ours = ours.assign(
        cell=[cells[pair] for pair in pairs], settings=[rest[words] for words, _ in pairs]
    )
    # the same number under two names, such as `clip` where there was nothing to clip
    return keep(ours, ours["cell"].notna()).drop_duplicates(subset=[*COLUMNS, "cell"])


def _table(
    scope: str, part: pd.DataFrame, free: Set[str], cell: Cell, cells: Sequence[str]
) -> tuple[dict[str, float], str, str] | None:
    """The mean aupro in each cell, the data and the runs in words."""
    rows = _varied(keep(part, part["metric"] == "aupro"), free, cell)
    rows, expected = keep(rows, rows["cell"].isin(cells)), _expected(scope, part)

    def table(run: pd.DataFrame) -> pd.DataFrame:
        means = run.pivot_table(index="category", columns="cell", values="value")
        means = means.reindex(columns=list(cells))
        return means.dropna() if expected is None else means.reindex(index=list(expected))

    found = settled(rows, "subspace", (*ROW_KEY, "cell"), table)
    if found is None:
        return None
    numbers, runs = found
    means = {name: float(x) for name, x in numbers.mean().items()}
    return means, _place(part, [*numbers.index]), runs


BUDGETS = (50, 40, 30, 20, 10)  # s_ref of Figure 6
SAMPLING = {"sampling", "sample", "sparsity"}


def _figure6(settings: dict[str, Any], dataset: str) -> str | None:
    half = 2 * settings["sparsity"] == settings["sample"]
    return f"{settings['sampling']} {settings['sample']}" if half else None


def measured_subspace_10(rows: pd.DataFrame) -> Decision | None:
    def said(scope: str, part: pd.DataFrame) -> Said | None:
        cells = [f"{kind} {n}" for kind in ("reference", "none") for n in BUDGETS]
        found = _table(scope, part, SAMPLING, _figure6, cells)
        if found is None:
            return None
        x, place, runs = found
        changes = {n: abs(gap(x[f"reference {n}"], x[f"none {n}"])) for n in BUDGETS}
        worst = max(BUDGETS, key=lambda n: changes[n])
        label = f"change of aupro by sampling at s_ref = {listed(map(str, BUDGETS))}"
        most = (f"largest, at {worst}", changes[worst])
        holds, words = compare(label, most, "<=", ("allowed", 0.005))
        return Said(holds, f"{place}: {words}", runs)

    return _decided(stood_in(_uncut(rows), "mvtec", STAND_INS), said)


def measured_subspace_11(rows: pd.DataFrame) -> Decision | None:
    def said(scope: str, part: pd.DataFrame) -> Said | None:
        cells = [f"{kind} {n}" for kind in ("reference", "random") for n in (20, 10)]
        found = _table(scope, part, SAMPLING, _figure6, cells)
        if found is None:
            return None
        x, place, runs = found
        lost = {k: gap(x[f"{k} 20"], x[f"{k} 10"]) for k in ("reference", "random")}
        label = "aupro lost from s_ref = 20 to 10"
        ours = ("subspace", lost["reference"])
        holds, words = every(
            compare(label, ours, "<=", ("allowed", 0.005)),
            compare(label, ("random", lost["random"]), ">", ours),
        )
        return Said(holds, f"{place}: {words}", runs)

    return _decided(stood_in(_uncut(rows), "mvtec", STAND_INS), said)


LEVEL_SETS = ("2", "3", "4", "2+3", "2+4", "3+4", "2+3+4")


def measured_subspace_17(rows: pd.DataFrame) -> Decision | None:
    def levels(settings: dict[str, Any], dataset: str) -> str:
        return "+".join(map(str, sorted(settings["levels"])))

    def said(scope: str, part: pd.DataFrame) -> Said | None:
        found = _table(scope, part, {"levels"}, levels, LEVEL_SETS)
        if found is None:
            return None
        x, place, runs = found
        deepest = x.pop("4")
        name = min(x, key=lambda k: x[k])
        label = f"aupro of level 4 {show(deepest)}, least of the {len(x)} other sets"
        lead = (f"{name} {show(x[name])}, ahead by", gap(x[name], deepest))
        holds, words = compare(label, lead, ">=", ("asked for", 0.01))
        return Said(holds, f"{place}: {words}", runs)

    return _decided(stood_in(_uncut(rows), "mvtec", STAND_INS), said)


def measured_subspace_18(rows: pd.DataFrame) -> Decision | None:
    """The six backbones decide, where they are all there; else those at hand."""
    parts = stood_in(_uncut(rows), "mvtec", STAND_INS)
    return strongest(x for scope, part in parts for x in _spread(scope, part))


def _spread(scope: str, part: pd.DataFrame) -> Iterator[Finding]:
    def backbone(settings: dict[str, Any], dataset: str) -> str | None:
        name = settings.get("backbone", PREFERRED[0])
        return None if name == RANDOM_NET else name

    def table(run: pd.DataFrame) -> pd.DataFrame:
        means = run.pivot_table(index=["metric", "category"], columns="cell", values="value")
        if expected is None:
            means = means.dropna()
            both = means.groupby("category")[means.columns[:1]].transform("size") == len(LOCAL)
            means = keep(means, both)
        else:
            places = pd.MultiIndex.from_product([LOCAL, expected], names=["metric", "category"])
            means = means.reindex(index=places).dropna(axis=1)
        six = [name for name in SIX if name in means]
        means = means[six] if len(six) == len(SIX) else means
        return means if means.shape[1] > 1 else means.iloc[:0]

    expected = _expected(scope, part) if len(part) else None
    found = settled(_varied(part, {"backbone"}, backbone), "subspace", (*ROW_KEY, "cell"), table)
    if found is None:
        return
    numbers, runs = found
    outcomes = []
    for metric, bound in zip(LOCAL, (0.01, 0.02), strict=True):
        x = numbers.xs(metric, level="metric").mean().sort_values()
        ends = f"{x.index[0]} {show(x.iloc[0])} to {x.index[-1]} {show(x.iloc[-1])}"
        label, spread = f"{metric} from {ends}", ("spread", gap(x.iloc[-1], x.iloc[0]))
        outcomes.append(compare(label, spread, "<=", ("allowed", bound)))
    holds, words = every(*outcomes)
    names = sorted(numbers.columns, key=_preference)
    place = _place(part, [*numbers.index.get_level_values("category").unique()])
    words = f"{place}, backbones {listed(names)}: {words}. Runs: {runs}"
    yield Finding(scope, (holds, words), [name for name in SIX if name not in names])


FEW, FEWEST = 0.15, 0.01  # shares of the training images


def _shares(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The parts with columns share and draw, of the training images."""
    parts = []
    for scope, part in stood_in(rows, "mvtec", STAND_INS, but=SHARES):
        split = [dict(v.partition("=")[::2] for v in d.split("+")[1:]) for d in part["dataset"]]
        share, draw = (
            [float(v.get(k, x)) for v in split] for k, x in (("train", 1), ("tseed", 0))
        )
        parts.append((scope, keep(part.assign(share=share, draw=draw), part["metric"] == "aupro")))
    return [(scope, part) for scope, part in parts if len(part)]


def measured_subspace_15(rows: pd.DataFrame) -> Decision | None:
    return _decided(_shares(rows), _loses_little)


def _loses_little(scope: str, part: pd.DataFrame) -> Said | None:
    """A draw counts where it has all categories; they are those that all the images have, too."""
    expected = _expected(scope, part)

    def cell(settings: dict[str, Any], dataset: str) -> str:
        return dataset

    def table(run: pd.DataFrame) -> pd.DataFrame:
        of = {x: keep(run, run["share"] == x) for x in (FEW, 1.0)}
        few, whole = (
            x.pivot_table(index="draw", columns="category", values="value") for x in of.values()
        )
        names = [*expected] if expected else [c for c in few if c in whole]
        few, whole = (x.reindex(columns=names).dropna() for x in (few, whole))
        if few.empty or whole.empty or not names:
            return pd.DataFrame()
        means = pd.DataFrame([whole.mean(), few.mean()], index=["all", "few"])
        return means.assign(draws=len(few))

    found = settled(_varied(part, {"clip"}, cell), "subspace", ROW_KEY, table)
    if found is None:
        return None
    numbers, runs = found
    draws = int(numbers.pop("draws").iloc[0])
    means = numbers.mean(axis=1)
    label = f"aupro {show(means['all'])} with all training images, {show(means['few'])} with "
    label += f"{FEW:.0%} ({_draws(draws)})"
    lost = ("lost", gap(means["all"], means["few"]))
    holds, words = compare(label, lost, "<=", ("allowed", 0.015))
    return Said(holds, f"{_place(part, [*numbers.columns])}: {words}", runs)


def _draws(count: int) -> str:
    return "one draw" if count == 1 else f"mean of {count} draws"


def measured_subspace_16(rows: pd.DataFrame) -> Decision | None:
    return _decided(_shares(rows), _needs_least)


def _needs_least(scope: str, part: pd.DataFrame) -> Said | None:
    """A draw counts where every method has it."""
    part, methods = keep(part, part["share"] == FEWEST), ("subspace", *BANKS)
    of = [set(part["category"][part["method"] == m]) for m in methods]
    names = [*(_expected(scope, part) or ())] if len(part) else []
    names = names or sorted(set.intersection(*of))

    def table(run: pd.DataFrame) -> pd.DataFrame:
        means = run.pivot_table(index="draw", columns="category", values="value")
        return means.reindex(columns=names).dropna()

    gathered = gather({m: settled(part, m, ROW_KEY, table) for m in methods}) if names else None
    if gathered is None:
        return None
    found, runs = gathered
    draws = sorted(set.intersection(*(set(x.index) for x in found.values())))
    if not draws:
        return None
    means = {m: float(x.loc[draws].to_numpy().mean()) for m, x in found.items()}
    label = f"aupro with {FEWEST:.0%} of the training images ({_draws(len(draws))})"
    holds, words = top(label, means)
    return Said(holds, f"{_place(part, names)}: {words}", runs)


# ---- our studies

TIMES = "subspace/study_time"
COVERAGE = "subspace/study_coverage"
CHOICES = "subspace/study_choices"
FLAT = 0.25  # margin ours: what a time may change over N and still count as flat
PARTS = pd.MultiIndex.from_product(  # of the work, without the backbone's
    (("sampling", "reconstruction"), ("reference", "random")), names=["part", "rule"]
)
LITERAL, GRAM = "literal", "gram"  # Algorithm 1 as printed; ours, on the Gram matrix


def measured_subspace_09(studies: Studies) -> Decision | None:
    def scope(dataset: str, profile: str) -> str:  # any features do, but a short run's do not
        return "full data" if profile == "full" else "embedded stand-in"

    return _timed(studies, "4", scope, _is_flat_in_images)


def measured_subspace_12(studies: Studies) -> Decision | None:
    def scope(dataset: str, profile: str) -> str:
        return scope_of(dataset, "mvtec")

    return _timed(studies, "6b", scope, _is_as_fast_as_random)


def _timed(
    studies: Studies,
    figure: str,
    scope: Callable[[str, str], str],
    judge: Callable[[pd.DataFrame], Outcome | None],
) -> Decision | None:
    """The printed loop decides; what our form of it says shows."""
    lines = studies.get(TIMES, pd.DataFrame())
    if lines.empty:
        return None
    place, found = ["dataset", "category", "profile"], []
    for (dataset, category, profile), part in lines.groupby(place):
        shown = keep(part, (part["figure"].astype(str) == figure) | (part["part"] == "backbone"))
        said = {
            form: judge(keep(shown, (shown["form"] == form) | (shown["part"] == "backbone")))
            for form in (LITERAL, GRAM)
        }
        if (literal := said[LITERAL]) is not None:
            rank = SCOPES.index(scope(dataset, profile)), PROFILES.index(profile), dataset
            words = f"{dataset}/{category}, profile {profile}, loop as printed: {literal[1]}"
            other = said[GRAM]
            agrees = other and ("holds" if other[0] else "fails")
            aside = f". Not decisive, in Gram space {agrees}: {other[1]}" if other else ""
            found.append((rank, Finding(SCOPES[rank[0]], (literal[0], words), aside=aside)))
    return strongest(x for _, x in sorted(found, key=lambda pair: pair[0]))


def _medians(lines: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    """Median seconds over repeats, by key (rows) and part of the work (columns).

    Raises:
        ValueError: two lines for one repeat, or a time that is not a number.
    """
    if lines.duplicated(subset=[*key, "part", "repeat"]).any():
        raise ValueError(f"the study {TIMES} has two lines for one repeat")
    if not np.isfinite(lines["seconds"].to_numpy(dtype=float)).all():
        raise ValueError(f"the study {TIMES} has seconds that are not a number")
    return lines.groupby([*key, "part"])["seconds"].median().unstack("part")


def _most_lines(lines: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The lines of the most frequent values in some columns."""
    counts = lines.groupby(columns).size()
    return lines.set_index(columns).loc[[counts.idxmax()]].reset_index()


def _is_flat_in_images(lines: pd.DataFrame) -> Outcome | None:
    lines = keep(lines, lines["part"].isin(("sampling", "reconstruction")))
    lines = keep(lines, lines["rule"].isin(("none", "reference")))
    if lines.empty:
        return None
    lines = _most_lines(lines, ["s_ref", "s"])
    seconds = _medians(lines, ["rule", "images"])
    seconds = seconds.reindex(columns=["sampling", "reconstruction"])
    if set(seconds.index.get_level_values("rule")) != {"none", "reference"}:
        return None
    full, ours = seconds.loc["none"].sum(axis=1), seconds.loc["reference"]
    if [*full.index] != [*ours.index] or len(full) < 2 or ours.isna().to_numpy().any():
        return None
    n, slopes = full.index.to_numpy(dtype=float), []
    for x in (full, ours.sum(axis=1), ours["reconstruction"]):
        slopes.append(float(np.polyfit(n, x.to_numpy(dtype=float), 1)[0]))
    change = abs(slopes[2]) * (n.max() - n.min()) / float(ours["reconstruction"].mean())
    s_ref, s = lines[["s_ref", "s"]].iloc[0]
    label = f"seconds per image over N = {n.min():g} to {n.max():g} at s_ref = {s_ref:g}, "
    label += f"s = {s:g}, slope"
    ours, times_3 = ("without sampling", slopes[0]), ("three times that with it", 3 * slopes[1])
    share = ("share of its mean that it changes by", change)
    return every(
        compare(label, ours, ">=", times_3),
        compare("it grows", ours, ">", ("flat", 0.0)),
        compare("reconstruction after sampling", share, "<=", ("allowed, margin ours", FLAT)),
    )


def _is_as_fast_as_random(lines: pd.DataFrame) -> Outcome | None:
    """The backbone's pass is the same for both rules: the median of all that were timed."""
    backbone = lines["seconds"][lines["part"] == "backbone"].median()
    lines = keep(
        lines, (lines["part"] != "backbone") & lines["rule"].isin(("reference", "random"))
    )
    if lines.empty or np.isnan(backbone):
        return None
    lines = _most_lines(lines, ["images"])
    seconds = _medians(lines, ["rule", "s_ref"]).reindex(columns=["sampling", "reconstruction"])
    seconds = seconds.unstack("rule").reindex(columns=PARTS)
    if seconds.drop(columns=("sampling", "random")).isna().to_numpy().any():
        return None
    work = seconds.T.groupby("rule").sum().T  # a random choice may cost nothing
    ratio = (work["reference"] + backbone) / (work["random"] + backbone)
    budgets = listed([f"{x:g}" for x in sorted(ratio.index)])
    label = f"seconds per image, backbone included ({show(backbone)}), by matching pursuit over "
    label += f"at random, at s_ref = {budgets}, N = {lines['images'].iloc[0]:g}"
    return compare(
        label,
        (f"largest ratio, at {ratio.idxmax():g},", float(ratio.max())),
        "<=",
        ("allowed", 1.25),
    )


# Figure 7: how well good images rebuild one another

KINDS = {"object": "objects", "texture": "textures"}


def measured_subspace_13(studies: Studies) -> Decision | None:
    return _covered(studies, _is_nearer_everywhere)


def measured_subspace_14(studies: Studies) -> Decision | None:
    return _covered(studies, _gains_most_on_textures)


def _covered(studies: Studies, judge: Callable[[pd.DataFrame], Outcome | None]) -> Decision | None:
    lines = studies.get(COVERAGE, pd.DataFrame())
    if lines.empty:
        return None

    def said(scope: str, part: pd.DataFrame) -> Said | None:
        saved = _saved(scope, part)
        outcome = None if saved is None else judge(saved)
        if saved is None or outcome is None:
            return None
        words = f"{_place(part, sorted(set(part['category'])))}, features of "
        words += f"{part['backbone'].iloc[0]}, error as a share of the nearest image's"
        absent = [many for kind, many in KINDS.items() if kind not in saved]
        return Said(outcome[0], f"{words}: {outcome[1]}", absent=absent)

    return _decided(stood_in(lines, "mvtec", STAND_INS), said)


def _saved(scope: str, part: pd.DataFrame) -> pd.DataFrame | None:
    """1 - error / error of the nearest image, by s_ref (rows) and kind of category (columns).

    Errors of categories and levels have no common unit, so that each is divided first; then come
    the means over levels and over categories. Column `both` is of all categories.

    Raises:
        ValueError: two lines for one key, or an error that is not a number.
    """
    part = keep(part, part["rule"].isin(("subspace", "nearest")))
    key = ["kind", "category", "level", "s_ref"]
    if part.duplicated(subset=[*key, "rule"]).any():
        raise ValueError(f"the study {COVERAGE} has two lines for one key")
    if not np.isfinite(part["error"].to_numpy(dtype=float)).all():
        raise ValueError(f"the study {COVERAGE} has an error that is not a number")
    if scope == "full data" and set(part["category"]) != set(CATEGORIES["mvtec"]):
        return None
    errors = part.pivot_table(index=key, columns="rule", values="error")
    errors = errors.reindex(columns=["subspace", "nearest"])
    share = (errors["subspace"] / errors["nearest"]).unstack("s_ref").dropna(axis=1)
    if share.empty:
        return None
    by_category = 1 - share.groupby(["kind", "category"]).mean()
    kinds = by_category.groupby("kind").mean().T
    return kinds.assign(both=by_category.mean()) if kinds.shape[1] > 1 else kinds


def _is_nearer_everywhere(saved: pd.DataFrame) -> Outcome:
    return every(
        *(
            in_each(
                f"less than that of {KINDS.get(str(kind), 'both')}",
                {f"s_ref {n:g}": float(x) for n, x in column.items()},
            )
            for kind, column in saved.items()
        )
    )


def _gains_most_on_textures(saved: pd.DataFrame) -> Outcome | None:
    if "both" not in saved:
        return None
    gaps = saved["texture"] - saved["object"]
    label = f"textures {show(saved['texture'].mean())}, objects {show(saved['object'].mean())} "
    label += "saved in the mean; more for textures"
    return in_each(label, {f"s_ref {n:g}": float(x) for n, x in gaps.items()})


# Section 4.2: how many images

COUNTS = {"mtd": {"good": 925.0, "defective": 392.0}, "btad": {"images": 2540.0}}


def measured_subspace_21(studies: Studies) -> Decision | None:
    lines = studies.get(CHOICES, pd.DataFrame())
    if lines.empty:
        return None
    lines = keep(lines, (lines["choice"] == "images") & (lines["metric"] == "count"))
    found = {name: x for name in COUNTS if (x := _images(lines, name)) is not None}
    if not found:
        return None
    outcomes = []
    for name, counts in found.items():
        for what, claimed in COUNTS[name].items():
            outcomes.append(within(f"{name} {what}", counts[what], claimed, 0.0))
    holds, words = every(*outcomes)
    absent = [name for name in COUNTS if name not in found]
    return strongest([Finding("full data", (holds, f"files on disk: {words}"), absent)])


def _images(lines: pd.DataFrame, name: str) -> dict[str, float] | None:
    """How many images of each kind a dataset has; each split of MTD has all of them.

    Raises:
        ValueError: two counts of one category, or splits that differ.
    """
    lines = keep(lines, lines["dataset"] == name)
    first = min(lines["profile"], key=PROFILES.index, default="")
    lines = keep(lines, lines["profile"] == first)
    lines = keep(lines, lines["value"].isin(("good", "defective")))
    lines = lines.drop_duplicates(subset=["category", "value", "number"])  # of each backbone
    if lines.duplicated(subset=["category", "value"]).any():
        raise ValueError(f"the study {CHOICES} counts the images of a category twice")
    table = lines.pivot_table(index="category", columns="value", values="number")
    if table.shape[1] < 2 or table.isna().to_numpy().any():
        return None
    if name == "mtd" and (table.nunique() > 1).any():
        raise ValueError("the splits of mtd differ in how many images they have")
    counts = table.max() if name == "mtd" else table.sum()
    good, defective = float(counts["good"]), float(counts["defective"])
    return {"good": good, "defective": defective, "images": good + defective}


# ---- by calculation

PRINTED_SIZES = {"mvtec": (40, 17), "btad": (80, 40), "mtd": (10, 7)}  # s_ref, s; Section 4.2.3
MOST = 1000  # training images of the largest category, of BTAD
RESNET = ((4, 256), (8, 512), (16, 1024), (32, 2048))  # stride and channels of levels 1 to 4
EFFICIENTNETS = {  # and of levels 0 to 4
    "efficientnet_b1": ((2, 16), (4, 24), (8, 40), (16, 112), (32, 320)),
    "efficientnet_b7": ((2, 32), (4, 48), (8, 80), (16, 224), (32, 640)),
}


def exact_subspace_06() -> Outcome:
    """Counted while Algorithm 2 runs on random features, first to sample, then to rebuild."""
    rng = np.random.default_rng(0)
    s_ref, s = PRINTED_SIZES["mvtec"]
    formula, sampled, rebuilt = sum(s_ref - k for k in range(s)), {}, {}
    for n in (50, 100, 400):
        x, y = rng.normal(size=(64, n)), rng.normal(size=64)
        bank, sampled[n] = _pursuit(x, y, s_ref)
        _, rebuilt[n] = _pursuit(x[:, bank], y, s)
    words = ", ".join(f"{count} at N = {n}" for n, count in rebuilt.items())
    words = f"inner products to rebuild with s = {s} from s_ref = {s_ref} images: {words}, and "
    words += f"{formula} by the formula. To sample these takes "
    words += ", ".join(f"{count} at N = {n}" for n, count in sampled.items())
    return set(rebuilt.values()) == {formula}, words


def _pursuit(x: np.ndarray, y: np.ndarray, s: int) -> tuple[list[int], int]:
    """Algorithm 1: the support and how many inner products Eq. 3 took."""
    e, basis, support, count = y, np.zeros((len(y), 0)), [], 0
    for _ in range(s):
        free = [j for j in range(x.shape[1]) if j not in support]
        inner = [x[:, j] @ e for j in free]
        count += len(inner)
        j = free[int(np.argmax(np.abs(inner)))]
        support.append(j)
        new = x[:, j] - basis @ (basis.T @ x[:, j])
        basis = np.column_stack([basis, new / np.linalg.norm(new)])
        e = y - basis @ (basis.T @ y)  # Eqs. 4 and 5: least squares on the support
    return support, count


def exact_subspace_07() -> Outcome:
    """With D_ref = D / 2 and both sides divided by D: (N / 2 + s) s_ref < N s."""
    outcomes = []
    for name, (s_ref, s) in PRINTED_SIZES.items():
        n = np.arange(s_ref, MOST + 1)
        cheaper = n[(n / 2 + s) * s_ref < n * s]
        words = f"{name} (s_ref = {s_ref}, s = {s}): {s_ref / 2:g} N + {s * s_ref} < {s} N "
        words += f"from N = {cheaper[0]} on" if len(cheaper) else f"at no N up to {MOST}"
        outcomes.append((len(cheaper) > 0, words))
    return every(*outcomes)


def exact_subspace_08() -> Outcome:
    lengths = _lengths(RESNET)
    shares = {
        name: ", ".join(f"{b / a:.3g}" for a, b in pairwise(_lengths(levels)))
        for name, levels in EFFICIENTNETS.items()
    }
    words = f"wide_resnet50_2 at 256 x 256, levels 1 to 4: {', '.join(map(str, lengths))}. "
    words += (
        "Not so on Table 6's EfficientNets, where the next level has, as a share of the last, "
    )
    words += "; ".join(f"{share} ({name})" for name, share in shares.items())
    return all(a == 2 * b for a, b in pairwise(lengths)), words


def _lengths(levels: Sequence[tuple[int, int]], size: int = 256) -> list[int]:
    return [(size // stride) ** 2 * channels for stride, channels in levels]


def exact_subspace_20() -> Outcome:
    """Figure 3: two of a hundred random points of a plane in space rebuild the others."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]  # two span the plane, the third leaves it
    points = axes[:, :2] @ rng.normal(size=(2, 100))
    bank, height = points[:, :2], 0.5
    others = np.column_stack([points[:, 2:], points[:, 2] + height * axes[:, 2]])
    residuals = others - bank @ np.linalg.lstsq(bank, others)[0]
    *on, off = np.linalg.norm(residuals, axis=0)
    words = f"largest residual of {len(on)} points of the plane {max(on):.1e}; a point {height} "
    words += f"off it keeps its distance to {abs(off - height):.1e}"
    return bool(max(on) <= 1e-12 and abs(off - height) <= 1e-12), words


# ---- which predicate decides which claim

PRINTED: dict[str, Callable[[pd.DataFrame], Outcome]] = {
    "subspace-01": subspace_01,
    "subspace-02": subspace_02,
    "subspace-03": subspace_03,
    "subspace-04": subspace_04,
    "subspace-05": subspace_05,
    "subspace-10": subspace_10,
    "subspace-18": subspace_18,
    "subspace-19": subspace_19,
}

MEASURED: dict[str, Callable[[pd.DataFrame], Decision | None]] = {
    "subspace-01": measured_subspace_01,
    "subspace-02": measured_subspace_02,
    "subspace-03": measured_subspace_03,
    "subspace-04": measured_subspace_04,
    "subspace-05": measured_subspace_05,
    "subspace-10": measured_subspace_10,
    "subspace-11": measured_subspace_11,
    "subspace-15": measured_subspace_15,
    "subspace-16": measured_subspace_16,
    "subspace-17": measured_subspace_17,
    "subspace-18": measured_subspace_18,
}

STUDIED: dict[str, Callable[[Studies], Decision | None]] = {
    "subspace-09": measured_subspace_09,
    "subspace-12": measured_subspace_12,
    "subspace-13": measured_subspace_13,
    "subspace-14": measured_subspace_14,
    "subspace-21": measured_subspace_21,
}

EXACT: dict[str, Callable[[], Outcome]] = {
    "subspace-06": exact_subspace_06,
    "subspace-07": exact_subspace_07,
    "subspace-08": exact_subspace_08,
    "subspace-20": exact_subspace_20,
}
