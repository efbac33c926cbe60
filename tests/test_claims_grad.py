"""GRAD's claims on our rows and on the tables of our studies."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_claims import asked, decision

from anomlib import claims as c
from anomlib.claims import grad_measured as grad
from anomlib.claims import ours
from anomlib.claims.outcomes import keep
from anomlib.methods.crad import CRAD
from anomlib.methods.grad import GRAD

DRAWN, MTD, GOODS = "textures+size=64", "mtd+size=128", tuple(grad.GOODS)
SEVEN = grad.EVERY["textures"]
BASE, NORMAL, NOISE = "epochs=20", 'epochs=20,grids="normal"', "epochs=20,noise=0.015"
FOUR = (*grad.DETECTED, *grad.LOCALISED)
ABSENT = ("uniad", "riad", "dfr", "simplenet")  # that nobody runs here
Place = dict[str, Any]
ON_DRAWN: Place = {"dataset": DRAWN, "categories": SEVEN}
ON_GOODS: Place = {"dataset": "goodsad", "categories": GOODS}
ON_MVTEC: Place = {"dataset": "mvtec", "categories": grad.EVERY["mvtec"]}
ON_MTD: Place = {"dataset": MTD, "categories": ["split0"]}


def run(
    value: float,
    method: str = "grad",
    settings: str = BASE,
    metrics: Sequence[str] = FOUR,
    trained_on: str = "all",
    dataset: str = DRAWN,
    categories: Sequence[str] = SEVEN,
    seeds: Sequence[int] = (0,),
    profile: str = "full",
) -> pd.DataFrame:
    """The same number for all metrics, categories and seeds of a unified run."""
    lines = [
        [method, settings, trained_on, dataset, category, seed, metric, value, profile]
        for category in categories
        for seed in seeds
        for metric in metrics
    ]
    return pd.DataFrame(lines, columns=ours.COLUMNS)


def league(value: float, rivals: dict[str, float] | None = None, **place: Any) -> pd.DataFrame:
    """GRAD, and those rivals that we run or those given."""
    known = {"crad": 0.8, "padim": 0.7, "patchcore": 0.6} if rivals is None else rivals
    others = (run(x, m, **place) for m, x in known.items())
    return pd.concat([run(value, **place), *others], ignore_index=True)


def pair(one: float, other: float, second: str = NORMAL, **place: Any) -> pd.DataFrame:
    """GRAD as it is, and with another setting."""
    arms = (run(one, **place), run(other, settings=second, **place))
    return pd.concat(arms, ignore_index=True)


def changed(rows: pd.DataFrame, settings: str, value: float, **where: str) -> pd.DataFrame:
    """The rows with one number changed."""
    here = rows["settings"] == settings
    for column, x in where.items():
        here &= rows[column] == x
    assert here.sum() == 1
    return rows.assign(value=rows["value"].where(~here, value))


def undecided(name: str, *rows: pd.DataFrame) -> bool:
    return asked(name, *rows) is None


def test_every_predicate_has_its_claim():
    for tables, joined in ((grad.MEASURED, c.MEASURED), (grad.STUDIED, c.STUDIED)):
        assert all(joined[name] is predicate for name, predicate in tables.items())


# ---- Table I

LEADS = [("grad-01", grad.DETECTED), ("grad-02", grad.LOCALISED)]


@pytest.mark.parametrize(("name", "metrics"), LEADS)
def test_leading_waits_for_methods_that_nobody_runs(name: str, metrics: tuple[str, str]):
    found = decision(name, league(0.9))
    assert (found.holds, found.scope) == (None, "embedded stand-in")
    for metric in metrics:
        assert f"{metric}: grad 0.9 > 0.8 crad (best of 3)" in found.evidence
    assert "Holds so far" in found.evidence and "dfr" in found.evidence
    others = [run(0.85, m) for m in ABSENT]
    found = decision(name, league(0.9), *others)
    assert found.holds is True and "grad 0.9 > 0.85 uniad (best of 7)" in found.evidence


@pytest.mark.parametrize(("name", "metrics"), LEADS)
def test_a_tie_or_one_measure_behind_is_no_lead(name: str, metrics: tuple[str, str]):
    found = decision(name, league(0.8))
    assert found.holds is False and "fails already without uniad" in found.evidence
    behind = run(0.95, "padim", metrics=metrics[1:])
    rest = run(0.6, "padim", metrics=metrics[:1])
    rows = league(0.9, {"crad": 0.8, "patchcore": 0.7})
    assert decision(name, rows, behind, rest).holds is False
    other = [m for m in FOUR if m not in metrics]  # which are another claim's
    fine = [run(0.6, "padim", metrics=metrics), run(0.95, "padim", metrics=other)]
    assert decision(name, rows, *fine).holds is None


@pytest.mark.parametrize("name", [name for name, _ in LEADS])
@pytest.mark.parametrize("lost", ["grad", "crad", "padim", "patchcore"])
def test_leading_waits_for_those_that_we_run(name: str, lost: str):
    rows = league(0.9)
    assert undecided(name, keep(rows, rows["method"] != lost))
    incomplete = (rows["method"] == lost) & (rows["category"] == "grid")
    assert undecided(name, keep(rows, ~incomplete))


@pytest.mark.parametrize("name", [name for name, _ in LEADS])
def test_networks_of_one_category_each_do_not_count(name: str):
    assert undecided(name, league(0.9, trained_on="own"))
    alone = run(0.99, "padim", trained_on="own")
    assert undecided(name, league(0.9, {"crad": 0.8, "patchcore": 0.7}), alone)
    found = decision(name, league(0.9), league(0.1, trained_on="own"))
    assert found.holds is None and "trained on all" in found.evidence


def test_goodsad_and_full_runs_decide_before_others():
    ahead = {"image_auroc": 0.834, "image_ap": 0.828}  # by what the paper prints
    good = pd.concat([run(v, metrics=[m], **ON_GOODS) for m, v in ahead.items()])
    rivals = league(0.9, **ON_GOODS).query("method != 'grad'")
    found = decision("grad-01", good, rivals, league(0.5, **ON_DRAWN))
    assert (found.holds, found.scope) == (None, "full data")  # the others are not run here
    assert "ahead in image_auroc: 0.034 against 0.034" in found.evidence
    found = decision("grad-01", league(0.9, **ON_GOODS))
    assert found.holds is False and "ahead in image_ap: 0.1 against 0.028" in found.evidence
    part = {**ON_GOODS, "categories": ("drink_can", "food_box")}
    assert undecided("grad-01", league(0.9, **part))  # a part of it is no mean
    found = decision("grad-01", league(0.5, **ON_GOODS), league(0.9, **ON_DRAWN))
    assert (found.holds, found.scope) == (False, "full data")
    found = decision("grad-02", league(0.5, **ON_DRAWN), league(0.9, profile="demo"))
    assert found.holds is False and "profile full" in found.evidence
    assert undecided("grad-01", league(0.9, **ON_MVTEC))  # the claim is about GoodsAD


# ---- CRAD is the normal grid alone


def test_grad_03_is_asked_in_every_category_and_measure():
    found = decision("grad-03", pair(0.9, 0.8))
    assert (found.holds, found.scope) == (True, "embedded stand-in")
    assert "ahead of crad in 28 of 28" in found.evidence
    rows = changed(pair(0.9, 0.8), BASE, 0.7, category="grid", metric="pixel_ap")
    found = decision("grad-03", rows)
    assert found.holds is False
    assert "ahead of crad in 27 of 28, not in grid pixel_ap (-0.1)" in found.evidence


@pytest.mark.parametrize("name", ["grad-03", "grad-04"])
def test_both_grids_need_their_counterpart(name: str):
    rows = pair(0.9, 0.8)
    assert decision(name, rows).holds is True
    assert decision(name, pair(0.8, 0.8)).holds is False
    for other in ('epochs=21,grids="normal"', 'epochs=20,grids="abnormal"'):
        assert undecided(name, pair(0.9, 0.8, other))
    alone = run(0.9)
    assert undecided(name, alone)
    elsewhere: list[Place] = [{"seeds": [1]}, {"profile": "demo"}, {"trained_on": "own"}, ON_MTD]
    for place in elsewhere:
        assert undecided(name, alone, run(0.8, settings=NORMAL, **place))
    assert undecided(name, pair(0.9, 0.8, trained_on="own"))


def test_grad_03_compares_the_papers_settings_on_goodsad():
    """As Table I does: CRAD has a network of its own there, and is not GRAD's normal grid."""
    both = pair(0.9, 0.95, 'grids="normal"', **ON_GOODS)
    crad: Place = ON_GOODS | {"settings": "paper"}
    both["settings"] = both["settings"].replace(BASE, "paper")
    found = decision("grad-03", both, run(0.8, "crad", **crad), pair(0.7, 0.8))
    assert (found.holds, found.scope) == (True, "full data")
    assert "ahead of crad in 24 of 24" in found.evidence
    assert "Not decisive: it fails on textures" in found.evidence
    assert decision("grad-03", both, run(0.9, "crad", **crad)).holds is False
    assert undecided("grad-03", both)
    some: Place = crad | {"categories": GOODS[:5]}
    assert undecided("grad-03", both, run(0.8, "crad", **some))


