"""FAIR's claims that a calculation decides, and those about energy and pasted pieces."""

import numpy as np
import pandas as pd
import pytest
import torch

from anomlib import claims as c
from anomlib.claims import fair, fair_signals

COLUMNS = ["item", "dataset", "category", "kind", "cutoff", "quantity", "x", "value", "profile"]


def rings(
    dataset: str, energy: dict[float, float], category: str = "grid", profile: str = "full"
) -> pd.DataFrame:
    """Lines of the study for one category: radius -> energy."""
    place = ["figure9", dataset, category, "grey", np.nan, "energy_ppm"]
    return pd.DataFrame([[*place, x, e, profile] for x, e in energy.items()], columns=COLUMNS)


def pasted(released: float, text: float = 0.7, profile: str = "full") -> pd.DataFrame:
    means = {"text": text, "released": released}
    numbers = [
        (kind, quantity, np.nan, value)
        for kind, x in means.items()
        for quantity, value in {"count": 10, "mean": x, "median": x, "above_half": 1.0}.items()
    ]
    numbers.append(("text", "draws", 0.5, 1.0))
    place = ["section3.1", "synthetic", "256 px"]
    rows = [[*place, kind, np.nan, q, x, value, profile] for kind, q, x, value in numbers]
    return pd.DataFrame(rows, columns=COLUMNS)


def asked(name: str, *parts: pd.DataFrame) -> c.Decision:
    found = c.STUDIED[name]({"fair/study_filters": pd.concat(parts, ignore_index=True)})
    assert found is not None
    return found


FALLING = {0.0: 900.0, 10.0: 60.0, 45.0: 30.0, 75.0: 8.0, 120.0: 2.0}
PATTERN = {0.0: 900.0, 10.0: 30.0, 45.0: 60.0, 75.0: 8.0, 120.0: 2.0}


# ---- fair-19


def test_energy_of_a_sample_decides_and_others_show():
    found = asked(
        "fair-19",
        rings("textures", PATTERN),
        rings("mvtec+sample", FALLING),
        rings("mtd", FALLING),
    )
    assert (found.holds, found.scope) == (True, "real sample")
    assert "mvtec+sample/grid, profile full" in found.evidence
    assert "0.96 with the mean, 0.6 without" in found.evidence
    assert "0.6, 0.3, 0.08, 0.02" in found.evidence
    assert "mtd/grid 0.60." in found.evidence and "textures/grid 0.30 (fails)" in found.evidence


@pytest.mark.parametrize(
    ("energy", "holds"),
    [
        (FALLING, True),
        (FALLING | {30.0: 50.0}, True),  # the bound belongs to the middle
        (FALLING | {30.5: 60.0}, False),
        (FALLING | {120.0: 9.0}, False),  # rises at the end
        (PATTERN, False),  # most of it with the mean only
    ],
)
def test_energy_has_to_be_in_the_middle_and_to_fall(energy, holds):
    assert asked("fair-19", rings("mvtec+sample", energy)).holds is holds


def test_one_category_that_fails_is_enough():
    found = asked("fair-19", rings("textures", FALLING), rings("textures", PATTERN, "dots"))
    assert (found.holds, found.scope) == (False, "embedded stand-in")
    assert "0.3 without" in found.evidence


def test_a_part_of_mvtec_is_not_full_data():
    some = [rings("mvtec", FALLING, f"category {k}") for k in range(14)]
    found = asked("fair-19", *some, rings("elpv", FALLING))
    assert found.scope == "real stand-in"
    whole = asked("fair-19", *some, rings("mvtec", FALLING, "one more"))
    assert whole.scope == "full data"


def test_energy_that_is_twice_there_is_an_error():
    with pytest.raises(ValueError, match="two lines for one radius"):
        asked("fair-19", rings("mtd", FALLING), rings("mtd", FALLING))


# ---- fair-26


