"""Pictures show themselves, tables hold what they say, and boxes name their makers."""

import base64
import importlib
import io
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from anomlib import claims, results
from anomlib.assets import PROJECT
from anomlib.figures import common, page


def rows(*lines):
    columns = ["method", "settings", "dataset", "category", "seed", "metric", "value", "profile"]
    return pd.DataFrame(lines, columns=columns).assign(trained_on="own", run="r")


def test_pictures_show_themselves(toy):
    picture = common.examples(toy, torch.rand(8, 32, 32), [0, 1])
    assert picture._repr_jpeg_().startswith(b"\xff\xd8")
    lines = common.threshold_figure(torch.rand(8, 32, 32), toy.masks, 2)
    assert lines._repr_png_().startswith(b"\x89PNG")
    assert [a.get_title() for a in picture.axes[:2]] == ["square/000.png", "good/001.png"]


def test_missing_pixels_and_absent_masks_can_be_drawn(toy):
    from dataclasses import replace

    holes = toy.test.clone()
    holes[0, :, :4] = torch.nan
    data = replace(toy, test=holes, masks=None)
    assert common.contact_sheet(data, 2)._repr_jpeg_()
    assert np.isfinite(common.to_numpy(data, 0)).all()


def test_the_shortcut_of_the_metrics_page_starts_where_the_exact_value_is():
    generator = torch.Generator().manual_seed(0)
    masks = torch.zeros(3, 40, 40, dtype=torch.bool)
    masks[0, 5:15, 5:15] = masks[1, 20:24, 8:30] = True
    maps = 0.6 * torch.rand(3, 40, 40, generator=generator) + 0.4 * masks
    exact, spaced = (
        np.asarray(line.get_ydata())
        for line in common.threshold_figure(maps, masks, 12).axes[0].lines
    )
    assert np.ptp(exact) < 1e-9
    assert abs(spaced[0] - exact[0]) < 0.02 and abs(spaced[-1] - exact[-1]) > 0.05


def test_one_model_for_all_is_no_column_of_one_model_each():
    own = rows(("a", "paper", "d", "c", 0, "pixel_ap", 0.2, "full"))
    table = common.table(pd.concat([own, own.assign(trained_on="all", value=0.8)]), "pixel_ap")
    assert table.iloc[0].to_dict() == {"a": 0.2, "a †": 0.8}
    assert set(common.styles(["a", "a †"])) == {"a", "a †"}


def test_tables_average_seeds_and_keep_profiles_apart():
    table = common.table(
        rows(
            ("a", "paper", "d", "c", 0, "pixel_ap", 0.2, "full"),
            ("a", "paper", "d", "c", 1, "pixel_ap", 0.4, "full"),
            ("a", "paper", "d", "c", 0, "pixel_ap", 0.9, "demo"),
            ("a", "blur=3", "d", "c", 0, "pixel_ap", 0.5, "full"),
            ("a", "paper", "d", "c", 0, "pixel_auroc", 0.7, "full"),
        ),
        "pixel_ap",
    )
    assert np.isclose(table.loc[("full", "d", "c"), "a"], 0.3)
    assert table.loc[("full", "d", "c"), "a *"] == 0.5  # a star: departs from the paper
    assert table.loc[("demo", "d", "c"), "a"] == 0.9
    assert "0.300" in common.shaded(table).to_html()  # type: ignore[attr-defined]


def test_the_resize_table_sets_twins_side_by_side():
    effect = common.resize_effect(
        rows(
            ("a", "paper", "mtd", "split0", 0, "pixel_ap", 0.25, "full"),
            ("a", "paper", "mtd+plain", "split0", 0, "pixel_ap", 0.2, "full"),
            ("b", "paper", "mtd", "split0", 0, "pixel_ap", 0.9, "full"),  # no twin
        ),
        "mtd",
    )
    assert effect[["antialiased", "plain", "difference"]].values.tolist() == [[0.25, 0.2, -0.05]]
    assert common.resize_effect(rows(), "mtd").empty


