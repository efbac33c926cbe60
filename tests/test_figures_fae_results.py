"""From rows to FAE's tables and figures: noise or none, penalties, noise on test images."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from anomlib import results
from anomlib.figures import arms, page
from anomlib.figures import fae_results as draw

SMALL = {"steps": 400, "width": 8}


def rows(*lines, metric="pixel_auroc", dataset="textures+size=64"):
    """Lines of settings on top of SMALL, category, seed and value."""
    out = []
    for changed, category, seed, value in lines:
        settings = SMALL | changed
        words = ",".join(
            f'{k}="{v}"' if isinstance(v, str) else f"{k}={str(v).lower()}"
            for k, v in sorted(settings.items())
        )
        run = f"{words}-{dataset}-{category}-{seed}"
        out.append(("fae", words, dataset, category, seed, metric, value, "full", run))
    names = "method settings dataset category seed metric value profile run".split()
    return pd.DataFrame(out, columns=names)


NONE = {"penalty": "none"}


def test_table3_has_the_printed_cells_and_ours_in_percent():
    ours = rows(
        ({}, "grid", 0, 0.90), ({}, "grid", 1, 0.80),
        (NONE, "grid", 0, 0.70), (NONE, "grid", 1, 0.74),
        ({}, "dots", 0, 0.99),  # without a twin
    )  # fmt: skip
    wide = draw.table3(ours, results.published("fae", "table3"))
    line = wide.loc[("full", "textures+size=64", "grid")]
    assert line["mean", "with noise"] == pytest.approx(85)
    assert line["std", "without noise"] == pytest.approx(np.std([70, 74], ddof=1))
    assert line["gain", ""] == pytest.approx(13) and line["seeds", ""] == 2
    assert ("full", "textures+size=64", "dots") not in wide.index
    carpet = wide.loc[("printed", "mvtec", "carpet")]
    assert carpet["mean", "with noise"] == 99.73 and carpet["std", "without noise"] == 0.15
    assert carpet["gain", ""] == pytest.approx(0.53)
    assert len(wide.loc["printed"]) == 15
    assert "+13.00" in draw.show_table3(wide).to_html()  # type: ignore[attr-defined]


def test_pairs_share_category_and_seed():
    ours = rows(
        *(({}, "grid", s, 0.5 + x) for s, x in enumerate((0.1, 0.2, 0.4))),
        *((NONE, "grid", s, 0.5 + x) for s, x in enumerate((0.0, 0.3, 0.1))),
    )
    line = arms.paired(ours, draw.NOISE, ["pixel_auroc"]).iloc[0]
    gaps = np.array([0.1, -0.1, 0.3])
    assert line["difference"] == pytest.approx(gaps.mean())
    assert line["sd"] == pytest.approx(gaps.std(ddof=1))
    assert (line["positive"], line["pairs"]) == (2, 3)
    t = gaps.mean() / (gaps.std(ddof=1) / np.sqrt(3))  # two-sided, two degrees of freedom
    assert line["p"] == pytest.approx(1 - t / np.sqrt(t**2 + 2))
    assert arms.paired(ours[:3], draw.NOISE, ["pixel_auroc"]).empty


def ablation(metric="pixel_auroc", categories=("grid", "dots"), seeds=(0, 1)):
    arms_of = [*enumerate(settings for settings, _, _ in draw.penalties().values())]
    every = [
        (settings, c, s, 0.5 + 0.01 * k + 0.1 * s + 0.2 * (c == "dots"))
        for k, settings in arms_of
        for c, s in product(categories, seeds)
    ]
    return rows(*every, metric=metric)


def records(table):
    place = table[["run", "profile"]].drop_duplicates()
    settings = [SMALL] * len(place)
    return place.assign(**{"seconds.fit": 40.0, "key.settings": settings})


def test_every_arm_of_the_ablation_has_settings_of_its_own():
    settings = [str(sorted(arm.items())) for arm, _, _ in draw.penalties().values()]
    assert len(set(settings)) == len(settings) == 29


def test_the_ablation_knows_arm_and_strength_and_averages_categories_before_seeds():
    table = ablation()
    lines = draw.by_penalty(table, records(table))
    assert set(lines["penalty"]) == {"none", *draw.PENALTIES}
    found = draw.penalty_table(lines)
    first = found[(found["metric"] == "pixel_auroc") & (found["penalty"] == "none")].iloc[0]
    assert first["mean"] == pytest.approx(0.5 + 0.05 + 0.1) and first["runs"] == 4
    assert first["std"] == pytest.approx(np.std([0.6, 0.7], ddof=1))
    cost = found[found["metric"] == "seconds per step"]
    assert np.allclose(cost["mean"], 0.1)
    html = draw.show_penalties(found).to_html()  # type: ignore[attr-defined]
    assert "65.00 ± 7.07" in html and "100.00 ± 0.00" in html
    figure = draw.penalty_lines(found, ["pixel_auroc", "seconds per step"])
    assert len(figure.axes[0].containers) == len(draw.PENALTIES) and figure._repr_png_()


def test_a_surface_or_seed_that_lacks_an_arm_is_left_out():
    table = ablation()
    lost = table[~((table["category"] == "dots") & (table["settings"].str.contains("rcae")))]
    lines = draw.by_penalty(lost, records(lost))
    assert set(lines["category"]) == {"grid"}


def test_words_and_agreement_are_made_of_the_numbers():
    table = ablation()
    lines = draw.by_penalty(table, records(table))
    fae, explicit, *_ = [name for name in draw.PENALTIES if name != draw.RANDOM]
    found = draw.agreement(lines, fae, explicit)
    wanted = [*draw.penalties()].index(f"{explicit} | 0.01") - [*draw.penalties()].index(
        f"{fae} | 0.01"
    )
    gap = found.loc[("pixel_auroc", 0.01)]
    assert gap["difference"] == pytest.approx(-0.01 * wanted) and gap["pairs"] == 4
    assert gap["sd over seeds"] == pytest.approx(np.std([0.5, 0.6], ddof=1))
    words = str(draw.plainly(draw.penalty_table(lines), lines).data)
    assert "Without any penalty 0.650" in words and "0.010 above at 0.01" in words
    none = lines[:0]
    assert "Not enough" in str(draw.plainly(draw.penalty_table(none), none).data)


def test_noise_on_test_images_is_read_from_the_name():
    parts = [
        rows(({}, "grid", 0, 0.9 - level), ({"sigma_max": 0.05}, "grid", 0, 0.8),
             dataset=f"textures+size=64+noise={level}" if level else "textures+size=64")
        for level in (0.0, 0.02, 0.1)
    ]  # fmt: skip
    found = draw.noise_levels(pd.concat(parts), "pixel_auroc")
    fixed = found[found["arm"] == "sigma fixed"].set_index("level")["mean"]
    assert fixed.to_dict() == pytest.approx({0.0: 0.9, 0.02: 0.88, 0.1: 0.8})
    assert draw.noise_lines(found, "pixel_auroc")._repr_png_()


def test_arms_of_the_remarks_are_found_beside_one_base():
    for name in ("shape", "texture", "opacity", "edge", "loss", "skips", "partial"):
        table = rows(*((arm, "grid", 0, 0.5) for arm, _, _ in draw.ARMS[name].values()))
        wide = arms.ablation(table, draw.ARMS[name], arms.MEASURES, results.published("fae")[:0])
        assert [*wide.index.get_level_values("arm")] == [*draw.ARMS[name]], name


def test_grades_are_a_table():
    graded = {(d, k, n): 0.5 for d, k, n in product(("mse", "gms"), (3, 5), (0, 1))}
    assert draw.grades(graded).data.shape == (2, 4)  # type: ignore[attr-defined]


def test_misprints_are_listed():
    printed = results.published("fae", "table2")
    shown = page.misprints(printed).data  # type: ignore[attr-defined]
    assert len(shown) and shown["note"].str.startswith("misprint").all()
