"""RPCA: the sparse part of an image whose patches are else of low rank.

References:
    | Robust Principal Component Analysis? (Candes, Li, Ma and Wright, 2011)
    | tensorly, `robust_pca`

Symbols:
    X = L + S  (d, k)  the k patches of d pixels, their low-rank part and their sparse part

Choices and departures:
    1. Patches make the matrix, as SSDnet's Sec. 2 says, which prints neither sizes nor numbers.
    2. tensorly decomposes a tensor and adds the nuclear norms of all its unfoldings. A matrix has
       two, with the same nuclear norm, so the weight of each is one half.
    3. The penalty grows with each step (Lin et al., 2010); in the paper's Algorithm 1 it is fixed.
       Faster growth is faster, but at 1.3 the library already misses parts it could recover.
    4. The library computes on the CPU; maps go back to where the images live.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..api import Images, Maps, Method
from ..ops import fill_missing, progress


def decompose(
    x: Float[Tensor, "d k"], growth: float, iterations: int = 1000
) -> tuple[Float[Tensor, "d k"], Float[Tensor, "d k"]]:
    """Eq. 1.1: min ||L||_* + ||S||_1 / sqrt(max(d, k)) subject to X = L + S."""
    from tensorly.decomposition import robust_pca

    largest = max(float(torch.linalg.matrix_norm(x, 2)), 1e-6)  # a black image has no scale
    parts = robust_pca(
        x.numpy(),
        reg_J=0.5,
        reg_E=max(x.shape) ** -0.5,
        mu_init=1.25 / largest,
        learning_rate=growth,
        n_iter_max=iterations,
        tol=1e-5 * largest,
        verbose=0,
    )
    return torch.from_numpy(parts[0]), torch.from_numpy(parts[1])


@dataclass(kw_only=True)
class RPCA(Method):
    patch: int = 16  # ours, like all values here
    stride: int = 8
    growth: float = 1.2

    def fit(self, images: Images) -> "RPCA":
        """Does nothing: the method needs no training images."""
        return self

    def anomaly_map(self, images: Images) -> Maps:
        if min(images.shape[-2:]) < self.patch:
            size = " x ".join(map(str, images.shape[-2:]))
            raise ValueError(f"images of {size} are smaller than a patch, {self.patch}")
        grey = fill_missing(images).mean(dim=1, keepdim=True).cpu().double()
        maps = [self._map(one[None]) for one in progress(grey, "rpca")]
        return torch.cat(maps).to(images)

    def _map(self, grey: Float[Tensor, "1 1 h w"]) -> Float[Tensor, "1 h w"]:
        """|S|, each pixel a mean over the patches that cover it."""
        height, width = grey.shape[-2:]
        # the border repeats until the last patch fits
        below, right = ((self.patch - side) % self.stride for side in (height, width))
        padded = F.pad(grey, (0, right, 0, below), mode="replicate")
        x = F.unfold(padded, self.patch, stride=self.stride)  # (1, d, k)
        sparse = decompose(x[0], self.growth)[1].abs()[None]
        total, cover = (
            F.fold(part, padded.shape[-2:], self.patch, stride=self.stride)
            for part in (sparse, torch.ones_like(x))
        )
        return (total / cover)[:, 0, :height, :width]
