"""Executes one notebook with checked parameters; the executed copy stays when a cell fails.

    python notebooks/execute.py NOTEBOOK OUTPUT ['{"seed": 1}'] [--status FILE]

With --status the outcome goes into that file and the exit status is 0: others go on.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import papermill
from ipc_kernel import IPCKernelManager
from nbclient.exceptions import DeadKernelError
from parameters import checked

PROJECT = Path(__file__).parents[1]
# One thread: two runs go side by side, and sums keep their order. CUDA asks for the last one.
FIXED = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
FIXED["PYTHONWARNINGS"] = "ignore:`torch.jit.script`:FutureWarning"  # its own, at the first jvp


def execute(notebook: Path, output: Path, parameters: dict, tries: int = 2) -> None:
    """Runs the notebook in the project's folder; tries once more if its kernel does not start."""
    os.environ.update(FIXED)
    output.parent.mkdir(parents=True, exist_ok=True)
    how: dict = {"kernel_manager_class": IPCKernelManager, "cwd": PROJECT, "progress_bar": False}
    how |= {"start_timeout": 180, "execution_timeout": 6 * 3600}  # seconds
    try:
        papermill.execute_notebook(notebook, output, parameters, **how)
    except DeadKernelError:  # it died in the middle, of memory say: again would be the same
        raise
    except RuntimeError:  # it did not start; a failing cell is another type
        if tries == 1:
            raise
        execute(notebook, output, parameters, tries - 1)


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
    except Exception as failure:  # a cell, a kernel or a notebook: a dozen types
        kind = getattr(failure, "ename", type(failure).__name__)
        error = f"{kind}: {getattr(failure, 'evalue', failure)}"
        print(f"{options.output.name}: {error}", file=sys.stderr)
    if options.status:
        partial = options.status.with_suffix(".partial")
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps({"ok": error is None, "error": error}))
        partial.replace(options.status)
    return 1 if error and not options.status else 0


if __name__ == "__main__":
    sys.exit(main())
