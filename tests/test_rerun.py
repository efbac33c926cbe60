"""`make rerun`: the reviewer's one command."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from anomlib import results

PROJECT = Path(__file__).parents[1]


def rerun(*words, cwd=PROJECT):
    command = [sys.executable, str(cwd / "notebooks" / "rerun.py"), *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_an_unknown_run_lists_the_known_ones():
    outcome = rerun("no-such-run")
    assert outcome.returncode == 1 and "no run 'no-such-run'; known runs are" in outcome.stderr
    assert "pixelmean-textures" in outcome.stderr


@pytest.fixture
def committed():
    """A committed run on the embedded dataset, which every machine has."""
    found = sorted((PROJECT / "results" / "runs" / "textures").glob("pixelmean-*.json"))
    yield found[0]
    shutil.rmtree(PROJECT / "results" / "rerun", ignore_errors=True)


def test_a_committed_number_comes_out_the_same(committed):
    outcome = rerun(committed.stem)
    assert "pixel_auroc" in outcome.stdout and "stored" in outcome.stdout, outcome.stderr
    place = Path("metrics", "textures", f"{committed.stem}.csv")
    stored = pd.read_csv(PROJECT / "results" / place)
    again = pd.read_csv(PROJECT / "results" / "rerun" / place)
    # on the machine that made the row nothing differs; another one may sum in another order
    assert results.compare(stored, again, atol=1e-4)["agrees"].all()
