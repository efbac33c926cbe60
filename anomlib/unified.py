"""One model for several categories: their images as one dataset, and its parts again.

A run says in `trained_on` which categories those are: `all` of its dataset, or a list such as
`mtd/split0+elpv/mono`, whose first dataset is the run's, and whose variants hold for all of them.
Its own category is "all", and its rows are those of the parts.
"""

from dataclasses import replace
from pathlib import Path

import torch

from .api import Dataset
from .datasets import DATASETS, canonical, categories, parse
from .datasets import complete as complete_set
from .datasets import load as load_one

ALL = "all"  # the category of a unified run
CATEGORIES = {  # the complete sets, so that a missing category is noticed
    "textures": ("brick", "dots", "grass", "gravel", "grid", "twill", "washer"),
    "elpv": ("mono", "poly"),
    "mvtec": (
        *("bottle", "cable", "capsule", "carpet", "grid", "hazelnut", "leather", "metal_nut"),
        *("pill", "screw", "tile", "toothbrush", "transistor", "wood", "zipper"),
    ),
    "visa": (
        *("candle", "capsules", "cashew", "chewinggum", "fryum", "macaroni1", "macaroni2"),
        *("pcb1", "pcb2", "pcb3", "pcb4", "pipe_fryum"),
    ),
    "btad": ("01", "02", "03"),
    "goodsad": (
        *("cigarette_box", "drink_bottle", "drink_can", "food_bottle", "food_box"),
        "food_package",
    ),
}


def members(dataset: str, trained_on: str) -> list[tuple[str, str]]:
    """The (dataset, category) pairs of a unified run.

    Raises:
        ValueError: a dataset whose categories are not listed above, or a list that cannot be read
            or does not start with the run's dataset.
    """
    base, variants = parse(dataset)
    if trained_on == ALL:
        if base not in CATEGORIES:
            known = ", ".join(CATEGORIES)
            raise ValueError(f"trained_on=all is for {known}; list the categories of {base!r}")
        return [(canonical(base, variants), name) for name in CATEGORIES[base]]
    pairs = [name.partition("/")[::2] for name in trained_on.split("+")]
    if not all(category for _, category in pairs) or pairs[0][0] != base:
        raise ValueError(
            f"trained_on is own, all, or <dataset>/<category>+..., with {base!r} first, not "
            f"{trained_on!r}"
        )
    sized = {"size": DATASETS[base]} | variants
    return [(canonical(parse(name)[0], sized), category) for name, category in pairs]


def missing(dataset: str, trained_on: str, root: Path | str | None = None) -> list[str]:
    """What of a unified run is not on disk: "<dataset>/<category>" each."""
    pairs = members(dataset, trained_on)
    return [f"{d}/{c}" for d, c in pairs if c not in categories(d, root)]


def load(dataset: str, trained_on: str, root: Path | str | None = None) -> Dataset:
    """All members in a row, of category "all"; paths are "<dataset>/<category>/<kind>/<file>".

    Raises:
        ValueError: a category that is not on disk, by name; else as `members` and `datasets.load`.
    """
    absent = missing(dataset, trained_on, root)
    if absent:
        raise ValueError(
            f"one model for {trained_on} needs every category, and {', '.join(absent)} "
            f"{'is' if len(absent) == 1 else 'are'} not on disk: add the images, or list the "
            "categories in trained_on"
        )
    found = [load_one(*pair, root=root) for pair in members(dataset, trained_on)]
    masked = any(part.masks is not None for part in found)
    masks = [
        torch.zeros(part.test[:, 0].shape, dtype=torch.bool) if part.masks is None else part.masks
        for part in found
    ]
    return Dataset(
        name=found[0].name,
        category=ALL,
        train=torch.cat([part.train for part in found]),
        test=torch.cat([part.test for part in found]),
        labels=torch.cat([part.labels for part in found]),
        masks=torch.cat(masks) if masked else None,  # nothing is marked where there are none
        paths=[f"{part.name}/{part.category}/{path}" for part in found for path in part.paths],
    )


def parts(data: Dataset) -> list[tuple[Dataset, list[int]]]:
    """The members of a unified dataset, each with its places among the test images.

    A member holds all training images, for its model has seen them. A dataset of one category is
    its own only member.
    """
    places: dict[tuple[str, str], list[int]] = {}
    for i, path in enumerate(data.paths):
        name, category, _, _ = path.split("/") if path.count("/") == 3 else ("", "", "", "")
        places.setdefault((name or data.name, category or data.category), []).append(i)
    if len(places) == 1:
        return [(data, list(range(len(data.paths))))]
    return [(_part(data, *pair, chosen), chosen) for pair, chosen in places.items()]


def _part(data: Dataset, name: str, category: str, chosen: list[int]) -> Dataset:
    masks = None if data.masks is None else data.masks[chosen]
    masks = None if masks is None or not masks.any() else masks  # a part without any
    return replace(
        data,
        name=name,
        category=category,
        test=data.test[chosen],
        labels=data.labels[chosen],
        masks=masks,
        paths=[data.paths[i].split("/", 2)[2] for i in chosen],
    )


def complete(data: Dataset) -> bool | None:
    """Whether all parts are their complete official sets; None where nobody knows of one."""
    found = [complete_set(part.name, part.category) for part, _ in parts(data)]
    return None if None in found else all(found)
