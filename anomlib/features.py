"""Frozen backbones: images in, feature maps of chosen levels out. ImageNet's business stays here.

Weights are looked for in `<root>/weights/<name>.pth`, then in an installed package that ships
them, then by timm's own download; never are they random unasked. Level l is timm's `out_indices`
l, so that level 1 of a ResNet is the output of its `layer1`, at a quarter of the image's side; one
level past the last is the last one pooled, its mean over positions.
"""

import hashlib
import io
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float16
from torch import Tensor, nn

from .api import Images
from .assets import cache_root, local_weights, no_weights, shipped_weights
from .ops import progress, seeded

# What these names meant when the papers were written; timm's own training stands behind them now
RELEASES = {
    "resnet50": "resnet50.tv_in1k",
    "resnet101": "resnet101.tv_in1k",
    "wide_resnet50_2": "wide_resnet50_2.tv_in1k",
    "wide_resnet101_2": "wide_resnet101_2.tv_in1k",
    "efficientnet_b1": "efficientnet_b1.ft_in1k",
    "efficientnet_b4": "tf_efficientnet_b4.aa_in1k",
    "tf_efficientnet_b6": "tf_efficientnet_b6.aa_in1k",
    "efficientnet_b7": "tf_efficientnet_b7.aa_in1k",
}
VGG = "vgg19_features_to_relu2_2"  # torchvision's tensors up to that layer, a file of 1 MB

TINY = "tiny"  # a seeded random network for tests: asked for by name, never a fallback


@torch.no_grad()
def features(
    images: Images, backbone: str, levels: tuple[int, ...]
) -> list[Float[Tensor, "n _c _h _w"]]:
    """Feature maps of each level, in the order asked for.

    Args:
        backbone: timm's name of a network, `resnet50_msra_v1`, or `tiny`.
        levels: timm's `out_indices`, and one more for the last level pooled.

    Raises:
        ValueError: a level that the backbone does not have; lists those it has.
        FileNotFoundError: its weights are nowhere; names the three places and the fix.
    """
    net: Any = load_backbone(backbone).to(images.device)
    last = _last_level(net, backbone, levels)
    mean, std = (torch.tensor(v).to(images)[:, None, None] for v in normalisation(backbone))
    inside = sorted({min(level, last) for level in levels})
    maps = net.forward_intermediates(
        (images - mean) / std, indices=inside, intermediates_only=True, stop_early=True
    )
    by_level = dict(zip(inside, maps, strict=True))
    if last in by_level:
        by_level[last + 1] = by_level[last].mean(dim=(2, 3), keepdim=True)
    return [by_level[level] for level in levels]


def _last_level(net: Any, backbone: str, levels: tuple[int, ...]) -> int:
    known = range(len(net.feature_info))
    if not levels or not set(levels) <= {*known, len(known)}:
        raise ValueError(
            f"{backbone} has the levels {list(known)}, not {list(levels)} "
            f"({len(known)} is level {len(known) - 1} pooled)"
        )
    return len(known) - 1


