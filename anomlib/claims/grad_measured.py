"""GRAD's claims on our rows and studies, and those that a calculation decides."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from .arms import CATEGORIES, Arms, Compared, Design, Said, decided, said
from .ours import Finding, gather, measured, stood_in, strongest
from .outcomes import (
    PROFILES,
    Decision,
    Outcome,
    Studies,
    compare,
    every,
    falling,
    gap,
    in_each,
    keep,
    show,
    top,
    within,
)

GOODS = "cigarette_box drink_bottle drink_can food_bottle food_box food_package".split()
STAND_INS = ("mtd", "elpv", "textures")
DETECTED, LOCALISED = ("image_auroc", "image_ap"), ("pixel_auroc", "pixel_ap")
AP = ("image_ap", "pixel_ap")
EVERY = CATEGORIES | {"goodsad": tuple(GOODS)}
RUNS = Design("grad", {"grids": "both", "noise": None}, categories=EVERY)
BOTH, ONE = "both grids", "normal grid only"
GRIDS: Arms = {BOTH: {}, ONE: {"grids": "normal"}}
PASTED: Arms = {"block paste": {}, "Gaussian noise": {"noise": 0.015}}
RIVALS = ("crad", "padim", "patchcore", "uniad", "riad", "dfr", "simplenet")  # of Table I


def _unified(rows: pd.DataFrame) -> pd.DataFrame:
    """One model for all categories, which is what the paper's tables are about."""
    return keep(rows, rows["trained_on"] != "own")


# ---- Table I: against other methods


def measured_grad_01(rows: pd.DataFrame) -> Decision | None:
    return _leads(rows, {"image_auroc": 0.034, "image_ap": 0.028})


def measured_grad_02(rows: pd.DataFrame) -> Decision | None:
    return _leads(rows, {"pixel_auroc": 0.011, "pixel_ap": 0.030})


def _leads(rows: pd.DataFrame, margins: dict[str, float]) -> Decision | None:
    """By how much is asked of all of GoodsAD; elsewhere, whether at all."""
    findings, metrics = [], [*margins]
    for scope, part in stood_in(_unified(rows), "goodsad", STAND_INS):
        for dataset, here in part.groupby("dataset"):
            goods = scope == "full data"
            names = GOODS if goods else sorted(set(here["category"]))
            found = {m: measured(here, m, metrics, names) for m in ("grad", *RIVALS)}
            gathered = gather(found)
            if gathered is None or found["grad"] is None or len(gathered[0]) < 2:
                continue
            numbers, runs = gathered
            by_metric = {m: {k: x[m] for k, x in numbers.items()} for m in metrics}
            ranks = [top(m, values) for m, values in by_metric.items()]
            for m, (first, *others) in {m: [*v.values()] for m, v in by_metric.items()}.items():
                if goods:
                    lead = gap(first, max(others))
                    ranks.append(within(f"ahead in {m}", lead, margins[m], 0.0005))
            holds, words = every(*ranks)
            place = f"{dataset}, {len(names)} categories, profile {here['profile'].iloc[0]}"
            absent = [m for m, x in found.items() if x is None]
            outcome = (holds, f"{place}: {words}. Runs: {runs}")
            findings.append(Finding(scope, outcome, absent))
    return strongest(findings)


def measured_grad_03(rows: pd.DataFrame) -> Decision | None:
    """CRAD with the settings of GRAD is its normal grid alone, as claim 05 says."""

    def judge(x: Compared) -> Outcome:
        means = x.each.groupby("category").mean()
        gains = {
            f"{c} {m}": gap(line[m, BOTH], line[m, ONE])
            for c, line in means.iterrows()
            for m in (*DETECTED, *LOCALISED)
        }
        return in_each("ahead of crad", gains)

    return decided(_by_grids(rows, (*DETECTED, *LOCALISED), judge))


# ---- Table II: with the abnormal grid and without


def measured_grad_04(rows: pd.DataFrame) -> Decision | None:
    """Of both data sets in question, where there is one; the others show."""

    def judge(x: Compared) -> Outcome:
        return every(*(x.leads(m, BOTH, ONE) for m in AP))

    return decided(_by_grids(rows, AP, judge))


def _by_grids(
    rows: pd.DataFrame, metrics: Sequence[str], judge: Callable[[Compared], Outcome]
) -> list[Said]:
    parts = stood_in(_unified(rows), "goodsad", ("mvtec", *STAND_INS))
    return said(parts, RUNS, GRIDS, metrics, judge)


