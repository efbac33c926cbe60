"""Frozen backbones: images in, feature maps of chosen levels out. ImageNet's business stays here.

Weights are looked for in `<root>/weights/<name>.pth`, then in an installed package that ships
them, then by timm's own download; never are they random unasked. Level l is timm's `out_indices`
l, so that level 1 of a ResNet is the output of its `layer1`, at a quarter of the image's side.
"""

from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .api import Images
from .assets import data_root, local_weights, shipped_weights
from .ops import seeded

TINY = "tiny"  # a seeded random network for tests: asked for by name, never a fallback


@torch.no_grad()
def features(
    images: Images, backbone: str, levels: tuple[int, ...]
) -> list[Float[Tensor, "n _c _h _w"]]:
    """Feature maps of each level, in the order asked for.

    Args:
        backbone: timm's name of a network, `resnet50_msra_v1`, or `tiny`.
        levels: timm's `out_indices`.

    Raises:
        ValueError: a level that the backbone does not have; lists those it has.
        FileNotFoundError: its weights are nowhere; names the three places and the fix.
    """
    net = load_backbone(backbone).to(images.device)
    known = range(len(net.feature_info))  # type: ignore[arg-type]
    if not levels or not set(levels) <= set(known):
        raise ValueError(f"{backbone} has the levels {list(known)}, not {list(levels)}")
    mean, std = (torch.tensor(v).to(images)[:, None, None] for v in normalisation(backbone))
    maps = net.forward_intermediates(  # type: ignore[operator]
        (images - mean) / std, indices=sorted(set(levels)), intermediates_only=True
    )
    by_level = dict(zip(sorted(set(levels)), maps, strict=True))
    return [by_level[level] for level in levels]


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
        return timm.create_model(name, pretrained=True)
    except Exception as error:  # no network, no such model, no such weights: many types
        place = data_root() / "weights" / f"{name}.pth"
        fix = (
            f"put the file there, or run `make data` with it in $ANOMLIB_SOURCE/weights/{name}.pth"
        )
        reason = "timm could not download it" if known else "timm knows no such model"
        raise FileNotFoundError(
            f"no weights for backbone {name!r}: not at {place}, not in an installed package, and "
            f"{reason} ({type(error).__name__}); {fix}"
        ) from error
