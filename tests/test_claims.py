"""Every claim has a verdict, every verdict its rows, and no scope borrows another's.

The outcomes in brackets at the end of the column `check` of claims.csv were found without the
predicates; here the two must agree.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anomlib import claims as c
from anomlib.claims import fae, fair, grad, ours, outcomes, printed, ssdnet, subspace

READING = (printed, ssdnet, fair, grad, fae)  # modules that read printed numbers

RESULTS = Path(__file__).parents[1] / "results"
CLAIMS = pd.read_csv(RESULTS / "claims.csv")
PUBLISHED = pd.read_csv(RESULTS / "published.csv")
NO_ROWS = pd.DataFrame()

# Printed numbers that a predicate reads but that no change of one cell can turn: the mean shown
# beside the decision, and filters inside the range spanned by two others.
INERT = {"fae-02": "table3", "fair-15": "filter=butterworth;order=[23];cutoff=30"}


def brackets() -> dict[str, bool]:
    """Claim id -> whether it holds on the printed numbers, read from the text in brackets."""
    outcomes = {}
    for name, check in zip(CLAIMS["id"], CLAIMS["check"], strict=True):
        found = re.search(r"\[((?:printed|agrees)\b.*)\]$", check)
        if found:
            outcomes[name] = not re.search(r"fails|only;|ties|in \d+ of \d+", found[1])
    return outcomes


FAILS = {"subspace-07", "fair-17", "grad-13"}  # what is calculated and does not hold

# How many printed numbers each claim speaks of, counted from its check: methods x measures x sets.
NUMBERS = {
    **{"ssdnet-01": 10, "ssdnet-02": 10, "ssdnet-03": 2, "ssdnet-04": 10, "ssdnet-05": 4},
    **{"subspace-01": 16, "subspace-02": 7, "subspace-03": 8, "subspace-04": 21},
    **{"subspace-05": 23, "subspace-10": 2, "subspace-18": 12, "subspace-19": 12},
    **{"fair-01": 8, "fair-02": 12, "fair-03": 6, "fair-04": 12, "fair-05": 15, "fair-06": 8},
    **{"fair-07": 8, "fair-08": 3, "fair-11": 12, "fair-12": 12, "fair-13": 4, "fair-14": 4},
    **{"fair-15": 8, "fair-23": 9, "fair-24": 12, "fair-25": 18},
    **{"grad-01": 16, "grad-02": 16, "grad-03": 48, "grad-04": 8, "grad-05": 4, "grad-06": 4},
    **{"grad-07": 3, "fae-01": 1, "fae-02": 46, "fae-03": 30, "fae-04": 30, "fae-05": 30},
    **{"fae-21": 8},
}


@pytest.fixture(scope="module")
def decided() -> pd.DataFrame:
    return c.decide(CLAIMS, PUBLISHED, NO_ROWS)


def edited(edits: dict[tuple[str, ...], float]) -> pd.DataFrame:
    """The printed rows with some values changed, at (item, dataset, method, variant, metric)."""
    changed = PUBLISHED.copy()
    columns = ("paper", "item", "dataset", "category", "method", "variant", "metric")
    for place, x in edits.items():
        found = printed.pick(changed, **dict(zip(columns, place, strict=True)))
        changed.loc[found.index, "value"] = x
    return changed


def fake(
    ap: float,
    auroc: float = 0.99,
    method: str = "ssdnet",
    dataset: str = "mvtec",
    category: str = "grid",
    profile: str = "full",
    settings: str = "paper",
    seed: int = 0,
) -> pd.DataFrame:
    """The two measured rows that one run of SSDnet or a rival leaves for its claims."""
    run = [method, settings, "own", dataset, category, seed]
    rows = [[*run, m, x, profile] for m, x in zip(ours.PER_IMAGE, (auroc, ap), strict=True)]
    return pd.DataFrame(rows, columns=ours.COLUMNS)


def together(*rows: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(rows, ignore_index=True)


TABLES = ("PRINTED", "MEASURED", "IMAGEWISE", "STUDIED", "JOINED", "EXACT")
FULL, SAMPLE = fake(0.62), fake(0.40, dataset="mvtec+sample")  # SSDnet's, with opposite outcomes


def asked(name: str, *rows: pd.DataFrame) -> c.Decision | None:
    """What measured rows, or lines of images, say about a claim."""
    return (c.MEASURED | c.IMAGEWISE)[name](together(*rows))


def decision(name: str, *rows: pd.DataFrame) -> c.Decision:
    """The same, where they can say something."""
    found = asked(name, *rows)
    assert found is not None
    return found


def verdict_of(
    name: str,
    rows: pd.DataFrame,
    images: pd.DataFrame | None = None,
    studies: dict[str, pd.DataFrame] | None = None,
) -> dict[str, str]:
    return line_of(name, c.decide(CLAIMS, PUBLISHED, rows, images, studies))


def line_of(name: str, decided: pd.DataFrame) -> dict[str, str]:
    (line,) = (line for line in decided.to_dict("records") if line["id"] == name)
    return {str(k): str(v) for k, v in line.items()}


# ---- the list


def test_every_claim_has_one_legal_line(decided: pd.DataFrame):
    assert len(decided) == len(CLAIMS) == 102
    assert decided["id"].tolist() == CLAIMS["id"].tolist()
    assert set(decided["verdict"].str.partition(":")[0]) <= set(c.VERDICTS)
    assert set(decided["scope"]) <= {*c.SCOPES, ""}
    assert decided.notna().all(axis=None)
    untested = decided["verdict"].str.startswith("not tested yet: make ")
    assert (untested == (decided["scope"] == "")).all()


def test_commands_follow_needs(decided: pd.DataFrame):
    assert line_of("fae-03", decided)["command"] == "make paper ITEM=fae"  # gpu_full
    assert line_of("ssdnet-14", decided)["command"] == "make full ITEM=ssdnet"  # cpu_demo
    assert line_of("ssdnet-14", decided)["verdict"] == "not tested yet: make full ITEM=ssdnet"


def test_summary_counts_every_claim(decided: pd.DataFrame):
    counts = c.summary(decided)
    assert counts.to_numpy().sum() == 102
    assert counts.index.tolist() == ["ssdnet", "subspace", "fair", "grad", "fae"]
    assert counts.columns.tolist() == list(c.VERDICTS)
    assert counts.sum(axis=1).tolist() == [20, 21, 26, 14, 21]
    assert counts["holds exactly"].tolist() == [3, 3, 6, 1, 6]
    assert counts["fails exactly"].tolist() == [0, 1, 1, 1, 0]


def test_predicates_carry_the_name_of_their_claim():
    prefixes = dict(zip(TABLES, ("", *4 * ("measured_",), "exact_"), strict=True))
    for table, prefix in prefixes.items():
        for name, predicate in getattr(c, table).items():
            assert getattr(predicate, "__name__", "") == prefix + name.replace("-", "_")


def test_one_table_of_our_runs_decides_a_claim():
    ours = [*c.MEASURED, *c.IMAGEWISE, *c.STUDIED, *c.JOINED, *c.EXACT]
    assert len(ours) == len(set(ours))


@pytest.mark.parametrize("table", TABLES)
def test_a_predicate_for_an_unknown_claim_raises(table: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(getattr(c, table), "ssdnet-99", lambda rows: (True, "1"))
    with pytest.raises(ValueError, match="ssdnet-99"):
        c.decide(CLAIMS, PUBLISHED, NO_ROWS)


# ---- printed numbers


def test_every_printed_outcome_in_brackets_has_a_predicate():
    assert set(c.PRINTED) == set(brackets())


@pytest.mark.parametrize("name", c.PRINTED)
def test_printed_outcome_agrees_with_the_bracket(name: str, decided: pd.DataFrame):
    line = line_of(name, decided)
    assert line["printed"] == c.PRINTED_WORDS[brackets()[name]]
    assert len(re.findall(r"\d", line["printed_evidence"])) >= 2


def test_a_printed_failure_is_the_verdict_and_a_printed_success_is_none(decided: pd.DataFrame):
    fails = printed.pick(decided, printed=c.PRINTED_WORDS[False])
    assert set(fails["verdict"]) == {"contradicted by the paper's own table"}
    assert set(fails["scope"]) == {"printed table"}
    assert fails["evidence"].tolist() == fails["printed_evidence"].tolist()
    holds = printed.pick(decided, printed=c.PRINTED_WORDS[True])
    waiting = holds[~holds["id"].isin(c.EXACT)]  # what is calculated has a verdict already
    assert all(v.startswith("not tested yet") for v in waiting["verdict"])


def test_evidence_names_what_decided():
    evidence = {name: c.PRINTED[name](PUBLISHED)[1] for name in ("fae-04", "fair-04", "fair-25")}
    assert "14 of 15" in evidence["fae-04"] and "zipper (0)" in evidence["fae-04"]
    assert "fair 98.8 = 98.8 patchcore" in evidence["fair-04"]
    assert "README errata gives 97.7" in evidence["fair-04"]  # the misprint's note
    assert "fair 91.4 < 92.8 rd4ad" in evidence["fair-04"]
    assert "97.6" in evidence["fair-25"]  # corrected mean, from the note


def read_by(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[pd.DataFrame, list[int]]:
    """The printed tables that a predicate looks at, and the rows whose values it reads."""
    read: set[int] = set()
    value = printed.value

    def spy(rows: pd.DataFrame, *, variant: str = "", **place: str) -> float:
        read.update(printed.pick(rows, variant=variant, **place).index)
        return value(rows, variant=variant, **place)

    with monkeypatch.context() as patch:
        for module in READING:
            patch.setattr(module, "value", spy)
        c.PRINTED[name](PUBLISHED)
    seen = PUBLISHED.loc[sorted(read)]
    tables = set(zip(seen["paper"], seen["item"], strict=True))
    near = [t in tables for t in zip(PUBLISHED["paper"], PUBLISHED["item"], strict=True)]
    return outcomes.keep(PUBLISHED, near), sorted(read)


@pytest.mark.parametrize("name", c.PRINTED)
def test_each_printed_number_counts(name: str, monkeypatch: pytest.MonkeyPatch):
    """Without a number there is no outcome; with another number there is another outcome."""
    tables, read = read_by(name, monkeypatch)
    outcome, _ = c.PRINTED[name](tables)
    assert len(read) == NUMBERS[name]  # no part of the check is left out
    for row in read[:: 1 + len(read) // 12]:  # a dozen where a claim reads many
        with pytest.raises(LookupError):
            c.PRINTED[name](tables.drop(index=row))
        where = f"{tables.loc[row, 'item']} {tables.loc[row, 'variant']}"
        if not outcome or (name in INERT and re.search(INERT[name], where)):
            continue
        x, flipped = tables.loc[row, "value"], False
        for other in (x + 1000, x - 1000, 0.01 * x):
            changed = tables.copy()
            changed.loc[row, "value"] = other
            flipped = flipped or not c.PRINTED[name](changed)[0]
        assert flipped, where


MVTEC_VISA = ("fair", "table5", "mvtec+visa", "mean")
SOBEL_XY3 = ("fair", "table10", "mvtec", "mean", "fair", "filter=sobel;kernel=3;directions=xy")
NO_DTD = ("fair", "table12", "mvtec+visa", "mean", "fair", "dtd=false")
VISA = ("fair", "table4", "visa", "mean")
ZIPPER = ("fae", "table3", "mvtec", "zipper", "fae", "noise=false", "pixel_auroc_std")
REPAIRS: dict[str, dict[tuple[str, ...], float]] = {
    "fair-04": {
        (*VISA, "patchcore", "", "pixel_auroc"): 97.7,
        (*VISA, "patchcore", "", "aupro"): 88.4,
        (*VISA, "rd4ad", "", "aupro"): 91.0,
    },
    "fair-05": {
        (*MVTEC_VISA, "patchcore", "", "pixel_auroc"): 98.4,
        (*MVTEC_VISA, "rd4ad", "", "aupro"): 92.6,
    },
    "fair-23": {(*SOBEL_XY3, "pixel_auroc"): 98.0, (*SOBEL_XY3, "aupro"): 93.9},
    "fair-25": {(*NO_DTD, "pixel_auroc"): 98.6, (*NO_DTD, "aupro"): 93.5},
    "fae-04": {ZIPPER: 0.01},
}


def test_each_failing_claim_has_a_repair():
    assert set(REPAIRS) == {name for name, holds in brackets().items() if not holds}


@pytest.mark.parametrize("name", REPAIRS)
def test_a_failing_claim_holds_once_all_its_numbers_are_changed(name: str):
    assert c.PRINTED[name](edited(REPAIRS[name]))[0]
    for left_out in REPAIRS[name]:
        if left_out[4:] != ("patchcore", "", "aupro"):  # patchcore is not the best there
            some = {place: x for place, x in REPAIRS[name].items() if place != left_out}
            assert not c.PRINTED[name](edited(some))[0]


def test_an_absent_printed_number_names_the_claim():
    without = outcomes.keep(PUBLISHED, PUBLISHED["paper"] != "grad")
    with pytest.raises(LookupError, match="grad-01"):
        c.decide(CLAIMS, without, NO_ROWS)


def test_value_wants_exactly_one_number():
    place = {"paper": "grad", "item": "table2", "dataset": "mvtec", "metric": "image_ap"}
    with pytest.raises(LookupError, match="table2"):
        printed.value(PUBLISHED, **place)  # no row without a variant
    with pytest.raises(LookupError, match="table1a"):
        printed.value(PUBLISHED, **{**place, "item": "table1a", "dataset": "goodsad"})  # many
    with pytest.raises(LookupError, match="expected one"):
        printed.value(
            PUBLISHED.assign(value=np.nan), method="ssdnet", metric="pixel_ap", **ssdnet.GRID
        )


def test_a_rival_more_or_less_raises():
    with pytest.raises(LookupError, match="expected 5 rivals"):
        printed.leads(PUBLISHED, "ssdnet", 5, "pixel_ap", **ssdnet.GRID)
    with pytest.raises(LookupError, match="rivals"):
        printed.leads(PUBLISHED, "ssdnet", ["glcm", "draem"], "pixel_ap", **ssdnet.GRID)


def test_comparisons_round_as_on_paper():
    assert 0.3 - 0.1 < 0.2  # floats as they are
    assert outcomes.compare("", ("", 0.3 - 0.1), ">=", ("", 0.2))[0]
    assert not outcomes.compare("", ("", 98.8), ">", ("", 98.8))[0]  # a tie is no lead
    assert outcomes.compare("", ("", 98.8), ">=", ("", 98.8))[0]
    assert not outcomes.falling("", {"a": 2.0, "b": 1.0, "c": 1.0})[0]
    assert (
        outcomes.within("", 0.105, 0.11, 0.005)[0]
        and not outcomes.within("", 0.104, 0.11, 0.005)[0]
    )
    assert not outcomes.in_each("", {"a": 1.0, "b": 0.0})[0]
    with pytest.raises(LookupError):
        outcomes.every()


def test_parameter_count_is_that_of_the_released_network():
    notes = PUBLISHED["note"].dropna()
    counted = {n for text in notes for n in re.findall(r"fair c=128: (\d+)/2\^20", text)}
    assert counted == {str(fair.unet_parameters(128))}


# ---- our rows


@pytest.mark.parametrize(
    ("dataset", "scope"),
    [
        ("mvtec", "full data"),
        ("mtd", "full data"),
        ("mvtec+noise=0.05", "full data"),
        ("mvtec+sample", "real sample"),
        ("mvtec+sample+noise=0.05+nseed=1", "real sample"),
        ("mtd+first=20", "real sample"),
        ("textures", "embedded stand-in"),
        ("textures+size=64+first=1", "embedded stand-in"),
    ],
)
def test_scope_of(dataset: str, scope: str):
    assert ours.scope_of(dataset) == scope


def test_scoped_never_mixes_and_puts_the_strongest_first():
    names = [
        "textures",
        "mvtec+sample+first=1",
        "mvtec+sample",
        "mvtec",
        "visa",
        "mvtec+noise=0.1",
    ]
    rows = together(*(fake(0.5, dataset=d) for d in names), fake(0.5, profile="demo"))
    parts = list(ours.scoped(rows))
    assert [scope for scope, _ in parts] == [
        "full data",  # profile full
        "full data",  # profile demo
        "real sample",
        "real sample",
        "embedded stand-in",
    ]
    assert sum(len(part) for _, part in parts) == len(rows)
    for scope, part in parts:
        assert {ours.scope_of(d) for d in part["dataset"]} == {scope}
        assert len(set(part["profile"])) == 1
    assert set(parts[0][1]["dataset"]) == {"mvtec", "visa", "mvtec+noise=0.1"}
    assert set(parts[2][1]["dataset"]) == {"mvtec+sample"}


def test_a_decision_has_a_known_scope():
    with pytest.raises(ValueError, match="scope"):
        c.Decision(True, "some data", "1 > 0")


@pytest.mark.parametrize("name", [*c.MEASURED, *c.IMAGEWISE, *c.STUDIED, *c.JOINED])
def test_no_rows_no_decision(name: str):
    if name in c.MEASURED:
        assert c.MEASURED[name](pd.DataFrame(columns=ours.COLUMNS)) is None
    elif name in c.IMAGEWISE:
        assert c.IMAGEWISE[name](pd.DataFrame(columns=ours.LINE_COLUMNS)) is None
    elif name in c.JOINED:
        for empty in (NO_ROWS, pd.DataFrame(columns=ours.COLUMNS)):
            assert c.JOINED[name](empty, {}) is None
            assert c.JOINED[name](empty, {fair.SPEED: NO_ROWS}) is None
    else:
        assert c.STUDIED[name]({}) is None
        items = (ssdnet.GUARDS, subspace.TIMES, subspace.COVERAGE, subspace.CHOICES)
        assert c.STUDIED[name](dict.fromkeys(items, pd.DataFrame())) is None


# ---- which verdict wins


def test_a_measurement_wins_over_the_printed_table(monkeypatch: pytest.MonkeyPatch):
    won: Callable[[pd.DataFrame], c.Decision] = lambda rows: c.Decision(  # noqa: E731
        True, "full data", "0.99 > 0.98"
    )
    monkeypatch.setitem(c.MEASURED, "fair-04", won)
    line = verdict_of("fair-04", fake(0.6))
    assert (line["verdict"], line["scope"]) == ("reproduced", "full data")
    assert line["printed"] == c.PRINTED_WORDS[False]


def test_only_grads_claims_see_one_model_for_several_categories(monkeypatch: pytest.MonkeyPatch):
    seen: dict[str, set[str]] = {}
    both = pd.concat([fake(0.6), fake(0.7).assign(trained_on="all")], ignore_index=True)
    for name in ("fair-04", "grad-01"):
        spy: Callable[[pd.DataFrame], None] = lambda rows, name=name: seen.update(  # noqa: E731
            {name: set(rows["trained_on"])}
        )
        monkeypatch.setitem(c.MEASURED, name, spy)
        verdict_of(name, both)
    assert seen == {"fair-04": {"own"}, "grad-01": {"own", "all"}}


def test_half_a_claim_is_no_verdict_but_shows(monkeypatch: pytest.MonkeyPatch):
    half: Callable[[pd.DataFrame], c.Decision] = lambda rows: c.Decision(  # noqa: E731
        None, "real sample", "half holds: 0.99 > 0.98"
    )
    monkeypatch.setitem(c.MEASURED, "fair-01", half)
    monkeypatch.setitem(c.MEASURED, "fair-04", half)
    line = verdict_of("fair-01", FULL)
    assert line["verdict"] == f"not tested yet: {line['command']}"
    assert (line["scope"], line["evidence"]) == ("real sample", "half holds: 0.99 > 0.98")
    decided = c.decide(CLAIMS, PUBLISHED, FULL)
    assert c.summary(decided).loc["fair", "not tested yet"] > 0
    line = line_of("fair-04", decided)  # what the paper itself contradicts is decided
    assert (line["verdict"], line["scope"]) == (c.VERDICTS[4], "printed table")


@pytest.mark.parametrize("name", c.EXACT)
def test_exact_claims_are_decided_by_calculation(name: str, decided: pd.DataFrame):
    line = line_of(name, decided)
    verdict = "fails exactly" if name in FAILS else "holds exactly"
    assert (line["verdict"], line["scope"]) == (verdict, "calculation")
    assert re.search(r"\d", line["evidence"])
    assert c.EXACT[name]() == c.EXACT[name]()  # the same numbers every time


def test_an_exact_claim_may_fail(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ssdnet, "_cosine", lambda a, b: (a * b).sum(axis=-1))  # not normalised
    assert not ssdnet.exact_ssdnet_19()[0]
    assert verdict_of("ssdnet-19", NO_ROWS)["verdict"] == "fails exactly"


def test_only_the_wanted_claims_are_decided():
    some = c.decide(CLAIMS, PUBLISHED, NO_ROWS, wanted=["ssdnet-17", "fair-26"])
    assert some["id"].tolist() == ["ssdnet-17", "fair-26"]
    with pytest.raises(ValueError, match="no claim ssdnet-99"):
        c.decide(CLAIMS, PUBLISHED, NO_ROWS, wanted=["ssdnet-99"])