@pytest.mark.parametrize(("name", "other"), [("grad-04", NORMAL), ("grad-12", NOISE)])
def test_both_named_datasets_are_asked_whole(name: str, other: str):
    goods, mvtec = (pair(0.9, 0.8, other, **place) for place in (ON_GOODS, ON_MVTEC))
    found = decision(name, goods, mvtec)
    assert (found.holds, found.scope) == (True, "full data")
    found = decision(name, goods)
    assert (found.holds, found.scope) == (None, "full data")
    assert "Holds so far" in found.evidence and "mvtec" in found.evidence
    found = decision(name, goods, pair(0.7, 0.8, other, **ON_MVTEC))
    assert (found.holds, found.scope) == (False, "full data")
    found = decision(name, pair(0.7, 0.8, other, **ON_MVTEC))
    assert found.holds is False and "fails already without goodsad" in found.evidence
    some: Place = ON_GOODS | {"categories": GOODS[:5]}
    assert undecided(name, pair(0.9, 0.8, other, **some))
    found = decision(name, pair(0.9, 0.8, other, **some), pair(0.7, 0.8, other))
    assert (found.holds, found.scope) == (False, "embedded stand-in")


def test_grad_04_wants_both_measures_of_precision():
    rows = pair(0.9, 0.8)
    rows["value"] = rows["value"].where(rows["metric"] != "pixel_ap", 0.5)
    found = decision("grad-04", rows)
    assert found.holds is False
    assert "image_ap: both grids 0.9 > 0.8 normal grid only" in found.evidence
    assert "pixel_ap: both grids 0.5 = 0.5 normal grid only" in found.evidence
    rows["value"] = rows["value"].where(rows["metric"].isin(grad.AP), 0.0)
    assert "image_auroc" not in decision("grad-04", rows).evidence


