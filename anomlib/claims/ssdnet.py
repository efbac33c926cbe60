"""SSDnet's claims: zero-shot, every image on its own."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..api import read_departures
from .ours import (
    AP_MEAN,
    AUROC_MEAN,
    PER_IMAGE,
    ROW_KEY,
    Finding,
    defective,
    gather,
    imagewise,
    measured,
    place_of,
    scoped,
    settled,
    strongest,
    sweeps,
    untouched,
)
from .outcomes import (
    SCOPES,
    Decision,
    Outcome,
    Studies,
    compare,
    every,
    gap,
    in_each,
    keep,
    least,
    show,
    top,
    within,
)
from .printed import leads, leads_by, value

# ---- the printed numbers

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


# ---- our rows

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
) -> Iterator[Finding]:
    for scope, part, categories in parts:
        gathered = gather({m: measured(part, m, PER_IMAGE, categories) for m in methods})
        if gathered is not None:
            means, runs = gathered
            holds, words = judge(means)
            absent = [m for m in methods if m not in means]
            yield Finding(scope, (holds, f"{place_of(part)}: {words}. Runs: {runs}"), absent)


def _ssdnet_leads(means: Means) -> Outcome:
    return every(*(top(k, {m: x[k] for m, x in means.items()}) for k in PER_IMAGE))


def measured_ssdnet_03(rows: pd.DataFrame) -> Decision | None:
    for scope, part in scoped(_grid(rows)):
        found = measured(part, "ssdnet", PER_IMAGE, ["grid"])
        if found is not None:
            means, run = found
            holds, words = _reaches_grid(means)
            return Decision(holds, scope, f"{place_of(part)}, {run}: {words}")
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
            return Decision(holds, scope, f"{place_of(part)}: {words}. Runs: {gathered[1]}")
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
) -> Iterator[Finding]:
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
        where = f"{place_of(part)}, {column} of {found['ssdnet'].shape[1]} images"
        absent = [m for m in FIVE if m not in found]
        yield Finding(scope, (holds, f"{where}: {words}. Runs: {runs}"), absent)


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
        absent = [m for m in methods if m not in means]
        findings.append(Finding(scope, (holds, f"{where}: {words}. Runs: {runs}"), absent))
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
        run, changed = keep(ours, ours["settings"] == words), read_departures(words)
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
        where = place_of(keep(part, part["category"].isin(categories)))
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
            found.setdefault(scope, (holds, f"{place_of(part)}, step {last}: {words}"))
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


def _areas(images: pd.DataFrame) -> Iterator[Finding]:
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
        yield Finding(scope, (holds, f"{place_of(part)}: {words}. Runs: {runs}"))


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
            return Decision(holds, scope, f"{place_of(part)}, masks as loaded: {words}")
    return None


# ---- by calculation


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
