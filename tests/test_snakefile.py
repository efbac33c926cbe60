"""The graph can be drawn, subsets are understood, and wrong names are explained."""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def plan(*words):
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--dry-run", "--printshellcmds"]
    command = [*command, "--forceall", "--nolock", *words]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)


def test_the_book_needs_runs_and_pages():
    outcome = plan("book")
    assert outcome.returncode == 0, outcome.stderr
    jobs = outcome.stdout + outcome.stderr
    assert "notebooks/run.ipynb" in jobs and "rule html" in jobs
    assert "anomlib/methods/ssdnet.py" in jobs  # a method is an input of its runs


def test_a_subset_of_runs():
    outcome = plan("runs", "--config", "profile=demo", "items=ssdnet", "dataset=textures")
    jobs = outcome.stdout + outcome.stderr
    assert outcome.returncode == 0, jobs
    assert "textures+size=64" in jobs and "elpv" not in jobs.replace("data/elpv", "")


def test_wrong_names_are_explained():
    outcome = plan("runs", "--config", "items=ssdnett")
    assert outcome.returncode != 0
    assert "ssdnett" in outcome.stderr and "ssdnet/gallery" in outcome.stderr
