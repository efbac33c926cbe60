"""Reruns one number: finds the record of a run, makes it again, prints both values.

python notebooks/rerun.py RUN_ID        (or: make rerun RUN=RUN_ID)
"""

import json
import sys
from pathlib import Path

import pandas as pd
from execute import execute
from papermill.exceptions import PapermillExecutionError
from parameters import checked

from anomlib import results
from anomlib.assets import PROJECT

AGAIN = PROJECT / "results" / "rerun"
KEYS = ("method", "settings", "trained_on", "dataset", "category", "seed")


def main() -> int:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    tops = ("results/demo", "results/sample", "results")  # committed ones last, so they win
    found = [path for top in tops for path in (PROJECT / top / "runs").rglob("*.json")]
    records = {path.stem: path for path in found}
    if wanted not in records:
        known = "\n  ".join(sorted(records)) or "none: `make book` makes the first ones"
        print(f"no run {wanted!r}; known runs are\n  {known}", file=sys.stderr)
        return 1
    record = json.loads(records[wanted].read_text())
    parameters = {key: record["key"][key] for key in KEYS} | {"results_dir": str(AGAIN)}
    notebook = Path(__file__).parent / "run.ipynb"
    try:
        execute(notebook, AGAIN / f"{wanted}.ipynb", checked(notebook, parameters))
    except PapermillExecutionError as failure:
        print(f"{wanted}: {failure.ename}: {failure.evalue}", file=sys.stderr)
        return 1
    place = ("metrics", record["key"]["dataset"], f"{wanted}.csv")
    folder = records[wanted].parents[2]
    mine, yours = (pd.read_csv(Path(f, *place)) for f in (folder, AGAIN))
    both = results.compare(mine, yours)
    columns = ["metric", "value_mine", "value_yours", "difference", "agrees"]
    print(
        both[columns].rename(columns={"value_mine": "stored", "value_yours": "rerun"}).to_string()
    )
    same = json.loads(Path(AGAIN, "runs", *place[1:]).with_suffix(".json").read_text())
    if same["data_hash"] != record["data_hash"]:
        print("the data differ: their hash is not the one in the record of the stored run")
    return 0 if both["agrees"].all() else 1


if __name__ == "__main__":
    sys.exit(main())
