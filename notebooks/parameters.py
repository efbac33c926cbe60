"""Checks parameters against a notebook before it runs; papermill only warns of a wrong one."""

from pathlib import Path

import papermill

TYPES = {"str": str, "int": int, "float": (int, float), "bool": bool, "dict": dict, "list": list}


def checked(notebook: Path, parameters: dict) -> dict:
    """The parameters, if the notebook has each of them with that type.

    Raises:
        ValueError: an unknown or mistyped parameter; lists the right ones.
    """
    known = {k: v["inferred_type_name"] for k, v in papermill.inspect_notebook(notebook).items()}
    listed = ", ".join(f"{name}: {kind}" for name, kind in known.items())
    for name, value in parameters.items():
        kind = TYPES.get(known.get(name, ""))
        if kind is None or not isinstance(value, kind) or (type(value) is bool) != (kind is bool):
            raise ValueError(f"{notebook.name} takes {listed}; it cannot take {name}={value!r}")
    return parameters
