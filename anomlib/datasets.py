"""From a folder to a `Dataset`: one layout on disk for all, named variants, one resize rule.

    <root>/<dataset>/<category>/train/good/*            defect-free images
    <root>/<dataset>/<category>/test/<kind>/*           kind `good` is defect-free, all others not
    <root>/<dataset>/<category>/ground_truth/<kind>/<stem>_mask.png

A name carries its variants, so that rows of different data never collide:

    mvtec+sample            what is at hand of an incomplete copy (a folder of its own)
    mtd+plain               images resized without antialiasing, as much of the papers' code does
    mtd+crop                the shorter side resized and the middle kept, not squeezed to a square
    textures+size=64        loaded at 64 x 64 instead of the default
    mvtec+sample+first=1    the first image, by name, of each kind of defect; no good ones
    mvtec+noise=0.05        Gaussian noise of that standard deviation on the test images
    mvtec+missing=0.01      that share of the test pixels missing (NaN)
    mvtec+noise=0.05+nseed=1    another draw of the noise or of the missing pixels
    mtd+train=0.05          that share of the training images, at least one
    mtd+train=0.05+tseed=1  another draw of them; of one draw, fewer are a part of more
"""

import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from .api import Dataset
from .assets import data_root

# name -> default size in pixels
DATASETS = {
    "textures": 128,
    "elpv": 256,
    "mtd": 256,
    "mvtec": 256,
    "visa": 256,
    "btad": 256,
    "goodsad": 256,
    "hkbu_dot": 256,
    "folder": 256,
}
# Datasets with image labels only, so that a missing `ground_truth` is not an error
WITHOUT_MASKS = ("elpv",)
# Images become squares by this rule; `+plain` leaves the antialiasing out, as much of the papers'
# code does, and the metrics page of the book shows what that moves. Masks: nearest neighbour.
RESIZE: dict[str, Any] = {"mode": "bilinear", "antialias": True}
SCRIPTED = ("textures", "elpv", "mtd", "mvtec")  # those that `make data` can arrange
FLAGS = ("sample", "plain", "crop")
NUMBERS = {"size": int, "first": int, "train": float, "tseed": int}
NUMBERS |= {"noise": float, "missing": float, "nseed": int}
LIMITS = {"size": (1, 2**14), "first": (1, 2**30), "noise": (0, 1), "missing": (0, 1)}
LIMITS |= {"train": (0, 1)}
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


def load(
    dataset: str, category: str, size: int | None = None, root: Path | str | None = None
) -> Dataset:
    """Loads one category of a dataset into memory.

    Args:
        dataset: name with variants, such as "textures+size=64" (see the module's docstring).
        category: the folder's name, such as "grid"; an unknown one lists the known ones.
        size: side in pixels; None is the name's `+size=`, else the dataset's default.
        root: folder of all datasets; None is `$ANOMLIB_DATA`, else `data/`.

    Returns:
        A `Dataset`; its `name` carries every variant, in one order, defaults left out.

    Raises:
        ValueError: an unknown dataset, variant or category; an unreadable image or a mask of
            another size than its image; a folder without training or test images.
        FileNotFoundError: the dataset is not on disk; the message holds the command for it.
    """
    base, variants = parse(dataset)
    side: int = variants.get("size", DATASETS[base]) if size is None else size
    variants["size"] = _number("size", str(side), dataset)
    folder = _category_folder(Path(root or data_root()), base, variants, category)
    test = _listing(folder / "test", variants.get("first"))
    train = sorted(p for p in (folder / "train" / "good").glob("*") if _is_image(p))
    if not train:
        raise ValueError(
            f"no training image in {folder / 'train' / 'good'}: put defect-free images there"
        )
    train = _some(train, variants.get("train", 1.0), variants.get("tseed", 0))
    kinds = [p.parent.name for p in test]
    rule = RESIZE | {"antialias": False} if "plain" in variants else RESIZE
    crop = "crop" in variants
    data = Dataset(
        name=canonical(base, variants),
        category=category,
        train=torch.stack([read_image(p, side, rule, crop) for p in train]),
        test=torch.stack([read_image(p, side, rule, crop) for p in test]),
        labels=torch.tensor([kind != "good" for kind in kinds]),
        masks=_masks(folder, test, side, crop, optional=base in (*WITHOUT_MASKS, "folder")),
        paths=[f"{p.parent.name}/{p.name}" for p in test],
    )
    noise, missing = variants.get("noise", 0.0), variants.get("missing", 0.0)
    return _corrupted(data, noise, missing, variants.get("nseed", 0)) if noise or missing else data


