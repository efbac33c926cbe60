"""The tidy tables: rows per run, lines per image, a record of how; written whole or not at all."""

import fcntl
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from .api import Dataset, Maps, Method, Scores
from .assets import PROJECT
from .datasets import load as load_data
from .experiments import KEY, PROFILES, Run, folder_of, jobs_of
from .metrics import (
    IMAGE_METRICS,
    label_regions,
    mean_image_pixel_ap,
    mean_image_pixel_auroc,
    otsu_ratio,
    per_image_pixel,
    pixel_metrics,
)
from .unified import ALL, parts
from .unified import load as load_all

COLUMNS = [*KEY, "metric", "value"]
# What pages read of the run records, so that an empty folder is an empty table
RECORD = ["run", "profile", "key.method", "key.dataset", "seconds.fit", "seconds.map"]
RECORD += ["peak_memory_mb", "machine.cpu", "machine.cores", "machine.device"]
RECORD += ["versions.torch", "code.commit", "code.dirty"]
UNITS = {"percent": 0.01, "fraction": 1.0}  # what a printed value is multiplied with

# ---- from maps to tables


def evaluate(method: Method, data: Dataset, maps: Maps, trained_on: str = "own") -> pd.DataFrame:
    """One row per metric; a metric that is undefined on these data has no row.

    Image metrics need images of both labels, pixel metrics need masks. `pixel_*` and `aupro` pool
    the pixels of all test images; `mean_image_*` average over images, as SSDnet's paper does. Of
    a unified run each category has its own rows.
    """
    settings, scores = method.departures(data.name, data.category), method.image_score(maps)
    lines = []
    for part, chosen in parts(data):
        run = (slug(method), settings, trained_on, part.name, part.category, method.seed)
        values = _values(method, part, maps[chosen], scores[chosen])
        lines += [(*run, *item) for item in values.items()]
    return pd.DataFrame(lines, columns=COLUMNS).dropna(subset="value", ignore_index=True)


def _values(method: Method, data: Dataset, maps: Maps, scores: Scores) -> dict[str, float]:
    values = {}
    if data.labels.any() and not data.labels.all():
        values |= {name: metric(scores, data.labels) for name, metric in IMAGE_METRICS.items()}
    if data.masks is not None and data.masks.any():
        values |= pixel_metrics(maps, data.masks)
        values["mean_image_pixel_auroc"] = mean_image_pixel_auroc(maps, data.masks)
        values["mean_image_pixel_ap"] = mean_image_pixel_ap(maps, data.masks)
    return values | method.diagnostics(data.test[~data.labels], maps[~data.labels])


def per_image(method: Method, data: Dataset, maps: Maps) -> pd.DataFrame:
    """One line per test image: path, kind, label, score, and with masks the pixels' metrics."""
    table = pd.DataFrame({"path": data.paths})
    table["kind"] = table["path"].str.rsplit("/").str[-2]
    table["label"] = data.labels.int().cpu().numpy()
    table["score"] = method.image_score(maps).cpu().numpy()
    if data.masks is not None:
        table = table.assign(**per_image_pixel(maps, data.masks))
        table["otsu"] = otsu_ratio(maps, data.masks)  # area marked, over that of the defect
        regions = label_regions(data.masks.cpu().numpy())
        table["regions"] = [len(np.unique(r[r > 0])) for r in regions]
    further = method.image_diagnostics(data.test)
    return table.assign(**{name: values.cpu().numpy() for name, values in further.items()})


def steps(
    method: Method,
    dataset: str,
    category: str,
    sweep: Sequence[str | dict[str, Any]],
    device: str,
    trained_on: str = "own",
) -> Iterator[tuple[Dataset, Method, bool]]:
    """What a run goes through: the method on its dataset, then what the sweep changes of either.

    Args:
        sweep: further datasets, or further settings of the method on the last dataset.
        trained_on: own, or what one model is for, as in `unified`; the category is then "all".

    Yields:
        Data, method, and whether it needs a fit, which has to be done before the next step.

    Raises:
        ValueError: a category and `trained_on` that do not go together; else as the loaders.
    """
    if (category == ALL) != (trained_on != "own"):
        raise ValueError(f"category {category!r} does not go with trained_on {trained_on!r}")

    def read(name: str) -> Dataset:
        own = trained_on == "own"
        return (load_data(name, category) if own else load_all(name, trained_on)).to(device)

    data, last = read(dataset), method
    yield data, method, True
    for step in sweep:
        if isinstance(step, str):
            train, data = data.train, read(step)
            last = method
            yield data, method, not train.equal(data.train)  # noise comes on test images only
            continue
        other = method.changed(**step)
        scoring = {name: getattr(other, name) for name in method.after_fit}
        fits = [fit.changed(**scoring) for fit in (last, method)]
        if other in fits:  # but for what is made of a fit, it is one of those
            yield data, fits[fits.index(other)], False
        else:
            last = other
            yield data, other, True


