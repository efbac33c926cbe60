"""PG-LSR: what of a patch's texture cannot be written by the other patches, guided by a prior.

References:
    | Fabric defect inspection using prior knowledge guided least squares regression (Cao et al.,
      2017), code jjcao/Fabric-Defect-Inspection-GLSR@6228a55 (no licence: read, not copied)

Symbols:
    X  features  (8, k)  mean filter response of each of the k patches
    p  prior     (k,)    squared distance to a template of the texture
    E  residual  (8, k)  what X Z, patches written by patches, leaves of X

Choices and departures (no paper text at hand: "code" is the authors', at the commit above):
    1. A closed form (see `residual`) instead of the code's augmented Lagrangian: the same minimum.
    2. `main.m` takes its template from `patch_blemish_prior_textons_compare`: the most central of
       3 means over 9 patches. The file without `_compare` has 7 means over (0.07 k)^2 patches.
    3. The code divides a filter by its sum of absolute values and by scale ** order. From its
       second call on it reads these norms shifted by one place, which we take for an oversight.
    4. Gaussians are sampled; the code's are recursive (Geusebroek et al., 2003). Its derivatives
       are kept: central differences, edges without their sign and bars with it.
    5. The last blur has reflected borders and no cut at 10 x 10; grey is the mean of RGB; the map
       is brought back to the image's own size.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ..api import Images, Maps, Method
from ..ops import Patches, gaussian_blur, grey_at

SCALES = (0.25, 0.5, 1.0)  # MR8's 1, 2 and 4 in a quarter of the size, as in the code
TURNS = 6  # orientations
BLOB = 2.5  # sigma of the two round filters: MR8's 10 in a quarter of the size
RADIUS = 14  # of the filters; the longest Gaussian has a sigma of 3


# Texture features: the filters of MR8
def _gaussian(along: float, across: float, angle: float) -> Float[Tensor, "s s"]:
    offsets = torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float64)
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    u, v = x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)
    kernel = torch.exp(-0.5 * ((u / across) ** 2 + (v / along) ** 2))
    return kernel / kernel.sum()


def _slope(kernel: Float[Tensor, "s s"], angle: float) -> Float[Tensor, "s s"]:
    """Central difference across the filter's long axis."""
    dy, dx = ((kernel.roll(-1, axis) - kernel.roll(1, axis)) / 2 for axis in (0, 1))
    return dx * math.cos(angle) - dy * math.sin(angle)


def _scaled(kernel: Float[Tensor, "s s"], scale: float, order: int) -> Float[Tensor, "s s"]:
    return kernel / kernel.abs().sum() / scale**order


def filter_bank() -> Float[Tensor, "38 1 s s"]:
    """Edges, then bars, for each scale in six orientations; then a Laplacian and a Gaussian."""
    edges, bars = [], []
    for scale in SCALES:
        for angle in (math.pi * turn / TURNS for turn in range(TURNS)):
            edge = _slope(_gaussian(3 * scale, scale, angle), angle)
            edges.append(_scaled(edge, scale, 1))
            bars.append(_scaled(_slope(edge, angle), scale, 2))
    blob = _gaussian(BLOB, BLOB, 0.0)
    twice = [_slope(_slope(blob, angle), angle) for angle in (0.0, math.pi / 2)]
    laplacian = _scaled(twice[0] + twice[1], 2 * SCALES[-1], 2)  # the next scale, as in the code
    return torch.stack([*edges, *bars, laplacian, blob])[:, None]


def responses(grey: Float[Tensor, "1 h w"]) -> Float[Tensor, "8 h w"]:
    """MR8: of the six orientations of a filter only the strongest response counts."""
    centred = grey - grey.mean()
    contrast = centred.square().mean().sqrt()
    centred = centred / contrast.clamp(min=1e-6)  # a constant image has no contrast
    padded = F.pad(centred, (RADIUS,) * 4, mode="replicate")
    # by Fourier transform: 38 filters of 29 x 29 pixels are slow as a convolution
    spectrum = torch.fft.rfft2(filter_bank().to(grey)[:, 0], s=padded.shape[-2:])
    maps = torch.fft.irfft2(torch.fft.rfft2(padded) * spectrum.conj(), s=padded.shape[-2:])
    maps = maps[:, : grey.shape[-2], : grey.shape[-1]]  # (38, h, w)
    edges, bars, round_ = maps.split((len(SCALES) * TURNS, len(SCALES) * TURNS, 2))
    edges = edges.abs().unflatten(0, (len(SCALES), TURNS)).amax(1)
    bars = bars.unflatten(0, (len(SCALES), TURNS)).amax(1)
    return torch.cat([edges, bars, round_])


# Prior
def prior(x: Float[Tensor, "d k"], draws: Int[Tensor, "r m"]) -> Float[Tensor, " k"]:
    """Squared distance of each patch to a template: the most central of r means over m patches."""
    templates = x[:, draws].mean(dim=-1)  # (d, r)
    off_centre = (templates - templates.mean(dim=1, keepdim=True)).square().sum(dim=0)
    template = templates[:, off_centre.argmin()]
    return (x - template[:, None]).square().sum(dim=0)


# Guided least squares
def residual(
    x: Float[Tensor, "d k"], p: Float[Tensor, " k"], weight: float
) -> Float[Tensor, "d k"]:
    """E of min ||Z||^2 + weight ||E diag(exp(-p))||^2 subject to X = X Z + E, exactly.

    The columns do not meet: e_i = c_i (X X' + c_i I)^-1 x_i with 1 / c_i = weight exp(-2 p_i),
    and one eigendecomposition of the d x d matrix X X' serves them all.
    """
    values, vectors = torch.linalg.eigh(x @ x.T)
    shrunk = 1 / (1 + weight * values.clamp(min=0)[:, None] * torch.exp(-2 * p))  # (d, k)
    return vectors @ (shrunk * (vectors.T @ x))


@dataclass(kw_only=True)
class PGLSR(Method):
    width: int | None = 160  # code, like all values here; None keeps the image's own size
    patch: int = 16
    overlap: int = 8
    weight: float = 0.75  # lambda
    draws: int = 3
    subset: int = 9  # patches in a draw
    sigma: float = 2.0

    def fit(self, images: Images) -> "PGLSR":
        """Does nothing: the method needs no training images."""
        return self

    def anomaly_map(self, images: Images) -> Maps:
        grey = grey_at(images, self.width, "bicubic")  # (n, 1, h, w)
        maps = torch.stack([self._saliency(one) for one in grey])
        maps = gaussian_blur(maps, self.sigma)
        return F.interpolate(maps, images.shape[-2:], mode="bilinear")[:, 0]

    def _saliency(self, grey: Float[Tensor, "1 h w"]) -> Float[Tensor, "1 h w"]:
        """Sum of ||e_i||^2 over the patches that cover a pixel, divided by the number of all."""
        _, height, width = grey.shape
        patches = Patches(height, width, self.patch, self.patch - self.overlap)
        x = torch.cat([patches.mean(response[None]) for response in responses(grey)]).flatten(1)
        generator = torch.Generator().manual_seed(self.seed)
        draws = torch.randint(x.shape[1], (self.draws, self.subset), generator=generator)
        e = residual(x, prior(x, draws.to(x.device)), self.weight)  # (8, k)
        return patches.spread(e.square().sum(dim=0).view(1, *patches.shape))
