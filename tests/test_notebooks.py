"""Notebooks stay thin and clean; the run, the quickstart and an item per paper really run."""

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from anomlib import METHODS, datasets, experiments, results

PROJECT = Path(__file__).parents[1]
NOTEBOOKS = sorted((PROJECT / "notebooks").rglob("*.ipynb"))
ITEMS = experiments.items()


def name(path: Path) -> str:
    return str(path.relative_to(PROJECT / "notebooks").with_suffix(""))


def execute(notebook, output, parameters, *options):
    command = [sys.executable, "notebooks/execute.py", notebook, output, json.dumps(parameters)]
    command = [str(word) for word in [*command, *options]]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_thin(path):
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata["kernelspec"]["name"] == "python3"
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    assert sum("parameters" in c.metadata.get("tags", []) for c in cells) == 1
    assert not any(c.outputs or c.execution_count for c in cells)
    nodes = list(ast.walk(ast.parse("\n".join(c.source for c in cells))))
    assert not any(isinstance(n, ast.FunctionDef | ast.ClassDef | ast.While) for n in nodes)
    assert sum(len(c.source.splitlines()) for c in cells) <= 40


def test_every_notebook_is_an_item_and_every_item_a_page():
    assert set(ITEMS) == {name(p) for p in NOTEBOOKS} - {"run"}
    toc = (PROJECT / "book" / "_toc.yml").read_text()
    assert all(f"executed/{item}\n" in toc for item in ITEMS)


# ---- experiments.yaml

RUNS = {
    (profile, run.id): run
    for item in ITEMS.values()
    for profile in experiments.PROFILES
    for run in experiments.runs_of(item, profile)
}


def test_settings_are_departures_from_the_paper():
    for run in RUNS.values():
        model = METHODS[run.method].paper(run.dataset, run.category, **run.settings)
        changes = json.loads(json.dumps(model.changes(run.dataset, run.category)))
        assert changes == run.settings, f"{run.id}: not every setting departs from the paper"


def test_datasets_are_spelled_in_the_one_way():
    for run in RUNS.values():
        assert datasets.canonical(*datasets.parse(run.dataset)) == run.dataset


def test_the_demo_is_small():
    demo = [run for (profile, _), run in RUNS.items() if profile == "demo"]
    jobs = [job for item in ITEMS.values() for job in experiments.jobs_of(item, "demo")]
    assert 0 < len({experiments.job_id(job) for job in jobs}) <= 80  # a sweep counts once
    assert {run.dataset.partition("+")[0] for run in demo} == {"textures"}


def test_an_entry_is_a_product_and_a_typo_is_an_error():
    item = {
        "runs": {"demo": [{"method": ["a", "b"], "dataset": "d", "category": "c", "seed": [0, 1]}]}
    }
    assert len(experiments.runs_of(item, "demo")) == 4
    with pytest.raises(ValueError, match="unknown fields \\['sed'\\]"):
        experiments.runs_of({"runs": {"demo": [item["runs"]["demo"][0] | {"sed": 1}]}}, "demo")


def test_a_sweep_is_one_notebook_and_many_runs():
    entry = {"method": "pixelmean", "dataset": "mtd", "category": ["a", "b"]}
    item = {"runs": {"full": [entry | {"sweep": ["", "+noise=0.1"]}]}}
    jobs = experiments.jobs_of(item, "full")
    assert [[(r.dataset, r.category) for r in job] for job in jobs] == [
        [("mtd", "a"), ("mtd+noise=0.1", "a")],
        [("mtd", "b"), ("mtd+noise=0.1", "b")],
    ]
    assert len(experiments.runs_of(item, "full")) == 4
    assert experiments.job_id(jobs[0]) == f"{jobs[0][0].id}-sweep2"
    assert experiments.steps_of(jobs[0]) == [jobs[0][1].dataset]
    assert experiments.job_id(jobs[0][:1]) == jobs[0][0].id


def test_a_sweep_of_scores_is_one_fit_and_many_runs():
    entry = {"method": "fair", "settings": {"k": 1.0}, "dataset": "mtd", "category": "split0"}
    sweep = ["", {"score": "co"}, "+plain"]
    (job,) = experiments.jobs_of({"runs": {"full": [entry | {"sweep": sweep}]}}, "full")
    assert [run.settings for run in job] == [{"k": 1.0}, {"k": 1.0, "score": "co"}, {"k": 1.0}]
    assert [run.dataset for run in job] == ["mtd", "mtd", "mtd+plain"]
    assert experiments.steps_of(job) == [{"score": "co"}, "mtd+plain"]


def test_no_run_is_made_by_two_notebooks():
    for profile in experiments.PROFILES:
        made: dict[str, set[str]] = {}
        for item in ITEMS.values():
            for job in experiments.jobs_of(item, profile):
                for run in job:
                    made.setdefault(run.id, set()).add(experiments.job_id(job))
        assert all(len(jobs) == 1 for jobs in made.values()), made


