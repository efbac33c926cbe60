"""Tables, records and what happens when they cannot be written."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from anomlib import METHODS, experiments, results
from anomlib.record import data_hash, record

RESULTS = Path(__file__).parents[1] / "results"


@pytest.fixture
def run():
    return experiments.Run(
        method="pixelmean", settings={"blur": 3}, dataset="textures", category="toy"
    )


@pytest.fixture
def tables(toy):
    method = METHODS["pixelmean"](blur=3).fit(toy.train)
    maps = method.anomaly_map(toy.test)
    return results.evaluate(method, toy, maps), results.per_image(method, toy, maps)


def test_rows_and_lines(toy, tables):
    rows, images = tables
    assert list(rows.columns) == results.COLUMNS
    assert set(rows["settings"]) == {"blur=3"} and set(rows["method"]) == {"pixelmean"}
    assert rows["value"].between(0, 1).all()
    assert {"image_auroc", "pixel_auroc", "pixel_ap", "aupro"} <= set(rows["metric"])
    of_pixels = ["pixel_auroc", "pixel_ap", "otsu", "regions"]
    assert list(images.columns) == ["path", "kind", "label", "score", *of_pixels]
    assert images["regions"].tolist() == toy.labels.int().tolist()  # one square each
    assert images["pixel_ap"].notna().sum() == toy.labels.sum()  # undefined on good images


def test_undefined_metrics_have_no_row(toy):
    from dataclasses import replace

    method = METHODS["pixelmean"]().fit(toy.train)
    maps = method.anomaly_map(toy.test)
    without_masks = results.evaluate(method, replace(toy, masks=None), maps)
    assert set(without_masks["metric"]) == {"image_auroc", "image_ap"}
    only_bad = replace(toy, labels=torch.ones(8, dtype=torch.bool))
    assert "image_auroc" not in set(results.evaluate(method, only_bad, maps)["metric"])


def test_run_ids(run):
    assert run.id.startswith("pixelmean-textures-toy-s0-") and len(run.id.split("-")[-1]) == 8
    twin = experiments.Run(
        category="toy", dataset="textures", settings={"blur": 3}, method="pixelmean"
    )
    assert twin.id == run.id
    others = [{"settings": {"blur": 5}}, {"seed": 1}, {"category": "b"}, {"trained_on": "all"}]
    from dataclasses import replace

    assert len({run.id} | {replace(run, **other).id for other in others}) == 5


def test_saved_and_loaded(tmp_path, run, tables, toy):
    rows, images = tables
    how = record(run, toy, {"fit": 1.0, "map": 2.0}, complete=None)
    path = results.save(results.reserve(run, tmp_path), rows, images, how)
    assert path == tmp_path / "metrics" / "textures" / f"{run.id}.csv"
    loaded = results.load(tmp_path)
    assert set(loaded["profile"]) == {"full"}
    assert np.allclose(loaded["value"], rows["value"], atol=1e-6)
    assert results.compare(rows, loaded, atol=1e-6)["agrees"].all()
    stored = json.loads(next((tmp_path / "runs").rglob("*.json")).read_text())
    assert stored["key"]["settings"] == {"blur": 3} and stored["data_hash"] == data_hash(toy)
    assert {"versions", "machine", "threads", "seconds", "peak_memory_mb"} <= set(stored)
    assert not [p for p in tmp_path.rglob("*") if "partial" in p.name]


def test_saving_twice_gives_the_same_bytes(tmp_path, run, tables):
    contents = []
    for name in ("a", "b"):
        path = results.save(results.reserve(run, tmp_path / name), tables[0], tables[1], {})
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]


def test_categories_keep_their_zeros(tmp_path, tables):
    rows, images = tables
    run = experiments.Run(method="pixelmean", settings={}, dataset="btad", category="01")
    results.save(results.reserve(run, tmp_path), rows.assign(category="01"), images, {})
    assert set(results.load(tmp_path)["category"]) == {"01"}


def test_an_empty_folder_is_an_empty_table(tmp_path):
    rows = results.load(tmp_path)
    assert rows.empty and set(results.COLUMNS) <= set(rows.columns)


def test_profiles_are_kept_apart(tmp_path, run, tables):
    for folder in (tmp_path, tmp_path / "demo", tmp_path / "sample"):
        results.save(results.reserve(run, folder), tables[0], tables[1], {})
    rows = results.load(tmp_path)
    assert list(dict.fromkeys(rows["profile"])) == ["full", "sample", "demo"]
    assert len(rows) == 3 * len(tables[0])


def test_lines_of_images_carry_the_key_of_their_run(tmp_path, run, tables):
    for folder in (tmp_path, tmp_path / "demo"):
        results.save(results.reserve(run, folder), tables[0], tables[1], {"run": run.id})
    rows = results.load(tmp_path)
    lines = results.load_images(rows[rows["profile"] == "demo"], tmp_path)
    assert len(lines) == len(tables[1]) and set(lines["profile"]) == {"demo"}
    assert set(lines["settings"]) == {"blur=3"} and set(lines["run"]) == {run.id}
    assert lines["otsu"].notna().sum() == 4  # of the defective images
    assert results.load_images(rows.iloc[:0], tmp_path).empty


def test_studies_are_tables_of_their_own(tmp_path):
    assert results.load_study("ssdnet/study_x", tmp_path).empty
    for folder, y in ((tmp_path, 1.0), (tmp_path / "demo", 2.0)):
        results.save_study("ssdnet/study_x", pd.DataFrame({"y": [y]}), folder)
    table = results.load_study("ssdnet/study_x", tmp_path)
    assert list(zip(table["profile"], table["y"], strict=True)) == [("full", 1.0), ("demo", 2.0)]


def test_compare_names_differences_and_missing_rows(tables):
    rows, _ = tables
    moved = rows.copy()
    moved.loc[0, "value"] += 0.01
    both = results.compare(rows, moved.iloc[:-1], atol=0.001)
    assert not both["agrees"].all() and (~both["agrees"]).sum() == 2
    changed = both[both["metric"] == rows.loc[0, "metric"]].iloc[0]
    assert changed["difference"] == pytest.approx(0.01)


def test_maps_are_stored_scaled_and_found_again(tmp_path, run, tables, toy):
    rows, images = tables
    maps = 1e-7 * torch.rand(8, 32, 32, generator=torch.Generator().manual_seed(0))
    chosen = results.exemplars(images)
    stored = results.maps_to_store(METHODS["pixelmean"](), toy, maps, images)
    results.save(results.reserve(run, tmp_path), rows, images, {}, stored)
    found = results.maps_of([run], tmp_path)
    assert set(found) == {toy.paths[i] for i in chosen}
    path = toy.paths[chosen[0]]
    scaled = found[path]["pixelmean"]
    assert scaled.min() == 0 and scaled.max() == 1  # half precision alone would lose 1e-7
    original = maps[chosen[0]].numpy().ravel()
    assert np.corrcoef(original, scaled.ravel())[0, 1] > 0.999


def test_exemplars_are_first_of_each_kind_best_median_and_worst():
    images = pd.DataFrame(
        {
            "path": ["a/1", "a/2", "a/3", "b/1", "good/1"],
            "pixel_ap": [0.5, 0.1, 0.9, 0.3, np.nan],
        }
    )
    assert results.exemplars(images) == [0, 3, 4, 2, 1]


def test_beside_joins_the_printed_cell(run):
    printed = results.published("ssdnet", "table1")
    row = ("ssdnet", "paper", "own", "mvtec+sample", "grid", 0, "mean_image_pixel_ap", 0.5, "full")
    rows = pd.DataFrame([row], columns=[*results.COLUMNS, "profile"])
    both = results.beside(rows, printed, {"mean_image_pixel_ap": "pixel_ap"})
    (cell,) = printed[
        (printed["category"] == "grid")
        & (printed["method"] == "ssdnet")
        & (printed["metric"] == "pixel_ap")
    ]["value"]
    assert both["printed"].item() == cell and both["gap"].item() == pytest.approx(0.5 - cell)


def test_percentages_become_fractions():
    printed = results.published("subspace", "table1")
    row = ("subspace", "paper", "own", "mtd", "mean", 0, "pixel_auroc", 0.8, "full")
    rows = pd.DataFrame([row], columns=[*results.COLUMNS, "profile"])
    both = results.beside(rows, printed, {"pixel_auroc": "pixel_auroc"})
    assert 0 < both["printed"].iloc[0] < 1


def test_beside_knows_what_a_printed_mean_is_the_mean_of():
    columns = [*results.COLUMNS, "profile"]

    def beside(item, dataset, values, metric="aupro"):
        keys = ("subspace", "paper", "own", dataset)
        rows = [(*keys, name, 0, metric, x, "full") for name, x in values.items()]
        printed = results.published("subspace", item)
        both = results.beside(pd.DataFrame(rows, columns=columns), printed, {metric: metric})
        return both.dropna(subset="printed").query("category == 'mean'")["value"].tolist()

    assert beside("table1", "mtd", {"split0": 0.5, "split1": 0.7}) == [0.5, 0.7]  # splits
    whole = beside("table2", "btad", {"01": 0.3, "02": 0.5, "03": 0.7})
    assert whole == pytest.approx([0.5])
    assert beside("table2", "btad", {"01": 0.3, "02": 0.5}) == []  # not all products
    # Table 5 prints no categories of MVTec: grid alone is not its mean
    assert beside("table5", "mvtec", {"grid": 0.5}, "pixel_ap") == []


# ---- committed results


def test_committed_rows_have_the_schema():
    rows = results.load()
    committed = rows[rows["profile"] == "full"]
    assert len(committed)
    assert (committed["value"] >= 0).all()
    unbounded = ["jacobian_identity", "high_frequencies", "idempotency"]  # of networks
    assert (committed["value"][~committed["metric"].isin(unbounded)] <= 1).all()
    assert set(committed["method"]) <= set(METHODS)
    assert not committed.duplicated(results.COLUMNS[:-1]).any()
    names = {p.stem for p in (RESULTS / "metrics").rglob("*.csv")}
    assert names == {p.stem for p in (RESULTS / "runs").rglob("*.json")}
    assert names == {p.stem for p in (RESULTS / "images").rglob("*.csv")}


def test_committed_records_carry_the_name_of_their_run():
    for path in (RESULTS / "runs").rglob("*.json"):
        assert experiments.Run(**json.loads(path.read_text())["key"]).id == path.stem


# ---- bad places


def test_a_folder_that_cannot_be_written(tmp_path, run):
    (tmp_path / "results").write_text("a file is in the way")
    with pytest.raises(OSError, match="cannot write results into .*choose another"):
        results.reserve(run, tmp_path / "results")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path, run):
    tmp_path.chmod(0o555)
    with pytest.raises(OSError, match="cannot write results"):
        results.reserve(run, tmp_path)


def test_two_runs_of_the_same_id(tmp_path, run):
    first = results.reserve(run, tmp_path)
    code = (
        "import sys; from anomlib import experiments, results;"
        f"results.reserve(experiments.Run(**{run.__dict__!r}), {str(tmp_path)!r})"
    )
    second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert second.returncode != 0 and "another process is making run" in second.stderr
    first.lock.close()
    third = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert third.returncode == 0, third.stderr


FILL = """
import resource, sys, pathlib
from anomlib import results
folder = pathlib.Path(sys.argv[1])
if sys.argv[2] == "limit":  # the kernel refuses to make a file longer than this
    import signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
