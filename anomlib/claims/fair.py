"""FAIR's claims: images restored from their high frequencies."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .arms import (
    DRAWN,
    FAIR_RUNS,
    RUN,
    Arms,
    Compared,
    Parts,
    Said,
    alone,
    aside,
    complete,
    decided,
    in_arms,
    place_of,
    said,
    shared,
)
from .ours import Finding, scoped, settled, stood_in, strongest, untouched
from .outcomes import (
    PROFILES,
    SCOPES,
    Decision,
    Outcome,
    Studies,
    compare,
    every,
    falling,
    gap,
    keep,
    listed,
    top,
    within,
)
from .printed import leads, note, rivals, value, values

# ---- the printed numbers

LOCAL = ("pixel_auroc", "aupro")
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


def exact_fair_08() -> Outcome:
    sizes = {128: 65.8, 64: 16.5, 32: 4.1}  # as claimed
    counts = {c: unet_parameters(c) for c in sizes}
    holds, words = every(
        *(within(f"c={c}, over 2^20", counts[c] / 2**20, x, 0.05) for c, x in sizes.items())
    )
    return holds, f"{words}; at four bytes each c=128 has {4 * counts[128] / 2**20:.0f} MB"


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


# ---- our rows

MTD = "mtd"
STAND_INS = (MTD, DRAWN)  # where a claim about MVTec or VisA is measured, too
LABELLED = (MTD, "elpv", DRAWN)  # and where it needs no masks
PAIR = ("mvtec", "visa")
SETTINGS, CATEGORIES = FAIR_RUNS.settings, FAIR_RUNS.categories
MSE = "normal_mse"

FAIR: Arms = {"fair": {}}
AUTOENCODERS: Arms = {
    "deae": {"extractor": "none"},
    "deae_noskip": {"extractor": "none", "skips": False},
}
TASKS = FAIR | {"colorre": {"extractor": "grey"}} | AUTOENCODERS
BY_FILTER: Arms = {
    "butterworth2": {},
    "butterworth3": {"order": 3},
    "gaussian": {"extractor": "gaussian"},
    "ideal": {"extractor": "ideal"},
}
BY_CUTOFF: Arms = {f"cutoff {d:g}": {"cutoff": d} for d in (10.0, 30.0, 60.0, 90.0)}
BY_SOBEL: Arms = {
    "xy3": {"extractor": "sobel_xy"},
    "x3": {"extractor": "sobel_x"},
    "xy5": {"extractor": "sobel_xy", "kernel": 5},
}
BY_SCORE: Arms = {
    "msgms+color": {},
    "msgms": {"score": "msgms"},
    "color": {"score": "co"},
    "discriminative": {"learned": True},
}
BY_WIDTH: Arms = {f"c={c}": {"width": c} for c in WIDTHS}
SLIM = (8, 4, 2)  # widths that two cores train
NARROWER: Arms = {f"c={c}": {"width": c} for c in SLIM}
BY_TEXTURES: Arms = {"without DTD": {"textures": "train"}, "with it": {}}


def _in_arms(rows: pd.DataFrame, arms: Arms) -> pd.DataFrame:
    return in_arms(rows, FAIR_RUNS, arms)


def _pair(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Of each scope the first part of both MVTec and VisA; then what may stand in for them."""
    found: dict[str, dict[str, pd.DataFrame]] = {}
    for base in PAIR:
        for scope, part in scoped(untouched(rows, base)):
            found.setdefault(scope, {}).setdefault(base, part)
    both = [(s, pd.concat(found[s].values())) for s in SCOPES if len(found.get(s, ())) == 2]
    return both + stood_in(rows, "+".join(PAIR), STAND_INS)


def _said(
    parts: Parts, arms: Arms, metrics: Sequence[str], judge: Callable[[Compared], Outcome]
) -> list[Said]:
    return said(parts, FAIR_RUNS, arms, metrics, judge)


# Tables 1 to 4 and 12: against other methods


def measured_fair_01(rows: pd.DataFrame) -> Decision | None:
    parts = stood_in(rows, "mvtec", LABELLED)
    return _alone(parts, FAIR, ("image_auroc",), "the 7 others of Table 1")


def measured_fair_02(rows: pd.DataFrame) -> Decision | None:
    parts = stood_in(rows, "mvtec", STAND_INS)
    return _alone(parts, FAIR, LOCAL, "the 7 others of Table 3")


def measured_fair_03(rows: pd.DataFrame) -> Decision | None:
    parts = stood_in(rows, "visa", LABELLED)
    return _alone(parts, FAIR, ("image_auroc",), "the 5 others of Table 2")


def measured_fair_04(rows: pd.DataFrame) -> Decision | None:
    parts = stood_in(rows, "visa", STAND_INS)
    return _alone(parts, FAIR, LOCAL, "the 5 others of Table 4")


