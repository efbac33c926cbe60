"""PatchCore: distance of each patch's features to the nearest of a coreset of normal patches.

References:
    | Towards Total Recall in Industrial Anomaly Detection (Roth et al., 2022), whose text was not
      at hand: "code" is the authors', amazon-science/patchcore-inspection@8a7748c
    | Setting of the comparison: Subspace-Guided Feature Reconstruction (Hotta et al., 2025)

Choices and departures:
    1. 256 pixels without a crop, as Subspace compares, not a crop of 224.
    2. An image scores the maximum of its map. The paper weighs the largest distance by other
       neighbours (Eq. 7), which a map does not hold; the code does not weigh either.
    3. Distances are Euclidean, as in the paper. The code's are squared (`squared`), which moves
       the order of pixels, since distances are interpolated and blurred.
    4. Features and the bank are in half precision, which moves a distance by less than a
       thousandth of the features' length.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ..api import Images, Maps, Method
from ..features import cached_features
from ..ops import check_size, farthest_first, fill_missing, gaussian_blur, nearest, progress

CHUNK = 8  # images at once
STARTS = 10  # random patches; the coreset begins with the patch farthest from them (code)


# 3.1 Locally aware patch features
def patch_features(
    levels: list[Float[Tensor, "n _c _h _w"]], patch: int, dim: int
) -> Float[Tensor, "n rows columns d"]:
    """Features of each position's neighbourhood, all levels together, pooled as in the code.

    The c * patch^2 values of a neighbourhood, channel by channel, are averaged in `dim` windows,
    coarser levels brought to the first one's size, and all levels in a row averaged in `dim`.
    """
    size, found = levels[0].shape[-2:], []
    for x in levels:
        around = F.unfold(x, patch, padding=patch // 2).mT  # (n, h w, c patch^2)
        pooled = F.adaptive_avg_pool1d(around, dim).mT.unflatten(2, x.shape[-2:])
        found.append(F.interpolate(pooled, size, mode="bilinear").flatten(2).mT)
    return F.adaptive_avg_pool1d(torch.cat(found, dim=2), dim).unflatten(1, size)


# 3.2 Coreset-reduced patch-feature memory bank
def greedy_coreset(
    x: Float[Tensor, "k c"], size: int, generator: torch.Generator
) -> Int[Tensor, " size"]:
    """Algorithm 1: again and again the row that is farthest from all rows chosen so far."""
    starts = torch.randperm(len(x), generator=generator)[:STARTS].to(x.device)
    return farthest_first(x, size, torch.cdist(x, x[starts]).mean(dim=1))


# 3.3 Anomaly detection with PatchCore
@dataclass(kw_only=True)
class PatchCore(Method):
    backbone: str = "wide_resnet50_2"
    levels: tuple[int, ...] = (2, 3)
    patch: int = 3  # side of a neighbourhood, in positions
    dim: int = 1024  # code, of both poolings
    coreset: float = 0.1  # share of the patches that is kept; the paper compares 25, 10 and 1 %
    project: int = 128  # code: the coreset is chosen in a random projection of this dimension
    squared: bool = False
    sigma: float = 4.0

    released: ClassVar[dict[str, dict[str, Any]]] = {"mvtec": {"squared": True}}

    def __post_init__(self) -> None:
        if not 0 < self.coreset <= 1:
            raise ValueError(f"coreset is a share in (0, 1], not {self.coreset}")

    def fit(self, images: Images) -> "PatchCore":
        """Fills the bank. All patches are held in half precision, their projections in single."""
        self.size_ = images.shape[-2:]
        generator = torch.Generator().manual_seed(self.seed)
        axes = torch.eye(self.dim)
        if self.project < self.dim:  # uniform as in the code, of whatever length
            axes = 2 * torch.rand(self.dim, self.project, generator=generator) - 1
        patches, projected = [], []
        for part in progress(images.split(CHUNK), "PatchCore"):
            x = self._patches(part).flatten(0, 2)  # (n rows columns, dim)
            patches.append(x.half())
            projected.append(x @ axes.to(x))
        small = torch.cat(projected)
        kept = torch.full((len(small),), self.coreset == 1, device=images.device)
        if self.coreset < 1:
            kept[greedy_coreset(small, max(1, int(self.coreset * len(small))), generator)] = True
        parts = zip(patches, kept.split(len(patches[0])), strict=True)
        self.bank_ = torch.cat([x[some] for x, some in parts])
        return self

    def anomaly_map(self, images: Images) -> Maps:
        check_size(images, self.size_)
        return torch.cat([self._map(part) for part in progress(images.split(CHUNK), "PatchCore")])

    def _patches(self, images: Images) -> Float[Tensor, "n rows columns d"]:
        levels = cached_features(fill_missing(images), self.backbone, self.levels)
        return patch_features([x.float() for x in levels], self.patch, self.dim)

    def _map(self, images: Images) -> Maps:
        x = self._patches(images)
        maps = nearest(x.flatten(0, 2), self.bank_)[0].view(len(x), 1, *x.shape[1:3])
        maps = maps.square() if self.squared else maps
        return gaussian_blur(F.interpolate(maps, self.size_, mode="bilinear"), self.sigma)[:, 0]
