"""GRAD, looked into: its parts, what defects and blocks do to features, what a grid is asked.

References:
    | GRAD: Bi-Grid Reconstruction for Image Anomaly Detection (Huang et al., 2025): Figures 2, 3
    | and 5, Secs. II-B, III-B and III-C, Eq. 4
    | SimpleNet (Liu et al., 2023), for noise in the place of blocks
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..api import Dataset, Images, Masks
from ..corruptions import occlusion_masks, procedural
from ..methods.crad import CRAD, Features, Head, refine, similarity
from ..methods.grad import GRAD, BiGrid, blur, contrast, paste, standardise
from ..ops import gaussian_blur, seeded

# Figure 2: the parts


def parts(shape: tuple[int, int, int], method: GRAD) -> pd.DataFrame:
    """What each part of the head makes of feature maps of a shape; nothing is computed.

    Returns:
        A line per part in the order of a pass: part, symbol, output (its shape but for the
        batch), parameters.
    """
    with torch.device("meta"):
        net, x = BiGrid(shape, method).eval(), torch.empty(1, *shape)
        local, whole = net.coordinates(x)
        sampled, other = (grids(local, whole) for grids in (net.normal, net.abnormal))
        normal, abnormal = net.recover(sampled), net.recover_abnormal(standardise(other))
        fused = net.fuse(normal, abnormal)
        sim = similarity(fused, x, method.distance, method.scale)
    steps: list[tuple[str, str, Tensor, nn.Module | None]] = [
        ("features", "F", x, None),
        ("local coordinates", "p_l", local, net.coordinates.local),
        ("global coordinates", "p_g", whole, net.coordinates.whole),
        ("normal grids, sampled", "", sampled, net.normal),
        ("blocks", "x_n", normal, net.recover),
        ("abnormal grids, sampled", "", other, net.abnormal),
        ("standardised, blocks", "x_a", abnormal, net.recover_abnormal),
        ("fused", "F_rec", fused, None),
        ("refined", "F_out", refine(fused, x, sim), None),
        ("map", "|F_out - F|", sim[:, 0], None),
    ]
    lines = [(n, symbol, tuple(out.shape[1:]), _count(part)) for n, symbol, out, part in steps]
    return pd.DataFrame(lines, columns=["part", "symbol", "output", "parameters"])


def _count(part: nn.Module | None) -> int:
    return sum(p.numel() for p in part.parameters()) if part else 0


@torch.no_grad()
def one_pass(method: GRAD, image: Images) -> list[tuple[str, np.ndarray]]:
    """The pictures of one image's pass through a fitted method, for `figures.common.one_pass`."""
    x, net = method.features(image), cast(BiGrid, method.net_)
    rebuilt, abnormal = net.both(x)
    sim = similarity(rebuilt, x, method.distance, method.scale)
    far = refine(rebuilt, x, sim) - x
    steps = {
        "|F|": x.norm(dim=1),
        "|x_a|, abnormal grids": abnormal.norm(dim=1),
        "|F_rec|, both grids": rebuilt.norm(dim=1),
        "|F_rec - F|": (rebuilt - x).norm(dim=1),
        "similarity": sim[:, 0],
        "|F_out - F|": far.norm(dim=1),
        "the map": method.anomaly_map(image),
    }
    return [("image", _photo(image)), *((name, m[0].cpu().numpy()) for name, m in steps.items())]


# Figure 3: what defects do to features, and what blocks do

FILLS = ("dark", "bright", "noise", "blurred", "texture")


def defects(images: Images, seed: int) -> tuple[dict[str, Images], Float[Tensor, "n h w"]]:
    """The same opaque ellipses filled in several ways: kind -> images; and the masks."""
    g = torch.Generator().manual_seed(seed)
    size = tuple(images.shape[-2:])
    masks = occlusion_masks(len(images), size, g, images.device, "ellipses", "opaque")
    noise = torch.randn(images.shape, generator=g).to(images)
    fills = {
        "dark": 0.3 * images,
        "bright": 0.3 * images + 0.7,
        "noise": (images + 0.25 * noise).clamp(0, 1),
        "blurred": gaussian_blur(images, sigma=3.0),
        "texture": procedural(len(images), size, g, images.device),
    }
    return {k: torch.lerp(images, fills[k], masks[:, None]) for k in FILLS}, masks


def likeness_of(method: GRAD, images: Images, seed: int) -> pd.DataFrame:
    """`likeness` of the features of the method's backbone on images and their `defects`."""
    changed, masks = defects(images, seed)
    clean = method.features(images)
    found = {kind: method.features(x) for kind, x in changed.items()}
    return likeness(clean, found, at_positions(masks, clean))


def changes(
    method: GRAD, image: Images, seed: int
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray | None]], dict[str, np.ndarray]]:
    """Figure 3: title -> image and mask, and -> how far its features have moved, (h, w).

    Args:
        image: one, (1, 3, h, w); the last title is its features with a block pasted in.
    """
    changed, masks = defects(image, seed)
    clean, mask = method.features(image), masks[0].cpu().numpy() > 0.5
    block, _ = pasted(method, clean, seed)
    titles: dict[str, tuple[np.ndarray, np.ndarray | None]]
    titles = {kind: (_photo(x), mask) for kind, x in changed.items()}
    moved = {kind: method.features(x) for kind, x in changed.items()} | {"block pasted": block}
    maps = {kind: (x - clean).norm(dim=1)[0].cpu().numpy() for kind, x in moved.items()}
    return titles | {"block pasted": (_photo(image), None)}, maps


def _photo(x: Float[Tensor, "1 3 h w"]) -> np.ndarray:
    return x[0].permute(1, 2, 0).cpu().numpy()