def load_masks(
    dataset: str, category: str, times: int = 1, root: Path | str | None = None
) -> Bool[Tensor, "n _h _w"]:
    """The masks alone, in the order of `load`, at a multiple of its size; raises as `load`."""
    base, variants = parse(dataset)
    side: int = times * variants.get("size", DATASETS[base])
    folder = _category_folder(Path(root or data_root()), base, variants, category)
    test = _listing(folder / "test", variants.get("first"))
    masks = _masks(folder, test, side, "crop" in variants, optional=False)
    assert masks is not None  # they are not optional
    return masks


# ---- names


def parse(dataset: str) -> tuple[str, dict[str, Any]]:
    """Splits "mvtec+sample+noise=0.05" into "mvtec" and {"sample": True, "noise": 0.05}."""
    base, *parts = dataset.split("+")
    if base not in DATASETS:
        raise ValueError(f"unknown dataset {base!r}; known are: {', '.join(DATASETS)}")
    variants: dict[str, Any] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if key in variants or not (key in NUMBERS if equals else key in FLAGS):
            known = ", ".join([f"+{k}" for k in FLAGS] + [f"+{k}=<number>" for k in NUMBERS])
            raise ValueError(f"cannot read {part!r} in {dataset!r}; each once of: {known}")
        variants[key] = _number(key, value, dataset) if equals else True
    return base, variants


def _number(key: str, text: str, dataset: str) -> float | int:
    low, high = LIMITS.get(key, (0, 2**30))
    try:
        value = NUMBERS[key](text)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        kind = "whole number" if NUMBERS[key] is int else "number"
        raise ValueError(f"{key} in {dataset!r} must be a {kind} from {low} to {high}, not {text}")
    return value


def canonical(base: str, variants: dict[str, Any]) -> str:
    """The one spelling of a name: variants in a fixed order, idle ones left out."""
    idle = {"size": DATASETS[base], "train": 1.0, "tseed": 0}
    idle |= {"noise": 0.0, "missing": 0.0, "nseed": 0}
    flags = [key for key in FLAGS if key in variants]
    numbers = [k for k in NUMBERS if k in variants and variants[k] != idle.get(k)]
    return "+".join([base, *flags, *(f"{key}={variants[key]!r}" for key in numbers)])


def categories(dataset: str, root: Path | str | None = None) -> list[str]:
    """The categories of a dataset that are on disk, sorted; empty where there is none."""
    base, variants = parse(dataset)
    folder = Path(root or data_root()) / _folder_name(base, variants)
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(p.name for p in found if p.is_dir() and not p.name.startswith((".", "_")))


def complete(dataset: str, category: str, root: Path | str | None = None) -> bool | None:
    """Whether a dataset is all of its official set; None where no manifest says so."""
    base, variants = parse(dataset)
    folder = Path(root or data_root()) / _folder_name(base, variants) / category
    if {"first", "train"} & set(variants):
        return False
    manifest = folder / "manifest.json"
    return json.loads(manifest.read_text())["complete"] if manifest.is_file() else None


def _folder_name(base: str, variants: dict[str, Any]) -> str:
    return f"{base}+sample" if "sample" in variants else base


# ---- files


def read_image(
    path: Path, size: int, rule: dict[str, Any] = RESIZE, crop: bool = False
) -> Float[Tensor, "3 {size} {size}"]:
    """Reads an image of any size, grey or colour, 8 or 16 bits, as RGB in [0, 1].

    Raises:
        ValueError: the file cannot be read as an image, or is cut off; names the file.
    """
    pixels = _pixels(path).astype(np.float32)  # (h, w, 3), in [0, 1]
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    height, width = resized = _resized(image.shape[-2], image.shape[-1], size, crop)
    if image.shape[-2:] != resized:
        image = F.interpolate(image, resized, **rule)
    top, left = (height - size) // 2, (width - size) // 2
    return image[0, :, top : top + size, left : left + size].clamp(0, 1).contiguous()


def _resized(height: int, width: int, size: int, crop: bool) -> tuple[int, int]:
    scale = size / min(height, width)
    return (round(height * scale), round(width * scale)) if crop else (size, size)


