"""Checks parameters against a notebook before it runs; papermill only warns of a wrong one.

The cell is read here: papermill's own reader passes over a line with two equals signs, such as a
dataset's name may hold.
"""

import ast
from pathlib import Path

import nbformat

TYPES = {"str": str, "int": int, "float": (int, float), "bool": bool, "dict": dict, "list": list}


def checked(notebook: Path, parameters: dict) -> dict:
    """The parameters, if the notebook has each of them with that type.

    Raises:
        ValueError: an unknown or mistyped parameter; lists the right ones.
    """
    known = parameters_of(notebook)
    listed = ", ".join(f"{name}: {kind}" for name, kind in known.items())
    for name, value in parameters.items():
        kind = TYPES.get(known.get(name, ""))
        if kind is None or not isinstance(value, kind) or (type(value) is bool) != (kind is bool):
            raise ValueError(f"{notebook.name} takes {listed}; it cannot take {name}={value!r}")
    return parameters


def parameters_of(notebook: Path) -> dict[str, str]:
    """The names and types in the cell that is tagged `parameters`; none without such a cell."""
    cells = nbformat.read(notebook, as_version=4).cells
    tagged = [c.source for c in cells if "parameters" in c.metadata.get("tags", [])]
    lines = [line for source in tagged for line in ast.parse(source).body]
    return {
        line.target.id: ast.unparse(line.annotation)
        for line in lines
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    }