def at_positions(
    masks: Float[Tensor, "n H W"], like: Features, least: float = 0.5
) -> Bool[Tensor, "n h w"]:
    """The positions of feature maps of which more than a share is covered."""
    return covered(masks, like) > least


def covered(masks: Float[Tensor, "n H W"], like: Features) -> Float[Tensor, "n h w"]:
    height, width = like.shape[-2:]
    return F.adaptive_avg_pool2d(masks, (height, width))


def likeness(clean: Features, changed: dict[str, Features], inside: Tensor) -> pd.DataFrame:
    """The mean cosine of the changes that two kinds of defect make, position by position.

    Args:
        clean: features of the images without a defect.
        changed: kind -> features of the same images with one.
        inside: (n, h, w), the positions of the defects.

    Returns:
        Columns one, other, cosine; `other` is a kind, or "random": an offset of any direction.
    """
    moved = {kind: (x - clean).movedim(1, -1)[inside] for kind, x in changed.items()}  # (m, c)
    lines = [
        (a, b, F.cosine_similarity(moved[a], moved[b]).mean().item())
        for a, b in itertools.combinations(moved, 2)
    ]
    with seeded(0):
        for kind, x in moved.items():
            random = torch.randn(x.shape).to(x)
            lines.append((kind, "random", F.cosine_similarity(x, random).mean().item()))
    return pd.DataFrame(lines, columns=["one", "other", "cosine"])


def pasted(method: GRAD, x: Features, seed: int) -> tuple[Features, Bool[Tensor, "n h w"]]:
    """Features with a block each, and where."""
    with seeded(seed):
        return paste(x, method.blocks_for(x), method.blur_sigma)


SET: dict[str, Any] = {"size": (3.0, 3.0), "intensity": (12.0, 12.0), "position": (0.5, 0.5)}


def settings_of_blocks(method: GRAD, side: int) -> dict[str, list[np.ndarray]]:
    """What M, B, I and P of Eq. 6 do: blurred blocks on a map, one of the four varied in each row.

    Args:
        side: of the map.
    """
    rows: dict[str, list[dict[str, Any]]] = {
        "M: shape": [{}] * 4,
        "B: size": [{"size": (b, b)} for b in (1.0, 3.0, 5.0, 7.0)],
        "I: intensity": [{"intensity": (i, i)} for i in (3.0, 6.0, 9.0, 12.0)],
        "P: position": [{"position": p} for p in ((0.3, 0.3), (0.3, 0.7), (0.7, 0.3), (0.7, 0.7))],
    }
    x, found = torch.zeros(1, 1, side, side), {}
    for name, cases in rows.items():
        found[name] = []
        for i, change in enumerate(cases):
            with seeded(i if name.startswith("M") else 0):  # shapes differ by chance alone
                block = method.changed(**SET | change).blocks_for(x)
            found[name].append(blur(block, method.blur_sigma)[0, 0].numpy())
    return found


# Eq. 4: where the loss is zero


def contrasts(th: float, n: int = 201) -> pd.DataFrame:
    """Both terms of Eq. 4 over q, as printed and as the code has the sign.

    Returns:
        Columns q, pair (similar, dissimilar), sign (printed, code), loss.
    """
    lines = []
    for q in torch.linspace(-1, 1, n):
        for similar, pair in ((True, "similar"), (False, "dissimilar")):
            mask = torch.full((1, 1, 1), similar)
            for literal, sign in ((True, "printed"), (False, "code")):
                loss = contrast(q.view(1, 1, 1), mask, th, literal).item()
                lines.append((q.item(), pair, sign, loss))
    return pd.DataFrame(lines, columns=["q", "pair", "sign", "loss"])


# What a grid is asked: coordinates


@torch.no_grad()
def places(method: CRAD, images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Where positions look into the local grid (n, h, w, 2), and images into the global (n, 2)."""
    net: Any = method.net_
    local, whole = net.coordinates(method.features(images))
    return local.cpu().numpy(), whole.cpu().numpy()


# Sec. III-B: does interpolation keep abnormal patches out?


class Direct(Head):
    """The same blocks, fed with the features themselves in the place of both samples."""

    def forward(self, x: Features) -> Features:
        return self.recover(torch.cat([x, x], dim=1))


@dataclass(kw_only=True)
class Shortcut(CRAD):
    """CRAD without its grids."""

    def head(self, x: Features) -> Head:
        _, c, h, w = x.shape
        return Direct((c, h, w), self).to(x)


@torch.no_grad()
def residuals(method: CRAD, images: Images, masks: Masks) -> dict[str, float]:
    """The mean |F_rec - F| at positions of defects and of the rest, before any refinement.

    Args:
        images: defective ones.
    """
    x = method.features(images)
    far = (method.net_(x) - x).norm(dim=1)
    share = covered(masks.float(), x)
    inside, outside = far[share > 0.5], far[share == 0]
    return {"inside": inside.mean().item(), "outside": outside.mean().item()}


def shortcut(data: Dataset, settings: dict[str, Any], seeds: Sequence[int]) -> pd.DataFrame:
    """Residuals with the grids and without, of networks trained alike on the normal images.

    Returns:
        Columns blocks_see (grids, features), seed, inside, outside, ratio.
    """
    assert data.masks is not None
    chosen, lines = data.labels, []
    for seed in seeds:
        for name, kind in (("grids", CRAD), ("features", Shortcut)):
            method = kind(seed=seed, **settings).fit(data.train)
            found = residuals(method, data.test[chosen], data.masks[chosen])
            lines.append({"blocks_see": name, "seed": seed} | found)
    table = pd.DataFrame(lines)
    return table.assign(ratio=table["inside"] / table["outside"])
