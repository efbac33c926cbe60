"""The graph: subsets, wrong names, what starts a run anew, and a failing run among good ones."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from anomlib import experiments, results
from anomlib.assets import data_root

PROJECT = Path(__file__).parents[1]


def snakemake(*words, cwd=PROJECT):
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--nolock", *words]
    environment = os.environ | {"PYTHONPATH": str(cwd), "ANOMLIB_DATA": str(data_root())}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def plan(*words, cwd=PROJECT):
    return snakemake("--dry-run", "--printshellcmds", *words, cwd=cwd)


def test_the_book_needs_runs_and_pages():
    outcome = plan("--forceall", "book")
    assert outcome.returncode == 0, outcome.stderr
    jobs = outcome.stdout + outcome.stderr
    assert "notebooks/run.ipynb" in jobs and "rule html" in jobs
    assert "anomlib/methods/ssdnet.py" in jobs  # a method is an input of its runs
    made = {
        experiments.job_id(job)
        for item in experiments.items().values()
        for job in experiments.jobs_of(item, "demo")
    }
    assert any("-sweep" in job for job in made)  # one notebook, several runs
    assert all(jobs.count(f"output: results/demo/.status/{job}.json") == 1 for job in made)


def test_a_subset_of_runs():
    outcome = plan(
        "--forceall", "runs", "--config", "profile=demo", "items=ssdnet", "dataset=textures"
    )
    jobs = outcome.stdout + outcome.stderr
    assert outcome.returncode == 0, jobs
    assert "textures+size=64" in jobs and "mtd+sample" not in jobs.replace("left out", "")


def test_wrong_names_are_explained():
    outcome = plan("runs", "--config", "items=ssdnett")
    assert outcome.returncode != 0
    assert "ssdnett" in outcome.stderr and "ssdnet/gallery" in outcome.stderr


@pytest.fixture
def copy(tmp_path):
    """A copy of the project whose experiments are two runs, one of which must fail."""
    for name in ("anomlib", "notebooks", "data_scripts", "book"):
        skip = shutil.ignore_patterns("_build", "executed", "__pycache__")
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=skip)
    for name in ("Snakefile", "README.md", "CHANGELOG.md"):
        shutil.copy(PROJECT / name, tmp_path / name)
    (tmp_path / "results").mkdir()
    write_experiments(tmp_path, blur=-3)
    return tmp_path


def write_experiments(folder, blur):
    good = {"method": "pixelmean", "dataset": "textures+size=32", "category": "dots"}
    runs = [good, good | {"settings": {"blur": blur}}]
    items = {"one": {"runs": {"demo": runs}}, "two": {"runs": {"demo": runs[:1]}}}
    (folder / "notebooks" / "experiments.yaml").write_text(yaml.safe_dump({"items": items}))


def test_a_failing_run_stops_no_other_and_is_tried_again(copy):
    first = snakemake("runs", "--config", "profile=demo", cwd=copy)
    assert first.returncode != 0 and "1 of 2 failed" in first.stderr, first.stderr
    rows = results.load(copy / "results")
    assert set(rows["settings"]) == {"paper"}  # the good run, made once for both items
    (failed,) = results.failures(copy / "results").values()
    assert "Error" in failed
    kept = (copy / "book" / "executed" / "results" / "demo").glob("*.ipynb")
    assert len(list(kept)) == 2  # the failing run keeps its page

    again = plan("runs", "--config", "profile=demo", cwd=copy)
    assert again.stdout.count("rule run:") == 0  # a dry run tries and removes nothing
    assert snakemake("runs", "--config", "profile=demo", cwd=copy).returncode != 0  # tried again
    write_experiments(copy, blur=3)
    mended = snakemake("runs", "--config", "profile=demo", cwd=copy)
    assert mended.returncode == 0, mended.stderr
    assert set(results.load(copy / "results")["settings"]) == {"paper", "blur=3"}

    # what starts a run anew: its method and the metrics, not a figure
    def planned():
        outcome = plan("runs", "--config", "profile=demo", cwd=copy)
        assert outcome.returncode == 0, outcome.stderr
        return (outcome.stdout + outcome.stderr).count("rule run:")

    assert planned() == 0
    for path, jobs in [("figures/common.py", 0), ("methods/ssdnet.py", 0), ("metrics.py", 2)]:
        with (copy / "anomlib" / path).open("a") as file:
            file.write("\n# a comment more\n")
        assert planned() == jobs, path
