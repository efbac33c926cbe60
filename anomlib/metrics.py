"""Pure functions from scores and truth to one number in [0, 1]: AUROC, AP and AU-PRO.

Every number is exact: each distinct score is a threshold, tied pixels pass it together, and
counts are integers. So a number depends on the order of the scores only: squaring positive
maps changes nothing. Pixels of all test images are pooled, those of good images included.

Why sorting the normal pixels is enough: as a threshold falls, each curve bends only where it
meets a defective pixel. Between two such steps there are only false alarms and the curve is
straight, so all it takes is how many normal pixels lie above each step.

All functions raise ValueError for values that are NaN or infinite, truth that is not bool, and
shapes that differ. Without defective or without normal pixels (images) nothing is defined: they
warn, naming the reason, and return NaN.

References:
    | An introduction to ROC analysis (Fawcett, 2006): AUROC as a ranking, a tie being one half
    | scikit-learn, `average_precision_score`: AP as a sum of steps, no interpolation
    | The MVTec Anomaly Detection Dataset (Bergmann et al., 2021): AU-PRO up to a limit of FPR
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from skimage.filters import threshold_otsu
from torch import Tensor

from .api import Labels, Maps, Masks, Scores

VERSION = "1"  # recorded with every run; goes up whenever a change here can move a number


# What a threshold meets while it falls from the highest score to the lowest
class Steps(NamedTuple):
    """One step per distinct score of a defective pixel, the highest score first.

    With one score per image, read "image" for "pixel": the curves are the same.
    """

    truth: np.ndarray  # (n, h, w) or (n,), True where defective; p of them
    step: np.ndarray  # (p,) the step that finds each defective pixel, pixels in memory order
    found: np.ndarray  # (k,) how many defective pixels a step finds
    before: np.ndarray  # (k,) false alarms before the step: normal pixels of higher score
    after: np.ndarray  # (k,) false alarms after it: with the normal pixels of the same score
    normal: int  # normal pixels in all


def _steps(scores: np.ndarray, truth: np.ndarray) -> Steps:
    normal = scores[~truth]
    normal.sort()  # the one big sort: bare values, in place; no order to carry along
    levels, level = np.unique(scores[truth], return_inverse=True)  # lowest first
    before = normal.size - np.searchsorted(normal, levels, side="right")
    after = normal.size - np.searchsorted(normal, levels, side="left")
    step = levels.size - 1 - level
    return Steps(truth, step, np.bincount(step), before[::-1], after[::-1], normal.size)


# The three areas
def _auroc(s: Steps) -> float:
    """The share of (defective, normal) pairs in the right order, a tie being half a pair."""
    return int(s.found @ (2 * s.normal - s.before - s.after)) / (2 * s.step.size * s.normal)


def _ap(s: Steps) -> float:
    """The precision after each step, averaged over the defective pixels that it finds."""
    precision = s.found.cumsum() / (s.found.cumsum() + s.after)
    return float(s.found @ precision) / s.step.size


def label_regions(truth: np.ndarray) -> np.ndarray:
    """Numbers the 8-connected regions of (n, h, w) masks from 1; 0 where nothing is defective."""
    touching = np.zeros((3, 3, 3))  # the eight neighbours in an image, none in the next image
    touching[1] = 1
    regions = np.empty(truth.shape, np.int32)
    ndimage.label(truth, structure=touching, output=regions)
    return regions


def _aupro(s: Steps, max_fpr: float) -> float:
    """The mean overlap of the regions over FPR: its area on [0, max_fpr], divided by max_fpr."""
    region = label_regions(s.truth)[s.truth]  # (p,)
    overlap = np.bincount(s.step, weights=1 / np.bincount(region)[region]).cumsum()  # (k,)
    overlap /= overlap[-1]  # which is the number of regions

    # Flat from one step to the next; a slope where normal pixels share the score of a step.
    fpr = np.stack([s.before, s.after], axis=1).ravel() / s.normal  # (2 k,)
    fpr = np.concatenate([[0.0], fpr, [1.0]])
    pro = np.concatenate([[0.0, 0.0], overlap.repeat(2)])
    inside = fpr <= max_fpr
    x = np.append(fpr[inside], max_fpr)
    y = np.append(pro[inside], np.interp(max_fpr, fpr, pro))
    return min(float(np.trapezoid(y, x)) / max_fpr, 1.0)  # rounding can add a last bit


# What all metrics share
WORDS = {"pixel": ("maps", "masks", 3), "image": ("scores", "labels", 1)}


def _arrays(unit: str, values: Tensor, truth: Tensor) -> tuple[np.ndarray, np.ndarray]:
    values_, truth_, axes = WORDS[unit]
    if values.shape != truth.shape or values.ndim != axes:
        shapes = f"{tuple(values.shape)} and {tuple(truth.shape)}"
        raise ValueError(f"{values_} and {truth_} need the same {axes}-axis shape, not {shapes}")
    if truth.dtype != torch.bool:
        raise ValueError(f"{truth_} must be bool, True where defective, not {truth.dtype}")
    if values.dtype in (torch.float16, torch.bfloat16):
        values = values.float()  # exact, and numpy has no bfloat16
    array = values.detach().cpu().numpy()
    bad = array.size - np.count_nonzero(np.isfinite(array))
    if bad:
        raise ValueError(f"{bad} of {array.size} values in the {values_} are NaN or infinite")
    return array, truth.cpu().numpy()


def _evaluate(unit: str, values: Tensor, truth: Tensor, **formulas: Callable) -> dict[str, float]:
    scores, defective = _arrays(unit, values, truth)
    if defective.any() and not defective.all():
        steps = _steps(scores, defective)
        return {name: formula(steps) for name, formula in formulas.items()}
    lacking = "normal" if defective.any() else "defective"
    reason = f"no {lacking} {unit} in {len(truth)} {WORDS[unit][1]}"
    warnings.warn(f"{'/'.join(formulas)} is undefined: {reason}", stacklevel=3)
    return dict.fromkeys(formulas, float("nan"))


def _aupro_up_to(max_fpr: float) -> Callable[[Steps], float]:
    if not 0 < max_fpr <= 1:
        raise ValueError(f"max_fpr must lie in (0, 1], not {max_fpr}")
    return lambda steps: _aupro(steps, max_fpr)


# One value for the whole test set
def image_auroc(scores: Scores, labels: Labels) -> float:
    """The chance that a defective image scores above a good one, a tie counting one half."""
    return _evaluate("image", scores, labels, image_auroc=_auroc)["image_auroc"]


def image_ap(scores: Scores, labels: Labels) -> float:
    """The precision among the images above a threshold, averaged over the defective images."""
    return _evaluate("image", scores, labels, image_ap=_ap)["image_ap"]


def pixel_auroc(maps: Maps, masks: Masks) -> float:
    """The chance that a defective pixel scores above a normal one, all images pooled."""
    return _evaluate("pixel", maps, masks, pixel_auroc=_auroc)["pixel_auroc"]


def pixel_ap(maps: Maps, masks: Masks) -> float:
    """The precision among the pixels above a threshold, averaged over the defective pixels."""
    return _evaluate("pixel", maps, masks, pixel_ap=_ap)["pixel_ap"]


def aupro(maps: Maps, masks: Masks, max_fpr: float = 0.3) -> float:
    """The share of a defect that is found, averaged over defects and false positive rates.

    A defect is an 8-connected region of one mask, and counts the same whatever its size. The
    rates run from 0 to `max_fpr`, which must lie in (0, 1], else ValueError.
    """
    return _evaluate("pixel", maps, masks, aupro=_aupro_up_to(max_fpr))["aupro"]


def pixel_metrics(maps: Maps, masks: Masks, max_fpr: float = 0.3) -> dict[str, float]:
    """`pixel_auroc`, `pixel_ap` and `aupro` for the price of one: they share the sort."""
    area = _aupro_up_to(max_fpr)
    return _evaluate("pixel", maps, masks, pixel_auroc=_auroc, pixel_ap=_ap, aupro=area)


# One value per image, and its mean: the convention of SSDnet, which trains on each image
def per_image_pixel(maps: Maps, masks: Masks) -> dict[str, np.ndarray]:
    """`pixel_auroc` and `pixel_ap` of each image by itself: two float64 arrays of length n.

    NaN, without a warning, for an image that lacks defective or normal pixels, as good ones do.
    """
    scores, defective = _arrays("pixel", maps, masks)
    values = {name: np.full(len(scores), np.nan) for name in ("pixel_auroc", "pixel_ap")}
    for i in np.flatnonzero(defective.any(axis=(1, 2)) & ~defective.all(axis=(1, 2))):
        steps = _steps(scores[i], defective[i])
        values["pixel_auroc"][i], values["pixel_ap"][i] = _auroc(steps), _ap(steps)
    return values


def mean_image_pixel_auroc(maps: Maps, masks: Masks) -> float:
    """The mean `pixel_auroc` of the images that have both defective and normal pixels."""
    return _mean_over_images("pixel_auroc", maps, masks)


def mean_image_pixel_ap(maps: Maps, masks: Masks) -> float:
    """The mean `pixel_ap` of the images that have both defective and normal pixels."""
    return _mean_over_images("pixel_ap", maps, masks)


def _mean_over_images(name: str, maps: Tensor, masks: Tensor) -> float:
    values = per_image_pixel(maps, masks)[name]
    if np.isnan(values).all():
        reason = f"none of {len(values)} masks has both defective and normal pixels"
        warnings.warn(f"mean_image_{name} is undefined: {reason}", stacklevel=3)
        return float("nan")
    return float(np.nanmean(values))


def otsu(scores: np.ndarray) -> np.ndarray:
    """Otsu's binary map of one anomaly map; a constant map has nothing above its threshold."""
    constant = scores.max() == scores.min()
    return np.zeros(scores.shape, bool) if constant else scores > threshold_otsu(scores)


def otsu_ratio(maps: Maps, masks: Masks) -> np.ndarray:
    """The area that Otsu's map of each image marks, over the defective area; NaN without one."""
    scores, defective = _arrays("pixel", maps, masks)
    marked = np.array([otsu(s).sum() for s in scores], dtype=np.float64)
    area = defective.sum(axis=(1, 2))
    return np.divide(marked, area, out=np.full(len(marked), np.nan), where=area > 0)


IMAGE_METRICS = {f.__name__: f for f in (image_auroc, image_ap)}
PIXEL_METRICS = {f.__name__: f for f in (pixel_auroc, pixel_ap, aupro)}
PIXEL_METRICS |= {f.__name__: f for f in (mean_image_pixel_auroc, mean_image_pixel_ap)}
