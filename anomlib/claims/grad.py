"""GRAD's claims: two grids of features, one model for all classes."""

from collections.abc import Callable

import pandas as pd

from .outcomes import Outcome, compare, every, falling, gap, in_each, show, within
from .printed import lead, leads_by, names, value, values

# ---- the printed numbers

GOODS = {"paper": "grad", "dataset": "goodsad"}
GOODS_OF = {  # where GRAD prints GoodsAD
    "image_auroc": "table1a",
    "image_ap": "table1a",
    "pixel_auroc": "table1b",
    "pixel_ap": "table1b",
}
ABLATED = {"paper": "grad", "item": "table2", "category": "mean", "method": "grad"}
GRIDS = {
    "two grids": "normal_grid=true;abnormal_grid=true",
    "normal grid only": "normal_grid=true;abnormal_grid=false",
}
AP = ("image_ap", "pixel_ap")


def grad_01(rows: pd.DataFrame) -> Outcome:
    return _goods_lead(rows, {"image_auroc": 3.4, "image_ap": 2.8})


def grad_02(rows: pd.DataFrame) -> Outcome:
    return _goods_lead(rows, {"pixel_auroc": 1.1, "pixel_ap": 3.0})


def _goods_lead(rows: pd.DataFrame, claimed: dict[str, float]) -> Outcome:
    place = GOODS | {"category": "mean"}
    return every(
        *(leads_by(rows, claimed, 0.05, "grad", 7, m, item=GOODS_OF[m], **place) for m in claimed)
    )


def grad_03(rows: pd.DataFrame) -> Outcome:
    gains = {}
    for m, item in GOODS_OF.items():
        place = GOODS | {"item": item, "metric": m}
        for c in names(rows, 6, method="grad", **place):
            gains[f"{c} {m}"] = lead(rows, "grad", ["crad"], category=c, **place)
    return in_each("ahead of crad", gains)


def grad_04(rows: pd.DataFrame) -> Outcome:
    gains = {}
    for dataset in ("mvtec", "goodsad"):
        for m in AP:
            both, one = values(rows, GRIDS, dataset=dataset, metric=m, **ABLATED).values()
            gains[f"{dataset} {m}"] = gap(both, one)
    holds, words = in_each("gain by the abnormal grid", gains)
    return holds, f"{words}: " + ", ".join(f"{k} {show(x)}" for k, x in gains.items())


def grad_05(rows: pd.DataFrame) -> Outcome:
    outcomes = []
    for m in AP:
        place = {"dataset": "goodsad", "metric": m}
        one = value(rows, variant=GRIDS["normal grid only"], **place, **ABLATED)
        table = {"paper": "grad", "item": GOODS_OF[m], "category": "mean", "method": "crad"}
        crad = value(rows, **place, **table)
        outcomes.append(within(f"{m} of the normal grid, and of crad", one, crad, 0.5))
    return every(*outcomes)


def grad_06(rows: pd.DataFrame) -> Outcome:
    asked = {
        ("mvtec", "image_ap"): 99.75,
        ("mvtec", "pixel_ap"): 54.15,
        ("goodsad", "image_ap"): 81.35,
        ("goodsad", "pixel_ap"): 36.35,
    }
    outcomes = []
    for (dataset, m), least in asked.items():
        got = value(rows, variant=GRIDS["two grids"], dataset=dataset, metric=m, **ABLATED)
        outcomes.append(compare(f"{dataset} {m}", ("grad", got), ">=", ("asked for", least)))
    return every(*outcomes)


def grad_07(rows: pd.DataFrame) -> Outcome:
    place = GOODS | {"item": "text", "category": "mean", "metric": "memory"}
    use = {
        m: value(rows, method=m, variant="where=sec4B", **place)
        for m in ("padim", "simplenet", "grad")
    }
    limit = compare("GB", ("grad", use["grad"]), "<=", ("allowed", 5.0))
    return every(falling("memory in GB", use), limit)


# ---- which predicate decides which claim

PRINTED: dict[str, Callable[[pd.DataFrame], Outcome]] = {
    "grad-01": grad_01,
    "grad-02": grad_02,
    "grad-03": grad_03,
    "grad-04": grad_04,
    "grad-05": grad_05,
    "grad-06": grad_06,
    "grad-07": grad_07,
}