def test_a_box_links_notebook_rows_and_command():
    table = rows(("a", "paper", "d", "c", 0, "pixel_ap", 0.25, "full"))
    box = page.sources("ssdnet/gallery", table, {"run-1": "ValueError: <bad> image"}).data or ""
    assert 'href="../../_sources/executed/ssdnet/gallery.ipynb"' in box
    assert "make item ITEM=ssdnet/gallery" in box
    assert "run-1 failed" in box and "&lt;bad&gt;" in box
    encoded = box.partition("base64,")[2].partition('"')[0]
    assert base64.b64decode(encoded).decode() == table.to_csv(index=False)
    many = pd.DataFrame({"value": range(30_000)})
    large = page.sources("ssdnet/gallery", many).data or ""
    encoded = large.partition("base64,")[2].partition('"')[0]
    assert 'download="gallery.csv.gz"' in large and len(encoded) < 120_000
    again = pd.read_csv(io.BytesIO(base64.b64decode(encoded)), compression="gzip")
    assert again.equals(many)
    run = page.run_sources("a-d+x=1-c-sweep2", "a-d+x=2-c", "results/demo", table).data or ""
    assert "make rerun RUN=a-d+x=2-c" in run and "%2Bx%3D1-c-sweep2.ipynb" in run


def test_printed_numbers_stand_beside_ours_with_a_reason():
    ours = rows(
        ("ssdnet", "epochs=100", "mvtec+sample", "grid", 0, "mean_image_pixel_ap", 0.7, "full"),
        ("ssdnet", "epochs=100", "mvtec+sample", "grid", 1, "mean_image_pixel_ap", 0.6, "full"),
    )
    printed = results.published("ssdnet", "table1")
    both = results.beside(ours, printed, {"mean_image_pixel_ap": "pixel_ap"})
    shown = page.printed_beside(both, {"mvtec+sample": "eleven images"})
    text = shown.to_html()  # type: ignore[attr-defined]
    assert "0.650" in text and "+0.050" in text and "eleven images" in text
    nothing = page.printed_beside(both.iloc[:0], {})
    assert "make paper" in nothing.data  # type: ignore[attr-defined]


def test_a_printed_table_stands_as_printed_with_ours_below():
    printed = results.published("subspace", "table2")
    values = {"01": 0.5, "02": 0.6, "03": 0.7}
    ours = rows(
        *(("subspace", "x=1", "btad", c, 0, "aupro", v, "full") for c, v in values.items())
    )
    both = results.beside(ours, printed, {"aupro": "aupro"}).dropna(subset="printed")
    text = page.printed_table(printed, "aupro", both).to_html()  # type: ignore[attr-defined]
    cells = printed.query("metric == 'aupro' and category == '01'")["value"]
    assert all(f"{x:.1f}" in text for x in cells)  # every method's
    assert "ours: subspace, x=1, btad" in text and "60.0" in text and "70.0" in text
    assert "ours" not in page.printed_table(printed, "aupro", both.iloc[:0]).to_html()  # type: ignore[attr-defined]


def test_every_claim_is_on_the_page():
    decided = claims.decide(results.listed_claims(), results.published(), results.load())
    text = page.verdicts(decided, "all").to_html()  # type: ignore[attr-defined]
    assert len(decided) == 102 and all(name in text for name in decided["id"])


def test_notebooks_to_download_keep_everything_but_pictures_and_tables(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT / "book" / "_ext"))
    slim_sources = importlib.import_module("slim_sources")

    output = {"output_type": "display_data", "metadata": {}}
    output["data"] = {"image/png": "abc", "text/html": "<b>", "text/plain": "<Figure>"}
    cells = [{"cell_type": "code", "source": "1 + 1", "outputs": [output]}]
    cells.append({"cell_type": "markdown", "source": "text"})
    path = tmp_path / "_sources" / "executed" / "a.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"cells": cells}))
    slim_sources.slim(SimpleNamespace(outdir=tmp_path), None)
    kept = json.loads(path.read_text())["cells"]
    assert kept[0]["source"] == "1 + 1" and kept[1] == cells[1]
    assert kept[0]["outputs"][0]["data"] == {"text/plain": "<Figure>"}
