"""FAE's claims that its studies decide: what noise costs, and what thin curves erase."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from .ours import stood_in
from .outcomes import PROFILES, Decision, Outcome, Studies, compare, every, keep, show

# ---- fae-12: seconds per step

COSTS = "fae/study_cost"
CHEAP, DEAR = 1.05, 1.5  # bounds of the check


def measured_fae_12(studies: Studies) -> Decision | None:
    """The network nearest to the paper's, the widest and then that of the largest images, decides.

    A ratio is the median over repeats of the ratio within a repeat.

    Raises:
        ValueError: a time that is not a positive number.
    """
    lines = studies.get(COSTS, pd.DataFrame())
    if lines.empty:
        return None
    seconds = lines["seconds"].to_numpy(dtype=float)
    if not (np.isfinite(seconds) & (seconds > 0)).all():
        raise ValueError(f"the study {COSTS} has a time that is not a positive number")
    for profile in PROFILES:
        part = keep(lines, lines["profile"] == profile)
        if part.empty:
            continue
        place = ["width", "size", "blocks", "batch", "device", "threads"]
        said = {where: _ratios(x) for where, x in part.groupby(place)}
        (where, (holds, words)), *others = sorted(said.items(), reverse=True)
        evidence = f"{_network(where)}: {words}"
        for other, (fits, ratios) in others:
            evidence += f". Not decisive, {_network(other)}{'' if fits else ' (fails)'}: {ratios}"
        scope = "full data" if profile == "full" and where[0] >= 64 else "embedded stand-in"
        return Decision(holds, scope, evidence)
    return None


def _network(where: tuple) -> str:
    width, size, blocks, batch, device, threads = where
    words = f"c={width:g}, {blocks:g} blocks, {size:g} pixels, batch of {batch:g}"
    return f"{words}, {device} (threads {threads:g})"


def _ratios(part: pd.DataFrame) -> Outcome:
    table = part.pivot_table(index="repeat", columns="what", values="seconds")
    ratio = table.div(table["none"], axis=0).median().round(4)
    holds, words = every(
        compare("a step over one without noise", ("noise", ratio["fae"]), "<=", ("bound", CHEAP)),
        compare("and", ("explicit", ratio["explicit"]), ">=", ("bound", DEAR)),
    )
    again = [x for x in ratio.index if x.startswith("none,")]
    return holds, words + "".join(f" (no noise, measured again: {show(ratio[x])})" for x in again)


# ---- fae-17: thin curves in training

SHAPES = "fae/study_shapes"
STAND_INS = ("mtd", "elpv", "textures")
ENOUGH = 3  # pairs of networks; fewer show, but decide nothing (bound ours)


def measured_fae_17(studies: Studies) -> Decision | None:
    """Means over seeds, then over categories with thin defects; the strongest part decides.

    Of real defects no clean twin is known, so the share that is left is that of painted curves.
    """
    lines = studies.get(SHAPES, pd.DataFrame())
    if lines.empty:
        return None
    for scope, part in stood_in(lines, "mvtec", STAND_INS):
        curves = keep(part, part["kind"] == "curves")
        thin = keep(part, (part["kind"] == "defect") & part["thin"].astype(bool))
        if curves.empty or thin.empty:
            continue
        by = ["dataset", "category", "seed", "trained"]
        sums = curves.groupby(by)[["left", "painted"]].sum()
        left = (sums["left"] / sums["painted"]).unstack("trained")
        auroc = thin.groupby(by)["pixel_auroc"].mean().unstack("trained")
        outcome = every(
            _beside("left of painted thin curves", left, "<"),
            _beside("pixel_auroc of thin defects", auroc, ">"),
        )
        images = thin.groupby(["dataset", "category"])["path"].nunique()
        listed = ", ".join(f"{category} {n}" for (_, category), n in images.items())
        widest = f"mean width up to {thin['thickness'].max():.1f} px"
        profile = part["profile"].iloc[0]
        words = f"profile {profile}, thin defects ({widest}): {listed}; {outcome[1]}"
        return Decision(outcome[0] if len(auroc) >= ENOUGH else None, scope, words)
    return None


def _beside(label: str, table: pd.DataFrame, relation: str) -> Outcome:
    """Networks with curves against those without; beside it, in how many pairs it is so."""
    means = table.groupby(["dataset", "category"]).mean().mean()
    pairs = (table["both"] < table["ellipses"]) == (relation == "<")
    pairs &= table["both"] != table["ellipses"]
    holds, words = compare(
        label, ("with curves", means["both"]), relation, ("without", means["ellipses"])
    )
    return holds, f"{words} (so in {int(pairs.sum())} of {len(pairs)} pairs of networks)"


# ---- which predicate decides which claim

STUDIED: dict[str, Callable[[Studies], Decision | None]] = {
    "fae-12": measured_fae_12,
    "fae-17": measured_fae_17,
}