def normalisation(backbone: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of the images a backbone was trained on."""
    settings: Any = load_backbone(backbone).default_cfg
    return settings["mean"], settings["std"]


@lru_cache(maxsize=2)
def load_backbone(name: str) -> nn.Module:
    """The network with its weights, in evaluation mode, without gradients."""
    import timm  # takes seconds, and most methods need no backbone

    if name == TINY:
        with seeded(0):
            net = timm.create_model("resnet10t", pretrained=False)
    elif path := local_weights(name) or shipped_weights(name):
        net = _architecture(name)
        _copy_weights(net, torch.load(path, map_location="cpu", weights_only=True), name)
    else:
        net = _downloaded(name)
    return net.eval().requires_grad_(False)


def _architecture(name: str) -> nn.Module:
    import timm

    if name != "resnet50_msra_v1":
        return timm.create_model(name, pretrained=False)
    # The MSRA release strides in the first convolution of a stage's first block, not in the second
    net: Any = timm.create_model("resnet50", pretrained=False)
    for stage in (net.layer2, net.layer3, net.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    return net


def _copy_weights(net: nn.Module, tensors: dict[str, Tensor], name: str) -> None:
    own = net.state_dict()
    if set(own) <= set(tensors):
        net.load_state_dict({key: tensors[key] for key in own})
        return
    shapes = [tuple(t.shape) for t in own.values()]
    if shapes != [tuple(t.shape) for t in tensors.values()]:
        raise ValueError(f"the weights found for {name} do not fit its layers: replace the file")
    # other names, same order (as the package of tf_efficientnet_lite0 has them): by position
    net.load_state_dict(dict(zip(own, tensors.values(), strict=True)))


def _downloaded(name: str) -> nn.Module:
    import timm

    known = timm.is_model(name)
    try:
        return timm.create_model(RELEASES.get(name, name), pretrained=True)
    except Exception as error:  # no network, no such model, no such weights: many types
        reason = "timm could not download it" if known else "timm knows no such model"
        reason = f"not in an installed package, and {reason} ({type(error).__name__})"
        raise no_weights(f"backbone {name!r}", name, reason) from error


# ---- features of a bank of images, kept on disk

LIMIT = 20e9  # bytes in the cache; beyond, the files go that were not used for longest
_keeping = True


@contextmanager
def uncached() -> Iterator[None]:
    """Within, nothing is read from the cache or written to it: where speed is measured."""
    global _keeping
    before, _keeping = _keeping, False
    try:
        yield
    finally:
        _keeping = before


def cached_features(
    images: Images, backbone: str, levels: tuple[int, ...]
) -> list[Float16[Tensor, "n _c _h _w"]]:
    """What `features` returns, in half precision, kept per image and level in `<root>/.cache/`.

    Images pass the network one by one and are rounded whether kept or not, so that no number
    depends on what else was in the batch or in the cache.

    Raises:
        ValueError: as `features`; images without three channels; a feature beyond 65504.
        FileNotFoundError: as `features`.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images are (n, 3, h, w), not {tuple(images.shape)}")
    net: Any = load_backbone(backbone).to(images.device)
    _last_level(net, backbone, levels)
    identity, folder, new = _identity(net, backbone, images.device.type), cache_root(), False
    found: list[Tensor] = []
    for i, image in enumerate(progress(images, backbone)):
        key = hashlib.sha256(f"{identity} {image.dtype} {tuple(image.shape)}".encode())
        key.update(image.cpu().contiguous().numpy().tobytes())
        paths = [folder / f"{key.hexdigest()[:40]}-{level}.npz" for level in levels]
        maps = [m for path in paths if _keeping and (m := _read(path)) is not None]
        if len(maps) < len(paths):
            maps = [m[0].half() for m in features(image[None], backbone, levels)]
            if not all(m.isfinite().all() for m in maps):
                raise ValueError(f"features of {backbone} do not fit into half precision")
            if _keeping:
                new = all(_write(*pair) for pair in zip(paths, maps, strict=True)) or new
        if not found:
            found = [images.new_empty(len(images), *m.shape, dtype=torch.half) for m in maps]
        for whole, m in zip(found, maps, strict=True):
            whole[i] = m
    if new:
        _trim(folder, LIMIT)
    return found


def clear_cache() -> str:
    """Removes every cached feature; returns what was removed, in words."""
    folder = cache_root()
    sizes = [path.stat().st_size for path in folder.glob("*")]
    shutil.rmtree(folder, ignore_errors=True)
    return f"removed {len(sizes)} files, {sum(sizes) / 1e9:.2f} GB, of {folder}"


@lru_cache(maxsize=2)
def _identity(net: nn.Module, name: str, device: str) -> str:
    """Changes with the weights, and with the versions and the device that compute with them."""
    import timm

    digest = hashlib.sha256(f"{normalisation(name)}".encode())
    for tensor in net.state_dict().values():
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return f"{name} {digest.hexdigest()} {torch.__version__} {timm.__version__} {device}"


def _read(path: Path) -> Tensor | None:
    try:
        with np.load(path) as file:  # a zip archive, whose checksum is compared
            kept = torch.from_numpy(file["maps"])
    except Exception:  # not there, cut off, something else: many types, and one answer
        return None
    with suppress(OSError):
        os.utime(path)  # used now: the last to be removed
    return kept


def _write(path: Path, tensor: Tensor) -> bool:
    """Whether the file is there; it appears whole or not at all."""
    buffer, unfinished = io.BytesIO(), path.with_suffix(f".{os.getpid()}")
    np.savez(buffer, maps=tensor.cpu().numpy())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(buffer.getbuffer())
        unfinished.replace(path)
    except OSError as error:  # read-only, or full
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        _warn(path.parent, error.strerror or type(error).__name__)
        return False
    return True


@cache  # once per folder and reason
def _warn(folder: Path, reason: str) -> None:
    warnings.warn(f"features are not kept in {folder}: {reason}", stacklevel=4)


def _trim(folder: Path, limit: float) -> None:
    files = []
    for path in folder.glob("*"):
        with suppress(OSError):  # another run removed it meanwhile
            files.append((path.stat().st_mtime, path.stat().st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= limit:
            break
        path.unlink(missing_ok=True)
        total -= size


# ---- patches, as perceptual losses compare them


@lru_cache(maxsize=2)
def vgg19(name: str, layers: int) -> nn.Sequential:
    """The first layers (8: conv2_2, 9: its ReLU) of VGG19, with ImageNet's weights or `tiny`.

    Raises:
        FileNotFoundError: the weights are nowhere; names the places and the fix.
    """
    blocks: list[nn.Module] = []
    with seeded(0):
        for inputs, outputs in ((3, 64), (64, 64), (64, 128), (128, 128)):
            blocks += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    blocks.insert(4, nn.MaxPool2d(2))  # behind relu1_2
    net = nn.Sequential(*blocks)
    if name != TINY:
        path = local_weights(VGG)
        tensors = torch.load(path, weights_only=True) if path else _downloaded_vgg()
        _copy_weights(net, tensors, name)
    net.eval().requires_grad_(False)
    return net[:layers]


def _downloaded_vgg() -> dict[str, Tensor]:
    from torchvision.models import VGG19_Weights

    try:
        tensors = VGG19_Weights.IMAGENET1K_V1.get_state_dict(check_hash=True)
    except Exception as error:  # no network: many types
        reason = f"and torchvision could not download them ({type(error).__name__})"
        raise no_weights("VGG19", VGG, reason) from error
    return {key: tensors[key] for key in list(tensors)[:8]}  # four convolutions


class PatchEmbedding:
    """phi: patches of any side in, resized and normalised, feature maps of VGG19 out.

    Args:
        name: `vgg19`, or `tiny` for the same layers with seeded random weights.
        layers: 8 for conv2_2, 9 for relu2_2.
        size: side in pixels that patches are resized to.
    """

    chunk = 16  # patches at once; 16 of 224 pixels take about 1 GB

    def __init__(self, name: str, layers: int, size: int, device: torch.device):
        self.net, self.size = vgg19(name, layers).to(device), size
        self.mean, self.std = (
            torch.tensor(v, device=device)[:, None, None]
            for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        )

    def __call__(self, patches: Float[Tensor, "n 3 m m"]) -> Float[Tensor, "n c s s"]:
        # bilinear, as two products: their gradient is deterministic on CUDA too
        corners = torch.eye(patches.shape[-1]).to(patches)[None]
        weights = F.interpolate(corners, self.size, mode="linear")[0]  # (m, size)
        return self.net((weights.T @ patches @ weights - self.mean) / self.std)

    @torch.no_grad()
    def targets(self, patches: Float[Tensor, "n 3 m m"]) -> Float[Tensor, "n c s s"]:
        """Features that are compared with again and again, in half precision.

        Raises:
            ValueError: they would take more than 6 GB.
        """
        size = self(patches[:1]).half().nbytes * len(patches)
        if size > 6e9:
            raise ValueError(
                f"VGG19's features of {len(patches)} patches would take {size / 1e9:.0f} GB: take "
                "a larger stride (8) or a smaller phi_size (64)"
            )
        return torch.cat([self(part).half() for part in patches.split(self.chunk)])

    def inner(
        self, patches: Float[Tensor, "n 3 m m"], targets: Float[Tensor, "n c s s"]
    ) -> Float[Tensor, " n"]:
        """<phi(patch), target>, summed over channels, averaged over positions.

        Only the graph of one chunk is in memory: its gradient is taken at once and handed on by
        a linear term whose value is zero.
        """
        found = []
        parts = zip(patches.split(self.chunk), targets.split(self.chunk), strict=True)
        for part, target in parts:
            x = part.detach().requires_grad_(part.requires_grad)
            value = (self(x) * target).sum(dim=1).mean(dim=(1, 2))
            if part.requires_grad:
                (slope,) = torch.autograd.grad(value.sum(), x)
                value = value.detach() + (slope * (part - x.detach())).sum(dim=(1, 2, 3))
            found.append(value)
        return torch.cat(found)