def test_other_data_show_and_do_not_decide():
    found = decision("grad-04", pair(0.7, 0.8), pair(0.9, 0.8, **ON_MTD))
    assert (found.holds, found.scope) == (True, "real stand-in")
    assert "Not decisive: it fails on textures" in found.evidence
    found = decision("grad-04", pair(0.9, 0.8, **ON_MTD), pair(0.7, 0.8, **ON_GOODS))
    assert (found.holds, found.scope) == (False, "full data")
    assert f"Not decisive: it holds on {MTD}" in found.evidence
    found = decision("grad-04", pair(0.7, 0.8, profile="demo"), pair(0.9, 0.8))
    assert found.holds is True and "profile full" in found.evidence.partition("Not dec")[0]


def test_seeds_that_vary_are_told():
    rows = pair(0.9, 0.8, seeds=[0, 1, 2])
    for seed, x in enumerate((0.7, 0.9, 1.1)):  # sd 0.2, twice the difference
        here = (rows["settings"] == BASE) & (rows["seed"] == seed)
        rows["value"] = rows["value"].where(~here, x)
    found = decision("grad-04", rows)
    assert found.holds is True
    words = "(sd of both grids less normal grid only over 3 seeds: 0.2)"
    assert found.evidence.count(words) == 2
    assert "sd of" not in decision("grad-04", pair(0.9, 0.8, seeds=[0, 1, 2])).evidence