def test_closure_of_a_method_is_what_it_imports():
    names = {p.stem for p in experiments.closure("ssdnet")}
    assert {"ssdnet", "api", "ops", "datasets", "metrics", "results"} <= names
    assert not {"common", "claims", "pixelmean", "spectral_residual"} & names


# ---- papermill


def test_a_run_scores_one_fit_in_several_ways(tmp_path):
    settings = {"width": 2, "steps": 2, "textures": "train", "score": "msgms"}
    parameters = {"method": "fair", "settings": settings, "results_dir": str(tmp_path)}
    parameters |= {
        "dataset": "textures+size=32",
        "sweep": [{"score": "co"}, {"width": 3}, {"mean": 5}],
    }
    outcome = execute("notebooks/run.ipynb", tmp_path / "run.ipynb", parameters)
    assert outcome.returncode == 0, outcome.stderr
    rows = results.load(tmp_path)
    found = rows[rows["metric"] == "normal_mse"]
    assert len(found) == 4 and found["value"].nunique() == 2  # two networks
    assert rows[rows["metric"] == "pixel_auroc"]["value"].nunique() == 4
    assert sum('score="co"' in s for s in found["settings"]) == 1  # a step changes the first run


def test_run(tmp_path):
    parameters = {
        "method": "spectral_residual",
        "settings": {"width": None, "sigma": 4.0},
        "dataset": "textures+size=32",
        "category": "dots",
        "results_dir": str(tmp_path),
    }
    outcome = execute("notebooks/run.ipynb", tmp_path / "run.ipynb", parameters)
    assert outcome.returncode == 0, outcome.stderr
    rows = results.load(tmp_path)
    assert set(rows["settings"]) == {"sigma=4.0,width=null"}
    (path,) = (tmp_path / "metrics").rglob("*.csv")
    run = experiments.Run(**{k: v for k, v in parameters.items() if k != "results_dir"})
    assert path.stem == run.id
    first = path.read_bytes()
    parameters["sweep"] = ["textures+size=32+noise=0.1"]
    again = execute("notebooks/run.ipynb", tmp_path / "again.ipynb", parameters)
    assert again.returncode == 0 and path.read_bytes() == first  # byte for byte
    assert set(results.load(tmp_path)["dataset"]) == {"textures+size=32", *parameters["sweep"]}
    executed = nbformat.read(tmp_path / "run.ipynb", as_version=4)
    outputs = [o for c in executed.cells if c.cell_type == "code" for o in c.outputs]
    assert any("image/jpeg" in o.get("data", {}) for o in outputs)


@pytest.mark.parametrize("item", ["quickstart", "ssdnet/gallery", "ssdnet/table1"])
def test_items_run(item, tmp_path):
    small = {"settings": {"epochs": 5, "widths": [4], "skip": 0}} if item == "quickstart" else {}
    outcome = execute(f"notebooks/{item}.ipynb", tmp_path / "item.ipynb", small)
    assert outcome.returncode == 0, outcome.stderr
    executed = nbformat.read(tmp_path / "item.ipynb", as_version=4)
    shown = [
        o.get("data", {}).get("text/html", "")
        for c in executed.cells
        for o in c.get("outputs", [])
    ]
    assert any('class="sources"' in text and f"ITEM={item}" in text for text in shown)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sed": 1}, "takes method: str.*cannot take sed=1"),
        ({"seed": "1"}, "seed: int.*cannot take seed='1'"),
        ({"seed": True}, "cannot take seed=True"),
        ({"settings": []}, "settings: dict"),
    ],
)
def test_wrong_parameters_list_the_right_ones(parameters, message, tmp_path):
    outcome = execute("notebooks/run.ipynb", tmp_path / "run.ipynb", parameters)
    assert outcome.returncode == 1
    assert pd.Series([outcome.stderr]).str.contains(message).item(), outcome.stderr
    assert not (tmp_path / "run.ipynb").exists()


@pytest.mark.parametrize("item", [name for name, item in ITEMS.items() if "study" in item])
def test_a_study_takes_the_parameters_of_its_item(item, monkeypatch):
    monkeypatch.syspath_prepend(PROJECT / "notebooks")
    checked = import_module("parameters").checked
    parameters = ITEMS[item]["study"] | {"results_dir": "results"}
    assert checked(PROJECT / "notebooks" / f"{item}.ipynb", parameters) == parameters


def test_a_failing_cell_keeps_the_notebook_and_says_what_failed(tmp_path):
    status = tmp_path / "status.json"
    parameters = {"category": "no such category", "results_dir": str(tmp_path)}
    output = tmp_path / "run.ipynb"
    outcome = execute("notebooks/run.ipynb", output, parameters, "--status", status)
    assert outcome.returncode == 0  # others go on; the status holds the failure
    told = json.loads(status.read_text())
    assert not told["ok"] and "it has: brick" in told["error"]
    assert "no such category" in output.read_text()
    assert not list(tmp_path.rglob("*.csv"))
    assert execute("notebooks/run.ipynb", output, parameters).returncode == 1
