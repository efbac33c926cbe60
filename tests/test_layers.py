"""Imports point one way, files stay short, and the environment has one reader."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "anomlib"
ALLOWED = {
    "api": set(),
    "assets": set(),
    "ops": {"api"},
    "corruptions": {"api", "ops"},
    "features": {"api", "assets", "ops"},
    "library": {"api", "assets", "features", "ops"},
    "datasets": {"api", "assets"},
    "unified": {"api", "datasets"},
    "metrics": {"api"},
    "experiments": {"assets"},
    "record": {"api", "assets", "experiments", "metrics"},
    "results": {"api", "assets", "datasets", "experiments", "metrics", "unified"},
    "claims": {"api"},  # how settings are spelled
    "figures": {"api", "metrics"},
    "studies": {"api", "ops", "features", "corruptions", "methods", "metrics"},
    "methods": {"api", "assets", "corruptions", "features", "library", "ops"},
}
BUILDS_ON: dict[str, set[str]] = {"grad": {"crad"}}  # paper: the paper it extends
SHARED = {  # what the papers' files of a folder may import from it, and one another
    "figures": {"common", "arms"},
    "claims": {"outcomes", "printed", "ours", "arms"},
}
# Outside the limit of lines for what methods share; a method has a limit of its own
FREE = ("methods", "figures", "studies", "claims", "doctor.py")
FILES = [p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py"]


def names(path: Path) -> list[ast.ImportFrom]:
    return [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_layers(path):
    parts = path.relative_to(PACKAGE).parts
    layer, up = parts[0].removesuffix(".py"), len(parts)
    absolute = [
        n.module for n in names(path) if not n.level and str(n.module).startswith("anomlib")
    ]
    assert not absolute  # they would pass the lines below unseen
    siblings = {n.module for n in names(path) if 0 < n.level < up}
    assert siblings <= BUILDS_ON.get(path.stem, set()) | SHARED.get(layer, set())
    below = {str(n.module).partition(".")[0] for n in names(path) if n.level == up}
    assert below <= ALLOWED[layer]


@pytest.mark.parametrize("path", sorted((PACKAGE / "claims").glob("*.py")), ids=lambda p: p.stem)
def test_claims_read_tables_in_memory_only(path):
    """A verdict depends on its arguments alone, and a page that shows one loads no network."""
    source = path.read_text()
    imported = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Import)]
    modules = {alias.name for n in imported for alias in n.names}
    modules |= {str(n.module).partition(".")[0] for n in names(path) if not n.level}
    allowed = {"collections", "dataclasses", "functools", "itertools", "json", "math"}
    allowed |= {"operator", "typing", "numpy", "pandas"}
    assert modules <= allowed
    assert not any(word in source for word in ("open(", "read_csv", "to_csv", "np.load"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_figures_draw_and_only_assets_read_the_environment(path):
    source = path.read_text()
    if "figures" not in path.parts:
        assert "matplotlib" not in source and "seaborn" not in source and "plotly" not in source
    if path.name not in ("assets.py", "doctor.py"):
        assert "environ" not in source and "getenv" not in source


def test_lengths():
    lines = {p: len(p.read_text().splitlines()) for p in PACKAGE.rglob("*.py")}
    assert max(n for p, n in lines.items() if p.parent.name == "methods") <= 300
    counted = [n for p, n in lines.items() if p.relative_to(PACKAGE).parts[0] not in FREE]
    assert sum(counted) <= 2800


def test_methods_are_a_literal_of_files():
    tree = ast.parse((PACKAGE / "methods" / "__init__.py").read_text())
    (methods,) = [n.value for n in tree.body if isinstance(n, ast.Assign)]
    assert isinstance(methods, ast.Dict)
    listed = [str(k.value) for k in methods.keys if isinstance(k, ast.Constant)]
    assert sorted(listed) == sorted(p.stem for p in FILES if p.parent.name == "methods")
