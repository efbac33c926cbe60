"""GRAD's claims on our rows and studies, and those that a calculation decides."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..api import read_departures
from .arms import CATEGORIES, Arms, Compared, Design, Said, aside, decided, said
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
    listed,
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
    """On GoodsAD with the settings of each paper; elsewhere CRAD is GRAD's normal grid alone."""
    metrics = (*DETECTED, *LOCALISED)

    def judge(x: Compared) -> Outcome:
        means, (first, second) = x.each.groupby("category").mean(), x.means[metrics[0]].index
        gains = {
            f"{c} {m}": gap(line[m, first], line[m, second])
            for c, line in means.iterrows()
            for m in metrics
        }
        return in_each("ahead of crad", gains)

    rows = _unified(rows)
    crad = keep(rows, (rows["method"] == "crad") & (rows["settings"] == "paper"))
    both = pd.concat([rows, crad.assign(method="grad", settings='grids="crad"')])
    whole = _whole(both, "goodsad", {"grad": {}, "crad": {"grids": "crad"}}, metrics, judge)
    rest = [x for x in stood_in(rows, "goodsad", ("mvtec", *STAND_INS)) if x[0] != "full data"]
    return decided(whole + said(rest, RUNS, GRIDS, metrics, judge))


def _whole(
    rows: pd.DataFrame,
    dataset: str,
    arms: Arms,
    metrics: Sequence[str],
    judge: Callable[[Compared], Outcome],
) -> list[Said]:
    """What a dataset says that a claim names, where it is complete."""
    parts = [x for x in stood_in(rows, dataset, ()) if x[0] == "full data"]
    return said(parts, RUNS, arms, metrics, judge)


# ---- Table II: with the abnormal grid and without


def measured_grad_04(rows: pd.DataFrame) -> Decision | None:
    return _on_both(rows, GRIDS)


def _on_both(rows: pd.DataFrame, arms: Arms) -> Decision | None:
    """The first arm ahead in both precisions on both data sets, or else where they stand in."""

    def judge(x: Compared) -> Outcome:
        return every(*(x.leads(m, *arms) for m in AP))

    rows, named = _unified(rows), ("goodsad", "mvtec")
    whole = {name: _whole(rows, name, arms, AP, judge) for name in named}
    absent = [name for name, found in whole.items() if not found]
    outcomes = [x.outcome for found in whole.values() for x in found]
    parts = stood_in(rows, "goodsad", ("mvtec", *STAND_INS))
    rest = said([x for x in parts if x[1]["dataset"].iloc[0] not in named], RUNS, arms, AP, judge)
    findings = [Finding("full data", every(*outcomes), absent, aside(rest))] if outcomes else []
    findings += [
        Finding(x.scope, x.outcome, aside=aside(rest[i + 1 :])) for i, x in enumerate(rest)
    ]
    return strongest(findings)


# What CRAD does not have, and what the normal grid alone makes no use of
ABNORMAL_ONLY = (
    "grids fusion weight lam th w_con literal_eq4 one_mask_mean stage1 freeze_shared "
    "clean_target walk size intensity position blur_sigma batch_shared_fbp noise"
).split()
NETWORKS: dict[str, dict[str, Any]] = {  # in which the papers' settings differ
    "grad": {"backbone": "tf_efficientnet_b6", "global_grid": 8, "blocks": 9},
    "crad": {"backbone": "efficientnet_b4", "global_grid": 4, "blocks": 7},
}


def measured_grad_05(rows: pd.DataFrame) -> Decision | None:
    """Runs of the same categories and seeds, on GoodsAD each with its paper's settings.

    Elsewhere settings are equal, and then one is the other by the code.
    """
    key = ["dataset", "category", "seed", "metric", "shared"]
    for scope, part in stood_in(_unified(rows), "goodsad", ("mvtec", *STAND_INS)):
        whole = scope == "full data"
        known = keep(part, part["metric"].isin(AP) & part["method"].isin(NETWORKS))
        chosen = _of_the_papers(known) if whole else _with_shared(known)
        one, other = (keep(chosen, chosen["method"] == m) for m in ("grad", "crad"))
        one = keep(one, one["settings"].str.contains('grids="normal"', regex=False))
        both = one.merge(other, on=key, suffixes=("_grad", "_crad"))
        for words, pairs in both.groupby("shared"):
            if whole and set(pairs["category"]) != set(GOODS):
                continue
            note = "" if whole else ". With equal settings it is so by the code, by inheritance"
            place = f"{part['dataset'].iloc[0]}, profile {part['profile'].iloc[0]}"
            holds, numbers = _within_half_a_point(pairs)
            return Decision(holds, scope, f"{place}: {numbers}. Settings {words}{note}")
    return None


