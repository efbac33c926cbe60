"""SSDnet's claims: what our runs, their lines of images and the study of training say."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_claims import (
    CLAIMS,
    FULL,
    NO_ROWS,
    PUBLISHED,
    SAMPLE,
    asked,
    decision,
    fake,
    line_of,
    together,
    verdict_of,
)

from anomlib import claims as c
from anomlib.api import read_departures
from anomlib.claims import outcomes, ssdnet


def test_ssdnet_03_both_ways():
    good = verdict_of("ssdnet-03", fake(0.60, dataset="mvtec+sample"))
    assert (good["verdict"], good["scope"]) == ("reproduced", "real sample")
    assert "mvtec+sample/grid" in good["evidence"] and "0.6 > 0.595" in good["evidence"]
    bad = verdict_of("ssdnet-03", fake(0.55, dataset="mvtec+sample"))
    assert (bad["verdict"], bad["scope"]) == ("not reproduced", "real sample")
    assert "0.55 < 0.595" in bad["evidence"]
    assert bad["printed"] == c.PRINTED_WORDS[True]  # what the paper prints is told apart
    assert decision("ssdnet-03", fake(0.595, auroc=0.985)).holds
    assert not decision("ssdnet-03", fake(0.60, auroc=0.98)).holds


def test_scopes_decide_one_at_a_time():
    stand_in = fake(0.10, dataset="textures")
    both = verdict_of("ssdnet-03", together(stand_in, fake(0.40, dataset="mtd"), FULL, SAMPLE))
    assert (both["verdict"], both["scope"]) == ("reproduced", "full data")
    assert "0.62" in both["evidence"] and "0.4" not in both["evidence"]
    turned = decision("ssdnet-03", fake(0.40), fake(0.62, dataset="mvtec+sample"))
    assert (turned.holds, turned.scope) == (False, "full data")
    lone = decision("ssdnet-03", stand_in, SAMPLE)
    assert (lone.holds, lone.scope) == (False, "real sample")
    alone = verdict_of("ssdnet-03", stand_in)  # another data set says nothing about grid images
    assert alone["verdict"].startswith("not tested yet") and alone["scope"] == ""


def test_profiles_and_parts_of_a_sample_are_not_averaged():
    found = decision(
        "ssdnet-03",
        fake(0.62, dataset="mvtec+sample"),
        fake(0.10, dataset="mvtec+sample", profile="sample"),
        fake(0.10, dataset="mvtec+sample+first=1"),
        fake(0.10, dataset="mvtec+sample+noise=0.05"),
        fake(0.10, dataset="mvtec+sample", category="tile"),
    )
    assert found.holds and "0.62 > 0.595" in found.evidence
    assert "mvtec+sample/grid, profile full" in found.evidence
    assert c.MEASURED["ssdnet-03"](fake(0.62, dataset="mvtec+noise=0.05")) is None


def test_seeds_are_averaged_and_settings_are_not():
    seeds = [fake(ap, seed=i) for i, ap in enumerate((0.58, 0.60, 0.62))]
    other = [fake(0.10, seed=i, settings="epochs=1") for i in range(4)]
    found = decision("ssdnet-03", *other[:2], *seeds)
    assert found.holds and "0.6 > 0.595" in found.evidence
    assert "settings paper" in found.evidence
    assert "mean of 3 seeds, most rows of 2 settings" in found.evidence
    found = decision("ssdnet-03", *other, *seeds)
    assert not found.holds and "settings epochs=1" in found.evidence
    tie = decision("ssdnet-03", fake(0.1, settings="a=1"), fake(0.6))
    assert "settings paper" in tie.evidence and "one seed" in tie.evidence


def test_rows_that_cannot_decide():
    assert c.MEASURED["ssdnet-03"](fake(0.6).iloc[:1]) is None  # one of two metrics
    with pytest.raises(ValueError, match="two rows for one key"):
        decision("ssdnet-03", fake(0.6), fake(0.7))
    with pytest.raises(ValueError, match="not a number"):
        decision("ssdnet-03", fake(float("nan")))
    with pytest.raises(ValueError, match="lack the columns profile"):
        verdict_of("ssdnet-03", fake(0.6).drop(columns="profile"))
    with pytest.raises(ValueError, match="unknown profile quick"):
        verdict_of("ssdnet-03", fake(0.6, profile="quick"))


# SSDnet and its rivals: AP of five methods of which SSDnet is the best

RIVALS = {"spectral_residual": 0.34, "pg_lsr": 0.30, "winclip": 0.20, "glcm": 0.02}
SCORES = {"ssdnet": 0.55} | RIVALS
PART = "mvtec+sample"
FIRST = f"{PART}+first=1"


def without(name: str, scores: dict[str, float] = SCORES) -> dict[str, float]:
    return {m: x for m, x in scores.items() if m != name}


def runs(scores: dict[str, float] = SCORES, dataset: str = PART) -> pd.DataFrame:
    """A run of each method, whose AUROC is half of its AP higher than 0.5."""
    return together(*(fake(x, 0.5 + x / 2, m, dataset) for m, x in scores.items()))


def undecided(found: c.Decision | None, *words: str) -> None:
    """Holds as far as there are rows, but WinCLIP has none."""
    assert found is not None and found.holds is None
    for word in ("Holds so far", "No rows of winclip", *words):
        assert word in found.evidence


def test_ssdnet_01_waits_for_all_rivals_but_winclip():
    for left_out in ("spectral_residual", "pg_lsr", "glcm", "ssdnet"):
        assert asked("ssdnet-01", runs(without(left_out))) is None
    found = decision("ssdnet-01", runs())
    assert (found.holds, found.scope) == (True, "real sample")
    assert "ssdnet 0.55 > 0.34 spectral_residual (best of 4)" in found.evidence
    # rivals measured on the sample do not complete the full data
    found = decision("ssdnet-01", fake(0.01), runs())
    assert (found.holds, found.scope) == (True, "real sample")
    assert not decision("ssdnet-01", runs(SCORES | {"ssdnet": 0.30})).holds
    assert not decision("ssdnet-01", runs(SCORES | {"winclip": 0.60})).holds


def test_without_winclip_a_claim_fails_or_stays_undecided():
    undecided(asked("ssdnet-01", runs(without("winclip"))), "0.55 > 0.34", "(best of 3)")
    line = verdict_of("ssdnet-01", runs(without("winclip")))
    assert line["verdict"] == "not tested yet: make paper ITEM=ssdnet"
    assert line["scope"] == "real sample" and "0.55 > 0.34" in line["evidence"]
    found = decision("ssdnet-01", runs(without("winclip") | {"ssdnet": 0.30}))
    assert (found.holds, found.scope) == (False, "real sample")
    assert "0.3 < 0.34" in found.evidence and "already without winclip" in found.evidence


def test_a_smaller_sample_does_not_decide_what_a_larger_leaves_open():
    larger, worse = runs(without("winclip")), SCORES | {"ssdnet": 0.10}
    undecided(asked("ssdnet-01", larger, runs(without("winclip", worse), FIRST)))
    found = decision("ssdnet-01", larger, runs(worse, FIRST))  # all five methods
    assert found.holds is False and "first=1" in found.evidence
    found = decision("ssdnet-01", runs(without("winclip", worse)), runs(dataset=FIRST))
    assert found.holds is False and "first=1" not in found.evidence


def fabric(scores: dict[str, float], types: int = 6, dataset: str = "hkbu_dot") -> pd.DataFrame:
    """Runs on types of defect, the AP a little apart; AUROC is AP + 0.3."""
    steps = [(f"type{i}", 0.01 * (i - (types - 1) / 2)) for i in range(types)]
    each = [(m, x + d, name) for m, x in scores.items() for name, d in steps]
    return together(*(fake(x, x + 0.3, m, dataset, name) for m, x, name in each))


FABRIC = {"ssdnet": 0.67, "spectral_residual": 0.2, "pg_lsr": 0.6, "winclip": 0.2, "glcm": 0.4}


def test_ssdnet_02_wants_all_six_types_of_defect():
    assert asked("ssdnet-02", fabric(FABRIC, 5)) is None
    found = decision("ssdnet-02", fabric(FABRIC))
    assert (found.holds, found.scope) == (True, "full data")
    assert "ssdnet 0.67 > 0.6 pg_lsr" in found.evidence
    assert decision("ssdnet-02", fabric(FABRIC | {"pg_lsr": 0.7})).holds is False
    undecided(asked("ssdnet-02", fabric(without("winclip", FABRIC))), "0.67 > 0.6 pg_lsr")
    sample = fabric(FABRIC | {"pg_lsr": 0.7}, dataset="hkbu_dot+sample")
    found = decision("ssdnet-02", fabric(FABRIC, 5), sample)
    assert (found.holds, found.scope) == (False, "real sample")


def leads(auroc: float, ap: float, third: float = 0.4) -> pd.DataFrame:
    """SSDnet ahead of PG-LSR on fabric by as much, other methods at the third AP."""
    others = {m: third for m in ("spectral_residual", "winclip", "glcm")}
    table = fabric({"ssdnet": 0.6, "pg_lsr": 0.6} | others)
    ours = table["method"] == "ssdnet"
    lead = np.where(table["metric"] == "mean_image_pixel_ap", ap, auroc)
    return table.assign(value=table["value"] + np.where(ours, lead, 0))


def test_ssdnet_04_wants_both_leads_and_a_second_place():
    found = decision("ssdnet-04", leads(0.02, 0.10))
    assert (found.holds, found.scope) == (True, "full data")
    assert "0.02 against 0.02 +- 0.01" in found.evidence
    assert "pg_lsr 0.6 > 0.4" in found.evidence and "(best of 3)" in found.evidence
    assert decision("ssdnet-04", leads(0.03, 0.09)).holds  # within 0.01
    assert not decision("ssdnet-04", leads(0.02, 0.12)).holds
    assert not decision("ssdnet-04", leads(0.04, 0.10)).holds
    assert not decision("ssdnet-04", leads(0.02, 0.10, third=0.65)).holds
    clip = leads(0.02, 0.10)["method"] == "winclip"
    undecided(asked("ssdnet-04", outcomes.keep(leads(0.02, 0.10), ~clip)))
    assert decision("ssdnet-04", outcomes.keep(leads(0.02, 0.12), ~clip)).holds is False
    assert asked("ssdnet-04", runs()) is None  # grid images are no fabric


def test_ssdnet_05_is_about_winclip():
    ours = {"ssdnet": 0.67}
    found = decision("ssdnet-05", fabric(ours | {"winclip": 0.21}))
    assert (found.holds, found.scope) == (True, "full data")
    assert "winclip 0.21 < 0.335 half of ssdnet's" in found.evidence
    assert not decision("ssdnet-05", fabric(ours | {"winclip": 0.34})).holds
    near = fabric(ours | {"winclip": 0.21})
    close = (near["method"] == "winclip") & (near["metric"] == "mean_image_pixel_auroc")
    near["value"] += np.where(close, 0.4, 0)  # 0.91 is more than 0.97 - 0.1
    assert not decision("ssdnet-05", near).holds
    assert asked("ssdnet-05", fabric(ours)) is None
    assert asked("ssdnet-05", fabric(ours | {"winclip": 0.21}, 5)) is None


# ---- lines of images


def lines(
    values: dict[str, list[float]], column: str, dataset: str = PART, **place: Any
) -> pd.DataFrame:
    """Lines of as many defective images as there are numbers, and of a good one."""
    found = []
    for method, numbers in values.items():
        paths = [f"bent/{i:03}.png" for i in range(len(numbers))]
        table = pd.DataFrame({"path": paths, "kind": "bent", "label": 1, column: numbers})
        good = {"path": "good/000.png", "kind": "good", "label": 0, column: 0.0}
        run = {"method": method, "settings": "paper", "trained_on": "own", "dataset": dataset}
        run |= {"category": "grid", "seed": 0, "profile": "full"} | place
        found.append(pd.concat([table, pd.DataFrame([good])]).assign(**run))
    return together(*found)


def spread(median: float, iqr: float) -> list[float]:
    """Five numbers with that median and that middle half."""
    return [median + k * iqr for k in (-0.6, -0.5, 0.0, 0.5, 0.6)]


AUROC = {
    "ssdnet": spread(0.98, 0.01),
    "spectral_residual": spread(0.95, 0.03),
    "pg_lsr": spread(0.90, 0.05),
    "winclip": spread(0.88, 0.06),
    "glcm": spread(0.50, 0.10),
}


@pytest.mark.parametrize(
    ("changed", "holds"),
    [
        ({}, True),
        ({"ssdnet": spread(0.94, 0.01)}, False),  # not the highest median
        ({"ssdnet": spread(0.98, 0.04)}, False),  # not the narrowest
        ({"winclip": spread(0.88, 0.001)}, False),
        ({"winclip": spread(0.99, 0.06)}, False),
        ({"glcm": spread(0.50, 0.01)}, False),  # a tie
    ],
)
def test_ssdnet_06_wants_the_highest_and_narrowest_box(changed: dict, holds: bool):
    found = decision("ssdnet-06", lines(AUROC | changed, "pixel_auroc"))
    assert (found.holds, found.scope) == (holds, "real sample")
    assert "pixel_auroc of 5 images: median: ssdnet" in found.evidence


def test_ssdnet_06_needs_the_same_images_of_all_but_winclip():
    some = {m: x for m, x in AUROC.items() if m != "winclip"}
    undecided(asked("ssdnet-06", lines(some, "pixel_auroc")), "ssdnet 0.98 > 0.95", "0.01 < 0.03")
    failing = some | {"glcm": spread(0.99, 0.1)}
    assert decision("ssdnet-06", lines(failing, "pixel_auroc")).holds is False
    for left_out in without("winclip"):
        rest = {m: x for m, x in some.items() if m != left_out}
        assert asked("ssdnet-06", lines(rest, "pixel_auroc")) is None
        shorter = some | {left_out: AUROC[left_out][:4]}
        assert asked("ssdnet-06", lines(shorter, "pixel_auroc")) is None
    assert asked("ssdnet-06", lines(AUROC, "pixel_auroc", dataset=f"{PART}+noise=0.1")) is None
    assert asked("ssdnet-06", lines(AUROC, "pixel_auroc", dataset="textures")) is None
    assert asked("ssdnet-06", lines(AUROC, "pixel_auroc", category="tile")) is None
    assert asked("ssdnet-06", lines(AUROC, "pixel_ap")) is None  # no such column


def test_boxes_are_of_one_seed_each_and_of_one_part():
    """Images averaged over seeds first would have no spread at all here."""
    ours = spread(0.98, 0.04)
    seeds = [
        lines({"ssdnet": numbers}, "pixel_auroc", seed=i)
        for i, numbers in enumerate((ours, ours[::-1]))
    ]
    rivals = lines({m: x for m, x in AUROC.items() if m != "ssdnet"}, "pixel_auroc")
    found = decision("ssdnet-06", rivals, *seeds)
    assert found.holds is False and "IQR: ssdnet 0.04 > 0.03" in found.evidence
    assert "mean of 2 seeds" in found.evidence
    smaller = lines(AUROC, "pixel_auroc", dataset=f"{PART}+first=1")
    full = lines(AUROC, "pixel_auroc", dataset="mvtec")
    assert decision("ssdnet-06", rivals, *seeds, smaller).holds is False
    found = decision("ssdnet-06", rivals, *seeds, full)
    assert (found.holds, found.scope) == (True, "full data")
    with pytest.raises(ValueError, match="two rows for one key"):
        decision("ssdnet-06", full, full)


APS = {
    "ssdnet": spread(0.60, 0.10),
    "spectral_residual": spread(0.45, 0.30),
    "pg_lsr": spread(0.34, 0.25),
    "winclip": spread(0.21, 0.12),
    "glcm": spread(0.02, 0.01),
}


@pytest.mark.parametrize(
    ("changed", "holds"),
    [
        ({}, True),
        ({"ssdnet": spread(0.40, 0.10)}, False),  # not the highest median
        ({"pg_lsr": spread(0.34, 0.09)}, False),  # as narrow as ours
        ({"spectral_residual": spread(0.45, 0.09)}, False),
        ({"winclip": spread(0.21, 0.04)}, False),  # ours is more than twice as wide
        ({"winclip": spread(0.21, 0.24)}, False),  # less than half as wide
        ({"glcm": spread(0.04, 0.11)}, False),  # not the narrowest
        ({"glcm": spread(0.06, 0.01)}, False),  # not that poor
    ],
)
def test_ssdnet_07_wants_every_part_of_the_box_plot(changed: dict, holds: bool):
    found = decision("ssdnet-07", lines(APS | changed, "pixel_ap"))
    assert (found.holds, found.scope) == (holds, "real sample")
    some = {m: x for m, x in (APS | changed).items() if m != "winclip"}
    if holds or "winclip" in changed:
        undecided(asked("ssdnet-07", lines(some, "pixel_ap")), "glcm 0.02 < 0.05 allowed")
    else:
        assert decision("ssdnet-07", lines(some, "pixel_ap")).holds is False


def test_ssdnet_16_takes_the_surfaces_at_hand():
    areas = {"pg_lsr": [0.5, 3.0, 4.0], "ssdnet": [0.9, 1.5, 9.0]}
    found = decision("ssdnet-16", lines(areas, "otsu"))
    assert (found.holds, found.scope) == (True, "real sample")
    assert "3 images of grid: pg_lsr 3 > 1.5 ssdnet" in found.evidence
    assert "tile and wood not at hand" in found.evidence
    assert not decision("ssdnet-16", lines(areas | {"ssdnet": [3.5] * 3}, "otsu")).holds
    small = {"pg_lsr": [0.9] * 3, "ssdnet": [0.1] * 3}  # larger than ours, but not too large
    assert not decision("ssdnet-16", lines(small, "otsu")).holds
    assert asked("ssdnet-16", lines({"pg_lsr": areas["pg_lsr"]}, "otsu")) is None
    assert asked("ssdnet-16", lines(areas, "otsu").drop(columns="otsu")) is None
    assert asked("ssdnet-16", lines(areas | {"ssdnet": [np.nan] * 3}, "otsu")) is None
    tile = lines(areas | {"pg_lsr": [1.1] * 3}, "otsu", category="tile")
    found = decision("ssdnet-16", lines(areas, "otsu"), tile)
    assert found.holds is False and "images of tile: pg_lsr 1.1 < 1.5" in found.evidence


def test_ssdnet_16_on_full_data_wants_all_three_surfaces():
    areas = {"pg_lsr": [3.0], "ssdnet": [1.5]}
    sample = lines({"pg_lsr": [1.0], "ssdnet": [1.5]}, "otsu")
    full = [lines(areas, "otsu", "mvtec", category=name) for name in ssdnet.SURFACES]
    assert asked("ssdnet-16", *full[:2]) is None
    found = decision("ssdnet-16", *full[:2], sample)
    assert (found.holds, found.scope) == (False, "real sample")
    found = decision("ssdnet-16", *full, sample)
    assert (found.holds, found.scope) == (True, "full data")
    assert "not at hand" not in found.evidence


def regions(images: int = 57, kinds: int = 5, total: int = 170, **place: Any) -> pd.DataFrame:
    """Lines of two methods on images that have so many regions together."""
    counts = [3.0] * (images - 1) + [total - 3.0 * (images - 1)]
    table = lines({"ssdnet": counts, "glcm": counts}, "regions", **{"dataset": "mvtec"} | place)
    number = table["path"].str.extract(r"(\d+)")[0].astype(int) % kinds
    return table.assign(kind="kind" + number.astype(str))


@pytest.mark.parametrize(
    ("counts", "holds"),
    [
        ({}, True),
        ({"images": 56}, False),
        ({"kinds": 4}, False),
        ({"total": 171}, False),
    ],
)
def test_ssdnet_20_counts_on_complete_data(counts: dict[str, int], holds: bool):
    found = decision("ssdnet-20", regions(**counts))
    assert (found.holds, found.scope) == (holds, "full data")
    assert f"regions: {counts.get('total', 170)} against 170" in found.evidence


def test_ssdnet_20_is_not_counted_on_a_part():
    assert asked("ssdnet-20", regions(dataset=PART)) is None
    assert asked("ssdnet-20", regions(dataset="mvtec+first=1")) is None
    assert asked("ssdnet-20", regions(category="tile")) is None
    assert asked("ssdnet-20", regions().drop(columns="regions")) is None
    assert asked("ssdnet-20", regions().assign(regions=np.nan)) is None
    old = regions()
    old.loc[old["method"] == "glcm", "regions"] = np.nan  # one file of an older version
    assert decision("ssdnet-20", old).holds
    old.loc[old["path"] == "bent/003.png", "regions"] = np.nan
    assert asked("ssdnet-20", old) is None
    old = regions()
    old.loc[old["method"] == "glcm", "regions"] = 1
    with pytest.raises(ValueError, match="differ in their regions"):
        decision("ssdnet-20", old)


# ---- more and more noise, or missing pixels

Course = Callable[[float], float]  # AP at a level


def sweep(
    kind: str,
    courses: dict[str, Course],
    aurocs: dict[str, Course] | None = None,
    draws: int = 3,
    first: str = FIRST,
) -> pd.DataFrame:
    """Rows of methods at the eleven levels; the draws lie 0.001 apart."""
    found = []
    for method, ap in courses.items():
        auroc = (aurocs or {}).get(method, ap)
        for level in ssdnet.LEVELS:
            for draw in range(draws if level else 1):
                name = first + (f"+{kind}={level}" if level else "")
                name += f"+nseed={draw}" if draw else ""
                apart = 0.001 * (draw - (draws - 1) / 2) if level else 0.0
                values = ap(level) + apart, auroc(level) + apart
                found.append(fake(*values, method=method, dataset=name))
    return together(*found)


def steady(x: float) -> Course:
    return lambda level: x


def ruined(x: float) -> Course:
    return lambda level: x * (1 - 8 * level)


NOISY = {
    "ssdnet": steady(0.6),
    "pg_lsr": steady(0.3),
    "spectral_residual": ruined(0.5),
    "winclip": ruined(0.2),
    "glcm": steady(0.02),
}


def at(levels: tuple[float, ...], there: float, elsewhere: float) -> Course:
    return lambda level: there if level in levels else elsewhere


def test_ssdnet_08_wants_the_lead_at_every_level():
    found = decision("ssdnet-08", sweep("noise", NOISY))
    assert (found.holds, found.scope) == (True, "real sample")
    assert f"{FIRST}/grid, profile full, 3 draws" in found.evidence
    assert "mean_image_pixel_ap of ssdnet largest of 5 in 11 of 11" in found.evidence
    assert "least in noise 0 (0.1)" in found.evidence
    once = {"glcm": at((0.07,), 0.7, 0.02)}
    found = decision("ssdnet-08", sweep("noise", NOISY | once))
    assert found.holds is False and "not in noise 0.07 (-0.1)" in found.evidence
    found = decision("ssdnet-08", sweep("noise", NOISY, once))  # in the other metric
    assert found.holds is False and "pixel_auroc of ssdnet largest of 5 in 10" in found.evidence
    tied = decision("ssdnet-08", sweep("noise", NOISY | {"glcm": steady(0.6)}))
    assert tied.holds  # a maximum is one


def test_a_level_less_is_no_sweep():
    rows = sweep("noise", NOISY)
    for level in ("", "+noise=0.06"):
        for method in ("ssdnet", "glcm"):
            gone = rows["dataset"].str.match(rf"{re.escape(FIRST + level)}(\+nseed=\d)?$")
            some = outcomes.keep(rows, ~(gone & (rows["method"] == method)))
            assert len(some) < len(rows) and asked("ssdnet-08", some) is None
    undecided(asked("ssdnet-08", outcomes.keep(rows, rows["method"] != "winclip")), "largest of 4")
    failing = outcomes.keep(
        sweep("noise", NOISY | {"glcm": steady(0.7)}), rows["method"] != "winclip"
    )
    assert decision("ssdnet-08", failing).holds is False
    assert asked("ssdnet-08", sweep("missing", NOISY)) is None  # that is another sweep
    assert asked("ssdnet-08", sweep("noise", NOISY, first=PART)) is None  # not one of each kind
    assert asked("ssdnet-08", sweep("noise", NOISY, first="textures+first=1")) is None


def test_draws_count_where_all_methods_have_them():
    rows = sweep("noise", NOISY)
    second, third = (rows["dataset"].str.endswith(f"+nseed={k}") for k in (1, 2))
    rows.loc[third, "value"] = np.where(rows.loc[third, "method"] == "pg_lsr", 1.0, 0.0)
    assert decision("ssdnet-08", rows).holds is False
    ours = rows["method"] == "ssdnet"
    found = decision(
        "ssdnet-08", outcomes.keep(rows, ~(third & ours))
    )  # ours lacks the third draw
    assert found.holds and "2 draws" in found.evidence
    last = rows["dataset"].str.contains("noise=0.1", regex=False)
    found = decision(
        "ssdnet-08", outcomes.keep(rows, ~(third & ours & last))
    )  # and here one level of it
    assert found.holds and "2 draws" in found.evidence
    found = decision("ssdnet-08", outcomes.keep(rows, ~((second | third) & ours)))
    assert found.holds and ", 1 draw:" in found.evidence


def test_a_sweep_keeps_to_one_setting():
    ours = {"ssdnet": steady(0.6)}
    other = sweep("noise", {"ssdnet": steady(0.1)}).assign(settings="epochs=1")
    rivals = sweep("noise", {m: x for m, x in NOISY.items() if m != "ssdnet"})
    found = decision("ssdnet-08", rivals, sweep("noise", ours), other)
    assert found.holds and "ssdnet (settings paper" in found.evidence
    # half of the levels from each of two settings are no sweep
    split = other["dataset"].str.contains("noise=0.0[1-5]")
    halves = together(
        outcomes.keep(other, split),
        outcomes.keep(sweep("noise", ours), ~split.to_numpy(dtype=bool)),
    )
    assert asked("ssdnet-08", rivals, halves) is None


@pytest.mark.parametrize(
    ("changed", "holds"),
    [
        ({}, True),
        ({"spectral_residual": steady(0.5)}, False),
        ({"winclip": steady(0.2)}, False),
        ({"pg_lsr": ruined(0.3)}, False),
        ({"ssdnet": ruined(0.6)}, False),
        ({"ssdnet": at((0.1,), 0.45, 0.6)}, False),  # a loss of 0.25
        ({"ssdnet": at((0.1,), 0.51, 0.6)}, True),
        ({"ssdnet": at((0.05,), 0.1, 0.6)}, True),  # the ends decide
    ],
)
def test_ssdnet_09_wants_two_ruined_and_two_steady(changed: dict[str, Course], holds: bool):
    rows = sweep("noise", NOISY | changed)
    found = decision("ssdnet-09", rows)
    assert (found.holds, found.scope) == (holds, "real sample")
    some = outcomes.keep(rows, rows["method"] != "winclip")
    if holds or "winclip" in changed:
        undecided(
            asked("ssdnet-09", some), "spectral_residual 0.5 to 0.1, relative loss 0.8 > 0.5"
        )
    else:
        assert decision("ssdnet-09", some).holds is False
    assert asked("ssdnet-09", outcomes.keep(some, some["method"] != "pg_lsr")) is None
    assert asked("ssdnet-09", outcomes.keep(rows, ~rows["dataset"].str.contains("0.05"))) is None


def test_ssdnet_10_wants_both_below_a_tenth():
    low, high = steady(0.05), steady(0.15)
    both = {"spectral_residual": low, "winclip": low}
    found = decision("ssdnet-10", sweep("missing", both))
    assert (found.holds, found.scope) == (True, "real sample")
    assert "spectral_residual 0.05 < 0.1 allowed" in found.evidence
    assert not decision("ssdnet-10", sweep("missing", both | {"winclip": high})).holds
    assert not decision("ssdnet-10", sweep("missing", both | {"spectral_residual": high})).holds
    half = sweep("missing", {"spectral_residual": low})
    undecided(asked("ssdnet-10", half), "spectral_residual 0.05 < 0.1 allowed")
    assert decision("ssdnet-10", sweep("missing", {"spectral_residual": high})).holds is False
    assert asked("ssdnet-10", sweep("missing", {"winclip": high})) is None
    one = outcomes.keep(half, half["dataset"].str.contains("missing=0.01"))
    undecided(asked("ssdnet-10", one))  # it speaks of one share only
    assert asked("ssdnet-10", outcomes.keep(half, ~half["dataset"].str.contains("0.01"))) is None
    noisy = one.assign(dataset=one["dataset"] + "+noise=0.1")
    assert asked("ssdnet-10", noisy) is None


def test_ssdnet_11_wants_a_flat_course():
    poor = {"glcm": steady(0.02)}
    found = decision("ssdnet-11", sweep("missing", poor, {"glcm": at((0.08,), 0.50, 0.54)}))
    assert (found.holds, found.scope) == (True, "real sample")
    assert "from 0.5 to 0.54: range 0.04 < 0.05 allowed" in found.evidence
    assert not decision(
        "ssdnet-11", sweep("missing", poor, {"glcm": at((0.08,), 0.50, 0.56)})
    ).holds
    assert not decision("ssdnet-11", sweep("missing", poor, {"glcm": at((0.0,), 0.6, 0.5)})).holds
    rows = sweep("missing", poor)
    assert asked("ssdnet-11", outcomes.keep(rows, rows["dataset"] != FIRST)) is None
    assert asked("ssdnet-11", outcomes.keep(rows, ~rows["dataset"].str.contains("0.03"))) is None


def test_ssdnet_12_wants_the_lead_everywhere_but_at_one_share():
    ours, theirs = {"ssdnet": steady(0.6)}, {"pg_lsr": at((0.08,), 0.7, 0.5)}
    aurocs = {"ssdnet": steady(0.9), "pg_lsr": steady(0.8)}
    found = decision("ssdnet-12", sweep("missing", ours | theirs, aurocs))
    assert (found.holds, found.scope) == (True, "real sample")
    assert "pixel_auroc in 11 of 11" in found.evidence and "pixel_ap in 10 of 10" in found.evidence
    assert "at 0.08 missing" in found.evidence and "-0.1 < 0" in found.evidence
    always = ours | {"pg_lsr": steady(0.5)}  # no sign flips
    assert not decision("ssdnet-12", sweep("missing", always, aurocs)).holds
    twice = ours | {"pg_lsr": at((0.02, 0.08), 0.7, 0.5)}
    assert not decision("ssdnet-12", sweep("missing", twice, aurocs)).holds
    assert not decision("ssdnet-12", sweep("missing", ours | theirs)).holds  # AUROC flips, too
    assert asked("ssdnet-12", sweep("missing", ours)) is None
    rows = sweep("missing", ours | theirs, aurocs)
    assert asked("ssdnet-12", outcomes.keep(rows, rows["dataset"] != FIRST)) is None


# ---- the two losses

PATCH = 'lr=0.001,mode="patch",stride=4,widths=[8, 16, 32]'
PERCEPTUAL = 'epochs=1,lr=0.001,mode="patch",stride=8,w_perc=1.0,w_rec=0.0,widths=[8, 16, 32]'
ALPHA = f"alpha_perc=1.0,alpha_rec=0.0,{PERCEPTUAL}"
IMAGE = "epochs=1,lr=0.001,stride=8,widths=[8, 16, 32]"
DRAWN = "textures+first=1"


def pair(pixel: float, perceptual: float, dataset: str, category: str) -> pd.DataFrame:
    """A run with each of the losses."""
    both = (PATCH, pixel), (PERCEPTUAL, perceptual)
    place: dict[str, Any] = {"dataset": dataset, "category": category}
    return together(*(fake(x, settings=words, **place) for words, x in both))


def test_settings_are_read():
    assert read_departures("paper") == {}
    read = read_departures('a="x,y=1",b=[8, 16],c=-100.0,d=null,e=true')
    assert read == {"a": "x,y=1", "b": [8, 16], "c": -100.0, "d": None, "e": True}


@pytest.mark.parametrize(
    ("grid", "dots", "holds"),
    [
        ((0.6, 0.3), (0.2, 0.4), True),
        ((0.3, 0.6), (0.2, 0.4), False),
        ((0.6, 0.3), (0.4, 0.2), False),
        ((0.6, 0.3), (0.4, 0.4), False),
    ],
)
def test_ssdnet_13_wants_each_loss_on_its_surface(
    grid: tuple[float, float], dots: tuple[float, float], holds: bool
):
    drawn = pair(grid[0], grid[1], DRAWN, "grid"), pair(dots[0], dots[1], DRAWN, "dots")
    found = decision("ssdnet-13", *drawn)
    assert (found.holds, found.scope) == (holds, "embedded stand-in")
    assert "on grid: pixel loss" in found.evidence and "on dots: pixel loss" in found.evidence


def test_ssdnet_13_does_not_mix_real_and_drawn_surfaces():
    drawn = pair(0.6, 0.3, DRAWN, "grid"), pair(0.2, 0.4, DRAWN, "dots")
    real = pair(0.11, 0.17, PART, "grid")
    found = decision("ssdnet-13", *drawn, real)
    assert (found.holds, found.scope) == (True, "embedded stand-in")
    assert f"Not decisive, {PART}/grid" in found.evidence
    assert "pixel loss 0.11 < 0.17 perceptual loss" in found.evidence
    assert asked("ssdnet-13", drawn[1], real) is None
    assert asked("ssdnet-13", drawn[0], drawn[1].assign(dataset="textures")) is None
    assert asked("ssdnet-13", real) is None and asked("ssdnet-13", *drawn[:1]) is None
    found = decision("ssdnet-13", *drawn, real, pair(0.2, 0.4, "mvtec", "tile"))
    assert (found.holds, found.scope) == (False, "real sample")  # the weaker of the two
    real = pair(0.6, 0.3, "mvtec", "grid")
    found = decision("ssdnet-13", real, pair(0.2, 0.4, "mvtec", "tile"))
    assert (found.holds, found.scope) == (True, "full data")


def test_ssdnet_13_reads_fabric_settings_from_the_papers():
    """There `paper` is the perceptual loss, and the mean is that of six types."""
    grid = pair(0.6, 0.3, "mvtec", "grid")

    def dots(pixel: float, types: int = 6) -> list[pd.DataFrame]:
        names, pixels = [f"type{i}" for i in range(types)], "w_perc=0.0,w_rec=1.0"
        runs = [(pixel, pixels, name) for name in names] + [(0.4, "paper", name) for name in names]
        return [fake(x, dataset="hkbu_dot", category=n, settings=words) for x, words, n in runs]

    found = decision("ssdnet-13", grid, *dots(0.2))
    assert (found.holds, found.scope) == (True, "full data")
    assert "on hkbu_dot: pixel loss 0.2 < 0.4 perceptual loss" in found.evidence
    assert not decision("ssdnet-13", grid, *dots(0.5)).holds
    assert asked("ssdnet-13", grid, *dots(0.2, 5)) is None


def test_ssdnet_13_compares_like_with_like():
    """The pixel run of the same mode, and the perceptual run that was made on most surfaces."""
    drawn = pair(0.6, 0.3, DRAWN, "grid"), pair(0.2, 0.4, DRAWN, "dots")
    also = [pair(0.5, 0.5, DRAWN, name) for name in ("brick", "grass")]
    traps = [
        fake(0.9, settings=settings, dataset=DRAWN, category=name, seed=seed)
        for name in ("grid", "dots")
        for settings, seed in (
            *((IMAGE, seed) for seed in range(3)),  # another mode, though closer, and more rows
            *((ALPHA, seed) for seed in range(3)),  # scored otherwise
            (PERCEPTUAL.replace("stride", "stop=-100.0,stride"), 0),  # on two surfaces only
            ("w_perc=0.5,w_rec=0.5", 0),  # neither loss alone
        )
    ]
    found = decision("ssdnet-13", *drawn, *also, *traps)
    assert found.holds and "0.9" not in found.evidence
    # without a pixel run of the same mode any other has to do
    rows = together(*drawn, *also, *traps)
    image = outcomes.keep(rows, rows["settings"] != PATCH)
    found = decision("ssdnet-13", image)
    assert not found.holds and "pixel loss 0.9 > 0.4 perceptual loss" in found.evidence
    # and of the same mode the one that is closest in all else
    matched = PERCEPTUAL.replace("w_perc=1.0,w_rec=0.0,", "")
    like = [fake(0.1, settings=matched, dataset=DRAWN, category=k) for k in ("grid", "dots")]
    found = decision("ssdnet-13", *drawn, *also, *traps, *like)
    assert not found.holds and "on grid: pixel loss 0.1 < 0.3" in found.evidence


# ---- studies


def study(
    courses: dict[str, dict[int, tuple[float, float]]],
    dataset: str = DRAWN,
    category: str = "grid",
    profile: str = "full",
) -> dict[str, pd.DataFrame]:
    """Variant -> step -> mean ratio and AP, of two images that lie 0.1 apart on both sides."""
    found = [
        {"variant": variant, "image": f"hole/{i}.png", "seed": 0, "step": step}
        | {"loss": 0.01, "pixel_auroc": 0.9, "pixel_ap": ap + d}
        | {"inside": (ratio + d) * (2 + i), "outside": 2.0 + i}
        for variant, course in courses.items()
        for step, (ratio, ap) in course.items()
        for i, d in enumerate((-0.1, 0.1))
    ]
    table = pd.DataFrame(found).assign(dataset=dataset, category=category, profile=profile)
    return {ssdnet.GUARDS: table}


def studied(name: str, *parts: dict[str, pd.DataFrame]) -> c.Decision | None:
    return c.STUDIED[name]({ssdnet.GUARDS: together(*(part[ssdnet.GUARDS] for part in parts))})


GUARDED = {1: (1.1, 0.2), 50: (2.0, 0.3), 100: (3.0, 0.6), 300: (0.5, 0.1)}
COPIED = {1: (1.1, 0.2), 50: (2.0, 0.3), 100: (2.0, 0.4), 300: (9.0, 0.9)}


@pytest.mark.parametrize(
    ("last", "holds"),
    [((3.0, 0.6), True), ((1.5, 0.6), False), ((3.0, 0.4), False), ((3.0, 0.3), False)],
)
def test_ssdnet_14_wants_both_larger_with_noise(last: tuple[float, float], holds: bool):
    found = studied("ssdnet-14", study({"noise": GUARDED | {100: last}, "no guard": COPIED}))
    assert found is not None
    assert (found.holds, found.scope) == (holds, "embedded stand-in")
    assert f"{DRAWN}/grid, profile full, step 100" in found.evidence
    assert f"inside / outside: noise {last[0]:g}" in found.evidence


def test_ssdnet_14_compares_equal_steps_of_equal_images():
    both = {"noise": GUARDED, "no guard": COPIED}
    early = {"noise": GUARDED, "no guard": {k: v for k, v in COPIED.items() if k != 100}}
    found = studied("ssdnet-14", study(early))
    assert found is not None and "step 50" in found.evidence and not found.holds
    assert studied("ssdnet-14", study({"noise": GUARDED})) is None
    only = {k: {1: v[1]} for k, v in both.items()}
    assert studied("ssdnet-14", study(only)) is None  # nothing was trained
    some = study(both)[ssdnet.GUARDS]
    one = (some["variant"] == "noise") & (some["image"] == "hole/1.png")
    assert studied("ssdnet-14", {ssdnet.GUARDS: outcomes.keep(some, ~one)}) is None
    assert studied("ssdnet-14", study(both, category="dots")) is None
    assert studied("ssdnet-14", study(both, dataset=f"{DRAWN}+noise=0.1")) is None
    with pytest.raises(ValueError, match="two lines for one key"):
        studied("ssdnet-14", study(both), study(both))
    with pytest.raises(ValueError, match="not a number"):
        studied("ssdnet-14", {ssdnet.GUARDS: some.assign(outside=0.0)})


@pytest.mark.parametrize("name", ssdnet.STUDIED)
def test_real_images_decide_a_study_and_the_drawn_ones_show(name: str):
    drawn = study({"noise": GUARDED, "no guard": COPIED})
    real = study({"noise": COPIED | {100: (0.9, 0.2)}, "no guard": COPIED}, FIRST)
    found = studied(name, drawn, real)
    assert found is not None and (found.holds, found.scope) == (False, "real sample")
    assert "Not decisive, embedded stand-in holds" in found.evidence
    again = {ssdnet.GUARDS: real[ssdnet.GUARDS].assign(dataset=DRAWN, profile="demo")}
    found = studied(name, drawn, again)  # the full profile decides, wherever it stands
    assert found is not None and found.holds and "demo" not in found.evidence


@pytest.mark.parametrize(
    ("course", "holds"),
    [
        (GUARDED, True),
        (GUARDED | {100: (0.9, 0.6)}, False),  # less inside than outside
        (GUARDED | {1: (0.5, 0.2), 100: (0.9, 0.6)}, False),  # growing, but less than even
        (GUARDED | {1: (3.5, 0.2)}, False),  # falling
        ({1: (1.1, 0.2), 50: (2.0, 0.3), 300: (0.5, 0.1)}, True),  # step 50 is the last before
    ],
)
def test_ssdnet_15_wants_a_growing_ratio_above_one(course: dict, holds: bool):
    found = studied("ssdnet-15", study({"noise": course}))
    assert found is not None
    assert (found.holds, found.scope) == (holds, "embedded stand-in")
    assert f"{course[1][0]:g} step 1" in found.evidence


def test_ssdnet_15_needs_the_first_step_and_a_later_one():
    without_first = {k: v for k, v in GUARDED.items() if k > 1}
    assert studied("ssdnet-15", study({"noise": without_first})) is None
    assert studied("ssdnet-15", study({"noise": {1: (1.1, 0.2), 300: (3.0, 0.4)}})) is None
    assert studied("ssdnet-15", study({"no guard": GUARDED})) is None


def test_decide_reads_lines_of_images_and_studies():
    decided = c.decide(CLAIMS, PUBLISHED, NO_ROWS)
    images = lines(AUROC, "pixel_auroc")
    studies = study({"noise": GUARDED, "no guard": COPIED})
    more = c.decide(CLAIMS, PUBLISHED, NO_ROWS, images, studies)
    verdicts = {name: line_of(name, more)["verdict"] for name in ("ssdnet-06", "ssdnet-14")}
    assert set(verdicts.values()) == {"reproduced"}
    absent = c.decide(CLAIMS, PUBLISHED, NO_ROWS, pd.DataFrame(), {ssdnet.GUARDS: pd.DataFrame()})
    assert absent.equals(decided)
    with pytest.raises(ValueError, match="lines of images lack the columns label"):
        verdict_of("ssdnet-06", NO_ROWS, images.drop(columns="label"))
    with pytest.raises(ValueError, match="unknown profile quick"):
        verdict_of("ssdnet-06", NO_ROWS, images.assign(profile="quick"))
    broken = {ssdnet.GUARDS: studies[ssdnet.GUARDS].drop(columns="category")}
    with pytest.raises(ValueError, match="study_guards lack the columns category"):
        verdict_of("ssdnet-14", NO_ROWS, None, broken)
