"""FAIR's claims: images restored from their high frequencies."""

from collections.abc import Callable, Sequence

import pandas as pd

from .outcomes import Outcome, compare, every, falling, gap, top, within
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