ALIKE = 'backbone="b",blocks=1,epochs=20,global_grid=8'
ALONE = 'backbone="b",blocks=1,epochs=20,grids="normal",size=[0.5, 3.0]'


@pytest.mark.parametrize(
    ("one", "holds"), [(0.8, True), (0.805, True), (0.795, True), (0.8051, False)]
)
def test_grad_05_allows_half_a_point(one: float, holds: bool):
    found = decision("grad-05", run(one, settings=ALONE), run(0.8, "crad", ALIKE))
    assert (found.holds, found.scope) == (holds, "embedded stand-in")
    words = f"image_ap of the normal grid, and of crad: {one:g} against 0.8 +- 0.005"
    assert words in found.evidence and "so by the code" in found.evidence


def test_grad_05_compares_the_normal_grid_of_one_model():
    normal, crad = run(0.8, settings=ALONE), run(0.8, "crad", ALIKE)
    found = decision("grad-05", normal, crad, run(0.1))  # both grids are not asked
    assert found.holds is True
    assert undecided("grad-05", run(0.8), crad) and undecided("grad-05", normal)
    elsewhere: list[Place] = [{"trained_on": "own"}, {"profile": "demo"}, ON_MTD, {"seeds": [1]}]
    for place in elsewhere:
        assert undecided("grad-05", normal, run(0.8, "crad", ALIKE, **place))
    one = changed(normal, ALONE, 0.7, category="grid", metric="pixel_ap")  # 0.1 / 7 on average
    assert decision("grad-05", one, crad).holds is False
    bad = [run(0.5, settings='grids="normal"', **ON_GOODS), run(0.8, "crad", "paper", **ON_GOODS)]
    found = decision("grad-05", normal, crad, *bad)
    assert (found.holds, found.scope) == (False, "full data")


@pytest.mark.parametrize("settings", ["epochs=10", "blocks=2", "global_grid=4", 'backbone="c"'])
def test_grad_05_never_compares_other_settings(settings: str):
    other = ",".join(
        sorted({x.split("=")[0]: x for x in f"{ALIKE},{settings}".split(",")}.values())
    )
    assert undecided("grad-05", run(0.8, settings=ALONE), run(0.8, "crad", other))


def test_grad_05_compares_the_same_seeds():
    normal = pd.concat(run(x, settings=ALONE, seeds=[i]) for i, x in enumerate((0.8, 0.2)))
    found = decision("grad-05", normal, run(0.8, "crad", ALIKE))
    assert found.holds is True and "seeds 0)" in found.evidence


def test_networks_know_the_settings_of_both_papers():
    for method in (GRAD, CRAD):
        paper = grad.NETWORKS[method.__name__.lower()]
        assert {k: getattr(method(), k) for k in paper} == paper
    names = {f.name for f in fields(CRAD)}
    assert {f.name for f in fields(GRAD)} - names == set(grad.ABNORMAL_ONLY)
    assert all(
        getattr(GRAD(), k) == getattr(CRAD(), k) for k in names - set(grad.NETWORKS["grad"])
    )


# ---- blocks or noise


def test_grad_12_compares_blocks_with_noise_of_simplenets_strength():
    found = decision("grad-12", pair(0.9, 0.8, NOISE))
    assert (found.holds, found.scope) == (True, "embedded stand-in")
    assert "image_ap: block paste 0.9 > 0.8 Gaussian noise" in found.evidence
    assert decision("grad-12", pair(0.8, 0.8, NOISE)).holds is False
    rows = pair(0.9, 0.8, NOISE)
    rows["value"] = rows["value"].where(rows["metric"] != "image_ap", 0.7)
    assert decision("grad-12", rows).holds is False
    strong = pair(0.9, 0.95, "epochs=20,noise=1.0")
    assert undecided("grad-12", strong)
    assert decision(
        "grad-12", pair(0.9, 0.8, NOISE), run(0.95, settings="epochs=20,noise=1.0")
    ).holds
    assert undecided("grad-12", pair(0.9, 0.8, "epochs=21,noise=0.015"))
    assert undecided("grad-12", pair(0.9, 0.8, NOISE, trained_on="own"))


