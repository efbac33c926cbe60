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
        found = c.pick(changed, **dict(zip(columns, place, strict=True)))
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
    rows = [[*run, m, x, profile] for m, x in zip(c.PER_IMAGE, (auroc, ap), strict=True)]
    return pd.DataFrame(rows, columns=c.COLUMNS)


def together(*rows: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(rows, ignore_index=True)


FULL, SAMPLE = fake(0.62), fake(0.40, dataset="mvtec+sample")  # SSDnet's, with opposite outcomes


def decision(name: str, *rows: pd.DataFrame) -> c.Decision:
    """What measured rows say about a claim that they can decide."""
    found = c.MEASURED[name](together(*rows))
    assert found is not None
    return found


def verdict_of(name: str, rows: pd.DataFrame) -> dict[str, str]:
    return line_of(name, c.decide(CLAIMS, PUBLISHED, rows))


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
    assert counts.loc["ssdnet", "holds exactly"] == 3


def test_predicates_carry_the_name_of_their_claim():
    for prefix, table in (("", c.PRINTED), ("measured_", c.MEASURED), ("exact_", c.EXACT)):
        for name, predicate in table.items():
            assert getattr(predicate, "__name__", "") == prefix + name.replace("-", "_")


@pytest.mark.parametrize("table", ["PRINTED", "MEASURED", "EXACT"])
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
    fails = c.pick(decided, printed=c.PRINTED_WORDS[False])
    assert set(fails["verdict"]) == {"contradicted by the paper's own table"}
    assert set(fails["scope"]) == {"printed table"}
    assert fails["evidence"].tolist() == fails["printed_evidence"].tolist()
    holds = c.pick(decided, printed=c.PRINTED_WORDS[True])
    assert all(v.startswith("not tested yet") for v in holds["verdict"])


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
    value = c.value

    def spy(rows: pd.DataFrame, *, variant: str = "", **place: str) -> float:
        read.update(c.pick(rows, variant=variant, **place).index)
        return value(rows, variant=variant, **place)

    with monkeypatch.context() as patch:
        patch.setattr(c, "value", spy)
        c.PRINTED[name](PUBLISHED)
    seen = PUBLISHED.loc[sorted(read)]
    tables = set(zip(seen["paper"], seen["item"], strict=True))
    near = [t in tables for t in zip(PUBLISHED["paper"], PUBLISHED["item"], strict=True)]
    return c.keep(PUBLISHED, near), sorted(read)


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
    without = c.keep(PUBLISHED, PUBLISHED["paper"] != "grad")
    with pytest.raises(LookupError, match="grad-01"):
        c.decide(CLAIMS, without, NO_ROWS)


def test_value_wants_exactly_one_number():
    place = {"paper": "grad", "item": "table2", "dataset": "mvtec", "metric": "image_ap"}
    with pytest.raises(LookupError, match="table2"):
        c.value(PUBLISHED, **place)  # no row without a variant
    with pytest.raises(LookupError, match="table1a"):
        c.value(PUBLISHED, **{**place, "item": "table1a", "dataset": "goodsad"})  # many
    with pytest.raises(LookupError, match="expected one"):
        c.value(PUBLISHED.assign(value=np.nan), method="ssdnet", metric="pixel_ap", **c.GRID)


def test_a_rival_more_or_less_raises():
    with pytest.raises(LookupError, match="expected 5 rivals"):
        c.leads(PUBLISHED, "ssdnet", 5, "pixel_ap", **c.GRID)
    with pytest.raises(LookupError, match="rivals"):
        c.leads(PUBLISHED, "ssdnet", ["glcm", "draem"], "pixel_ap", **c.GRID)


def test_comparisons_round_as_on_paper():
    assert 0.3 - 0.1 < 0.2  # floats as they are
    assert c.compare("", ("", 0.3 - 0.1), ">=", ("", 0.2))[0]
    assert not c.compare("", ("", 98.8), ">", ("", 98.8))[0]  # a tie is no lead
    assert c.compare("", ("", 98.8), ">=", ("", 98.8))[0]
    assert not c.falling("", {"a": 2.0, "b": 1.0, "c": 1.0})[0]
    assert c.within("", 0.105, 0.11, 0.005)[0] and not c.within("", 0.104, 0.11, 0.005)[0]
    assert not c.in_each("", {"a": 1.0, "b": 0.0})[0]
    with pytest.raises(LookupError):
        c.every()


def test_parameter_count_is_that_of_the_released_network():
    notes = PUBLISHED["note"].dropna()
    counted = {n for text in notes for n in re.findall(r"fair c=128: (\d+)/2\^20", text)}
    assert counted == {str(c.unet_parameters(128))}


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
    assert c.scope_of(dataset) == scope


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
    parts = list(c.scoped(rows))
    assert [scope for scope, _ in parts] == [
        "full data",  # profile full
        "full data",  # profile demo
        "real sample",
        "real sample",
        "embedded stand-in",
    ]
    assert sum(len(part) for _, part in parts) == len(rows)
    for scope, part in parts:
        assert {c.scope_of(d) for d in part["dataset"]} == {scope}
        assert len(set(part["profile"])) == 1
    assert set(parts[0][1]["dataset"]) == {"mvtec", "visa", "mvtec+noise=0.1"}
    assert set(parts[2][1]["dataset"]) == {"mvtec+sample"}


def test_a_decision_has_a_known_scope():
    with pytest.raises(ValueError, match="scope"):
        c.Decision(True, "some data", "1 > 0")


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


def test_ssdnet_01_waits_for_all_rivals():
    rivals = {"spectral_residual": 0.34, "pg_lsr": 0.30, "winclip": 0.20, "glcm": 0.02}
    sample = "mvtec+sample"
    runs = [fake(x, auroc=0.9, method=m, dataset=sample) for m, x in rivals.items()]
    ours = fake(0.55, dataset=sample)
    for left_out in range(len(runs)):
        some = together(ours, *runs[:left_out], *runs[left_out + 1 :])
        assert c.MEASURED["ssdnet-01"](some) is None
    found = decision("ssdnet-01", ours, *runs)
    assert (found.holds, found.scope) == (True, "real sample")
    assert "ssdnet 0.55 > 0.34 spectral_residual (best of 4)" in found.evidence
    # rivals measured on the sample do not complete the full data
    found = decision("ssdnet-01", fake(0.01), ours, *runs)
    assert (found.holds, found.scope) == (True, "real sample")
    assert not decision("ssdnet-01", fake(0.30, dataset=sample), *runs).holds


def test_ssdnet_02_wants_all_six_types_of_defect():
    methods = {
        "ssdnet": 0.67,
        "spectral_residual": 0.2,
        "pg_lsr": 0.6,
        "winclip": 0.2,
        "glcm": 0.4,
    }

    def runs(types: int) -> pd.DataFrame:
        return together(
            *(
                fake(x, auroc=x, method=m, dataset="hkbu_dot", category=f"type{i}")
                for m, x in methods.items()
                for i in range(types)
            )
        )

    assert c.MEASURED["ssdnet-02"](runs(5)) is None
    found = decision("ssdnet-02", runs(6))
    assert (found.holds, found.scope) == (True, "full data")
    assert "ssdnet 0.67 > 0.6 pg_lsr" in found.evidence


@pytest.mark.parametrize("name", c.MEASURED)
def test_no_rows_no_decision(name: str):
    assert c.MEASURED[name](pd.DataFrame(columns=c.COLUMNS)) is None


# ---- which verdict wins


def test_a_measurement_wins_over_the_printed_table(monkeypatch: pytest.MonkeyPatch):
    won: Callable[[pd.DataFrame], c.Decision] = lambda rows: c.Decision(  # noqa: E731
        True, "full data", "0.99 > 0.98"
    )
    monkeypatch.setitem(c.MEASURED, "fair-04", won)
    line = verdict_of("fair-04", fake(0.6))
    assert (line["verdict"], line["scope"]) == ("reproduced", "full data")
    assert line["printed"] == c.PRINTED_WORDS[False]


@pytest.mark.parametrize("name", c.EXACT)
def test_exact_claims_hold_by_calculation(name: str, decided: pd.DataFrame):
    line = line_of(name, decided)
    assert (line["verdict"], line["scope"]) == ("holds exactly", "calculation")
    assert re.search(r"\d", line["evidence"])
    assert c.EXACT[name]() == c.EXACT[name]()  # the same numbers every time


def test_an_exact_claim_may_fail(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(c, "_cosine", lambda a, b: (a * b).sum(axis=-1))  # not normalised
    assert not c.exact_ssdnet_19()[0]
    assert verdict_of("ssdnet-19", NO_ROWS)["verdict"] == "fails exactly"