results.write_whole(folder / "rows.csv", b"x" * 1_000_000)
"""


def failing_write(folder, how, *prefix):
    command = [*prefix, sys.executable, "-c", FILL, str(folder), how]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_write_that_fails_leaves_finished_results(tmp_path):
    (tmp_path / "rows.csv").write_text("finished")
    outcome = failing_write(tmp_path, "limit")
    assert outcome.returncode != 0
    assert f"could not write {tmp_path / 'rows.csv'}" in outcome.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["rows.csv"]
    assert (tmp_path / "rows.csv").read_text() == "finished"


def can_mount() -> bool:
    if not shutil.which("unshare"):
        return False
    probe = ["unshare", "--mount", "--map-root-user", "true"]
    return subprocess.run(probe, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="no right to mount a small disk here")
def test_a_full_disk(tmp_path):
    inside = (
        f"mount -t tmpfs -o size=64k none {tmp_path} && echo finished > {tmp_path}/rows.csv && "
    )
    script = inside + f'"$@"; status=$?; ls -A {tmp_path}; cat {tmp_path}/rows.csv; exit $status'
    prefix = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh"]
    outcome = failing_write(tmp_path, "disk", *prefix)
    assert outcome.returncode != 0 and "No space left on device" in outcome.stderr
    assert outcome.stdout.split() == ["rows.csv", "finished"]


def test_a_training_that_is_killed_leaves_no_file_and_no_lock(tmp_path):
    code = """
