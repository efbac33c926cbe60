"""One model for several categories: what it is trained on, its parts, rows and lines."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from anomlib import METHODS, datasets, experiments, results, unified
from anomlib.record import record


@pytest.fixture
def pair(layout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with `elpv/{mono,poly}` without masks, and `folder/cups` with them."""
    for name in ("mono", "poly"):
        shutil.copytree(layout / "folder" / "cups", layout / "elpv" / name)
        shutil.rmtree(layout / "elpv" / name / "ground_truth")
    monkeypatch.setattr(datasets, "data_root", lambda: layout)
    return layout


def test_members_of_all_and_of_a_list():
    assert unified.members("elpv+size=64", "all") == [
        ("elpv+size=64", c) for c in ("mono", "poly")
    ]
    assert len(unified.members("mvtec", "all")) == 15 and len(unified.members("visa", "all")) == 12
    found = unified.members("mtd+size=128", "mtd/split0+elpv/mono")
    assert found == [("mtd+size=128", "split0"), ("elpv+size=128", "mono")]
    # at the size of the first where nothing is said, so that images can stand in one row
    found = unified.members("textures", "textures/grid+mtd/split0")
    assert found == [("textures", "grid"), ("mtd+size=128", "split0")]


def test_the_embedded_categories_are_those_listed():
    known = datasets.categories("textures")
    if known:
        assert tuple(known) == unified.CATEGORIES["textures"]


@pytest.mark.parametrize(
    "dataset, trained_on, message",
    [
        ("mtd", "all", "list the categories of 'mtd'"),
        ("mtd", "elpv/mono+mtd/split0", "'mtd' first"),
        ("mtd", "mtd", "own, all, or <dataset>/<category>"),
        ("mtd", "mtd/split0+tiles/a", "unknown dataset 'tiles'"),
    ],
)
def test_bad_lists_are_explained(dataset, trained_on, message):
    with pytest.raises(ValueError, match=message):
        unified.members(dataset, trained_on)


def test_a_missing_category_is_named(pair):
    shutil.rmtree(pair / "elpv" / "poly")
    with pytest.raises(ValueError, match="elpv/poly is not on disk"):
        unified.load("elpv", "all")


def test_all_images_stand_in_one_row_and_come_apart_again(pair):
    data = unified.load("folder+size=16", "folder/cups+elpv/mono")
    assert data.category == "all" and data.name == "folder+size=16"
    assert data.train.shape == (6, 3, 16, 16) and data.test.shape == (8, 3, 16, 16)
    assert data.masks is not None and data.masks[:4].any() and not data.masks[4:].any()
    assert data.paths[4] == "elpv+size=16/mono/dent/0.png"
    (cups, first), (mono, second) = unified.parts(data)
    alone = datasets.load("elpv+size=16", "mono")
    assert (mono.name, mono.category, mono.paths) == ("elpv+size=16", "mono", alone.paths)
    assert torch.equal(mono.test, alone.test) and torch.equal(mono.labels, alone.labels)
    assert cups.name == "folder+size=16" and (first, second) == ([0, 1, 2, 3], [4, 5, 6, 7])
    assert len(mono.train) == 6  # its model has seen all
    assert unified.parts(alone) == [(alone, [0, 1, 2, 3])]
    assert unified.load("elpv", "all").masks is None


def test_rows_and_lines_are_of_the_parts(pair, tmp_path):
    trained_on = "folder/cups+elpv/mono"
    data = unified.load("folder+size=16", trained_on)
    method = METHODS["pixelmean"]().fit(data.train)
    maps = method.anomaly_map(data.test)
    rows = results.evaluate(method, data, maps, trained_on)
    groups = {key: set(part["metric"]) for key, part in rows.groupby(["dataset", "category"])}
    assert set(groups) == {("folder+size=16", "cups"), ("elpv+size=16", "mono")}
    assert "pixel_auroc" in groups["folder+size=16", "cups"]
    assert groups["elpv+size=16", "mono"] == {"image_auroc", "image_ap"}
    # the numbers are those of each part by itself
    part, places = unified.parts(data)[0]
    single = results.evaluate(method, part, maps[places], trained_on)
    mine = rows[rows["category"] == "cups"].reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, single)

    run = results.run_of(method, data, trained_on)
    assert run.category == "all" and run.trained_on == trained_on
    lines = results.per_image(method, data, maps)
    assert lines["kind"].tolist() == 2 * ["dent", "dent", "good", "good"]
    assert results.exemplars(lines)[:4] == [0, 2, 4, 6]  # the first of each kind and category
    how = record(run, data, {"fit": 1.0}, unified.complete(data))
    assert how["complete"] is None
    results.save(results.reserve(run, tmp_path / "r"), rows, lines, how)
    loaded = results.load(tmp_path / "r")
    read = results.load_images(loaded, tmp_path / "r")
    assert len(read) == 8 and read["path"].tolist()[4] == "dent/0.png"
    assert read["category"].tolist() == 4 * ["cups"] + 4 * ["mono"]


def test_steps_of_a_unified_run(pair):
    method = METHODS["pixelmean"]()
    sweep = ["elpv+noise=0.1", {"blur": 3}]
    found = list(results.steps(method, "elpv", "all", sweep, "cpu", "all"))
    assert [(data.name, data.category, fresh) for data, _, fresh in found] == [
        ("elpv", "all", True),
        ("elpv+noise=0.1", "all", False),
        ("elpv+noise=0.1", "all", True),
    ]
    for category, trained_on in (("all", "own"), ("mono", "all")):
        with pytest.raises(ValueError, match="does not go with trained_on"):
            list(results.steps(method, "elpv", category, [], "cpu", trained_on))


def test_an_entry_of_the_experiments_may_be_unified():
    entry = {"method": "crad", "dataset": "elpv", "category": "all", "trained_on": "all"}
    (run,) = experiments.runs_of({"runs": {"full": [entry]}}, "full")
    assert run.trained_on == "all" and run.id.startswith("crad-elpv-all-s0-")