# ---- studies


def speeds(profile: str = "full", device: str = "cpu", **methods: tuple[float, float]) -> Any:
    """Method -> images per second, GB of the GPU, or of the process without one."""
    lines = [(m, fps, 1024 * gb) for m, (fps, gb) in methods.items()]
    used, other = ("memory_mb", "cuda_mb") if device == "cpu" else ("cuda_mb", "memory_mb")
    table = pd.DataFrame(lines, columns=["method", "fps", used]).assign(**{other: 1e6})
    place = {"device": device, "error": "", "dataset": "textures", "category": "grid"}
    place["settings"] = "epochs=1"
    return table.assign(**place, profile=profile)


def studied(name: str, item: str, *tables: pd.DataFrame) -> c.Decision:
    found = grad.STUDIED[name]({f"grad/study_{item}": pd.concat(tables, ignore_index=True)})
    assert found is not None
    drawn = all((table["dataset"] != "goodsad").all() for table in tables)
    assert found.scope == ("embedded stand-in" if drawn else "full data")
    return found


def test_grad_07_wants_less_memory_than_padim_and_five_gigabytes():
    def goods(**methods: Any) -> Any:
        return speeds(device="cuda", **methods).assign(dataset="goodsad")

    for device in ("cpu", "cuda"):
        table = speeds(device=device, grad=(9, 5.0), padim=(9, 1.0))
        found = studied("grad-07", "speed", table)
        assert found.holds is None and "memory in GB: padim 1 < grad 5" in found.evidence
    other = goods(grad=(9, 5.0), padim=(9, 6.0)).assign(settings="blocks=1,epochs=1")
    decided = grad.STUDIED["grad-07"]({grad.SPEED: other})
    assert decided is not None and decided.holds is None
    found = studied("grad-07", "speed", goods(grad=(9, 5.0), padim=(9, 6.0)))
    assert found.holds is None  # SimpleNet is not run here
    assert "memory in GB: padim 6 > grad 5" in found.evidence and "simplenet" in found.evidence
    for much, other in ((5.1, 6.0), (2.0, 2.0), (2.0, 1.0)):
        found = studied("grad-07", "speed", goods(grad=(9, much), padim=(9, other)))
        assert found.holds is False
    assert grad.STUDIED["grad-07"]({grad.SPEED: speeds(grad=(9, 1.0))}) is None
    failed = speeds(grad=(9, 1.0), padim=(np.nan, np.nan))
    assert grad.STUDIED["grad-07"]({grad.SPEED: failed}) is None


@pytest.mark.parametrize(
    ("fps", "others", "holds"),
    [
        (75, (50, 100), True),
        (93.75, (50, 100), True),  # a quarter more
        (94, (50, 100), False),
        (56, (50, 100), False),
        (75, (80, 100), False),  # the slowest
        (75, (50, 60), False),  # the fastest
    ],
)
def test_grad_08_wants_a_middling_speed_on_a_gpu(
    fps: float, others: tuple[float, float], holds: bool
):
    slow, fast = ((x, 1.0) for x in others)
    table: Any = {"grad": (fps, 1.0), "padim": slow, "crad": fast}
    gpu = speeds(device="cuda", **table)
    assert studied("grad-08", "speed", gpu).holds is None  # of a small network on small images
    found = studied("grad-08", "speed", gpu.assign(dataset="goodsad"))
    assert found.holds is holds and f"{fps:g} images per second" in found.evidence
    found = studied("grad-08", "speed", speeds(**table))
    assert found.holds is None and "On a CPU" in found.evidence
    assert grad.STUDIED["grad-08"]({grad.SPEED: speeds(padim=slow)}) is None


