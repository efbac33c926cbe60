"""Subspace's claims: what our runs and studies say, and what is calculated."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from test_claims import asked, decision, together, verdict_of

from anomlib import METHODS
from anomlib import claims as c
from anomlib.claims import ours, outcomes, subspace
from anomlib.studies.subspace import inner_products

RESNET, LITE, WIDE = "resnet50_msra_v1", "tf_efficientnet_lite0", "wide_resnet50_2"
SPLITS = subspace.CATEGORIES["mtd"]


def run(
    aupro: float,
    method: str = "subspace",
    backbone: str = RESNET,
    dataset: str = "mtd",
    category: str = "split0",
    seed: int = 0,
    auroc: float | None = None,
    ap: float | None = None,
    profile: str = "full",
    **settings: Any,
) -> pd.DataFrame:
    """The rows that one run leaves; the paper's own backbone is in no row's settings."""
    changed = settings | ({} if backbone == WIDE else {"backbone": backbone})
    words = ",".join(f"{k}={json.dumps(v)}" for k, v in sorted(changed.items())) or "paper"
    values = {"aupro": aupro, "pixel_auroc": auroc, "pixel_ap": ap}
    key = [method, words, "own", dataset, category, seed]
    rows = [[*key, m, aupro if x is None else x, profile] for m, x in values.items()]
    return pd.DataFrame(rows, columns=ours.COLUMNS)


def table(scores: dict[str, float], categories: Any = SPLITS, **place: Any) -> pd.DataFrame:
    """A run of each method in each category, a little apart, the mean being the score."""
    steps = 0.001 * (np.arange(len(categories)) - (len(categories) - 1) / 2)
    pairs = [
        (m, x + d, name)
        for m, x in scores.items()
        for d, name in zip(steps, categories, strict=True)
    ]
    return together(*(run(x, m, category=name, **place) for m, x, name in pairs))


def undecided(found: c.Decision | None, scope: str, *words: str) -> None:
    assert found is not None and (found.holds, found.scope) == (None, scope)
    for word in ("Holds so far", *words):
        assert word in found.evidence


# ---- scopes and shares of the training images


@pytest.mark.parametrize(
    ("dataset", "about", "scope"),
    [
        ("mvtec", "mvtec", "full data"),
        ("mvtec+sample", "mvtec", "real sample"),
        ("mtd", "mvtec", "real stand-in"),
        ("mtd+sample", "mvtec", "real stand-in"),
        ("mtd+train=0.05+tseed=1", "mvtec", "real stand-in"),
        ("mtd", "mtd", "full data"),
        ("textures+size=64", "mvtec", "embedded stand-in"),
        ("synthetic", "mvtec", "embedded stand-in"),
    ],
)
def test_a_claim_about_one_dataset_is_measured_on_others(dataset: str, about: str, scope: str):
    assert ours.scope_of(dataset, about) == scope


def test_rows_of_a_share_are_not_those_of_all_training_images():
    names = ["mtd", "mtd+train=0.05", "mtd+train=0.05+tseed=1", "mtd+plain", "mtd+noise=0.1"]
    rows = together(*(run(0.5, dataset=name) for name in names))
    assert set(ours.untouched(rows, "mtd")["dataset"]) == {"mtd", "mtd+plain"}
    shares = ours.untouched(rows, "mtd", but=ours.SHARES)
    assert set(shares["dataset"]) == {*names} - {"mtd+noise=0.1"}
    (_, first), (_, second) = ours.scoped(shares)  # a sweep is one part, another resizing is not
    assert (set(first["dataset"]), set(second["dataset"])) == ({*names[:3]}, {"mtd+plain"})
    good = dict.fromkeys(("subspace", *subspace.BANKS), 0.5) | {"subspace": 0.6}
    few = table(good, dataset="mtd+train=0.05")
    assert asked("subspace-01", few) is None
    worse = table({"subspace": 0.1}, dataset="mtd+train=0.05")
    undecided(asked("subspace-01", table(good), worse), "full data")


def test_settings_are_those_of_the_method():
    method = METHODS["subspace"]
    for name in ("levels", "sampling", "sample", "sparsity"):
        for base in ("mvtec", "btad", "mtd", "textures"):
            x = getattr(method.paper(base, "any"), name)
            x = list(x) if isinstance(x, tuple) else x
            assert x == (subspace.SETTINGS | subspace.PAPER.get(base, {}))[name]
    for name in ("subspace", *subspace.BANKS):
        assert METHODS[name]().backbone == subspace.PREFERRED[0]
    assert not set(ours.ABSENT) & {"subspace", *subspace.BANKS}  # those are waited for


# ---- Tables 1 to 5: against other methods

GOOD = {"subspace": 0.60, "patchcore": 0.50, "padim": 0.45, "spade": 0.40}


def test_subspace_01_fails_already_or_waits_for_the_others():
    undecided(
        asked("subspace-01", table(GOOD)),
        "full data",
        "mtd, mean of split0, split1 and split2, profile full",
        "aupro: subspace 0.6 > 0.5 patchcore (best of 3)",
        "No rows of stfpm, dsr, simplenet and destseg: not run here",
    )
    line = verdict_of("subspace-01", table(GOOD))
    assert line["verdict"] == "not tested yet: make paper ITEM=subspace"
    found = decision("subspace-01", table(GOOD | {"padim": 0.7}))
    assert (found.holds, found.scope) == (False, "full data")
    assert "0.6 < 0.7 padim" in found.evidence
    assert "already without stfpm, dsr, simplenet and destseg" in found.evidence
    for left_out in GOOD:
        some = {m: x for m, x in GOOD.items() if m != left_out}
        assert asked("subspace-01", table(some)) is None
    everyone = dict.fromkeys(subspace.TABLE1, 0.5) | {"subspace": 0.6}
    everyone = {"subspace": 0.6} | everyone
    found = decision("subspace-01", table(everyone))
    assert found.holds and "best of 7" in found.evidence
    assert not decision("subspace-01", table(everyone | {"dsr": 0.6})).holds  # a tie
    better = run(0.9, "simplenet", category="split0")  # on one split of three
    undecided(asked("subspace-01", table(GOOD), better), "full data")
    better = table({"simplenet": 0.9}, backbone=WIDE)  # with another backbone
    undecided(asked("subspace-01", table(GOOD), better), "full data")
    better = table({"dsr": 0.9}, backbone=WIDE)  # which it has no use for
    assert decision("subspace-01", table(GOOD), better).holds is False


def test_subspace_01_wants_all_splits_and_both_metrics():
    assert asked("subspace-01", table(GOOD, SPLITS[:2])) is None
    rows = table(GOOD)
    ours_auroc = (rows["method"] == "subspace") & (rows["metric"] == "pixel_auroc")
    worse = rows.assign(value=np.where(ours_auroc, 0.3, rows["value"]))
    assert decision("subspace-01", worse).holds is False
    assert asked("subspace-01", outcomes.keep(rows, ~ours_auroc)) is None
    sample = decision(
        "subspace-01", table(GOOD | {"padim": 0.7}, ["split0"], dataset="mtd+sample")
    )
    assert (sample.holds, sample.scope) == (False, "real sample")


def test_clipped_runs_decide_only_what_is_claimed_of_few_images():
    rows = table(GOOD | {"subspace": 0.1}, clip=True)  # the memory banks have no such setting
    assert asked("subspace-01", rows) is None
    undecided(asked("subspace-01", rows, table(GOOD)), "full data")
    few = table(GOOD, ["grid"], dataset="mvtec+sample")
    assert decision("subspace-04", few).scope == "real sample"
    clipped = run(0.9, clip=True, dataset="mvtec+sample", category="grid")
    others = outcomes.keep(few, few["method"] != "subspace")
    assert asked("subspace-04", clipped, others) is None


def test_one_backbone_decides_and_the_others_show():
    worse = GOOD | {"subspace": 0.3}
    found = asked("subspace-01", table(GOOD), table(worse, backbone=LITE))
    undecided(found, "full data", f"Not decisive, {LITE} fails: mtd, mean")
    found = decision("subspace-01", table(worse), table(GOOD, backbone=LITE))
    assert found.holds is False
    assert f"Not decisive, {LITE} holds so far: mtd" in found.evidence
    found = decision("subspace-01", table(worse, backbone=WIDE), table(GOOD))
    assert found.holds is False and f"Not decisive, {RESNET} holds so far" in found.evidence
    # rivals with another backbone do not complete a comparison
    some = {m: x for m, x in GOOD.items() if m != "spade"}
    other = table({"spade": 0.9}, backbone=LITE)
    assert asked("subspace-01", table(some), other) is None
    assert asked("subspace-01", table(worse, backbone="tiny")) is None  # a random network's


def test_a_rival_enters_with_the_settings_of_most_rows():
    rows = table({m: x for m, x in GOOD.items() if m != "patchcore"})
    some = table({"patchcore": 0.5}, coreset=0.01)
    best = run(0.9, "patchcore", category="split0")  # the paper's setting, on one split only
    found = asked("subspace-01", rows, some, best)
    undecided(found, "full data", "0.5 patchcore", "coreset=0.01, trained on own")
    variant = [run(0.1, fusion="product", category=s, seed=i) for s in SPLITS for i in range(1)]
    undecided(asked("subspace-01", rows, some, *variant), "full data", "subspace 0.6")


def test_subspace_02_to_04_are_about_other_datasets():
    mtd = table(GOOD)
    for name in ("subspace-02", "subspace-03", "subspace-04"):
        assert asked(name, mtd) is None
    pair = {"subspace": 0.6, "patchcore": 0.5}
    btad = table(pair, subspace.CATEGORIES["btad"], dataset="btad")
    undecided(asked("subspace-02", btad), "full data", "No rows of stfpm, fastflow, dsr")
    worse = table(pair | {"patchcore": 0.7}, subspace.CATEGORIES["btad"], dataset="btad")
    assert decision("subspace-02", worse).holds is False
    assert asked("subspace-02", table(pair, ["01", "02"], dataset="btad")) is None
    mvtec: dict[str, Any] = {"categories": subspace.CATEGORIES["mvtec"], "dataset": "mvtec"}
    assert asked("subspace-03", table(GOOD, **mvtec)) is None  # no rival of the three
    three = {"subspace": 0.6} | dict.fromkeys(subspace.RECONSTRUCT, 0.5)
    found = decision("subspace-03", table(three, **mvtec))
    assert (found.holds, found.scope) == (True, "full data")
    assert "mvtec, mean of 15 categories" in found.evidence
    assert decision("subspace-03", table(three | {"dfr": 0.7}, **mvtec)).holds is False


def test_subspace_04_allows_half_a_point():
    mvtec: dict[str, Any] = {"categories": subspace.CATEGORIES["mvtec"], "dataset": "mvtec"}
    scores = GOOD | {"subspace": 0.6, "patchcore": 0.605}
    undecided(asked("subspace-04", table(scores, **mvtec)), "full data", "0.005 = 0.005 allowed")
    found = decision("subspace-04", table(scores | {"patchcore": 0.606}, **mvtec))
    assert found.holds is False and "0.006 > 0.005 allowed" in found.evidence
    everyone = {"subspace": 0.6} | dict.fromkeys(subspace.TABLE4, 0.6)
    most = table(everyone, **mvtec)
    riad = table({"riad": 0.6}, **mvtec)
    undecided(asked("subspace-04", most), "full data", "No rows of riad")
    assert decision("subspace-04", most, riad).holds
    high = outcomes.keep(riad.assign(value=0.9), riad["metric"] == "aupro")
    low = outcomes.keep(riad, riad["metric"] != "aupro")
    assert decision("subspace-04", most, high, low).holds  # riad has no aupro in the paper


AP = {"subspace": 0.6, "spade": 0.4, "patchcore": 0.5}


def test_subspace_05_fails_already_on_one_dataset():
    undecided(
        asked("subspace-05", table(AP)),
        "full data",
        "mtd pixel_ap: subspace 0.6 > 0.5 patchcore",
        "stfpm, dsr, simplenet and destseg: not run here; btad and mvtec: not at hand",
    )
    found = decision("subspace-05", table(AP | {"spade": 0.7}))
    assert found.holds is False and "already without stfpm" in found.evidence
    assert asked("subspace-05", table({"subspace": 0.6, "patchcore": 0.5})) is None
    assert asked("subspace-05", table(AP, SPLITS[:1])) is None
    mixed = outcomes.keep(table(AP), table(AP)["method"] != "spade")
    assert asked("subspace-05", mixed, table({"spade": 0.1}, backbone=LITE)) is None


def test_subspace_05_wants_all_four_parts():
    def everywhere(mtd: dict[str, float], mvtec: dict[str, float]) -> pd.DataFrame:
        each = {"mtd": mtd, "btad": mtd, "mvtec": mvtec}
        return together(*(table(x, subspace.CATEGORIES[k], dataset=k) for k, x in each.items()))

    full = {"subspace": 0.6} | dict.fromkeys(subspace.TABLE5, 0.5)
    found = decision("subspace-05", everywhere(full, full | {"dsr": 0.65}))
    assert found.holds and "mean of the three: subspace 0.6 > 0.55 dsr" in found.evidence
    assert not decision("subspace-05", everywhere(full, full | {"dsr": 0.81})).holds
    assert not decision("subspace-05", everywhere(full, full | {"patchcore": 0.65})).holds
    assert not decision("subspace-05", everywhere(full | {"spade": 0.65}, full)).holds


# ---- Figure 6


def sampled(
    kind: str, x: dict[int, float], dataset: str = "mtd", seeds: int = 1, **place: Any
) -> pd.DataFrame:
    """Runs at several s_ref with s = s_ref / 2; defaults are in no row's settings."""
    found = []
    usual = {"sampling": "reference"} | subspace.SETTINGS | subspace.PAPER.get(dataset, {})
    for n, aupro in x.items():
        settings = {"sampling": kind, "sample": n, "sparsity": n // 2}
        settings = {k: v for k, v in settings.items() if v != usual[k]}
        for seed in range(seeds):
            apart = 0.01 * (seed - (seeds - 1) / 2)
            found.append(run(aupro + apart, dataset=dataset, seed=seed, **settings, **place))
    return together(*found)


FLAT: dict[int, float] = dict.fromkeys(subspace.BUDGETS, 0.70)


def test_subspace_10_wants_a_small_change_at_every_size():
    with_, without = sampled("reference", FLAT), sampled("none", FLAT | {20: 0.705})
    found = decision("subspace-10", with_, without)
    assert (found.holds, found.scope) == (True, "real stand-in")
    assert "mtd/split0, profile full: change of aupro by sampling" in found.evidence
    assert "largest, at 20 0.005 = 0.005 allowed" in found.evidence
    found = decision("subspace-10", with_, sampled("none", FLAT | {30: 0.69}))
    assert found.holds is False and "largest, at 30 0.01 > 0.005" in found.evidence
    fewer = {n: x for n, x in FLAT.items() if n != 40}
    assert asked("subspace-10", with_, sampled("none", fewer)) is None
    assert asked("subspace-10", with_) is None


def test_subspace_10_keeps_to_one_setting_and_one_set_of_training_images():
    with_, without = sampled("reference", FLAT), sampled("none", FLAT)
    traps = [
        run(0.1),  # the paper's s = 7 of 10
        run(0.1, sampling="none"),
        run(0.1, sample=40, sparsity=17),
        sampled("none", FLAT | {10: 0.1}, fusion="product"),
        sampled("none", FLAT | {10: 0.1}, backbone=LITE),
        run(0.1, sparsity=5, dataset="mtd+train=0.15"),
        run(0.1, sparsity=5, dataset="mtd+plain"),
    ]
    assert decision("subspace-10", with_, without, *traps).holds
    other = sampled("none", {20: 0.7}, fusion="product")
    fewer = sampled("none", {n: x for n, x in FLAT.items() if n != 20})
    assert asked("subspace-10", with_, fewer, other) is None
    both = (
        sampled("reference", FLAT, backbone=LITE),
        sampled("none", FLAT | {10: 0}, backbone=LITE),
    )
    found = decision("subspace-10", with_, without, *both)
    assert found.holds and f"Not decisive, {LITE} fails" in found.evidence


def test_a_real_stand_in_decides_over_drawn_images_and_under_a_sample():
    mtd = sampled("reference", FLAT), sampled("none", FLAT)
    drawn = sampled("none", FLAT | {10: 0.1}, "textures"), sampled("reference", FLAT, "textures")
    assert decision("subspace-10", *mtd, *drawn).scope == "real stand-in"
    found = decision("subspace-10", *drawn)
    assert (found.holds, found.scope) == (False, "embedded stand-in")
    part: dict[str, Any] = {"category": "grid"}
    real = [sampled(k, FLAT | {10: 0.7}, "mvtec+sample", **part) for k in ("reference", "none")]
    assert decision("subspace-10", *mtd, *real).scope == "real sample"
    whole = [sampled(k, FLAT, "mvtec", **part) for k in ("reference", "none")]
    assert decision("subspace-10", *mtd, *whole).scope == "real stand-in"  # one of 15 categories


def test_subspace_11_wants_random_to_lose_more():
    steady = sampled("reference", {20: 0.70, 10: 0.697})
    found = decision("subspace-11", steady, sampled("random", {20: 0.69, 10: 0.65}, seeds=3))
    assert (found.holds, found.scope) == (True, "real stand-in")
    assert "random 0.04 > 0.003 subspace" in found.evidence
    assert "mean of 3 seeds, of 1 in places" in found.evidence  # the random ones
    even = sampled("random", {20: 0.69, 10: 0.688})
    assert decision("subspace-11", steady, even).holds is False
    falling = sampled("reference", {20: 0.70, 10: 0.69})
    loses = sampled("random", {20: 0.69, 10: 0.60})
    assert decision("subspace-11", falling, loses).holds is False  # ours by more than half a point
    assert asked("subspace-11", steady) is None
    assert asked("subspace-11", steady, sampled("random", {20: 0.7})) is None
    assert (
        asked("subspace-11", steady, sampled("random", {20: 0.7, 10: 0.1}, backbone=LITE)) is None
    )


# ---- Figures 8 and 9, Table 6


def shared(share: float, scores: dict[str, float], draws: int = 3, **place: Any) -> pd.DataFrame:
    """Few-shot runs, the draws 0.01 apart; Subspace's are clipped."""
    found = []
    for method, x in scores.items():
        for draw in range(draws):
            name = f"mtd+train={share}" + (f"+tseed={draw}" if draw else "")
            clip = {"clip": True} if method == "subspace" else {}
            x_draw = x + 0.01 * (draw - (draws - 1) / 2)
            found.append(run(x_draw, method, dataset=name, **clip, **place))
    return together(*found)


def test_subspace_15_compares_a_share_with_all():
    whole = table({"subspace": 0.70}, ["split0"])
    found = decision("subspace-15", whole, shared(0.15, {"subspace": 0.69}))
    assert (found.holds, found.scope) == (True, "real stand-in")
    assert "mtd/split0, profile full: aupro 0.7 with all" in found.evidence
    assert "0.69 with 15% (mean of 3 draws): lost 0.01 < 0.015 allowed" in found.evidence
    assert decision("subspace-15", whole, shared(0.15, {"subspace": 0.68})).holds is False
    assert asked("subspace-15", whole) is None
    assert asked("subspace-15", shared(0.15, {"subspace": 0.69})) is None
    assert asked("subspace-15", whole, shared(0.1, {"subspace": 0.69})) is None


def test_subspace_15_takes_the_splits_of_both_and_one_setting():
    whole = together(run(0.70), run(0.2, category="split1"))  # the other split has no share
    few = shared(0.15, {"subspace": 0.69})
    found = decision("subspace-15", whole, few)
    assert found.holds and "0.7 with all" in found.evidence
    same = outcomes.keep(few, few["dataset"] == "mtd+train=0.15").assign(
        settings=f'backbone="{RESNET}"', run="another name"
    )
    assert decision("subspace-15", whole.assign(run=""), few.assign(run=""), same).holds
    with pytest.raises(ValueError, match="two rows for one key"):
        decision("subspace-15", whole, few, same.assign(value=0.5))
    assert asked("subspace-15", run(0.7, fusion="product"), few) is None
    assert asked("subspace-15", run(0.7, backbone=LITE), few) is None
    assert asked("subspace-15", run(0.7, dataset="mtd+plain"), few) is None
    plain = outcomes.keep(few, few["dataset"] == "mtd+train=0.15").assign(
        dataset="mtd+plain+train=0.15", value=0.1
    )
    assert decision("subspace-15", whole, few, plain).holds


def test_subspace_16_compares_memory_banks_on_the_same_draws():
    found = decision("subspace-16", shared(0.01, GOOD))
    assert (found.holds, found.scope) == (True, "real stand-in")
    assert "with 1% of the training images (mean of 3 draws)" in found.evidence
    assert "subspace 0.6 > 0.5 patchcore (best of 3)" in found.evidence
    assert decision("subspace-16", shared(0.01, GOOD | {"spade": 0.65})).holds is False
    for left_out in GOOD:
        some = {m: x for m, x in GOOD.items() if m != left_out}
        other = shared(0.01, {left_out: 0.1}, backbone=LITE)
        assert asked("subspace-16", shared(0.01, some), other) is None
        assert asked("subspace-16", shared(0.01, some), table({left_out: 0.1})) is None
    some = {m: x for m, x in GOOD.items() if m != "patchcore"}
    found = decision("subspace-16", shared(0.01, some), shared(0.01, {"patchcore": 0.55}, 1))
    assert "(one draw): subspace 0.59 > 0.55 patchcore" in found.evidence
    assert asked("subspace-16", shared(0.02, GOOD), table(GOOD)) is None


def levels(x: dict[str, float], dataset: str = "mtd", **place: Any) -> pd.DataFrame:
    """Runs on sets of levels; the dataset's own is in no row's settings."""
    usual = (subspace.SETTINGS | subspace.PAPER.get(dataset, {}))["levels"]
    sets = {name: [int(n) for n in name.split("+")] for name in x}
    changed = {k: {} if v == usual else {"levels": v} for k, v in sets.items()}
    return together(*(run(x[k], dataset=dataset, **changed[k], **place) for k in x))


SETS = dict.fromkeys(subspace.LEVEL_SETS, 0.7) | {"4": 0.5}


def test_subspace_17_wants_the_deepest_level_last_by_a_point():
    found = decision("subspace-17", levels(SETS | {"3+4": 0.51}))
    assert (found.holds, found.scope) == (True, "real stand-in")
    assert "level 4 0.5, least of the 6 other sets: 3+4 0.51, ahead by 0.01 = 0.01" in (
        found.evidence
    )
    assert decision("subspace-17", levels(SETS | {"2": 0.505})).holds is False
    assert decision("subspace-17", levels(SETS | {"4": 0.8})).holds is False
    for left_out in SETS:
        some = {k: x for k, x in SETS.items() if k != left_out}
        assert asked("subspace-17", levels(some)) is None
    some = {k: x for k, x in SETS.items() if k != "2+3+4"}
    assert asked("subspace-17", levels(some), run(0.7, sparsity=5)) is None
    assert asked("subspace-17", levels(some), run(0.7, dataset="mtd+train=0.15")) is None
    assert asked("subspace-17", levels(some), run(0.7, backbone=LITE)) is None
    assert decision("subspace-17", levels(SETS, "textures")).scope == "embedded stand-in"


def nets(x: dict[str, float], categories: Any = SPLITS, **place: Any) -> pd.DataFrame:
    return together(
        *(table({"subspace": v}, categories, backbone=name, **place) for name, v in x.items())
    )


def test_subspace_18_fails_already_with_fewer_backbones():
    near = {RESNET: 0.700, LITE: 0.705}
    undecided(
        asked("subspace-18", nets(near)),
        "real stand-in",
        f"mean of split0, split1 and split2, profile full, backbones {RESNET} and {LITE}",
        "pixel_auroc from resnet50_msra_v1 0.7 to tf_efficientnet_lite0 0.705",
        "No rows of resnet50, resnet101, wide_resnet50_2",
    )
    found = decision("subspace-18", nets({RESNET: 0.70, LITE: 0.715}))
    assert (found.holds, found.scope) == (False, "real stand-in")
    assert "spread 0.015 > 0.01 allowed" in found.evidence
    assert "spread 0.015 < 0.02 allowed" in found.evidence
    assert asked("subspace-18", nets({RESNET: 0.7})) is None
    assert asked("subspace-18", nets({RESNET: 0.7, "tiny": 0.1})) is None
    variant = nets({LITE: 0.1}, fusion="product")  # another setting is no other backbone
    undecided(asked("subspace-18", nets(near), variant), "real stand-in")
    assert asked("subspace-18", nets({RESNET: 0.7}), variant) is None
    few = nets({LITE: 0.1}, ["split0"], dataset="mtd+train=0.15")
    assert asked("subspace-18", nets({RESNET: 0.7}), few) is None
    other = nets({"resnet18": 0.1}, ["split3"])  # nothing to compare it with
    assert asked("subspace-18", nets(near), other) is None


def test_subspace_18_is_decided_by_the_six_where_they_are():
    six = {name: 0.9 + 0.001 * i for i, name in enumerate(subspace.SIX)}
    mvtec: dict[str, Any] = {"categories": subspace.CATEGORIES["mvtec"], "dataset": "mvtec"}
    found = decision(
        "subspace-18", nets(six | {LITE: 0.1}, **mvtec), nets({RESNET: 0.1, LITE: 0.7})
    )
    assert (found.holds, found.scope) == (True, "full data")
    assert "mvtec, mean of 15 categories" in found.evidence and LITE not in found.evidence
    assert decision("subspace-18", nets(six | {"resnet50": 0.8}, **mvtec)).holds is False
    fifth = {k: x for k, x in six.items() if k != "resnet101"}
    undecided(asked("subspace-18", nets(fifth, **mvtec)), "full data", "No rows of resnet101")


# ---- studies


def studied(name: str, item: str, *tables: pd.DataFrame) -> c.Decision | None:
    return c.STUDIED[name]({item: together(*tables)})


def times(
    seconds: dict[tuple[str, int, int, str], float],
    figure: str,
    form: str = "literal",
    dataset: str = "mtd",
    profile: str = "full",
) -> pd.DataFrame:
    """(rule, N, s_ref, part) -> median seconds, of three repeats of which one is slow."""
    found = [
        {"rule": rule, "images": n, "s_ref": s_ref, "s": s_ref // 2, "part": part}
        | {"repeat": i, "seconds": x * scale}
        for (rule, n, s_ref, part), x in seconds.items()
        for i, scale in enumerate((0.9, 1.0, 9.0))
    ]
    place = {"dataset": dataset, "category": "split0", "profile": profile}
    return pd.DataFrame(found).assign(**place, figure=figure, form=form)


def figure4(
    without: float = 3e-4, sampling: float = 1e-4, rebuilding: float = 0.0, **place: Any
) -> pd.DataFrame:
    """Seconds that grow with N by as much."""
    found = {}
    for n in (50, 100, 200, 400):
        found["none", n, 40, "reconstruction"] = 0.01 + without * n
        found["reference", n, 40, "sampling"] = 0.01 + sampling * n
        found["reference", n, 40, "reconstruction"] = 0.01 + rebuilding * n
        found["none", n, 40, "backbone"] = found["reference", n, 40, "backbone"] = 5.0 * n
    return times(found, "4", **place)


@pytest.mark.parametrize(
    ("slopes", "holds"),
    [
        ({}, True),
        ({"without": 2.9e-4}, False),  # less than three times
        ({"without": -1e-4, "sampling": -2e-4}, False),  # it does not grow
        ({"without": 9e-4, "rebuilding": 2e-5}, False),  # N shows in the reconstruction
        ({"without": 9e-4, "rebuilding": 5e-6}, True),  # within a quarter
    ],
)
def test_subspace_09_wants_time_flat_in_images(slopes: dict[str, float], holds: bool):
    found = studied("subspace-09", subspace.TIMES, figure4(**slopes))
    assert found is not None and (found.holds, found.scope) == (holds, "full data")
    assert "mtd/split0, profile full, loop as printed" in found.evidence
    assert "N = 50 to 400 at s_ref = 40, s = 20" in found.evidence
    assert "margin ours" in found.evidence


def test_subspace_09_times_the_loop_as_printed():
    printed, gram = figure4(), figure4(without=1e-4, form="gram")
    found = studied("subspace-09", subspace.TIMES, printed, gram)
    assert found is not None and found.holds
    assert "Not decisive, in Gram space fails: seconds" in found.evidence
    assert studied("subspace-09", subspace.TIMES, gram) is None
    short = studied("subspace-09", subspace.TIMES, figure4(profile="demo", dataset="synthetic"))
    assert short is not None and short.scope == "embedded stand-in"
    for column, gone in (("rule", "none"), ("rule", "reference"), ("part", "sampling")):
        assert studied("subspace-09", subspace.TIMES, printed[printed[column] != gone]) is None
    one = printed[(printed["rule"] == "none") & (printed["images"] == 50)]
    assert studied("subspace-09", subspace.TIMES, printed.drop(index=one.index)) is None
    assert studied("subspace-09", subspace.TIMES, printed.assign(figure="6b")) is None
    numbered = printed.assign(figure=4)  # as read from a file with one figure
    assert studied("subspace-09", subspace.TIMES, numbered) is not None
    with pytest.raises(ValueError, match="two lines for one repeat"):
        studied("subspace-09", subspace.TIMES, printed, printed)
    with pytest.raises(ValueError, match="not a number"):
        studied("subspace-09", subspace.TIMES, printed.assign(seconds=np.nan))


def figure6(chosen: float = 0.02, backbone: float = 0.1, **place: Any) -> pd.DataFrame:
    found = {}
    for n in subspace.BUDGETS:
        found["reference", 762, n, "sampling"] = chosen if n == 50 else 0.01
        for rule in ("reference", "random"):
            found[rule, 762, n, "reconstruction"] = 0.001 * n
            found[rule, 762, n, "backbone"] = backbone
    return times(found, "6b", **place)


def test_subspace_12_counts_the_backbone():
    found = studied("subspace-12", subspace.TIMES, figure6())
    assert found is not None and (found.holds, found.scope) == (True, "real stand-in")
    assert "largest ratio, at 50, 1.13333 < 1.25 allowed" in found.evidence
    assert "10, 20, 30, 40 and 50, N = 762" in found.evidence
    slow = studied("subspace-12", subspace.TIMES, figure6(0.04))
    assert slow is not None and not slow.holds
    quick = studied("subspace-12", subspace.TIMES, figure6(backbone=0.001))
    assert quick is not None and not quick.holds  # a small network leaves the choice to be seen
    gram = figure6(0.04, form="gram")
    found = studied("subspace-12", subspace.TIMES, figure6(), gram)
    assert found is not None and found.holds and "in Gram space fails" in found.evidence
    lines = figure6()
    for column, gone in (("rule", "random"), ("part", "backbone"), ("part", "sampling")):
        assert studied("subspace-12", subspace.TIMES, lines[lines[column] != gone]) is None
    one = lines[(lines["rule"] == "random") & (lines["s_ref"] == 10)]
    one = one[one["part"] != "backbone"]
    assert studied("subspace-12", subspace.TIMES, lines.drop(index=one.index)) is None
    assert studied("subspace-12", subspace.TIMES, figure4()) is None
    drawn = studied("subspace-12", subspace.TIMES, figure6(0.04, dataset="textures"), figure6())
    assert drawn is not None and drawn.holds and drawn.scope == "real stand-in"


def errors(
    ratio: dict[str, dict[int, float]],
    kinds: dict[str, str],
    dataset: str = "textures",
    backbone: str = LITE,
) -> pd.DataFrame:
    """Category -> s_ref -> error as a share of the nearest image's, whose size differs."""
    found = [
        {"kind": kinds[name], "category": name, "level": level, "s_ref": n, "rule": rule}
        | {"error": unit * level * (x if rule == "subspace" else 1.0)}
        for unit, (name, course) in enumerate(ratio.items(), start=1)
        for n, x in course.items()
        for level in (2, 3)
        for rule in ("subspace", "nearest", "random")
    ]
    return pd.DataFrame(found).assign(dataset=dataset, profile="full", backbone=backbone)


KINDS = {"brick": "texture", "grid": "texture", "washer": "object"}
RATIOS = {"brick": {10: 0.8, 20: 0.7}, "grid": {10: 0.8, 20: 0.7}, "washer": {10: 0.95, 20: 0.9}}


def test_subspace_13_wants_less_error_everywhere():
    found = studied("subspace-13", subspace.COVERAGE, errors(RATIOS, KINDS))
    assert found is not None and (found.holds, found.scope) == (True, "embedded stand-in")
    assert f"textures, mean of brick, grid and washer, profile full, features of {LITE}" in (
        found.evidence
    )
    assert "that of objects in 2 of 2, least in s_ref 10 (0.05)" in found.evidence
    assert "that of textures in 2 of 2, least in s_ref 10 (0.2)" in found.evidence
    assert "that of both in 2 of 2, least in s_ref 10 (0.15)" in found.evidence
    worse = RATIOS | {"washer": {10: 1.05, 20: 0.9}}
    found = studied("subspace-13", subspace.COVERAGE, errors(worse, KINDS))
    assert found is not None and not found.holds and "not in s_ref 10 (-0.05)" in found.evidence
    uneven = RATIOS | {"brick": {10: 1.1, 20: 0.7}}  # a mean of categories, not each
    found = studied("subspace-13", subspace.COVERAGE, errors(uneven, KINDS))
    assert found is not None and found.holds
    lines = errors(RATIOS, KINDS)
    other = errors(worse, KINDS, backbone="resnet50")
    found = studied("subspace-13", subspace.COVERAGE, lines, other)  # in alphabetical order
    assert found is not None and not found.holds
    assert f"Not decisive, {LITE} holds: textures" in found.evidence
    found = studied("subspace-13", subspace.COVERAGE, lines, other.assign(backbone="tiny"))
    assert found is not None and found.holds
    assert studied("subspace-13", subspace.COVERAGE, lines[lines["rule"] != "nearest"]) is None
    with pytest.raises(ValueError, match="two lines for one key"):
        studied("subspace-13", subspace.COVERAGE, lines, lines)
    with pytest.raises(ValueError, match="not a number"):
        studied("subspace-13", subspace.COVERAGE, lines.assign(error=np.nan))


def test_subspace_13_on_mtd_speaks_of_textures_only():
    mtd = {"split0": "texture"}
    real = errors({"split0": {10: 0.8, 20: 0.7}}, mtd, "mtd")
    found = studied("subspace-13", subspace.COVERAGE, real)
    undecided(found, "real stand-in", "mtd/split0", "No rows of objects: not at hand")
    worse = errors({"split0": {10: 0.8, 20: 1.1}}, mtd, "mtd")
    found = studied("subspace-13", subspace.COVERAGE, worse, errors(RATIOS, KINDS))
    assert found is not None and (found.holds, found.scope) == (False, "real stand-in")
    found = studied("subspace-13", subspace.COVERAGE, real, errors(RATIOS, KINDS))
    assert found is not None and (found.holds, found.scope) == (True, "embedded stand-in")
    few = errors({"split0": {10: 2.0}}, mtd, "mtd+train=0.05")  # another set of training images
    assert studied("subspace-13", subspace.COVERAGE, few) is None
    names = subspace.CATEGORIES["mvtec"]
    whole = errors(dict.fromkeys(names, {10: 0.9}), dict.fromkeys(names, "object"), "mvtec")
    assert studied("subspace-13", subspace.COVERAGE, whole[whole["category"] != "grid"]) is None


def test_subspace_14_wants_textures_to_gain_most():
    found = studied("subspace-14", subspace.COVERAGE, errors(RATIOS, KINDS))
    assert found is not None and (found.holds, found.scope) == (True, "embedded stand-in")
    assert "textures 0.25, objects 0.075 saved" in found.evidence
    once = RATIOS | {"washer": {10: 0.95, 20: 0.6}}
    found = studied("subspace-14", subspace.COVERAGE, errors(once, KINDS))
    assert found is not None and not found.holds and "not in s_ref 20 (-0.1)" in found.evidence
    real = errors({"split0": {10: 0.8}}, {"split0": "texture"}, "mtd")
    assert studied("subspace-14", subspace.COVERAGE, real) is None  # nothing to compare with
    found = studied("subspace-14", subspace.COVERAGE, real, errors(RATIOS, KINDS))
    assert found is not None and found.scope == "embedded stand-in"


def images(good: int, bad: int, dataset: str = "mtd", categories: Any = SPLITS) -> pd.DataFrame:
    found = [
        {"category": name, "choice": choice, "value": value, "metric": metric, "number": number}
        for name in categories
        for choice, value, metric, number in (
            ("images", "good", "count", good),
            ("images", "defective", "count", bad),
            ("images", "defective with an empty mask", "count", 1),
            ("eps", "1e-06", "count", 3),
        )
    ]
    return pd.DataFrame(found).assign(dataset=dataset, profile="full")


def test_subspace_21_counts_files():
    found = studied("subspace-21", subspace.CHOICES, images(952, 392))
    assert found is not None and (found.holds, found.scope) == (False, "full data")
    assert "mtd good: 952 against 925; mtd defective: 392 against 392" in found.evidence
    assert "already without btad" in found.evidence
    undecided(studied("subspace-21", subspace.CHOICES, images(925, 392)), "full data", "btad")
    btad = together(
        *(images(g, b, "btad", [k]) for k, g, b in (("01", 421, 49), ("02", 430, 199)))
    )
    last = images(1041, 400, "btad", ["03"])
    found = studied("subspace-21", subspace.CHOICES, images(925, 392), btad, last)
    assert found is not None and found.holds and "2540 against 2540" in found.evidence
    found = studied("subspace-21", subspace.CHOICES, images(925, 392), btad)
    assert found is not None and not found.holds
    assert studied("subspace-21", subspace.CHOICES, images(9, 3, "mtd+sample")) is None
    lines = images(925, 392)
    assert studied("subspace-21", subspace.CHOICES, lines[lines["value"] != "good"]) is None
    assert studied("subspace-21", subspace.CHOICES, lines[lines["choice"] != "images"]) is None
    with pytest.raises(ValueError, match="splits of mtd differ"):
        some = images(924, 392, categories=["split3"])
        studied("subspace-21", subspace.CHOICES, lines, some)
    assert studied("subspace-21", subspace.CHOICES, lines, lines) is not None  # two backbones
    with pytest.raises(ValueError, match="counts the images of a category twice"):
        studied("subspace-21", subspace.CHOICES, lines, images(924, 392))


# ---- by calculation


def test_inner_products_are_counted_as_in_the_study():
    holds, words = c.EXACT["subspace-06"]()
    assert holds
    for n in (50, 100, 400):
        assert f"{inner_products(40, 17)} at N = {n}" in words
        assert f"{inner_products(n, 40)} at N = {n}" in words


def test_the_count_is_not_of_a_formula(monkeypatch: pytest.MonkeyPatch):
    whole = subspace._pursuit
    monkeypatch.setattr(
        subspace, "_pursuit", lambda x, y, s: ([*range(x.shape[1])], whole(x, y, s)[1])
    )
    assert not c.EXACT["subspace-06"]()[0]  # a bank that was not cut down


def test_the_cost_inequality_holds_for_one_of_three():
    holds, words = c.EXACT["subspace-07"]()
    assert not holds
    assert "mvtec (s_ref = 40, s = 17): 20 N + 680 < 17 N at no N" in words
    assert "btad (s_ref = 80, s = 40): 40 N + 3200 < 40 N at no N" in words
    assert "mtd (s_ref = 10, s = 7): 5 N + 70 < 7 N from N = 36 on" in words
    assert (36 / 2 + 7) * 10 < 36 * 7 and not (35 / 2 + 7) * 10 < 35 * 7
    for name, (sample, sparsity) in subspace.PRINTED_SIZES.items():
        method = METHODS["subspace"].paper(name, "any")
        assert (method.sample, method.sparsity) == (sample, sparsity)


@pytest.mark.parametrize(
    ("name", "first", "levels"),
    [
        ("wide_resnet50_2", 1, subspace.RESNET),
        ("resnet50", 1, subspace.RESNET),
        ("efficientnet_b1", 0, subspace.EFFICIENTNETS["efficientnet_b1"]),
        ("tf_efficientnet_b7", 0, subspace.EFFICIENTNETS["efficientnet_b7"]),
    ],
)
def test_levels_are_those_of_the_architecture(name: str, first: int, levels: Any):
    """Of the network without its numbers, which would take seconds to draw."""
    with torch.device("meta"):
        net = timm.create_model(name, pretrained=False, features_only=True)
    info: Any = net.feature_info
    found = [*zip(info.reduction(), info.channels(), strict=True)]
    assert tuple(found[first:]) == levels
