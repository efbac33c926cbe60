"""What the scripts of this folder share: find originals, place files, write a category whole."""

import argparse
import hashlib
import json
import os
import random
import shutil
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

PROJECT = Path(__file__).parents[1]
IMAGES = {".png", ".jpg", ".jpeg", ".bmp"}


def arguments(what: str, name: str, source: Path | None = None) -> argparse.Namespace:
    """The two options of every script: where the originals are and where the layout goes.

    Args:
        name: where the originals are below `$ANOMLIB_SOURCE`; an archive of that name will do.
        source: where they are if that variable and --source are silent.
    """
    if os.environ.get("ANOMLIB_SOURCE"):
        found = sorted(Path(os.environ["ANOMLIB_SOURCE"]).glob(f"{name}*"))
        source = found[0] if found else source
    parser = argparse.ArgumentParser(
        description=what, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, default=source)
    root = Path(os.environ.get("ANOMLIB_DATA") or PROJECT / "data")
    parser.add_argument("--root", type=Path, default=root)
    options = parser.parse_args()
    if options.source is None:
        stop(f"no originals: give --source, or set ANOMLIB_SOURCE to the folder that holds {name}")
    if not options.source.exists():
        stop(f"no originals at {options.source}")
    return options


def stop(message: str) -> NoReturn:
    """Ends a script with one line for its user."""
    sys.exit(f"{Path(sys.argv[0]).name}: {message}")


def images(folder: Path) -> list[Path]:
    """The image files directly inside a folder, by name."""
    return sorted(p for p in folder.glob("*") if p.suffix.lower() in IMAGES)


@contextmanager
def folder_of(source: Path, holds: str, sha256: str | None = None) -> Iterator[Path]:
    """The folder that holds `holds`: the source itself, or an archive, unpacked for a while.

    Args:
        sha256: the archive's hash where it has an official one; links and paths that lead
            outside are refused in any case.
    """
    if source.is_dir():
        yield source
        return
    with source.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 and found != sha256:
        stop(f"{source} has sha256 {found}, not {sha256}: download it again")
    safe: dict[str, Any] = (
        {} if zipfile.is_zipfile(source) else {"filter": "data"}
    )  # zip is safe by itself
    with tempfile.TemporaryDirectory() as top:
        try:
            shutil.unpack_archive(source, top, **safe)
        except (shutil.ReadError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
            stop(f"cannot unpack {source} ({error}): download it again")
        places = sorted(Path(top).rglob(holds))
        if not places:
            stop(f"{source} holds no {holds}")
        yield places[0].parent


def draw(names: list[str], seed: int = 0) -> list[str]:
    """The good test images of a set without an official split: 20 % of the names."""
    return sorted(random.Random(seed).sample(sorted(names), round(0.2 * len(names))))


def place(original: Path, target: Path) -> None:
    """Copies a file to `target`, with the folders that lead to it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(original, target)


def write_category(
    root: Path, dataset: str, category: str, files: dict[str, Path], complete: bool
) -> dict[str, int]:
    """Writes a category and its `manifest.json`, whole or not at all.

    Args:
        files: path inside the category, such as "test/good/000.png" -> original.
        complete: whether this is all of the official set.

    Returns:
        Number of images per folder, as measured, which is also printed.
    """
    final = root / dataset / category
    partial = final.with_name(f".{category}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    digest, counts = hashlib.sha256(), {}
    for name, original in sorted(files.items()):
        place(original, partial / name)
        digest.update(name.encode() + b"\0" + original.read_bytes())
        folder = str(Path(name).parent)
        counts[folder] = counts.get(folder, 0) + 1
    manifest = dict(dataset=dataset, category=category, complete=complete, counts=counts)
    manifest["sha256"] = digest.hexdigest()
    (partial / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    shown = ", ".join(f"{k} {v}" for k, v in counts.items())
    print(f"{dataset}/{category}: {shown} ({'complete' if complete else 'partial'} set)")
    return counts


def mvtec_layout(folder: Path) -> dict[str, Path]:
    """The files of one category that already is in our layout (MVTec AD invented it)."""
    parts = ("train/good", "test/*", "ground_truth/*")
    found = [p for part in parts for sub in folder.glob(part) for p in images(sub)]
    return {str(p.relative_to(folder)): p for p in found}