def test_grad_08_tells_the_place_among_the_methods():
    found = studied("grad-08", "speed", speeds(grad=(7, 1), padim=(5, 1), crad=(9, 1)))
    assert "7 images per second, 2. from the slowest of 3 methods" in found.evidence
    assert "(padim 5, grad 7, crad 9)" in found.evidence


def lookups(grid: float, neighbour: float, profile: str = "full") -> pd.DataFrame:
    """Seconds that grow with the powers given; the slower repeat is 10 times as slow."""
    lines = [
        (n, how, repeat, 1e-6 * n**power * (10 if repeat != (n > 1000) else 1))
        for n in (1000, 10_000, 100_000)
        for how, power in (("grid", grid), ("nearest neighbour", neighbour))
        for repeat in (0, 1)
    ]
    table = pd.DataFrame(lines, columns=["features", "how", "repeat", "seconds"])
    return table.assign(dataset="synthetic", category="272 channels", profile=profile)


@pytest.mark.parametrize(
    ("grid", "neighbour", "holds"),
    [(0.0, 1.0, True), (0.09, 0.81, True), (0.1, 1.0, False), (0.0, 0.8, False)],
)
def test_grad_09_reads_slopes(grid: float, neighbour: float, holds: bool):
    found = studied("grad-09", "lookup", lookups(grid, neighbour))
    assert found.holds is holds
    assert f"{grid:g} " in found.evidence.partition("slope: grid ")[2]
    assert "n = 1000, 10000, 100000" in found.evidence
    assert f"nearest neighbour {neighbour:g} " in found.evidence


def test_grad_09_waits_for_two_sizes():
    table = lookups(0.0, 1.0)
    small = keep(table, table["features"] == 1000)
    assert grad.STUDIED["grad-09"]({"grad/study_lookup": small}) is None


def cosines(pairs: Sequence[float], random: float, profile: str = "full") -> pd.DataFrame:
    """A category for each of the cosines between two kinds."""
    lines: list[tuple[str, str, str, float]] = []
    for category, x in zip(SEVEN, pairs, strict=False):
        lines += [(category, "dark", "bright", x), (category, "dark", "random", random)]
    table = pd.DataFrame(lines, columns=["category", "one", "other", "cosine"])
    return table.assign(dataset=DRAWN, seed=0, profile=profile)


def test_grad_10_compares_defects_with_chance():
    found = studied("grad-10", "features", cosines([0.5, 0.1], 0.2))
    assert found.holds is True
    assert "of two kinds of defect 0.3 > 0.2 to a random one" in found.evidence
    assert "least on dots, 0.1" in found.evidence and "2 categories" in found.evidence
    assert studied("grad-10", "features", cosines([0.2, 0.2], 0.2)).holds is False
    assert studied("grad-10", "features", cosines([-0.5, 0.1], 0.0)).holds is False


def ratios(grids: Sequence[float], features: Sequence[float], profile: str = "full") -> Any:
    """A seed for each."""
    lines = [
        (name, seed, x, 1.0, x)
        for name, values in (("grids", grids), ("features", features))
        for seed, x in enumerate(values)
    ]
    names = ["blocks_see", "seed", "inside", "outside", "ratio"]
    table = pd.DataFrame(lines, columns=names)
    return table.assign(dataset=DRAWN, category="grid", profile=profile)


def test_grad_14_compares_networks_with_and_without_grids():
    found = studied("grad-14", "shortcut", ratios([3.0, 1.0], [1.5, 1.5]))
    assert found.holds is True
    assert "with grids 2 > 1.5 without (so in 1 of 2 pairs" in found.evidence
    assert studied("grad-14", "shortcut", ratios([1.5], [1.5])).holds is False
    two = ratios([4.0], [1.0]), ratios([1.0, 1.0, 1.0], [1.5] * 3).assign(category="dots")
    found = studied("grad-14", "shortcut", *two)  # a category counts once, whatever its seeds
    assert "2 categories: " in found.evidence and "with grids 2.5 > 1.25 without" in found.evidence