def _within_half_a_point(pairs: pd.DataFrame) -> Outcome:
    """In the mean over seeds and then categories."""
    values = ["value_grad", "value_crad"]
    means = pairs.groupby(["metric", "category"])[values].mean().groupby("metric").mean()
    label = "of the normal grid, and of crad"
    pair = {m: [float(x) for x in means.loc[m]] for m in AP}
    holds, words = every(*(within(f"{m} {label}", a, b, 0.005) for m, (a, b) in pair.items()))
    seeds = listed(sorted(set(pairs["seed"].astype(str))))
    return holds, f"{words} ({pairs['category'].nunique()} categories, seeds {seeds})"


def _of_the_papers(rows: pd.DataFrame) -> pd.DataFrame:
    """Only rows with each paper's settings, but for the grids."""
    chosen = rows["settings"].map(lambda words: set(read_departures(words)) <= {"grids"})
    return keep(rows, chosen).assign(shared="of the papers")


def _with_shared(rows: pd.DataFrame) -> pd.DataFrame:
    """With a column of the settings that CRAD has, too, those of the papers filled in."""

    def words(method: str, settings: str) -> str:
        departing = read_departures(settings)
        found = NETWORKS[method] | {k: v for k, v in departing.items() if k not in ABNORMAL_ONLY}
        return ",".join(f"{k}={json.dumps(found[k])}" for k in sorted(found))

    named = [words(*x) for x in zip(rows["method"], rows["settings"], strict=True)]
    return rows.assign(shared=named)


# ---- Sec. III-C: blocks or noise


def measured_grad_12(rows: pd.DataFrame) -> Decision | None:
    return _on_both(rows, PASTED)


# ---- Sec. IV-B and Figure 5: memory and speed

SPEED = "grad/study_speed"


def measured_grad_07(studies: Studies) -> Decision | None:
    """Of a GPU's memory: a process also holds what this package keeps in it, such as images.

    PaDiM's grows with images and channels: of a small set it says nothing.
    """
    lines = _timed(studies)
    if not {"grad", "padim"} <= set(lines.index):
        return None
    use = lines["cuda_mb" if _on_gpu(lines) else "memory_mb"] / 1024
    rank = falling("memory in GB", {m: float(use[m]) for m in ("padim", "grad")})
    limit = compare("GB", ("grad", float(use["grad"])), "<=", ("allowed", 5.0))
    holds, words = every(rank, limit)
    if not _as_printed(lines):
        return Decision(None, "embedded stand-in", f"On few and small images, or a CPU: {words}")
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
    if not _as_printed(lines):
        words = f"On a CPU, or with a small network and images: {words}"
        return Decision(None, "embedded stand-in", words)
    near = abs(float(fps["grad"]) - 75) <= 0.25 * 75
    return Decision(near and middling, "full data", words)


def _on_gpu(lines: pd.DataFrame) -> bool:
    return str(lines.loc["grad", "device"]) != "cpu"


def _as_printed(lines: pd.DataFrame) -> bool:
    """Whether GRAD was measured on a GPU, on GoodsAD and with the paper's network."""
    grad = lines.loc["grad"]
    reduced = set(read_departures(str(grad["settings"]))) - {"epochs"}  # no matter for speed
    return _on_gpu(lines) and str(grad["dataset"]) == "goodsad" and not reduced


def _timed(studies: Studies) -> pd.DataFrame:
    """The methods that could be measured, by name."""
    lines = _fullest(studies, SPEED)
    if "fps" not in lines:
        return pd.DataFrame(
            columns=["fps", "memory_mb", "cuda_mb", "device", "dataset", "settings"]
        )
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