def run_of(method: Method, data: Dataset, trained_on: str = "own") -> Run:
    """The run that a method on these data is, by which its files are named."""
    return Run(
        method=slug(method),
        settings=method.changes(data.name, data.category),
        dataset=data.name,
        category=data.category,
        seed=method.seed,
        trained_on=trained_on,
    )


def slug(method: Method) -> str:
    """The name of a method in every table: the file it is written in."""
    return type(method).__module__.rpartition(".")[2]


# ---- writing


@dataclass
class Reserved:
    """A run that this process alone may write, and where."""

    run: Run
    folder: Path
    lock: IO[str]  # held until the results are saved, or the process ends

    def path(self, table: str, suffix: str) -> Path:
        """`<folder>/<table>/<dataset>/<run id><suffix>`."""
        return self.folder / table / self.run.dataset / f"{self.run.id}{suffix}"


def reserve(run: Run, folder: Path | str) -> Reserved:
    """Checks, before anything is computed, that the results of a run can be written.

    Args:
        folder: relative to the project, or anywhere.

    Raises:
        OSError: the folder cannot be written to.
        RuntimeError: another process is making the same run.
    """
    folder = PROJECT / folder
    path = folder / ".locks" / f"{run.id}.lock"
    probe = path.with_name(f"{path.stem}.{os.getpid()}.probe")
    try:
        write_whole(probe, b"writable?")
        probe.unlink()
        lock = path.open("a")
    except OSError as error:
        raise OSError(f"cannot write results into {folder} ({error}): choose another") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel drops it with the process
    except BlockingIOError:
        lock.close()
        raise RuntimeError(
            f"another process is making run {run.id}: wait for it, its results will be the same"
        ) from None
    return Reserved(run, folder, lock)


def save(
    reserved: Reserved,
    rows: pd.DataFrame,
    images: pd.DataFrame,
    record: dict[str, Any],
    maps: dict[str, np.ndarray] | None = None,
) -> Path:
    """Writes the tables of a run, its rows last, so that rows always have their record.

    Returns:
        The file of the rows.

    Raises:
        OSError: the disk is full or the folder has become unwritable; results that were finished
            before stay as they were.
    """
    if maps is not None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **maps)
        write_whole(reserved.path("maps", ".npz"), buffer.getvalue())
    write_whole(reserved.path("images", ".csv"), _csv(images, "%.6g"))  # scores may be tiny
    text = json.dumps(record, indent=1, sort_keys=True) + "\n"
    write_whole(reserved.path("runs", ".json"), text.encode())
    target = reserved.path("metrics", ".csv")
    write_whole(target, _csv(rows))
    reserved.lock.close()
    return target


def _csv(table: pd.DataFrame, digits: str = "%.6f") -> bytes:
    return table.to_csv(index=False, float_format=digits, lineterminator="\n").encode()


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file under a temporary name and renames it: never half of it is seen.

    Raises:
        OSError: nothing was written; the message names the file and the fix.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        reason = f"could not write {path} ({error.strerror}): free space or choose another folder"
        raise OSError(error.errno, reason) from error


# ---- reading


def load(root: Path | str | None = None) -> pd.DataFrame:
    """All rows at hand, with columns `run` (its id) and `profile`: full (committed), sample, demo.

    Args:
        root: a results folder; None is the project's.
    """
    tables = _read_all(root, "metrics", lambda p: pd.read_csv(p, dtype=_TYPES).assign(run=p.stem))
    empty = pd.DataFrame(columns=[*COLUMNS, "run", "profile"])
    return pd.concat(tables, ignore_index=True) if tables else empty


_TYPES: dict[str, Any] = {name: str for name in COLUMNS} | {"seed": int, "value": float}


def load_records(root: Path | str | None = None) -> pd.DataFrame:
    """One line per run: its key, seconds, memory, machine, data hash, with the `profile`."""
    tables = _read_all(
        root, "runs", lambda p: pd.json_normalize(json.loads(p.read_text()), max_level=1)
    )
    none = pd.DataFrame(columns=RECORD)
    return pd.concat(tables, ignore_index=True) if tables else none