PAIRS: dict[str, tuple[str, pd.DataFrame, pd.DataFrame]] = {  # opposite outcomes
    "grad-07": (
        "speed",
        speeds(grad=(9, 9), padim=(9, 9), device="cuda").assign(dataset="goodsad"),
        speeds(grad=(9, 1), padim=(9, 9), device="cuda").assign(dataset="goodsad"),
    ),
    "grad-08": (
        "speed",
        speeds(grad=(5, 1), padim=(6, 9), device="cuda").assign(dataset="goodsad"),
        speeds(grad=(75, 1), padim=(74, 9), crad=(76, 9), device="cuda").assign(dataset="goodsad"),
    ),
    "grad-09": ("lookup", lookups(1.0, 1.0), lookups(0.0, 1.0)),
    "grad-10": ("features", cosines([0.1], 0.2), cosines([0.3], 0.2)),
    "grad-14": ("shortcut", ratios([1.0], [2.0]), ratios([2.0], [1.0])),
}


def test_every_study_is_here():
    assert set(PAIRS) == set(grad.STUDIED)


@pytest.mark.parametrize(
    "name",
    PAIRS,
)
def test_full_studies_decide_before_demos(name: str):
    item, fails, other = PAIRS[name]
    demo, full = other.assign(profile="demo"), fails.assign(profile="full")
    assert studied(name, item, demo).holds is not False
    assert studied(name, item, demo, full).holds is False
    turned = fails.assign(profile="demo"), other.assign(profile="full")
    assert studied(name, item, *turned).holds is not False
    assert grad.STUDIED[name]({}) is None


# ---- calculations


def test_walks_hold_and_the_printed_threshold_has_no_buffer():
    holds, words = c.EXACT["grad-11"]()
    assert holds and "500 of 500 walks with steps clipped, 500 of 500" in words
    assert words.endswith("twice the intensity gives twice the paste")
    holds, words = c.EXACT["grad-13"]()
    assert not holds and "as printed 0 = 0 none" in words
    assert words.endswith("with the sign of the released code 1")


def test_a_walk_that_jumps_or_a_paste_that_is_cut_fails(monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr(grad, "_walk", lambda size, steps, rule, rng: {(0, 0), (0, 2)})
        assert not grad.exact_grad_11()[0]
    with monkeypatch.context() as patch:
        patch.setattr(grad, "_walk", lambda size, steps, rule, rng: {(0, -1)})
        assert not grad.exact_grad_11()[0]
    monkeypatch.setattr(grad, "_blurred", lambda x: x.clip(0, 1))
    holds, words = grad.exact_grad_11()
    assert not holds and "gives not twice the paste" in words


def test_neighbours_by_hand():
    """Cells touch at edges and corners; a gap of one cell parts them."""
    assert grad._connected({(0, 0)})
    assert grad._connected({(0, 0), (1, 1), (2, 0), (2, -1)})
    assert not grad._connected({(0, 0), (0, 2)})
    assert not grad._connected({(0, 0), (1, 1), (3, 1)})
    assert grad._connected({(0, 0), (1, 1), (3, 1), (2, 2)})
    # out of the box of B = 4 below (4, 0), along its edge and in again, in seven of eight steps
    assert not grad._connected({(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (4, 3)})


class Steps(np.random.Generator):
    """Steps from a list."""

    def __init__(self, *steps: tuple[int, int]):
        super().__init__(np.random.PCG64(0))
        self.left = [np.array(step) for step in steps]

    def integers(self, *_: Any, **__: Any) -> Any:
        return self.left.pop(0)


@pytest.mark.parametrize(
    ("rule", "last"),
    [
        ("clipped", {(1, 2)}),  # the second step stays at the edge
        ("redrawn", {(1, 2), (0, 2)}),  # it is left out, and a fourth one taken
        ("not marked", {(2, 2)}),  # it leads out, and the third back in
    ],
)
def test_steps_out_of_the_box_by_hand(rule: str, last: set[tuple[int, int]]):
    rng = Steps((1, 0), (1, 0), (-1, 1), (-1, 0))
    assert grad._walk(1, 3, rule, rng) == {(1, 1), (2, 1)} | last
    assert len(rng.left) == (0 if rule == "redrawn" else 1)