def measured_grad_05(rows: pd.DataFrame) -> Decision | None:
    for scope, part in stood_in(_unified(rows), "goodsad", ("mvtec", *STAND_INS)):
        alone = keep(part, part["settings"].str.contains('grids="normal"', regex=False))
        names = GOODS if scope == "full data" else sorted(set(part["category"]))
        pair = {
            "normal grid only": measured(alone, "grad", AP, names),
            "crad": measured(part, "crad", AP, names),
        }
        if any(x is None for x in pair.values()):
            continue
        (one, words), (other, more) = (x for x in pair.values() if x is not None)
        outcomes = [
            within(f"{m} of the normal grid, and of crad", one[m], other[m], 0.005) for m in AP
        ]
        holds, numbers = every(*outcomes)
        place = f"{part['dataset'].iloc[0]}, profile {part['profile'].iloc[0]}"
        return Decision(holds, scope, f"{place}: {numbers}. Runs: {words}, {more}")
    return None


# ---- Sec. III-C: blocks or noise


def measured_grad_12(rows: pd.DataFrame) -> Decision | None:
    def judge(x: Compared) -> Outcome:
        return every(*(x.leads(m, *PASTED) for m in AP))

    parts = stood_in(_unified(rows), "mvtec", ("goodsad", *STAND_INS))
    return decided(said(parts, RUNS, PASTED, AP, judge))


# ---- Sec. IV-B and Figure 5: memory and speed

SPEED = "grad/study_speed"


def measured_grad_07(studies: Studies) -> Decision | None:
    """PaDiM's memory grows with images and channels: of a small set it says nothing."""
    lines = _timed(studies)
    use = lines["memory_mb"] / 1024
    if not {"grad", "padim"} <= set(use.index):
        return None
    rank = falling("memory in GB", {m: float(use[m]) for m in ("padim", "grad")})
    limit = compare("GB", ("grad", float(use["grad"])), "<=", ("allowed", 5.0))
    holds, words = every(rank, limit)
    if str(lines.loc["grad", "dataset"]).partition("+")[0] != "goodsad":
        return Decision(None, "embedded stand-in", f"Few and small images: {words}")
    return strongest([Finding("full data", (holds, words), ["simplenet"])])


def measured_grad_08(studies: Studies) -> Decision | None:
    """75 images per second are of a GPU; the place among the methods can be seen anywhere."""
    lines = _timed(studies)
    fps = lines["fps"].sort_values()
    if "grad" not in fps.index:
        return None
    place = [*fps.index].index("grad")
    words = f"{show(float(fps['grad']))} images per second, {place + 1}. from the slowest of "
    words += f"{len(fps)} methods ({', '.join(f'{m} {show(float(x))}' for m, x in fps.items())})"
    middling = 0 < place < len(fps) - 1
    if str(lines.loc["grad", "device"]) == "cpu":
        return Decision(None, "embedded stand-in", f"On a CPU, with a small network: {words}")
    near = abs(float(fps["grad"]) - 75) <= 0.25 * 75
    return Decision(near and middling, "embedded stand-in", words)


def _timed(studies: Studies) -> pd.DataFrame:
    """The methods that could be measured, by name."""
    lines = _fullest(studies, SPEED)
    if "fps" not in lines:
        return pd.DataFrame(columns=["fps", "memory_mb", "device", "dataset"])
    return lines.dropna(subset=["fps"]).set_index("method")


def _fullest(studies: Studies, item: str) -> pd.DataFrame:
    lines = studies.get(item, pd.DataFrame())
    for profile in PROFILES if len(lines) else ():
        part = keep(lines, lines["profile"] == profile)
        if len(part):
            return part
    return pd.DataFrame()


# ---- Sec. II-B: constant time


def measured_grad_09(studies: Studies) -> Decision | None:
    lines = _fullest(studies, "grad/study_lookup")
    if lines.empty or lines["features"].nunique() < 2:
        return None
    slopes = {}
    for how, part in lines.groupby("how"):
        least = part.groupby("features")["seconds"].min()
        x, y = np.log(least.index.to_numpy(dtype=float)), np.log(least.to_numpy(dtype=float))
        slopes[str(how)] = gap(round(float(np.polyfit(x, y, 1)[0]), 4), 0.0)  # no negative zero
    outcome = every(
        compare("slope", ("grid", slopes["grid"]), "<", ("bound", 0.1)),
        compare("slope", ("nearest neighbour", slopes["nearest neighbour"]), ">", ("bound", 0.8)),
    )
    sizes = ", ".join(f"{n:g}" for n in sorted(set(lines["features"])))
    words = f"n = {sizes}, profile {lines['profile'].iloc[0]}: {outcome[1]}"
    return Decision(outcome[0], "embedded stand-in", words)


# ---- Figure 3a: do defects leave similar traces?


def measured_grad_10(studies: Studies) -> Decision | None:
    lines = _fullest(studies, "grad/study_features")
    if lines.empty:
        return None
    random = lines["other"] == "random"
    pairs, chance = (keep(lines, x)["cosine"] for x in (~random, random))
    label = "mean cosine of the changes in the mask"
    ends = ("of two kinds of defect", round(float(pairs.mean()), 6))
    holds, words = compare(label, ends, ">", ("to a random one", round(float(chance.mean()), 6)))
    least = keep(lines, ~random).groupby("category")["cosine"].mean()
    words += f"; least on {least.idxmin()}, {show(round(float(least.min()), 6))}"
    place = f"{lines['dataset'].iloc[0]}, {lines['category'].nunique()} categories"
    return Decision(holds, "embedded stand-in", f"{place}: {words}")