def load_images(rows: pd.DataFrame, root: Path | str | None = None) -> pd.DataFrame:
    """The lines of `per_image` of the runs in `rows`, with the run's key and profile."""
    keys = rows[["run", "profile", *KEY]].drop_duplicates()
    tables = _read_all(
        root, "images", lambda p: pd.read_csv(p).assign(run=p.stem), set(keys["run"])
    )
    empty = pd.DataFrame(columns=["path", "kind", "label", "score", "run", "profile"])
    lines = pd.concat(tables, ignore_index=True) if tables else empty
    lines["path"] = lines["path"].astype(str)
    several = lines["path"].str.count("/") == 3  # of a unified run: <dataset>/<category> in front
    own = lines[~several].merge(keys, on=["run", "profile"])
    if not several.any():
        return own
    place = lines.loc[several, "path"].str.split("/", n=2, expand=True)
    of_all = lines[several].assign(dataset=place[0], category=place[1], path=place[2])
    both = of_all.merge(keys, on=["run", "profile", "dataset", "category"])
    return pd.concat([own, both], ignore_index=True)


def load_study(item: str, root: Path | str | None = None) -> pd.DataFrame:
    """What the study of an item computed, with its `profile`; empty where it never ran."""
    name = item.rpartition("/")[2]
    tables = _read_all(root, f"studies/{item.rpartition('/')[0]}", pd.read_csv, {name})
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def save_study(item: str, table: pd.DataFrame, folder: Path | str) -> None:
    """Writes the table of a study: `<folder>/studies/<item>.csv`."""
    write_whole(Path(folder) / "studies" / f"{item}.csv", _csv(table))


def _read_all(
    root: Path | str | None,
    table: str,
    read: Callable[[Path], pd.DataFrame],
    wanted: set[str] | None = None,
) -> list[pd.DataFrame]:
    found = []
    for profile in reversed(PROFILES[:3]):  # full first: demo rows never stand before real ones
        folder = folder_of(profile) if root is None else Path(root)
        if root is not None and profile != "full":
            folder = folder / profile
        suffix = "*.json" if table == "runs" else "*.csv"
        paths = sorted((folder / table).rglob(suffix))
        paths = [p for p in paths if p.name[0] != "." and (wanted is None or p.stem in wanted)]
        found += [read(p).assign(profile=profile) for p in paths]
    return found


def of_item(
    item: dict[str, Any], rows: pd.DataFrame | None = None, swept: bool = True
) -> pd.DataFrame:
    """The rows of the runs that an item of `experiments.items` needs, in every profile.

    Args:
        swept: with the runs of sweeps; without them each entry has its own run only.
    """
    table: pd.DataFrame = load() if rows is None else rows
    jobs = [job for profile in PROFILES for job in jobs_of(item, profile)]
    wanted = {run.id for job in jobs for run in (job if swept else job[:1])}
    return table[table["run"].isin(wanted)]


def failures(root: Path | str | None = None) -> dict[str, str]:
    """Run id or page -> what went wrong the last time it was made."""
    found = {}
    for path in sorted(Path(root or PROJECT / "results").rglob(".status/**/*.json")):
        outcome = json.loads(path.read_text())
        if not outcome["ok"]:
            found[path.stem] = outcome["error"]
    return found


def listed_claims() -> pd.DataFrame:
    """The 102 claims of the papers, as listed in `results/claims.csv`."""
    return pd.read_csv(PROJECT / "results" / "claims.csv", dtype=str, keep_default_na=False)


def load_maps(run: Run, folder: Path | str) -> dict[str, np.ndarray] | None:
    """The stored maps of a run by path of the image, each in [0, 1]; None where there are none."""
    path = Path(folder) / "maps" / run.dataset / f"{run.id}.npz"
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as stored:
        maps = zip(stored["paths"], stored["maps"], strict=True)
        return {str(name): scores.astype(np.float32) for name, scores in maps}


def load_pictures(run: Run, folder: Path | str) -> dict[str, dict[str, np.ndarray]]:
    """Path of the image -> what else a run has stored of it, (h, w, 3) in [0, 1]; may be empty."""
    path = Path(folder) / "maps" / run.dataset / f"{run.id}.npz"
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as stored:
        further = {name: stored[name] for name in stored.files if name not in ("paths", "maps")}
        names = map(str, stored["paths"])
        return {
            name: {what: x[i].astype(np.float32) for what, x in further.items()}
            for i, name in enumerate(names)
        }


def maps_of(runs: list[Run], folder: Path | str) -> dict[str, dict[str, np.ndarray]]:
    """The stored maps of several runs on the same images: path -> method -> map.

    Only images that every run has stored; empty where a run has stored none.
    """
    stored = {run.method: load_maps(run, folder) or {} for run in runs}
    shared = set.intersection(*(set(maps) for maps in stored.values())) if stored else set()
    return {path: {name: maps[path] for name, maps in stored.items()} for path in sorted(shared)}