def measured_fair_25(rows: pd.DataFrame) -> Decision | None:
    return _alone(_pair(rows), BY_TEXTURES, THREE, "the 5 others of Table 5")


def _alone(parts: Parts, arms: Arms, metrics: Sequence[str], rivals: str) -> Decision | None:
    return alone(parts, FAIR_RUNS, arms, metrics, rivals)


# Tables 6 to 8, 10 and 11: FAIR against itself


def measured_fair_11(rows: pd.DataFrame) -> Decision | None:
    def judge(x: Compared) -> Outcome:
        outcomes = []
        for m in THREE:
            outcomes.append(x.falls(m, "fair", "colorre", "deae"))
            outcomes.append(x.leads(m, "fair", "deae_noskip"))
        return every(*outcomes)

    return decided(_said(stood_in(rows, "mvtec", STAND_INS), TASKS, THREE, judge))


def measured_fair_12(rows: pd.DataFrame) -> Decision | None:
    relations = {"image_auroc": ">", "aupro": ">", "pixel_auroc": ">="}

    def judge(x: Compared) -> Outcome:
        return every(*(x.leads(m, *BY_FILTER, relation=sign) for m, sign in relations.items()))

    return decided(_said(stood_in(rows, "mvtec", STAND_INS), BY_FILTER, THREE, judge))


def measured_fair_13(rows: pd.DataFrame) -> Decision | None:
    def judge(x: Compared) -> Outcome:
        return x.falls(MSE, "ideal", "butterworth3", "butterworth2", "gaussian")

    return decided(_said(stood_in(rows, "mvtec", LABELLED), BY_FILTER, [MSE], judge))


def measured_fair_14(rows: pd.DataFrame) -> Decision | None:
    def judge(x: Compared) -> Outcome:
        return x.falls(MSE, *reversed(BY_CUTOFF))

    return decided(_said(stood_in(rows, "mvtec", LABELLED), BY_CUTOFF, [MSE], judge))


def measured_fair_15(rows: pd.DataFrame) -> Decision | None:
    arms = BY_FILTER | {name: x for name, x in BY_CUTOFF.items() if x["cutoff"] != 30}

    def judge(x: Compared) -> Outcome:
        cutoffs = ["butterworth2", *(set(arms) - set(BY_FILTER))]
        numbers = [x.of(MSE, names).values() for names in (cutoffs, BY_FILTER)]
        ranges = [gap(max(y), min(y)) for y in numbers]
        return every(
            x.falls(MSE, "cutoff 10", "gaussian"),
            x.falls(MSE, "ideal", "cutoff 90"),
            compare("range", ("over cutoffs", ranges[0]), "<", ("over filters", ranges[1])),
        )

    return decided(_said(stood_in(rows, "mvtec", LABELLED), arms, [MSE], judge))


def measured_fair_23(rows: pd.DataFrame) -> Decision | None:
    def judge(x: Compared) -> Outcome:
        return every(*(x.leads(m, *BY_SOBEL) for m in THREE))

    return decided(_said(stood_in(rows, "mvtec", STAND_INS), BY_SOBEL, THREE, judge))


def measured_fair_24(rows: pd.DataFrame) -> Decision | None:
    def judge(x: Compared) -> Outcome:
        outcomes = []
        for m in THREE:
            outcomes.append(x.falls(m, "msgms+color", "msgms", "color"))
            outcomes.append(x.leads(m, "msgms+color", "discriminative"))
        return every(*outcomes)

    return decided(_said(stood_in(rows, "mvtec", STAND_INS), BY_SCORE, THREE, judge))


# Table 5: widths, by accuracy and by speed

SPEED = "fair/study_speed"


def measured_fair_07(rows: pd.DataFrame, studies: Studies) -> Decision | None:
    """Widths narrower than the paper's show, but decide nothing."""
    parts, metrics = [] if rows.empty else _pair(rows), ("image_auroc", "pixel_auroc")
    found, narrow = (_said(parts, arms, metrics, _costs) for arms in (BY_WIDTH, NARROWER))
    speed = _speed(studies)
    narrower = "".join(
        f". Not decisive: at c = {listed([str(c) for c in SLIM])} accuracy "
        f"{'falls' if x.outcome[0] else 'does not fall'} as claimed, {x.outcome[1]}"
        for x in narrow[:1]
    )
    if found and speed is not None:
        (scope, _, accurate), *others = found
        weaker = max(scope, speed[0], key=SCOPES.index)
        return strongest([Finding(weaker, every(accurate, speed[1]), (), aside(others))])
    if found:
        (scope, _, accurate), *others = found
        absent = ["speed at all three widths"]
        return strongest([Finding(scope, accurate, absent, aside(others))])
    if speed is not None:
        absent = ["image_auroc and pixel_auroc at all three widths"]
        return strongest([Finding(*speed, absent, narrower)])
    return Decision(None, narrow[0].scope, narrower.removeprefix(". ")) if narrow else None


