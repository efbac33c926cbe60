"""Arranges the solar cells of the installed package elpv-dataset as elpv/mono and elpv/poly.

    python data_scripts/elpv.py [--source FOLDER] [--root data]

Each of the 2624 cells has a probability of being defective. 0 is good, 0.5 and more is defective,
the cells between (one third) are left out, as nobody knows what they are. 80 % of the good cells
of a category train, the rest test; the good test cells are listed in splits/. Labels are for whole
images: there are no masks, so there are no pixel metrics.
"""

import csv
from importlib.util import find_spec
from pathlib import Path

from layout import arguments, stop, write_category

SPLITS = Path(__file__).parent / "splits"
COUNTS = {"mono": (588, 369), "poly": (920, 452)}  # good, defective


def package_folder() -> Path | None:
    """Where the installed package keeps its images and labels, if it is installed."""
    spec = find_spec("elpv_dataset")
    places = spec.submodule_search_locations if spec else None
    return Path(places[0], "data") if places else None


def read_labels(file: Path) -> list[tuple[Path, float, str]]:
    """(image, probability of a defect, kind of cell) of every line."""
    with file.open(newline="") as lines:
        rows = [[w for w in line if w] for line in csv.reader(lines, delimiter=" ")]
    return [(file.parent / path, float(p), kind) for path, p, kind in rows]


def main() -> None:
    options = arguments(__doc__ or "", "datasets/elpv", source=package_folder())
    cells = read_labels(options.source / "labels.csv")
    for category in ("mono", "poly"):
        good = {p.name: p for p, score, kind in cells if kind == category and score == 0}
        bad = {p.name: p for p, score, kind in cells if kind == category and score >= 0.5}
        if (len(good), len(bad)) != COUNTS[category]:
            found = f"{len(good)} good and {len(bad)} defective"
            stop(f"{options.source} holds {found} {category} cells, not {COUNTS[category]}")
        held_out = set((SPLITS / f"elpv_{category}.txt").read_text().split())
        files = {f"test/defective/{name}": p for name, p in bad.items()}
        for name, path in good.items():
            files[f"{'test' if name in held_out else 'train'}/good/{name}"] = path
        write_category(options.root, "elpv", category, files, complete=True)


if __name__ == "__main__":
    main()
