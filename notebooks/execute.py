"""Executes one notebook with checked parameters; the executed copy stays when a cell fails.

    python notebooks/execute.py NOTEBOOK OUTPUT ['{"seed": 1}'] [--status FILE]

With --status the outcome goes into that file as JSON and the exit status is 0, so that one failing
run does not keep the others from the book; without, a failure is exit status 1.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import papermill
from ipc_kernel import IPCKernelManager
from papermill.exceptions import PapermillExecutionError

PROJECT = Path(__file__).parents[1]
TYPES = {"str": str, "int": int, "float": (int, float), "bool": bool, "dict": dict, "list": list}
LIMIT = 6 * 3600  # seconds for one cell


def checked(notebook: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters, if the notebook has each of them with that type; papermill only warns."""
    known = {k: v["inferred_type_name"] for k, v in papermill.inspect_notebook(notebook).items()}
    listed = ", ".join(f"{name}: {kind}" for name, kind in known.items())
    for name, value in parameters.items():
        kind = TYPES.get(known.get(name, ""))
        mistyped = kind and (
            not isinstance(value, kind) or (type(value) is bool) != (kind is bool)
        )
        if name not in known or mistyped:
            what = f"{value!r} for {name}" if mistyped else f"no parameter {name!r}"
            raise ValueError(f"{notebook.name} takes {listed}; got {what}")
    return parameters


def execute(notebook: Path, output: Path, parameters: dict[str, Any]) -> None:
    """Runs the notebook in the project's folder, with one thread, and one retry at the start."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"  # two runs go side by side, and sums keep their order
    output.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = dict(
        kernel_manager_class=IPCKernelManager,
        cwd=PROJECT,
        progress_bar=False,
        start_timeout=180,
        execution_timeout=LIMIT,
    )
    for attempt in (1, 2):
        try:
            papermill.execute_notebook(notebook, output, parameters, **options)
            return
        except RuntimeError as error:  # the kernel did not start; a failing cell is another type
            if attempt == 2:
                raise
            print(f"{notebook.name}: {error}; once more", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("parameters", type=json.loads, nargs="?", default={})
    parser.add_argument("--status", type=Path)
    options = parser.parse_args()
    error = None
    try:
        execute(options.notebook, options.output, checked(options.notebook, options.parameters))
    except PapermillExecutionError as failure:
        error = f"{failure.ename}: {failure.evalue}"
    except (ValueError, OSError, RuntimeError) as failure:
        error = f"{type(failure).__name__}: {failure}"
    if error:
        print(f"{options.output.name}: {error}", file=sys.stderr)
    if options.status:
        options.status.parent.mkdir(parents=True, exist_ok=True)
        options.status.write_text(json.dumps({"ok": error is None, "error": error}) + "\n")
    return 1 if error and not options.status else 0


if __name__ == "__main__":
    sys.exit(main())