def _costs(x: Compared) -> Outcome:
    """Bounds ours."""
    wide, *_, slim = arms = list(x.means["image_auroc"].index)
    outcomes = [x.falls("image_auroc", *arms)]
    for metric, bound in {"image_auroc": 0.015, "pixel_auroc": 0.002}.items():
        lost = gap(x.means[metric, wide], x.means[metric, slim])
        outcomes.append(compare(metric, ("lost in all", lost), "<=", ("allowed", bound)))
    return every(*outcomes)


def _speed(studies: Studies) -> tuple[str, Outcome] | None:
    """How fast the widths are from one image to its map, on a GPU if one was timed.

    Other batches and devices show, and so does the network alone. Any images do to take the time,
    but a short run's does not.

    Returns:
        A scope, and what the times say.

    Raises:
        ValueError: a speed that is not a number.
    """
    lines = studies.get(SPEED, pd.DataFrame())
    if lines.empty:
        return None
    lines = keep(lines, (lines["method"] == "fair") & lines["width"].isin([*WIDTHS]))
    if not np.isfinite(lines["images_per_second"].to_numpy(dtype=float)).all():
        raise ValueError(f"the study {SPEED} has a speed that is not a number")
    for profile in PROFILES:
        part = keep(lines, lines["profile"] == profile)
        key = ["device", "threads", "size", "batch", "part"]
        speeds = part.groupby([*key, "width"])["images_per_second"].median().unstack("width")
        speeds = speeds.reindex(columns=sorted(WIDTHS, reverse=True)).dropna()
        said = {}
        for place, x in sorted(speeds.iterrows(), key=lambda item: _as_in_paper(item[0])):
            device, threads, size, batch, what = place
            words = (
                f"{device} (threads {threads:g}), {size:g} pixels, batch of {batch:g}, {what}, "
            )
            words += f"profile {profile}"
            slow_last = {f"c={c}": float(v) for c, v in reversed([*x.items()])}
            said[words] = falling(f"images per second on {words}", slow_last)
        if said:
            (_, (holds, words)), *others = said.items()
            words += "".join(
                f". Not decisive: they {'rise' if y[0] else 'do not rise'} on {where}"
                for where, y in others
            )
            return ("full data" if profile == "full" else "embedded stand-in"), (holds, words)
    return None


def _as_in_paper(place: tuple[Any, ...]) -> tuple[Any, ...]:
    device, threads, size, batch, what = place
    return device.lower().startswith("cpu"), what != "whole", batch, -size, threads


# Figure 7: how alike images and their restorations are, ring by ring of their spectra

RINGED = "similarity_"  # columns of the lines of images, with the outer radius
DRAWS = 2000  # of the bootstrap


def measured_fair_09(images: pd.DataFrame) -> Decision | None:
    return decided(_seen(images, AUTOENCODERS, _errs_at_high_frequencies))


def measured_fair_10(images: pd.DataFrame) -> Decision | None:
    return decided(_seen(images, AUTOENCODERS | FAIR, _differs_everywhere))


def _seen(
    images: pd.DataFrame, arms: Arms, judge: Callable[[pd.DataFrame], Outcome]
) -> list[Said]:
    """Part by part, what is said of a table: images (rows) by arm and outer radius (columns)."""
    radii = {int(c.removeprefix(RINGED)): c for c in images.columns if c.startswith(RINGED)}
    rings, found = [radii[r] for r in sorted(radii)], []
    if not rings:  # in no file of an older version
        return []
    for scope, part in stood_in(images, "mvtec", LABELLED):
        lines = _in_arms(keep(part, part[rings].notna().all(axis=1)), arms)
        lines = shared(lines, lines["arm"], len(arms))
        lines = lines.assign(value=lines[rings].mean(axis=1))

        def table(
            run: pd.DataFrame, scope: str = scope, part: pd.DataFrame = part
        ) -> pd.DataFrame:
            index = [*RUN[2:], "label", "path"]
            numbers = run.pivot(index=index, columns="arm", values=rings)
            numbers = numbers.rename(columns=lambda c: c.removeprefix(RINGED), level=0)
            numbers = numbers.rename(columns=int, level=0).swaplevel(axis=1).dropna()
            return numbers if complete(FAIR_RUNS, scope, part, numbers) else numbers.iloc[:0]

        settings = settled(lines, "fair", ("dataset", "category", "seed", "path", "arm"), table)
        if settings is None:
            continue
        numbers, runs = settings
        numbers = numbers.groupby(level=["dataset", "category", "label", "path"]).mean()
        kinds = numbers.groupby(level=["dataset", "category", "label"]).size().unstack("label")
        if kinds.reindex(columns=[0, 1]).fillna(0).to_numpy().min() < 2:
            continue  # nothing to take a mean or to draw from
        place, (holds, words) = place_of(part, numbers), judge(numbers)
        found.append(Said(scope, place, (holds, f"{place}: {words}. Runs: {runs}")))
    return found