import sys
import torch
from anomlib import METHODS, experiments, results
model = METHODS["fair"](width=1, textures="train", steps=10**9)
run = experiments.Run(method="fair", settings={}, dataset="textures", category="grid")
reserved = results.reserve(run, sys.argv[1])
print("training", flush=True)
model.fit(torch.rand(2, 3, 16, 16))
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "training\n"
        run = experiments.Run(method="fair", settings={}, dataset="textures", category="grid")
        with pytest.raises(RuntimeError, match="another process"):
            results.reserve(run, tmp_path)
        process.kill()
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".lock"]
    results.reserve(run, tmp_path).lock.close()  # the run can be made again at once


def test_an_item_has_the_rows_of_its_runs_and_without_its_sweeps_of_its_entries():
    entry = {"method": "fair", "dataset": "mtd", "category": "split0", "sweep": ["", {"mean": 5}]}
    item = {"runs": {"full": [entry]}}
    first, second = experiments.runs_of(item, "full")
    rows = pd.DataFrame({"run": [first.id, second.id, "another"]})
    assert results.of_item(item, rows)["run"].tolist() == [first.id, second.id]
    assert results.of_item(item, rows, swept=False)["run"].tolist() == [first.id]


def test_steps_need_a_fit_only_where_none_is_at_hand(toy, monkeypatch):
    """Noise changes test images alone; scores need no training, in whichever order they come."""
    noisy, other = replace(toy, name="toy+noise=0.1"), replace(toy, train=toy.train[1:])
    sets = {"toy": toy, "toy+noise=0.1": noisy, "toy+first=1": other}
    monkeypatch.setattr(results, "load_data", lambda name, category: sets[name])
    method = METHODS["fae"](width=2, blocks=1, textures="procedural", steps=1, batch=2)
    none = {"penalty": "none"}
    sweep = [{"score": "max"}, none, none | {"diff": "gms"}, {"diff": "ssim"}, "toy+noise=0.1"]
    sweep += ["toy+first=1", none, none | {"score": "max"}]
    fresh = []
    for data, scored, needed in results.steps(method, "toy", "grid", sweep, "cpu"):
        if needed:
            scored.fit(data.train)
        scored.anomaly_map(data.test[:1])
        assert len(vars(scored)["losses_"]) == 1
        fresh.append((data.name, vars(scored)["penalty"], needed))
    assert [needed for *_, needed in fresh] == [1, 0, 1, 0, 0, 0, 1, 1, 0]
    assert [
        penalty for _, penalty, _ in fresh
    ] == "fae fae none none fae fae fae none none".split()


def test_a_shared_fit_is_the_one_of_its_own_settings(toy, monkeypatch):
    monkeypatch.setattr(results, "load_data", lambda name, category: toy)
    method = METHODS["fae"](width=2, blocks=1, textures="procedural", steps=2, batch=2)
    sweep, maps = [{"penalty": "none"}, {"diff": "gms"}, {"penalty": "none", "diff": "gms"}], []
    for data, scored, needed in results.steps(method, "toy", "grid", sweep, "cpu"):
        maps.append((scored.fit(data.train) if needed else scored).anomaly_map(data.test[:1]))
    alone = replace(method, diff="gms")
    assert torch.equal(maps[2], alone.fit(toy.train).anomaly_map(toy.test[:1]))
    twin = alone.changed(penalty="none").fit(toy.train)
    assert torch.equal(maps[3], twin.anomaly_map(toy.test[:1]))
