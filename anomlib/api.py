"""The whole contract on one screen: what images and maps are, what a method must do."""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Images = Float[Tensor, "n 3 h w"]  # RGB in [0, 1]; a missing pixel is NaN in all three channels
Maps = Float[Tensor, "n h w"]  # higher is more anomalous; no fixed range; always finite
Masks = Bool[Tensor, "n h w"]  # True on defective pixels
Scores = Float[Tensor, " n"]  # one per image, higher is more anomalous
Labels = Bool[Tensor, " n"]  # True on defective images
M = TypeVar("M", bound="Method")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One category: defect-free training images and labelled test images."""

    name: str  # with its variants, such as "mvtec+sample+noise=0.05"
    category: str
    train: Float[Tensor, "m 3 h w"]
    test: Images
    labels: Labels
    masks: Masks | None  # None where the dataset has image labels only
    paths: list[str]  # of the test images: "<kind>/<file name>"

    def to(self, device: str) -> "Dataset":
        """The same data on "cpu" or "cuda"; "auto" is cuda where there is one."""
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        tensors = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **tensors)


@dataclass(kw_only=True)
class Method(ABC):
    """A method is its hyperparameters; whatever `fit` learns ends in an underscore.

    It computes where its images live, so there is no device setting.
    """

    seed: int = 0

    # Where the values a paper prints, or its code uses, differ from the defaults:
    # {"mvtec": {...}, "mvtec/grid": {...}}. Nothing else may stand here.
    published: ClassVar[dict[str, dict[str, Any]]] = {}
    released: ClassVar[dict[str, dict[str, Any]]] = {}
    # Settings that change only what is made of a fit, so that one training serves all their values
    after_fit: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def fit(self, images: Images) -> "Method":
        """Learns what normal looks like, forgetting any earlier fit, and returns itself."""

    @abstractmethod
    def anomaly_map(self, images: Images) -> Maps:
        """One value per pixel, at the resolution of the images. Changes nothing in `self`."""

    def image_score(self, maps: Maps) -> Scores:
        """The largest value of each map; a paper that scores images otherwise overrides this."""
        return maps.amax(dim=(1, 2))

    def diagnostics(self, images: Images, maps: Maps) -> dict[str, float]:
        """Further numbers of a run from its normal test images, such as an error; become rows."""
        return {}

    def image_diagnostics(self, images: Images) -> dict[str, Scores]:
        """Further numbers of each test image; become columns of its line."""
        return {}

    def pictures(self, images: Images) -> dict[str, Images]:
        """What else there is to see of images, such as {"restored": ...}; for galleries."""
        return {}

    def changed(self: M, **settings: Any) -> M:
        """The same method with other settings; its fit is kept where all are of `after_fit`.

        Raises TypeError for a setting that the method does not have.
        """
        other = replace(self, **_tuples(settings))  # checks them
        if set(settings) <= set(self.after_fit):
            vars(other).update({k: v for k, v in vars(self).items() if k.endswith("_")})
        return other

    @classmethod
    def paper(cls, dataset: str, category: str, **departures: Any) -> "Method":
        """The method as its paper runs it on this category, but for the named departures.

        Raises TypeError for a setting that the method does not have.
        """
        return cls(**_of(cls.published, dataset, category) | _tuples(departures))

    @classmethod
    def as_released(cls, dataset: str, category: str, **departures: Any) -> "Method":
        """The method as its authors' code runs it, where that differs from their text."""
        printed = _of(cls.published, dataset, category)
        return cls(**printed | _of(cls.released, dataset, category) | _tuples(departures))

    def changes(self, dataset: str, category: str) -> dict[str, Any]:
        """The settings that differ from the paper's on this category (the seed is not one)."""
        paper = self.paper(dataset, category)
        names = [f.name for f in fields(self) if f.name != "seed"]
        return {n: getattr(self, n) for n in names if getattr(self, n) != getattr(paper, n)}

    def departures(self, dataset: str, category: str) -> str:
        """What differs from the paper in one word for the tables: 'blur=3', or 'paper'."""
        changes = self.changes(dataset, category)
        return ",".join(f"{k}={json.dumps(v)}" for k, v in sorted(changes.items())) or "paper"


def read_departures(words: str) -> dict[str, Any]:
    """What `Method.departures` has written, as settings: 'blur=3' is {"blur": 3}, 'paper' none."""
    found, decoder, at = {}, json.JSONDecoder(), 0
    while words != "paper" and at < len(words):
        name, _, _ = words[at:].partition("=")
        found[name], at = decoder.raw_decode(words, at + len(name) + 1)
        at += 1  # the comma
    return found


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Lists as tuples: JSON and YAML know no tuples, and settings are compared."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def _of(values: dict[str, dict[str, Any]], dataset: str, category: str) -> dict[str, Any]:
    base = dataset.split("+")[0]  # variants such as "+noise=0.05" keep the paper's settings
    return values.get(base, {}) | values.get(f"{base}/{category}", {})