def exemplars(images: pd.DataFrame) -> list[int]:
    """Which images of a run are worth a picture: first of each kind, best, median and worst.

    Args:
        images: the lines of `per_image`; best and worst by pixel_ap, where there is one.
    """
    images = images.reset_index(drop=True)
    folders = images["path"].str.rpartition("/")[0]  # the kind, of a unified run in its category
    chosen = list(images.groupby(folders, sort=True).head(1).index)
    if "pixel_ap" in images and images["pixel_ap"].notna().any():
        ranked = images["pixel_ap"].dropna().sort_values(kind="stable").index
        chosen += [ranked[-1], ranked[len(ranked) // 2], ranked[0]]
    return list(dict.fromkeys(int(i) for i in chosen))


def maps_to_store(
    method: Method, data: Dataset, maps: Maps, images: pd.DataFrame
) -> dict[str, np.ndarray]:
    """Half-precision maps of the exemplars, each scaled to [0, 1], and the method's pictures.

    Args:
        images: the lines of `per_image`.
    """
    chosen = exemplars(images)
    picked = maps[chosen].double().cpu().numpy()
    low = picked.min(axis=(1, 2), keepdims=True)
    span = picked.max(axis=(1, 2), keepdims=True) - low
    scaled = (picked - low) / np.where(span > 0, span, 1)
    further = {
        name: x.clamp(0, 1).permute(0, 2, 3, 1).half().cpu().numpy()
        for name, x in method.pictures(data.test[chosen]).items()
    }
    paths = np.array([data.paths[i] for i in chosen])
    return {"paths": paths, "maps": scaled.astype(np.float16)} | further


# ---- comparing


def compare(mine: pd.DataFrame, yours: pd.DataFrame, atol: float = 1e-6) -> pd.DataFrame:
    """Two sets of rows side by side: both values, their difference, and whether it is small.

    A row that only one side has is kept, with `agrees` False.
    """
    by = [*KEY, "metric"]
    both = mine[COLUMNS].merge(yours[COLUMNS], "outer", on=by, suffixes=("_mine", "_yours"))
    difference = both["value_yours"] - both["value_mine"]
    agrees = difference.abs() <= atol  # False for a missing side, whose difference is NaN
    return both.assign(difference=difference, agrees=agrees)


def published(paper: str | None = None, item: str | None = None) -> pd.DataFrame:
    """The printed numbers, as printed, with their notes on misprints; all, or of one item."""
    table = pd.read_csv(PROJECT / "results" / "published.csv")
    for column, wanted in (("paper", paper), ("item", item)):
        table = table[table[column] == wanted] if wanted else table
    return table.reset_index(drop=True)


def beside(rows: pd.DataFrame, printed: pd.DataFrame, metrics: dict[str, str]) -> pd.DataFrame:
    """Our rows with the printed value of the same cell, as fractions, and the gap between them.

    A printed `mean` stands beside our mean over the categories that are printed with it. Where
    ours are named `split...`, they are the same set again: each stands beside the mean itself.

    Args:
        rows: rows of `load`; the dataset is looked up by the part before the first "+".
        printed: rows of `published`, of one item and variant.
        metrics: our metric -> the printed one, such as {"mean_image_pixel_ap": "pixel_ap"}.
    """
    cells = printed[printed["unit"].isin(UNITS)]
    cells = cells.assign(printed=cells["value"] * cells["unit"].map(UNITS))
    cells = cells[["dataset", "category", "method", "metric", "printed", "note"]]
    ours = rows[rows["metric"].isin(metrics)].assign(
        printed_dataset=rows["dataset"].astype(str).str.split("+").str[0],
        printed_metric=rows["metric"].map(metrics),
    )
    joined = _with_means(ours, cells).merge(
        cells.rename(columns={"dataset": "printed_dataset", "metric": "printed_metric"}),
        "left",
        on=["printed_dataset", "category", "method", "printed_metric"],
    )
    joined["gap"] = joined["value"] - joined["printed"]
    return joined.drop(columns=["printed_dataset", "printed_metric"])


def _with_means(ours: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    found = [ours]
    for dataset, part in ours[ours["category"] != "mean"].groupby("printed_dataset"):
        names = set(cells["category"][cells["dataset"] == dataset])
        single = {name for name in names if not str(name).startswith("mean")}
        splits = part["category"].astype(str).str.startswith("split")
        if "mean" in names and splits.any():
            found.append(part[splits].assign(category="mean"))
        elif "mean" in names and single:
            part = part[part["category"].isin(single)].drop(columns="run", errors="ignore")
            by = [c for c in part.columns if c not in ("category", "value")]
            means = part.groupby(by, sort=False)["value"].agg(["mean", "count"]).reset_index()
            means = means[means["count"] == len(single)].rename(columns={"mean": "value"})
            found.append(means.drop(columns="count").assign(category="mean"))
    return pd.concat(found, ignore_index=True)
