"""Metrics against scikit-learn, against brute force, and on cases worked by hand."""

import math
import warnings

import jaxtyping
import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from anomlib import metrics
from anomlib.metrics import aupro, image_ap, image_auroc, pixel_ap, pixel_auroc, pixel_metrics


def random_case(seed: int, grades: int) -> tuple[Tensor, Tensor]:
    """Five 12 x 12 maps with at most `grades` distinct scores; the last two images are good."""
    g = torch.Generator().manual_seed(seed)
    masks = torch.rand(5, 12, 12, generator=g) < 0.2
    masks[3:] = False
    maps = torch.rand(5, 12, 12, generator=g) + 0.4 * masks
    return (maps * grades).floor() / grades, masks


def brute_force_aupro(
    maps: Tensor, masks: Tensor, max_fpr: float = 0.3, thresholds: list[float] | None = None
) -> float:
    """AU-PRO as its definition reads: every distinct threshold, every region, one at a time."""
    regions = []  # (image, rows, columns)
    for image, mask in enumerate(masks.numpy()):
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))  # type: ignore
        regions += [(image, *np.nonzero(labels == i)) for i in range(1, count + 1)]
    curve = [(0.0, 0.0)]
    for threshold in sorted(thresholds or set(maps.flatten().tolist()), reverse=True):
        alarms = (maps >= threshold).numpy()
        overlaps = [alarms[region].mean() for region in regions]
        curve.append((alarms[~masks.numpy()].mean(), sum(overlaps) / len(overlaps)))
    area = 0.0
    for (x0, y0), (x1, y1) in zip(curve, curve[1:], strict=False):
        if x0 < min(x1, max_fpr):
            end = min(x1, max_fpr)
            y_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
            area += (end - x0) * (y0 + y_end) / 2
    return area / max_fpr