def read_mask(
    path: Path, size: int, like: Path, crop: bool = False
) -> Bool[Tensor, "{size} {size}"]:
    """Reads a mask, any non-zero value of which means defective, by nearest neighbour.

    Raises:
        ValueError: the mask has another size than its image `like`; names both.
    """
    mask = (_open(path) > 0).astype(np.uint8)
    mask = mask if mask.ndim == 2 else mask.max(axis=2)
    height, width = _open(like).shape[:2]  # upright, as the image is loaded
    if mask.shape != (height, width):
        raise ValueError(
            f"mask {path} is {mask.shape[1]} x {mask.shape[0]} pixels but its image {like} is "
            f"{width} x {height}: export the mask at the size of the image"
        )
    if (height, width) != (resized := _resized(height, width, size, crop)):
        tall, wide = resized
        shrunk = Image.fromarray(mask).resize((wide, tall), Image.Resampling.NEAREST)
        mask = np.asarray(shrunk)
    top, left = (mask.shape[0] - size) // 2, (mask.shape[1] - size) // 2
    return torch.from_numpy(mask[top : top + size, left : left + size] > 0)


def _open(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
            if upright.mode not in ("1", "L", "RGB", "I", "I;16", "I;16B", "F"):
                upright = upright.convert("RGB")  # palettes, CMYK, alpha
            return np.asarray(upright)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"cannot read {path} as an image ({error}): replace the file, or take it away"
        ) from error


def _pixels(path: Path) -> np.ndarray:
    raw = _open(path)
    if raw.dtype == np.uint8:
        pixels = raw / np.float32(255)
    elif raw.dtype == bool:
        pixels = raw.astype(np.float32)
    elif np.issubdtype(raw.dtype, np.floating):
        pixels = raw  # stored as intensities
    else:
        pixels = raw / np.float32(65535)  # 16 bits, which Pillow may hand over as 32
    if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 1:
        raise ValueError(f"{path} holds values outside [0, 1] after scaling by its bit depth")
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _category_folder(root: Path, base: str, variants: dict[str, Any], category: str) -> Path:
    name = _folder_name(base, variants)
    known = categories(name, root)
    if not known:
        at_hand = [n for n in (base, f"{base}+sample") if n != name and categories(n, root)]
        hint = f"; at hand is {at_hand[0]!r}" if at_hand else ""
        command = f"put its images into {root / base}/<category>/{{train/good,test/<kind>}}"
        if base in SCRIPTED:
            command = f"run `make data` (data_scripts/README.md says what {base} needs)"
        raise FileNotFoundError(f"no dataset {name!r} in {root}: {command}{hint}")
    if category not in known:
        raise ValueError(f"{name} has no category {category!r}; it has: {', '.join(known)}")
    return root / name / category


def _listing(folder: Path, first: int | None) -> list[Path]:
    kinds = sorted(p for p in folder.glob("*") if p.is_dir())
    images = {kind: sorted(p for p in kind.iterdir() if _is_image(p)) for kind in kinds}
    if first is not None:
        images = {kind: found[:first] for kind, found in images.items() if kind.name != "good"}
    listed = [path for found in images.values() for path in found]
    if not listed:
        raise ValueError(f"no test image in {folder}/<kind>: `good` holds the defect-free ones")
    return listed


def _some(train: list[Path], share: float, seed: int) -> list[Path]:
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed)).tolist()
    return [train[i] for i in sorted(order[: max(1, round(share * len(train)))])]


def _masks(
    folder: Path, test: list[Path], size: int, crop: bool, optional: bool
) -> Bool[Tensor, "n {size} {size}"] | None:
    truth = folder / "ground_truth"
    if not truth.is_dir() and optional:
        return None
    masks = torch.zeros(len(test), size, size, dtype=torch.bool)
    for i, path in enumerate(test):
        kind = path.parent.name
        mask = truth / kind / f"{path.stem}_mask.png"
        if mask.is_file():
            masks[i] = read_mask(mask, size, path, crop)
        elif kind != "good":
            raise ValueError(f"{path} is defective but has no mask {mask}")
    return masks


# ---- corruptions of the test images (SSDnet, Sec. 5)


def _corrupted(data: Dataset, noise: float, missing: float, nseed: int) -> Dataset:
    test = data.test.clone()
    for image, path in zip(test, data.paths, strict=True):
        # seeded by the image's own path: a subset of the images sees the same noise
        generator = torch.Generator().manual_seed(zlib.crc32(f"{nseed}/{path}".encode()))
        image += noise * torch.randn(image.shape, generator=generator)
        image.clamp_(0, 1)  # as a camera would
        image[:, torch.rand(image.shape[1:], generator=generator) < missing] = torch.nan
    return replace(data, test=test)
