"""SPADE: distance of each position's features to the nearest ones of the most similar images.

References:
    | Sub-Image Anomaly Detection with Deep Pyramid Correspondences (Cohen and Hoshen, 2020), whose
      text was not at hand; "public code" is not the authors': byungjae89/SPADE-pytorch@786559b
    | Setting of the comparison: Subspace-Guided Feature Reconstruction (Hotta et al., 2025)

Choices and departures:
    1. 256 pixels without a crop, as Subspace compares, not a crop of 224.
    2. One gallery per level and the mean of the levels' maps, as in the public code. A position's
       score is the distance to the one nearest feature.
    3. An image scores the maximum of its map, not the mean distance to its K images, which a map
       does not hold.
    4. Features are in half precision: a distance moves by less than a thousandth of their length.
       At 256 pixels an image of the gallery takes 3.7 MB, those of MTD 2.8 GB.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ..api import Images, Maps, Method
from ..features import cached_features
from ..ops import check_size, fill_missing, gaussian_blur, nearest, progress

CHUNK = 8  # images at once


# K nearest neighbour normal image retrieval
def similar_images(
    x: Float[Tensor, "n c"], bank: Float[Tensor, "m c"], neighbours: int
) -> Int[Tensor, "n k"]:
    """The K nearest rows of the bank, or all where there are fewer."""
    # as differences, not as products, whose rounding would depend on the batch
    distances = torch.cdist(x, bank, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.topk(min(neighbours, len(bank)), largest=False).indices


# Sub-image anomaly detection via image alignment
def correspondence(
    x: Float[Tensor, "c h w"], gallery: Float[Tensor, "k c"]
) -> Float[Tensor, "h w"]:
    """Distance of each position to the nearest feature of the gallery, wherever that lies."""
    return nearest(x.flatten(1).T, gallery)[0].view(x.shape[1:])


@dataclass(kw_only=True)
class SPADE(Method):
    backbone: str = "wide_resnet50_2"
    levels: tuple[int, ...] = (1, 2, 3)
    last: int = 4  # level that is pooled to find similar images
    neighbours: int = 50  # paper, on MVTec; 5 in the public code
    sigma: float = 4.0

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise ValueError(f"neighbours is at least 1, not {self.neighbours}")

    def fit(self, images: Images) -> "SPADE":
        """Stores the features of every image."""
        self.size_ = images.shape[-2:]
        self.galleries_: list[list[Tensor]] = []  # of each image, of each level: (h w, c)
        pooled = []
        for part in progress(images.split(CHUNK), "SPADE"):
            levels, last = self._features(part)
            pooled.append(last)
            rows = [x.flatten(2).mT for x in levels]
            self.galleries_ += [list(one) for one in zip(*rows, strict=True)]
        self.pooled_ = torch.cat(pooled)
        return self

    def anomaly_map(self, images: Images) -> Maps:
        check_size(images, self.size_)
        parts = progress(images.split(1), "SPADE")
        return gaussian_blur(torch.cat([self._map(one) for one in parts]), self.sigma)[:, 0]

    def _features(self, images: Images) -> tuple[list[Tensor], Float[Tensor, "n c"]]:
        wanted = (*self.levels, self.last)
        *levels, last = cached_features(fill_missing(images), self.backbone, wanted)
        return levels, last.float().mean(dim=(2, 3))

    def _map(self, image: Images) -> Float[Tensor, "1 1 h w"]:
        levels, pooled = self._features(image)
        similar = similar_images(pooled, self.pooled_, self.neighbours)[0].tolist()
        maps = []
        for i, (x,) in enumerate(levels):
            gallery = torch.cat([self.galleries_[image][i] for image in similar])
            level = correspondence(x.float(), gallery)[None, None]
            maps.append(F.interpolate(level, self.size_, mode="bilinear"))
        return torch.stack(maps).mean(dim=0)