# ---- Sec. III-B: the identical shortcut


def measured_grad_14(studies: Studies) -> Decision | None:
    lines = _fullest(studies, "grad/study_shortcut")
    if lines.empty:
        return None
    wide = lines.pivot_table(index=["category", "seed"], columns="blocks_see", values="ratio")
    means = wide.groupby("category").mean().mean().round(6)
    more = int((wide["grids"] > wide["features"]).sum())
    label = "residual at defects over elsewhere"
    holds, words = compare(
        label, ("with grids", means["grids"]), ">", ("without", means["features"])
    )
    place = f"{lines['dataset'].iloc[0]}, {lines['category'].nunique()} categories"
    words = f"{place}: {words} (so in {more} of {len(wide)} pairs of networks)"
    return Decision(holds, "embedded stand-in", words)


# ---- calculations

WALKS = 500
RULES = ("clipped", "redrawn", "not marked")  # of steps that leave the box


def exact_grad_11() -> Outcome:
    """Eq. 6 by its words, for the first two rules; the third is told beside it."""
    rng = np.random.default_rng(0)
    kept = {rule: 0 for rule in RULES}
    for _ in range(WALKS):
        size = int(rng.integers(1, 10))
        steps = int(rng.integers(size, 2 * size + 1))
        for rule in RULES:
            cells = _walk(size, steps, rule, rng)
            inside = all(0 <= x <= 2 * size for cell in cells for x in cell)
            kept[rule] += inside and len(cells) <= steps + 1 and _connected(cells)
    block = rng.random((9, 9))
    doubled = bool(np.allclose(_blurred(2 * block), 2 * _blurred(block)))
    words = [f"{n} of {WALKS} walks with steps {rule}" for rule, n in kept.items()]
    holds = doubled and all(kept[rule] == WALKS for rule in RULES[:2])
    return holds, (
        f"in the box, at most N + 1 cells, 8-connected: {', '.join(words)}; "
        f"twice the intensity gives {'twice' if doubled else 'not twice'} the paste"
    )


def _walk(size: int, steps: int, rule: str, rng: np.random.Generator) -> set[tuple[int, int]]:
    at, cells = np.array([size, size]), {(size, size)}
    for _ in range(steps):
        step = rng.integers(-1, 2, 2)
        while rule == "redrawn" and not _inside(at + step, size):
            step = rng.integers(-1, 2, 2)
        at = at + step
        if rule == "clipped":
            at = at.clip(0, 2 * size)
        if _inside(at, size):
            cells.add((int(at[0]), int(at[1])))
    return cells


def _inside(at: np.ndarray, size: int) -> bool:
    return bool(((at >= 0) & (at <= 2 * size)).all())


def _connected(cells: set[tuple[int, int]]) -> bool:
    rest = set(cells)
    queue = [rest.pop()]
    while queue:
        y, x = queue.pop()
        near = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & rest
        rest -= near
        queue += near
    return not rest


def _blurred(x: np.ndarray, sigma: float = 0.8) -> np.ndarray:
    line = np.exp(-0.5 * (np.array([-1.0, 0.0, 1.0]) / sigma) ** 2)
    for _ in range(2):
        x = np.apply_along_axis(np.convolve, 1, x, line / line.sum(), mode="same").T
    return x


def exact_grad_13() -> Outcome:
    """Where both terms of Eq. 4 are zero: d+ >= th for similar pairs, d- <= th for the others."""
    th = 0.5
    d = np.linspace(-1, 1, 2001)
    similar = d[np.maximum(0, th - d) == 0].min()
    printed = d[np.maximum(0, -th + d) == 0].max()
    code = d[np.maximum(0, th + d) == 0].max()
    width = ("as printed", gap(similar, printed))
    holds, words = compare("buffer between pairs without loss", width, ">", ("none", 0.0))
    return holds, f"{words}; with the sign of the released code {show(gap(similar, code))}"


# ---- which predicate decides which claim

MEASURED: dict[str, Callable[[pd.DataFrame], Decision | None]] = {
    "grad-01": measured_grad_01,
    "grad-02": measured_grad_02,
    "grad-03": measured_grad_03,
    "grad-04": measured_grad_04,
    "grad-05": measured_grad_05,
    "grad-12": measured_grad_12,
}
STUDIED: dict[str, Callable[[Studies], Decision | None]] = {
    "grad-07": measured_grad_07,
    "grad-08": measured_grad_08,
    "grad-09": measured_grad_09,
    "grad-10": measured_grad_10,
    "grad-14": measured_grad_14,
}
EXACT: dict[str, Callable[[], Outcome]] = {"grad-11": exact_grad_11, "grad-13": exact_grad_13}