@pytest.fixture
def unchecked():
    """The library as users run it, without the shape checks that only tests switch on."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


# Parity
@pytest.mark.parametrize("grades", [2, 5, 50, 10**6])  # from heavy ties to hardly any
@pytest.mark.parametrize("seed", range(3))
def test_auroc_and_ap_agree_with_sklearn(seed, grades):
    maps, masks = random_case(seed, grades)
    truth, scores = masks.flatten().numpy(), maps.flatten().numpy()
    assert pixel_auroc(maps, masks) == pytest.approx(roc_auc_score(truth, scores), abs=1e-6)
    assert pixel_ap(maps, masks) == pytest.approx(average_precision_score(truth, scores), abs=1e-6)
    images, labels = maps[:, 0].flatten(), masks[:, 0].flatten()  # any list of scores will do
    truth, scores = labels.numpy(), images.numpy()
    assert image_auroc(images, labels) == pytest.approx(roc_auc_score(truth, scores), abs=1e-6)
    assert image_ap(images, labels) == pytest.approx(
        average_precision_score(truth, scores), abs=1e-6
    )


@pytest.mark.parametrize("max_fpr", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("grades", [2, 5, 50, 10**6])
@pytest.mark.parametrize("seed", range(3))
def test_aupro_agrees_with_brute_force(seed, grades, max_fpr):
    maps, masks = random_case(seed, grades)
    expected = brute_force_aupro(maps, masks, max_fpr)
    assert aupro(maps, masks, max_fpr) == pytest.approx(expected, abs=1e-9)


def test_one_call_gives_the_same_three_numbers():
    maps, masks = random_case(0, grades=20)
    assert pixel_metrics(maps, masks, max_fpr=0.2) == {
        "pixel_auroc": pixel_auroc(maps, masks),
        "pixel_ap": pixel_ap(maps, masks),
        "aupro": aupro(maps, masks, max_fpr=0.2),
    }


# Cases worked by hand
def test_interpolation_at_the_limit():
    """One region of 2 pixels, 10 normal pixels; 4 normal ones tie with the second defect pixel.

    The curve runs (0, 0), (0, 1/2), (0.2, 1/2), (0.6, 1), (1, 1). At the limit 0.3 it has risen
    to 1/2 + 1/2 * 0.1 / 0.4 = 0.625, so the area is 0.2 * 0.5 + 0.1 * (0.5 + 0.625) / 2.
    """
    maps = torch.tensor([[[9.0, 5.0, 7.0, 6.0], [5.0, 5.0, 5.0, 5.0], [1.0, 2.0, 3.0, 4.0]]])
    masks = torch.zeros(1, 3, 4, dtype=torch.bool)
    masks[0, 0, :2] = True
    assert aupro(maps, masks) == pytest.approx((0.1 + 0.1 * 1.125 / 2) / 0.3, abs=1e-12)
    assert aupro(maps, masks, max_fpr=0.2) == pytest.approx(0.5, abs=1e-12)
    assert aupro(maps, masks, max_fpr=1.0) == pytest.approx(0.1 + 0.4 * 0.75 + 0.4, abs=1e-12)


def test_regions_count_alike_and_touch_at_corners():
    """A found single pixel and a missed block of four are one half each, not one fifth.

    When the block touches the pixel at a corner, the two are one region: one fifth is found.
    """
    masks = torch.zeros(1, 6, 6, dtype=torch.bool)
    masks[0, 0, 0] = True
    apart, touching = masks.clone(), masks.clone()
    apart[0, 3:5, 3:5] = True
    touching[0, 1:3, 1:3] = True
    maps = masks.float()  # perfect on the single pixel; everything else ties at zero
    # Only the tie of all the rest is left: a straight line from (0, found) to (1, 1).
    assert aupro(maps, apart, max_fpr=1.0) == pytest.approx((1 / 2 + 1) / 2)
    assert aupro(maps, touching, max_fpr=1.0) == pytest.approx((1 / 5 + 1) / 2)


def test_regions_of_neighbouring_images_stay_apart():
    masks = torch.zeros(2, 4, 4, dtype=torch.bool)
    masks[0, 1, 1] = masks[1, 1, 1] = masks[1, 2, 2] = True  # the same place in both images
    maps = torch.zeros(2, 4, 4)
    maps[0, 1, 1] = 1
    assert aupro(maps, masks, max_fpr=1.0) == pytest.approx((1 / 2 + 1) / 2)


def test_good_images_add_false_alarms():
    """Two alarms on a good image push the only defect behind a false positive rate of 2 / 14."""
    masks = torch.zeros(2, 2, 4, dtype=torch.bool)
    masks[0, 0, :2] = True
    maps = masks.float()
    assert pixel_metrics(maps, masks) == dict.fromkeys(("pixel_auroc", "pixel_ap", "aupro"), 1.0)
    maps[1, 0, :2] = 2
    assert pixel_auroc(maps, masks) == pytest.approx(12 / 14)
    assert pixel_ap(maps, masks) == pytest.approx(2 / 4)
    assert aupro(maps, masks) == pytest.approx((0.3 - 2 / 14) / 0.3)


def test_mean_of_images_is_not_the_pooled_value():
    """Each map ranks its own pixels perfectly, but the images live on different scales.

    Pooled: one of the two defective pixels beats all 6 normal ones, the other only its own 3, so
    AUROC is 9 / 12. The first is found with precision 1, the second after 3 alarms: 2 / 5.
    """
    maps = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[9.0, 5.0], [5.0, 5.0]], [[7.0] * 2] * 2])
    masks = torch.zeros(3, 2, 2, dtype=torch.bool)
    masks[:2, 0, 0] = True
    pair = maps[:2], masks[:2]
    assert pixel_auroc(*pair) == 9 / 12
    assert pixel_ap(*pair) == pytest.approx((1 + 2 / 5) / 2)
    assert metrics.mean_image_pixel_auroc(*pair) == metrics.mean_image_pixel_ap(*pair) == 1

    maps[0, 0, 1] = 1  # a tie: 2.5 of 3 pairs, precision 1 / 2. The third image is good: left out
    each = metrics.per_image_pixel(maps, masks)
    np.testing.assert_allclose(each["pixel_auroc"], [2.5 / 3, 1, np.nan])
    np.testing.assert_allclose(each["pixel_ap"], [1 / 2, 1, np.nan])
    assert metrics.mean_image_pixel_auroc(maps, masks) == pytest.approx((2.5 / 3 + 1) / 2)
    assert metrics.mean_image_pixel_ap(maps, masks) == pytest.approx(3 / 4)


# What must not matter
CHANGES = {
    "power": lambda s: s**12,
    "exp": lambda s: s.exp(),
    "affine": lambda s: 3 * s - 7,
    "ranks": lambda s: s.unique(return_inverse=True)[1].double(),
}


@pytest.mark.parametrize("name", CHANGES)
def test_monotone_changes_alter_nothing(name):
    maps, masks = random_case(1, grades=50)
    assert pixel_metrics(CHANGES[name](maps.double()), masks) == pixel_metrics(maps, masks)


def test_uniform_thresholds_would_depend_on_the_scale():
    """Why all thresholds: 200 equal steps in score, a common shortcut, see few pixels of S^12.

    The shortcut agrees at first and then falls, although the order of the pixels is the same.
    """
    g = torch.Generator().manual_seed(0)
    masks = torch.zeros(4, 32, 32, dtype=torch.bool)
    masks[:3, 4:10, 4:10] = masks[:2, 20:23, 12:28] = True
    maps = 0.6 * torch.rand(4, 32, 32, generator=g, dtype=torch.float64) + 0.4 * masks
    exact, shortcut = [], []
    for power in (1, 12, 20):
        scores = maps**power
        steps = torch.linspace(float(scores.min()), float(scores.max()), 200).tolist()
        exact.append(aupro(scores, masks))
        shortcut.append(brute_force_aupro(scores, masks, thresholds=steps))
    assert exact[0] == exact[1] == exact[2]
    assert shortcut[0] == pytest.approx(exact[0], abs=0.01)
    assert exact[0] - shortcut[1] > 0.05 and shortcut[1] - shortcut[2] > 0.05


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_types_hold_the_same_numbers(dtype):
    maps, masks = random_case(2, grades=8)  # eighths are exact in every type
    assert pixel_metrics(maps.to(dtype), masks) == pixel_metrics(maps, masks)
    scores, labels = maps[:, 0, 0], torch.tensor([True, False, True, False, False])
    assert image_auroc(scores.to(dtype), labels) == image_auroc(scores, labels)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_last_bit_decides(dtype):
    masks = torch.zeros(1, 4, 4, dtype=torch.bool)
    masks[0, 1, 1] = True
    maps = torch.ones(1, 4, 4, dtype=dtype)
    maps[masks] += torch.finfo(dtype).eps
    assert set(pixel_metrics(maps, masks).values()) == {1.0}


def test_layout_gradient_and_sign_of_zero_do_not_matter():
    maps, masks = random_case(3, grades=10)
    expected = pixel_metrics(maps, masks)
    turned = maps.mT.contiguous().mT  # same values, columns first in memory
    assert pixel_metrics(turned.requires_grad_(), masks) == expected
    assert pixel_metrics(torch.where(masks, -0.0, 0.0), masks)["pixel_auroc"] == 0.5


def test_inputs_stay_as_they_are():
    maps, masks = random_case(4, grades=10)
    before = maps.clone(), masks.clone()
    pixel_metrics(maps, masks)
    assert torch.equal(maps, before[0]) and torch.equal(masks, before[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_maps_on_a_gpu():
    maps, masks = random_case(5, grades=10)
    assert pixel_metrics(maps.cuda(), masks.cuda()) == pixel_metrics(maps, masks)


# Extremes
def test_tied_perfect_and_reversed_maps():
    masks = random_case(6, grades=2)[1]
    prevalence = float(masks.float().mean())
    tied = pixel_metrics(torch.zeros(masks.shape), masks)
    assert tied["pixel_auroc"] == 0.5
    assert tied["pixel_ap"] == pytest.approx(prevalence)
    assert tied["aupro"] == pytest.approx(0.15)  # under the diagonal: 0.3 * 0.3 / 2, over 0.3
    assert set(pixel_metrics(masks.float(), masks).values()) == {1.0}
    worst = pixel_metrics(-masks.float(), masks)
    assert worst["pixel_auroc"] == worst["aupro"] == 0
    assert worst["pixel_ap"] == pytest.approx(prevalence)


@pytest.mark.parametrize("name", metrics.PIXEL_METRICS)
@pytest.mark.parametrize("defective", [False, True])
def test_pixel_metrics_without_one_kind(name, defective):
    maps, masks = torch.rand(3, 4, 4), torch.full((3, 4, 4), defective)
    reason = f"no {'normal' if defective else 'defective'} pixel in 3 masks"
    if name.startswith("mean_image"):
        reason = "none of 3 masks has both"
    with pytest.warns(UserWarning, match=f"^{name} is undefined: {reason}") as caught:
        assert math.isnan(metrics.PIXEL_METRICS[name](maps, masks))
    assert len(caught) == 1


@pytest.mark.parametrize("name", metrics.IMAGE_METRICS)
@pytest.mark.parametrize("count", [0, 4])
def test_image_metrics_without_one_kind(name, count):
    labels = torch.zeros(count, dtype=torch.bool)
    reason = f"{name} is undefined: no defective image in {count} labels"
    with pytest.warns(UserWarning, match=reason):
        assert math.isnan(metrics.IMAGE_METRICS[name](torch.rand(count), labels))


def test_undefined_metrics_warn_once_together():
    maps, masks = torch.rand(2, 4, 4), torch.zeros(2, 4, 4, dtype=torch.bool)
    with pytest.warns(UserWarning, match="pixel_auroc/pixel_ap/aupro is undefined") as caught:
        values = pixel_metrics(maps, masks)
    assert len(caught) == 1 and all(math.isnan(v) for v in values.values())


def test_per_image_values_of_good_images_are_nan_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        each = metrics.per_image_pixel(torch.rand(2, 4, 4), torch.zeros(2, 4, 4) > 0)
    assert all(v.dtype == np.float64 and np.isnan(v).all() for v in each.values())


# Mistakes
@pytest.mark.parametrize("name", metrics.PIXEL_METRICS)
def test_maps_must_be_finite(name):
    maps, masks = random_case(7, grades=10)
    maps[0, 0, :2], maps[4, 3, 3] = math.nan, -math.inf
    with pytest.raises(ValueError, match="3 of 720 values in the maps are NaN or infinite"):
        metrics.PIXEL_METRICS[name](maps, masks)


def test_scores_must_be_finite():
    scores, labels = torch.tensor([0.0, math.inf]), torch.tensor([False, True])
    with pytest.raises(ValueError, match="1 of 2 values in the scores are NaN or infinite"):
        image_auroc(scores, labels)


@pytest.mark.parametrize("max_fpr", [0.0, -0.1, 1.5, math.nan])
def test_max_fpr_must_be_a_rate(max_fpr):
    maps, masks = random_case(8, grades=10)
    for function in (aupro, pixel_metrics):
        with pytest.raises(ValueError, match=r"max_fpr must lie in \(0, 1\]"):
            function(maps, masks, max_fpr=max_fpr)


@pytest.mark.parametrize("function", [*metrics.PIXEL_METRICS.values(), metrics.per_image_pixel])
def test_shapes_and_types_must_fit(unchecked, function):
    maps, masks = random_case(9, grades=10)
    with pytest.raises(ValueError, match="maps and masks need the same 3-axis shape"):
        function(maps[:, 1:], masks)
    with pytest.raises(ValueError, match="3-axis"):
        function(maps[:, None], masks[:, None])
    with pytest.raises(ValueError, match="masks must be bool"):
        function(maps, masks.byte())
    with pytest.raises(ValueError, match="scores and labels need the same 1-axis shape"):
        image_ap(maps[0, 0], masks[0, 0, 1:])


def test_otsu_splits_and_a_constant_map_marks_nothing():
    scores = np.r_[np.zeros(90), np.ones(10)].reshape(10, 10)
    assert metrics.otsu(scores).sum() == 10
    assert not metrics.otsu(np.full((4, 4), 0.3)).any()


def test_otsu_ratio_by_hand():
    maps, masks = torch.zeros(3, 8, 8), torch.zeros(3, 8, 8, dtype=torch.bool)
    maps[0, :2, :4] = 1.0  # marks eight pixels of four defective ones
    maps[2, 0, 0] = 1.0
    masks[0, :2, :2] = masks[1, :2, :2] = True
    ratio = metrics.otsu_ratio(maps, masks)
    assert ratio[:2].tolist() == [2, 0] and np.isnan(ratio[2])  # the last has no defect
