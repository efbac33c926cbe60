"""FAIR's claims that signal processing decides: filters, gradients, energy, large patches."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from .ours import MVTEC_CATEGORIES, place_of, stood_in
from .outcomes import (
    Decision,
    Outcome,
    Studies,
    every,
    falling,
    keep,
    show,
    within,
)

# ---- signal processing: what its study measured, and what a calculation decides

SIGNALS = "fair/study_filters"  # the study
STAND_INS = ("mtd", "elpv", "textures")  # where the claim about MVTec is measured, too

MIDDLE = 30  # the paper's cutoff, in cycles per 256 pixels
BANDS = (MIDDLE, 60, 90, np.inf)  # outer radii
PASTED = {"text": "as the text describes it", "released": "by the released cropping rule"}


def measured_fair_19(studies: Studies) -> Decision | None:
    """The strongest part decides, the others only show; "falls" is from band to band."""
    lines = studies.get(SIGNALS, pd.DataFrame())
    if lines.empty:
        return None
    lines, said = keep(lines, lines["quantity"] == "energy_ppm"), {}
    for scope, part in stood_in(lines, "mvtec", STAND_INS):
        whole = scope != "full data" or part["category"].nunique() == len(MVTEC_CATEGORIES)
        name = part["dataset"].iloc[0]
        if whole and name not in said:  # of its profiles the fullest comes first
            said[name] = scope, part, _bands(part)
    if not said:
        return None
    (scope, part, bands), *others = said.values()
    kept, removed = _in_the_middle(bands)
    words = f"{place_of(part)}: share of the energy at D <= {MIDDLE} {show(round(kept, 4))} with "
    words += f"the mean, {show(round(removed, 4))} without; by bands that end at 30, 60, 90 and "
    words += f"the corner {', '.join(show(round(x, 4)) for x in _without_mean(bands).mean())}"
    for _, _, other in others:
        words += f". Not decisive, {_briefly(other)}"
    return Decision(_falls_from_the_middle(bands), scope, words)


def _bands(part: pd.DataFrame) -> pd.DataFrame:
    """Energy by category (rows) and band; band -1 is the mean.

    Raises:
        ValueError: two lines for one radius of a category.
    """
    if part.duplicated(subset=["category", "x"]).any():
        raise ValueError(f"the study {SIGNALS} has two lines for one radius")
    band = np.where(part["x"] == 0, -1, np.searchsorted(BANDS, part["x"]))
    place = part["dataset"] + "/" + part["category"]
    part = part.assign(place=place, band=band)
    return part.pivot_table(index="place", columns="band", values="value", aggfunc="sum")


def _without_mean(bands: pd.DataFrame) -> pd.DataFrame:
    rest = bands.drop(columns=-1)
    return rest.div(rest.sum(axis=1), axis=0)


def _in_the_middle(bands: pd.DataFrame) -> tuple[float, float]:
    """The least share of any category in the first band, with its mean and without."""
    kept = (bands[-1] + bands[0]) / bands.sum(axis=1)
    return float(kept.min()), float(_without_mean(bands)[0].min())


def _falls_from_the_middle(bands: pd.DataFrame) -> bool:
    falls = (_without_mean(bands).diff(axis=1).iloc[:, 1:] < 0).all(axis=None)
    return bool(min(_in_the_middle(bands)) > 0.5 and falls)


def _briefly(bands: pd.DataFrame) -> str:
    each = {str(place): bands.loc[[place]] for place in bands.index}
    words = [
        f"{place} {_in_the_middle(x)[1]:.2f}{'' if _falls_from_the_middle(x) else ' (fails)'}"
        for place, x in each.items()
    ]
    return f"without the mean: {', '.join(words)}"


def measured_fair_26(studies: Studies) -> Decision | None:
    """The released code decides: what the text describes is how this book reads it."""
    lines = studies.get(SIGNALS, pd.DataFrame())
    if lines.empty:
        return None
    lines = keep(lines, (lines["item"] == "section3.1") & lines["x"].isna())
    lines = keep(lines, lines["profile"] == lines["profile"].iloc[0])  # the fullest
    cells = lines.set_index(["kind", "quantity"])["value"]
    outcomes = {name: _covers_half(name, how, cells[name]) for name, how in PASTED.items()}
    (_, text), (holds, words) = outcomes["text"], outcomes["released"]
    place = lines["category"].iloc[0]
    return Decision(holds, "calculation", f"images of {place}: {words}; but {text}")


def _covers_half(name: str, how: str, cell: pd.Series) -> Outcome:
    mean, median = float(cell["mean"]), float(cell["median"])
    words = (
        f"{how}, {cell['count']:.0f} draws: mean {mean:.3f}, median {median:.3f} of the image, "
    )
    words += f"{100 * cell['above_half']:.1f} % of draws above 0.5"
    return min(mean, median) > 0.5, words


GRID, D_0 = 256, 30.0  # pixels; the paper's cutoff
TRANSFERS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {  # D, D_0 -> H; Eqs. 2 to 4
    "ideal": lambda d, d0: (d > d0).astype(float),
    "butterworth3": lambda d, d0: d**6 / (d**6 + d0**6),
    "butterworth2": lambda d, d0: d**4 / (d**4 + d0**4),
    "gaussian": lambda d, d0: 1 - np.exp(-(d**2) / (2 * d0**2)),
}
SMOOTH = {"3 x 3": (1, 2, 1), "5 x 5": (1, 4, 6, 4, 1)}  # Sobel's kernels, as in OpenCV
DERIVE = {"3 x 3": (-1, 0, 1), "5 x 5": (-1, -2, 0, 2, 1)}


def exact_fair_16() -> Outcome:
    share = {name: _negative_share(_impulse(name, D_0)) for name in TRANSFERS}
    shown = {name: round(x, 4) for name, x in share.items()}
    label = f"share of negative mass of 1 - H, {GRID} x {GRID}, cutoff {D_0:g}"
    none = share["gaussian"] <= 1e-3
    return every(falling(label, shown), (none, f"gaussian {'<=' if none else '>'} 0.001"))


def exact_fair_17() -> Outcome:
    cutoffs = (10.0, 30.0, 60.0, 90.0)
    h = {f"cutoff {c:g}": _impulse("butterworth2", c) for c in cutoffs}
    radius = {name: round(_radius_holding(x, 0.95), 2) for name, x in h.items()}
    share = {name: round(_negative_share(x), 4) for name, x in h.items()}
    narrow = falling("(a) radius of 95 % of |impulse response|, in px", radius)
    weak = falling("(b) share of negative mass", share)
    holds, words = every(narrow, weak)
    if narrow[0] and not weak[0]:
        words += (
            ": (a) holds and (b) fails, rings get narrower, not weaker. Twice the cutoff is the "
        )
        words += "same response at half the size, but where the grid ends, at D = 128"
    return holds, words


def exact_fair_18() -> Outcome:
    """On the frequencies of the grid, and at D_0 itself."""
    d = _distance()
    h = {name: f(d, D_0) for name, f in TRANSFERS.items()}
    at = {name: float(f(np.array(D_0), D_0)) for name, f in TRANSFERS.items()}
    low, inner = d <= D_0, (d > 0) & (d <= D_0 / 2)
    between = (0 == h["ideal"]) & (h["ideal"] < h["butterworth2"])
    between &= h["butterworth2"] < h["gaussian"]
    means = {name: float(x[d == 0].max()) for name, x in h.items()}
    crossing = _crossing(TRANSFERS["butterworth2"], TRANSFERS["gaussian"])
    return every(
        (bool((h["ideal"][low] == 0).all()), f"ideal: 0 at all {low.sum()} frequencies D <= D0"),
        within("butterworth2 at D0", at["butterworth2"], 0.5, 1e-12),
        within("gaussian at D0", at["gaussian"], 1 - float(np.exp(-0.5)), 1e-12),
        (not any(means.values()), "all are 0 at D = 0"),
        (
            bool(between[inner].all()),
            f"0 = ideal < butterworth2 < gaussian at all {inner.sum()} with 0 < D <= D0 / 2; the "
            f"last two cross at D = {crossing:.2f} D0",
        ),
    )


def exact_fair_20() -> Outcome:
    """f(x + 1) - f(x - 1), then the same smoothed by (1, 2, 1) along y; borders meet."""
    f = np.random.default_rng(0).normal(size=(48, 64))  # y, x
    v, u = (2 * np.pi * np.fft.fftfreq(n) for n in f.shape)
    change = np.roll(f, -1, axis=1) - np.roll(f, 1, axis=1)
    smoothed = np.roll(change, -1, axis=0) + 2 * change + np.roll(change, 1, axis=0)
    factor = np.exp(1j * u) - np.exp(-1j * u)
    smooth = 2 + 2 * np.cos(v)[:, None]
    whole = np.fft.fft2(f)
    errors = {
        "central difference": np.abs(np.fft.fft2(change) - whole * factor).max(),
        "Sobel": np.abs(np.fft.fft2(smoothed) - whole * factor * smooth).max(),
    }
    return every(
        *(
            (bool(x <= 1e-10), f"{name}, largest deviation on noise of 64 x 48: {x:.1e}")
            for name, x in errors.items()
        )
    )


def exact_fair_21() -> Outcome:
    m = GRID
    u = np.fft.fftfreq(m, 1 / m)
    factor = np.exp(2j * np.pi * u / m) - np.exp(-2j * np.pi * u / m)
    error = float(np.abs(factor - 2j * np.sin(2 * np.pi * u / m)).max())
    zeros = sorted(abs(int(k)) for k in u[np.abs(factor) < 1e-12])
    turned = np.abs(np.angle(factor[np.abs(factor) >= 1e-12]))
    off = float(np.abs(turned - np.pi / 2).max())
    filters = [f(_distance(), D_0) for f in TRANSFERS.values()]
    plain = all(np.isrealobj(h) and bool((h >= 0).all()) for h in filters)
    least = min(float(h.min()) for h in filters)
    return every(
        (error <= 1e-12, f"factor - 2i sin(2 pi u/M): at most {error:.1e}"),
        (off <= 1e-12, f"phase: pi/2 on either side, to {off:.1e}"),
        (zeros == [0, m // 2], f"zeros at |u| = {' and '.join(map(str, zeros))} of M = {m}"),
        (plain, f"the three filters are real and at least {least:g}: they turn no phase"),
    )


def exact_fair_22() -> Outcome:
    u, share = np.fft.fftfreq(GRID), {}
    for name, smooth in SMOOTH.items():
        down, across = (_series(weights, u) for weights in (smooth, DERIVE[name]))
        power = np.abs(down[:, None] * across) ** 2
        share[name] = round(float(power[_distance() > GRID / 4].sum() / power.sum()), 4)
    label = f"share of |transfer function|^2 at D > {GRID // 4}"
    return falling(label, share)


def _distance() -> np.ndarray:
    u = np.fft.fftfreq(GRID, 1 / GRID)
    return np.hypot(u[:, None], u)


def _impulse(name: str, cutoff: float) -> np.ndarray:
    """Of 1 - H: the blur that the filter takes away from an image; its origin is in the corner."""
    return np.fft.ifft2(1 - TRANSFERS[name](_distance(), cutoff)).real


def _negative_share(h: np.ndarray) -> float:
    return float(-h[h < 0].sum() / np.abs(h).sum())


def _radius_holding(h: np.ndarray, share: float) -> float:
    """In pixels, about the origin; distances go around the border as frequencies do."""
    radius = _distance().ravel()
    order = np.argsort(radius, kind="stable")
    held = np.abs(h).ravel()[order].cumsum()
    return float(radius[order][np.searchsorted(held, share * held[-1])])


def _crossing(f: Callable[..., np.ndarray], g: Callable[..., np.ndarray]) -> float:
    """Where two transfer functions meet first, as a share of the cutoff."""
    x = np.linspace(0.001, 1, 1000)
    return float(x[np.argmax(f(x, 1.0) >= g(x, 1.0))])


def _series(weights: Sequence[int], u: np.ndarray) -> np.ndarray:
    k = np.arange(len(weights)) - len(weights) // 2
    return np.exp(2j * np.pi * u[:, None] * k) @ np.array(weights)


# ---- which predicate decides which claim

STUDIED: dict[str, Callable[[Studies], Decision | None]] = {
    "fair-19": measured_fair_19,
    "fair-26": measured_fair_26,
}

EXACT: dict[str, Callable[[], Outcome]] = {
    "fair-16": exact_fair_16,
    "fair-17": exact_fair_17,
    "fair-18": exact_fair_18,
    "fair-20": exact_fair_20,
    "fair-21": exact_fair_21,
    "fair-22": exact_fair_22,
}