def test_the_released_rule_decides_and_the_text_shows():
    found = asked("fair-26", pasted(0.11))
    assert (found.holds, found.scope) == (False, "calculation")
    assert "by the released cropping rule, 10 draws: mean 0.110" in found.evidence
    assert "but as the text describes it, 10 draws: mean 0.700" in found.evidence
    assert asked("fair-26", pasted(0.6)).holds


def test_the_fullest_profile_decides():
    found = asked("fair-26", pasted(0.11), pasted(0.6, profile="demo"))
    assert not found.holds and "mean 0.110" in found.evidence


@pytest.mark.parametrize("name", ["fair-19", "fair-26"])
def test_without_a_study_nothing_is_said(name):
    assert c.STUDIED[name]({}) is None


# ---- what a calculation decides


def test_the_numbers_of_the_list_are_found_again():
    words = {name: c.EXACT[name]()[1] for name in c.EXACT if name.startswith("fair")}
    claimed = {
        "fair-16": ["0.4537 > ", "0.1842 > ", "0.1059 > "],
        "fair-17": ["23.26 > ", "7.81 > ", "4.12 > ", "0.1058", "0.1098", "0.1489", "(b) fails"],
        "fair-18": ["0.393469", "0.76 D0"],
        "fair-21": ["0 and 128 of M = 256"],
        "fair-22": ["0.6524 > 5 x 5 0.2707"],
    }
    for name, numbers in claimed.items():
        assert all(x in words[name] for x in numbers), words[name]


def test_two_computations_agree_on_ringing():
    """The claims compute with NumPy on the whole plane, the study with torch on half of it."""
    from anomlib.studies import fair as study

    for name in study.FILTERS:
        mine, other = fair_signals._impulse(name, 30.0), study.impulse(name, 30.0)
        assert fair_signals._negative_share(mine) == pytest.approx(
            study.negative_share(other), abs=1e-4
        )
        radius = fair_signals._radius_holding(mine, 0.95)
        assert radius == pytest.approx(study.radius_holding(other), abs=0.5)


@pytest.mark.parametrize(
    ("name", "kind", "other"),
    [
        ("fair-16", "gaussian", "ideal"),
        ("fair-18", "ideal", "butterworth2"),
        ("fair-18", "gaussian", "butterworth3"),
        ("fair-17", "butterworth2", "gaussian"),
    ],
)
def test_another_filter_fails(name, kind, other, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(fair_signals.TRANSFERS, kind, fair_signals.TRANSFERS[other])
    assert not c.EXACT[name]()[0]


def test_a_filter_that_turns_phases_fails(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(fair_signals.TRANSFERS, "gaussian", lambda d, d0: -d)
    assert not c.EXACT["fair-21"]()[0]


def test_weaker_rings_would_hold(monkeypatch: pytest.MonkeyPatch):
    shares = iter([0.4, 0.3, 0.2, 0.1])
    monkeypatch.setattr(fair_signals, "_negative_share", lambda h: next(shares))
    holds, words = c.EXACT["fair-17"]()
    assert holds and "fails" not in words


def test_a_shift_the_wrong_way_fails(monkeypatch: pytest.MonkeyPatch):
    roll = np.roll
    monkeypatch.setattr(np, "roll", lambda a, shift, axis: roll(a, -shift, axis))
    assert not c.EXACT["fair-20"]()[0]


def test_a_small_second_kernel_fails(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(fair_signals.SMOOTH, "5 x 5", (0, 0, 1, 0, 0))
    monkeypatch.setitem(fair_signals.DERIVE, "5 x 5", (0, -1, 0, 1, 0))
    assert not c.EXACT["fair-22"]()[0]


def test_the_sizes_are_those_of_the_network(monkeypatch: pytest.MonkeyPatch):
    from anomlib.methods.fair import UNet

    for width in (8, 32):
        with torch.device("meta"):
            built = sum(p.numel() for p in UNet(1, width).parameters())
        assert built == fair.unet_parameters(width)
    holds, words = c.EXACT["fair-08"]()
    assert holds and "263 MB" in words
    monkeypatch.setattr(fair, "unet_parameters", lambda width: 4 * 69_046_275)  # bytes
    assert not c.EXACT["fair-08"]()[0]
