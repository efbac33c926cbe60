"""Which runs each table or figure needs: `notebooks/experiments.yaml`, expanded.

A run is method x settings x trained_on x dataset x category x seed; that is its name, so runs
shared by several items run once and parallel runs never collide.
"""

import ast
import hashlib
import itertools
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from .assets import PROJECT

PROFILES = ("demo", "sample", "full", "paper")
FREE = ("method", "dataset", "category", "seed")  # fields of an entry that may be lists
KEY = ("method", "settings", "trained_on", "dataset", "category", "seed")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of one method; `settings` are its departures from the paper."""

    method: str
    settings: dict[str, Any]
    dataset: str
    category: str
    seed: int = 0
    trained_on: str = "own"

    @property
    def key(self) -> str:
        """The canonical JSON of everything that makes this run another than the next one."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @property
    def id(self) -> str:
        """`<method>-<dataset>-<category>-s<seed>-<8 hex of the canonical key>`."""
        code = hashlib.sha256(self.key.encode()).hexdigest()[:8]
        category = self.category.replace("/", "_")
        return f"{self.method}-{self.dataset}-{category}-s{self.seed}-{code}"


def folder_of(profile: str) -> Path:
    """Where the results of a profile lie; `full` and `paper` are committed, in one place."""
    results = PROJECT / "results"
    return results / profile if profile in ("demo", "sample") else results


def items(path: Path | None = None) -> dict[str, dict[str, Any]]:
    """The items of the book by name, such as "ssdnet/gallery", as written in the file."""
    path = path or PROJECT / "notebooks" / "experiments.yaml"
    return yaml.safe_load(path.read_text())["items"]


def runs_of(item: dict[str, Any], profile: str) -> list[Run]:
    """The runs an item needs in a profile: the product of every list in each of its entries.

    Raises:
        ValueError: an entry with an unknown field, or without method, dataset or category.
    """
    runs = itertools.chain.from_iterable(jobs_of(item, profile))
    return list({run.id: run for run in runs}.values())


def jobs_of(item: dict[str, Any], profile: str) -> list[list[Run]]:
    """The same runs, in groups that one notebook makes: all of a `sweep`, else one each.

    A step of a sweep is a variant of the dataset, or settings on top of the entry's.
    """
    entries = item.get("runs", {}).get(profile, [])
    return [job for entry in entries for job in _expand(entry)]


def job_id(job: list[Run]) -> str:
    """The name of a group of runs: the first run's, and how many there are."""
    return job[0].id if len(job) == 1 else f"{job[0].id}-sweep{len(job)}"


def steps_of(job: list[Run]) -> list[str | dict[str, Any]]:
    """What run.ipynb goes through after a group's first run: datasets, or changed settings."""
    first = job[0]
    changed = [{k: v for k, v in r.settings.items() if first.settings.get(k) != v} for r in job]
    return [c or run.dataset for c, run in zip(changed[1:], job[1:], strict=True)]


def _expand(entry: dict[str, Any]) -> list[list[Run]]:
    known = {*KEY, "sweep"}
    unknown, missing = set(entry) - known, {"method", "dataset", "category"} - set(entry)
    if unknown or missing:
        raise ValueError(f"{entry}: unknown fields {sorted(unknown)}, missing {sorted(missing)}")
    settings, variants = entry.get("settings", {}), entry.get("sweep", [""])
    lists = {k: v if isinstance(v, list) else [v] for k, v in entry.items()}
    product = itertools.product(*(lists.get(name, [0]) for name in FREE))
    return [
        [
            Run(
                method=m,
                settings=settings | (v if isinstance(v, dict) else {}),
                dataset=d + (v if isinstance(v, str) else ""),
                category=c,
                seed=seed,
                trained_on=entry.get("trained_on", "own"),
            )
            for v in variants
        ]
        for m, d, c, seed in product
    ]


def ids(profile: str) -> set[str]:
    """The names of all runs that a profile needs, and of the notebooks that make them."""
    jobs = [job for item in items().values() for job in jobs_of(item, profile)]
    return {run.id for job in jobs for run in job} | {job_id(job) for job in jobs}


def by_data(runs: list[Run]) -> dict[tuple[str, str], list[Run]]:
    """The runs on each (dataset, category), for pictures of several methods on one image."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.dataset, run.category), []).append(run)
    return groups


def closure(method: str) -> list[Path]:
    """The modules whose change may move a number of this method: its imports, and its judges."""
    package = PROJECT / "anomlib"
    judges = ("datasets", "unified", "metrics", "results", "experiments")
    queue = [package / "methods" / f"{method}.py", *(package / f"{name}.py" for name in judges)]
    found: set[Path] = set()
    while queue:
        path = queue.pop()
        if path not in found:
            found.add(path)
            queue += _imports(path)
    return sorted(found)


def _imports(path: Path) -> list[Path]:
    nodes = ast.walk(ast.parse(path.read_text()))
    modules = []
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.level:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            modules += [path.parents[node.level - 1] / f"{name}.py" for name in names]
    return [p for p in modules if p.is_file()]
