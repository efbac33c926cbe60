"""The files that install things agree with each other and name no host."""

import re
import tomllib
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[1]
LOCK = (PROJECT / "requirements.lock").read_text()


def wanted() -> list[str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["book"], *extras["dev"]]
    return [re.split(r"[\[<>=~!; ]", name, maxsplit=1)[0].lower() for name in asked]


def pins() -> dict[str, str]:
    """Package -> version that the lock gives to Python 3.11."""
    lines = re.findall(r"^([a-z0-9._-]+)==([^ \\;]+)(?: ; ([^\\\n]+))?", LOCK, re.M)
    old = [
        (n, v) for n, v, marker in lines if not re.search(r">= '3\.1[2-9]'|== '3\.1[2-9]", marker)
    ]
    return dict(reversed(old))


def test_everything_asked_for_is_locked_with_hashes():
    assert set(wanted()) <= set(pins())
    entries = re.split(r"\n(?=[a-z])", LOCK.strip())
    assert len(entries) > 100 and all("--hash=sha256:" in entry for entry in entries)


def test_no_host_is_named():
    for name in ("requirements.lock", "environment.yml", "pyproject.toml", "Makefile"):
        assert not re.search(r"https?://", (PROJECT / name).read_text()), name


def test_conda_gets_the_same_versions():
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    *plain, last = environment["dependencies"]
    assert {p.split("=")[0] for p in plain} == {"python", "git", "make", "pip"}
    listed = [line for line in last["pip"] if not line.startswith("-")]
    versions = dict(re.sub(r"\[.*\]", "", line).split("==") for line in listed)
    assert versions == {name: pins()[name] for name in wanted()}


def test_ci_runs_the_two_commands_of_the_readme():
    script = (PROJECT / ".ci" / "run").read_text()
    readme = (PROJECT / "README.md").read_text()
    assert all(
        f"make {target}" in text for target in ("book", "test") for text in (script, readme)
    )


def test_the_citation_names_this_version():
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"]