def _errs_at_high_frequencies(numbers: pd.DataFrame) -> Outcome:
    good = keep(numbers, numbers.index.get_level_values("label") == 0)
    curves = good.groupby(["dataset", "category"]).mean().mean().unstack()  # arm by radius
    radius = curves.columns.to_series()
    outer = curves.loc[:, radius > radius.max() / 2].mean(axis=1)
    label = f"Spearman of radius and similarity on {_count(good)} good images"
    ranks = {arm: float(curves.loc[arm].corr(radius, method="spearman")) for arm in AUTOENCODERS}
    with_, without = ((arm, float(outer[arm])) for arm in AUTOENCODERS)
    return every(
        *(compare(label, pair, "<", ("asked for", -0.8)) for pair in ranks.items()),
        compare("similarity in the upper half of radii", with_, ">", without),
    )


def _differs_everywhere(numbers: pd.DataFrame) -> Outcome:
    low, high = _intervals(numbers)
    differs = ((low > 0) | (high < 0)).unstack()  # arm by radius
    words = []
    for arm in [*AUTOENCODERS, *FAIR]:
        same = [str(r) for r in differs.columns[~differs.loc[arm]]]
        words.append(f"{arm} in {differs.shape[1] - len(same)} of {differs.shape[1]} rings")
        words[-1] += f" (not up to {listed(same)})" if same else ""
    label = f"defective less good images, {_count(numbers)} in all: 95 % intervals without 0 for "
    return bool(differs.to_numpy().all()), label + ", ".join(words)


def _sets(numbers: pd.DataFrame) -> list[str]:
    """Of each image, the set that it is drawn from; all splits are of one."""
    level = numbers.index.get_level_values
    pairs = zip(level("dataset"), level("category"), strict=True)
    return [d if c.startswith("split") else f"{d}/{c}" for d, c in pairs]


def _count(numbers: pd.DataFrame) -> int:
    return len({*zip(_sets(numbers), numbers.index.get_level_values("path"), strict=True)})


def _intervals(numbers: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Bootstrap: between which bounds defective less good lies, as a mean over categories.

    Images are drawn, good and defective ones apart; one that is tested in several splits of a set
    is drawn for all of them.
    """
    rng, gaps = np.random.default_rng(0), []
    for _, one in numbers.groupby(_sets(numbers)):
        means: dict[int, list[np.ndarray]] = {}
        for label in (0, 1):
            part = one.xs(label, level="label")
            paths = part.index.unique("path").sort_values()
            n = len(paths)
            times = rng.multinomial(n, np.full(n, 1 / n), size=DRAWS)  # that each is drawn
            means[label] = []
            for _, x in part.groupby("category"):
                some = times[:, paths.get_indexer(x.index.get_level_values("path"))]
                total = some.sum(axis=1, keepdims=True).astype(float)
                total[total == 0] = np.nan  # none of a split's images: no such draw
                means[label].append(some @ x.to_numpy() / total)
        gaps += [b - a for a, b in zip(means[0], means[1], strict=True)]
    bounds = np.nanquantile(np.mean(gaps, axis=0), [0.025, 0.975], axis=0)
    low, high = (pd.Series(x, index=numbers.columns) for x in bounds)
    return low, high


# ---- which predicate decides which claim

PRINTED: dict[str, Callable[[pd.DataFrame], Outcome]] = {
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
}

MEASURED: dict[str, Callable[[pd.DataFrame], Decision | None]] = {
    "fair-01": measured_fair_01,
    "fair-02": measured_fair_02,
    "fair-03": measured_fair_03,
    "fair-04": measured_fair_04,
    "fair-11": measured_fair_11,
    "fair-12": measured_fair_12,
    "fair-13": measured_fair_13,
    "fair-14": measured_fair_14,
    "fair-15": measured_fair_15,
    "fair-23": measured_fair_23,
    "fair-24": measured_fair_24,
    "fair-25": measured_fair_25,
}

IMAGEWISE: dict[str, Callable[[pd.DataFrame], Decision | None]] = {
    "fair-09": measured_fair_09,
    "fair-10": measured_fair_10,
}

JOINED: dict[str, Callable[[pd.DataFrame, Studies], Decision | None]] = {
    "fair-07": measured_fair_07,
}

EXACT: dict[str, Callable[[], Outcome]] = {"fair-08": exact_fair_08}
