"""PaDiM: Mahalanobis distance of each position's features to a Gaussian of that position.

References:
    | PaDiM: a Patch Distribution Modeling Framework for Anomaly Detection and Localization (Defard
      et al., 2021), whose text was not at hand; "public code" is not the authors':
      xiahaifeng1995/PaDiM-Anomaly-Detection-Localization-master@0488159
    | Setting of the comparison: Subspace-Guided Feature Reconstruction (Hotta et al., 2025)

Choices and departures:
    1. 256 pixels without a crop, as Subspace compares, not a crop of 224.
    2. Sums are in single precision, as seen from the first image so that little cancels, and
       factored in double precision, block by block in the same memory. It takes 4 p d^2 bytes for
       any number of images: 5 GB at 256 pixels, which have p = 4096 positions.
    3. One training image has no covariance: epsilon I alone, that is a Euclidean distance.
    4. Features are rounded to half precision, as for all methods that compare features.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ..api import Images, Maps, Method
from ..features import cached_features
from ..ops import check_size, fill_missing, gaussian_blur, progress

CHUNK = 16  # images at once
BLOCK = 64  # positions at once


# III-A. Embedding extraction
def embedding(
    levels: list[Float[Tensor, "n _c _h _w"]], dims: Int[Tensor, " d"]
) -> Float[Tensor, "n d rows columns"]:
    """The chosen channels, out of all levels in a row, at the size of the first level."""
    kept, first = [], 0
    for x in levels:
        own = dims[(dims >= first) & (dims < first + x.shape[1])] - first
        kept.append(F.interpolate(x[:, own], levels[0].shape[-2:]))  # nearest
        first += x.shape[1]
    return torch.cat(kept, dim=1)


# III-B. Learning of the normality
def cholesky_(
    sums: Float[Tensor, "p d d"], count: int, epsilon: float, block: int = BLOCK
) -> Float[Tensor, "p d d"]:
    """Cholesky factors of Sigma, Eq. 1, written over the sums of squares about the mean."""
    for part in sums.split(block):
        sigma = part.double().div_(max(count - 1, 1))
        sigma.diagonal(dim1=1, dim2=2).add_(epsilon)
        part.copy_(torch.linalg.cholesky(sigma))
    return sums


# III-C. Inference: computation of the anomaly map
def mahalanobis(
    x: Float[Tensor, "n d p"], factor: Float[Tensor, "p d d"], block: int = BLOCK
) -> Float[Tensor, "n p"]:
    """Eq. 2 for x without its mean: |L^-1 x| with Sigma = L L'."""
    parts = zip(x.movedim(2, 0).mT.split(block), factor.split(block), strict=True)  # (p, d, n)
    white = (torch.linalg.solve_triangular(lower, part, upper=False) for part, lower in parts)
    return torch.cat([torch.linalg.vector_norm(y, dim=1) for y in white]).T


@dataclass(kw_only=True)
class PaDiM(Method):
    backbone: str = "wide_resnet50_2"
    levels: tuple[int, ...] = (1, 2, 3)
    dims: int = 550  # of the 1792 channels, drawn once
    epsilon: float = 0.01
    sigma: float = 4.0

    def fit(self, images: Images) -> "PaDiM":
        """Learns one Gaussian per position; ValueError for more dimensions than channels."""
        self.size_ = images.shape[-2:]
        first = self._features(images[:1])
        self.dims_ = self._draw(sum(x.shape[1] for x in first)).to(images.device)
        origin = embedding(first, self.dims_)[0].flatten(1)  # (d, p)
        total = torch.zeros_like(origin)
        sums = origin.new_zeros(origin.shape[1], *2 * origin.shape[:1])  # (p, d, d)
        for part in progress(images.split(CHUNK), "PaDiM"):
            x = (self._embed(part).flatten(2) - origin).permute(2, 1, 0)  # (p, d, n)
            total += x.sum(dim=2).T
            sums.baddbmm_(x, x.mT)
        mean = total / len(images)  # still as seen from the origin
        sums.baddbmm_(mean.T[:, :, None], mean.T[:, None], alpha=-len(images))
        self.mean_ = origin + mean
        self.factor_ = cholesky_(sums, len(images), self.epsilon)
        return self

    def anomaly_map(self, images: Images) -> Maps:
        check_size(images, self.size_)
        return torch.cat([self._map(part) for part in progress(images.split(CHUNK), "PaDiM")])

    def _draw(self, channels: int) -> Int[Tensor, " d"]:
        if self.dims > channels:
            raise ValueError(f"dims={self.dims}, but {self.backbone} has {channels} channels here")
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randperm(channels, generator=generator)[: self.dims].sort().values

    def _features(self, images: Images) -> list[Tensor]:
        found = cached_features(fill_missing(images), self.backbone, self.levels)
        return [x.float() for x in found]

    def _embed(self, images: Images) -> Float[Tensor, "n d rows columns"]:
        return embedding(self._features(images), self.dims_)

    def _map(self, images: Images) -> Maps:
        x = self._embed(images)
        distances = mahalanobis(x.flatten(2) - self.mean_, self.factor_)
        maps = F.interpolate(distances.view(len(x), 1, *x.shape[2:]), self.size_, mode="bilinear")
        return gaussian_blur(maps, self.sigma)[:, 0]
