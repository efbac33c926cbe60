"""Subspace: an image's feature map rebuilt as a sum of few good images' maps; what is left marks.

References:
    | Subspace-Guided Feature Reconstruction for Unsupervised Anomaly Localization
    | (Hotta et al., 2025), https://arxiv.org/abs/2309.13904; no code is named, none was found
    | Orthogonal matching pursuit in Gram space: Efficient Implementation of the K-SVD Algorithm
    | Using Batch Orthogonal Matching Pursuit (Rubinstein et al., 2008)

Symbols:
    X_l  bank_[l]      (N, c, h, w)  features of the N training images, one column of X_l each
    y_l  y             (n, c, h, w)  features of test images at level l
    G    gram_[l]      (N, N)        X_l' X_l
    b    correlations  (n, N)        X_l' y_l
    c    coefficients  (n, s)        of the chosen columns; S, their places, is `support`
    e_l                              y_l - X_l c, never in memory as a whole

Choices where the paper is silent, and departures:
    1. The loop of Algorithm 1 runs on G and b, for all test images at once. Same support and
       residual as the literal loop, which stands in `studies/subspace.py`; tests compare them.
    2. Eq. 3 as printed has no absolute value and prefers long columns (`literal_eq3`). Here a
       column is chosen by |x' e| / ||x||, as in the matching pursuit the paper cites.
    3. A column that the chosen ones already span within rounding adds nothing and is not chosen.
    4. l_ref is l + 1, as in the paper's estimate of costs and its three settings; past the last
       level it is that level pooled, as printed for MTD. A single l_ref is `reference`.
    5. Not printed: the norm over channels (L2), the sum over levels (SPADE's mean; STFPM's product
       is `fusion`), the random bank of the ablation (one per fit and seed, not per image).
    6. Features are rounded to half precision: maps move by 1e-4 of their values, and more where a
       near tie is decided the other way (1 of 39 images of MTD, which moved AU-PRO by 5e-4).
    7. Fewer training images than s or s_ref is an error. For few-shot runs (Fig. 8) `clip` cuts
       both down to N.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..api import Images, Maps, Method
from ..features import cached_features
from ..ops import fill_missing, gaussian_blur, seeded

CHUNK = 4096  # entries of a column multiplied at once; sums of more lose digits in fp32
BATCH = 256  # test images at once
ROUNDING = 1e-7  # a squared length below this share is rounding, most of it of half precision

# 3.1 Subspace-guided feature reconstruction


def chunks(*maps: Float[Tensor, "_n c h w"]) -> Iterator[list[Float[Tensor, "_n _d"]]]:
    """The same few channels of each, as rows in single precision (double stays double)."""
    channels, positions = maps[0].shape[1], maps[0][0, 0].numel()
    step = max(1, CHUNK // positions)
    for start in range(0, channels, step):
        some = [m[:, start : start + step].flatten(1) for m in maps]
        yield [m if m.dtype == torch.double else m.float() for m in some]


def gram(x: Float[Tensor, "N c h w"]) -> Float[Tensor, "N N"]:
    """G = X'X, summed in double precision; its lower half, mirrored."""
    total = x.new_zeros(len(x), len(x), dtype=torch.double)
    for (part,) in chunks(x):
        for top in range(0, len(x), 128):
            end = top + 128
            total[top:end, :end] += part[top:end] @ part[:end].T
    return total.tril() + total.tril(-1).T


def products(
    x: Float[Tensor, "N c h w"], y: Float[Tensor, "n c h w"]
) -> tuple[Float[Tensor, "n N"], Float[Tensor, " n"]]:
    """b = X'y and ||y||^2 of each test image."""
    b = x.new_zeros(len(y), len(x), dtype=torch.double)
    energy = b.new_zeros(len(y))
    for part, target in chunks(x, y):
        b += target @ part.T
        energy += target.square().sum(dim=1)
    return b, energy


def omp(
    gram: Float[Tensor, "N N"],
    correlations: Float[Tensor, "n N"],
    energy: Float[Tensor, " n"],
    sparsity: int,
    allowed: Bool[Tensor, "n N"] | None = None,
    literal_eq3: bool = False,
    eps: float = 1e-6,
) -> tuple[Int[Tensor, "n s"], Float[Tensor, "n s"]]:
    """Algorithm 1 for n test images at once, on G, b and ||y||^2.

    Each step appends a row to the Cholesky factor of G restricted to S. The row is kept for all N
    columns, not only the chosen, for it also updates X'e and each column's distance to the span.

    Args:
        allowed: the bank M of each image; all columns if None.

    Returns:
        The support in the order chosen, -1 where the pursuit had ended, and its coefficients.
    """
    n, size = correlations.shape
    steps, image = min(sparsity, size), torch.arange(n, device=gram.device)
    lengths = gram.diagonal()
    apart = lengths.repeat(n, 1)  # squared distance of each column to the span of the chosen
    free = torch.ones_like(apart, dtype=torch.bool) if allowed is None else allowed.clone()
    inner, left = correlations.clone(), energy.clone()  # X'e and ||e||^2
    rows, z = gram.new_zeros(n, steps, size), gram.new_zeros(n, steps)
    support = torch.full((n, steps), -1, device=gram.device)
    for k in range(steps):
        score = inner if literal_eq3 else inner.abs() / lengths.sqrt()
        useful = free & (apart > ROUNDING * lengths)
        best, j = score.masked_fill(~useful, -torch.inf).max(dim=1)  # Eq. 3
        goes_on = best.isfinite() & (left > (ROUNDING * energy).clamp(min=eps**2))
        if not goes_on.any():
            break
        pivot = torch.where(goes_on, apart[image, j], torch.inf).sqrt()[:, None]
        before = rows[image, :k, j][:, None]  # (n, 1, k)
        rows[:, k] = row = (gram[j] - (before @ rows[:, :k])[:, 0]) / pivot
        z[:, k : k + 1] = step = inner.gather(1, j[:, None]) / pivot
        inner, apart, left = inner - step * row, apart - row.square(), left - step[:, 0].square()
        support[:, k] = torch.where(goes_on, j, -1)
        free[image, j] = False
    # Eq. 4: the rows at the chosen columns are L', and L' c = z
    places = support.clamp(min=0)[:, None].expand(n, steps, steps)
    factor = rows.gather(2, places).triu() + (support < 0).diag_embed()
    return support, torch.linalg.solve_triangular(factor, z[..., None], upper=True)[..., 0]


def residual_maps(
    x: Float[Tensor, "N c h w"],
    y: Float[Tensor, "n c h w"],
    support: Int[Tensor, "n s"],
    coefficients: Float[Tensor, "n s"],
) -> Float[Tensor, "n h w"]:
    """Eq. 5: e = y - X c, its norm over the channels at each position."""
    total: Any = 0.0
    places = support.clamp(min=0)  # where the pursuit had ended, the coefficient is 0
    for part, target in chunks(x, y):
        weights = coefficients.to(part)
        rebuilt = F.embedding_bag(places, part, mode="sum", per_sample_weights=weights)
        error = (target - rebuilt).view(len(y), -1, *y.shape[2:])  # (n, some channels, h, w)
        total = total + error.square().sum(dim=1)
    return total.sqrt()


# 3.2 Subspace-based sampling


def members(support: Int[Tensor, "n s"], size: int) -> Bool[Tensor, "n {size}"]:
    """Eq. 7: M_S, the columns that the pursuit at level l_ref has chosen."""
    return (support[..., None] == torch.arange(size, device=support.device)).any(dim=1)


# 3.3 Anomaly localization


@dataclass(kw_only=True)
class Subspace(Method):
    """Algorithm 2; nothing is trained."""

    backbone: str = "wide_resnet50_2"  # Sec. 4.1
    levels: tuple[int, ...] = (2, 3)  # l, Sec. 4.2.3
    reference: int | None = None  # l_ref for every level; None: l + 1
    sampling: str = "reference"  # or "none", or "random" (Fig. 6)
    sample: int = 40  # s_ref, Sec. 4.2.3
    sparsity: int = 17  # s, Sec. 4.2.3
    eps: float = 1e-6  # Sec. 4.2.3
    literal_eq3: bool = False
    fusion: str = "mean"  # or "product"
    sigma: float = 4.0  # Sec. 3.3
    clip: bool = False  # s and s_ref cut down to the number of training images

    published: ClassVar[dict[str, dict[str, Any]]] = {
        "mvtec": {"levels": (2, 3), "sample": 40, "sparsity": 17, "eps": 1e-6},
        "btad": {"levels": (2, 3), "sample": 80, "sparsity": 40},
        "mtd": {"levels": (2, 3, 4), "sample": 10, "sparsity": 7},
    }

    def __post_init__(self) -> None:
        known = {"sampling": ("reference", "none", "random"), "fusion": ("mean", "product")}
        for name, values in known.items():
            if getattr(self, name) not in values:
                wanted = ", ".join(values)
                raise ValueError(f"{name} is one of {wanted}, not {getattr(self, name)!r}")
        if not 1 <= self.sparsity <= self._needed:
            raise ValueError(
                f"sparsity must lie between 1 and sample, {self.sample}, not be {self.sparsity}"
            )

    def fit(self, images: Images) -> "Subspace":
        """Keeps the features of the training images and their Gram matrices.

        Raises:
            ValueError: too few images; a level that the backbone does not have.
            FileNotFoundError: the backbone's weights are nowhere; names the places and the fix.
        """
        if len(images) < (1 if self.clip else max(2, self._needed)):
            raise ValueError(
                f"{len(images)} training images are too few for s = {self.sparsity} of s_ref = "
                f"{self.sample}: set lower `sparsity` and `sample`, or `clip=True`"
            )
        self.shape_ = images.shape[1:]
        return self.fit_features(self._features(images))

    def anomaly_map(self, images: Images) -> Maps:
        """Raises ValueError for images of another shape than those of `fit`."""
        parts = images.split(BATCH)
        return torch.cat([self.map_features(self._features(p), self.shape_[1:]) for p in parts])

    def fit_features(self, features: dict[int, Tensor]) -> "Subspace":
        """`fit` with the features of each level at hand."""
        if self.sampling == "random":
            with seeded(self.seed):
                order = torch.randperm(len(features[self.levels[0]]))
            some = order[: self.sample].sort().values
            features = {level: x[some.to(x.device)] for level, x in features.items()}
        self.bank_ = features
        self.gram_ = {level: gram(x) for level, x in features.items()}
        return self

    def map_features(self, features: dict[int, Tensor], size: tuple[int, ...]) -> Maps:
        """Algorithm 2 with the features of each level at hand, maps at `size`."""
        inner = {level: products(self.bank_[level], y) for level, y in features.items()}
        maps = []
        for level in self.levels:
            bank = None
            if self.sampling == "reference":
                chosen, _ = self._pursue(self._reference(level), inner, self.sample, None)
                bank = members(chosen, len(self.gram_[level]))
            found = self._pursue(level, inner, self.sparsity, bank)
            residual = residual_maps(self.bank_[level], features[level], *found)
            maps.append(F.interpolate(residual[:, None], tuple(size), mode="bilinear"))
        stack = torch.stack(maps)
        fused = stack.mean(dim=0) if self.fusion == "mean" else stack.prod(dim=0)
        return gaussian_blur(fused, self.sigma)[:, 0]

    def _pursue(self, level: int, inner: dict[int, Any], s: int, bank: Tensor | None) -> Any:
        b, energy = inner[level]
        return omp(self.gram_[level], b, energy, s, bank, self.literal_eq3, self.eps)

    def _reference(self, level: int) -> int:
        return level + 1 if self.reference is None else self.reference

    @property
    def _needed(self) -> int:
        """How many training images the settings ask for."""
        return self.sparsity if self.sampling == "none" else self.sample

    def _features(self, images: Tensor) -> dict[int, Tensor]:
        if images.shape[1:] != self.shape_:
            one, other = (" x ".join(map(str, s)) for s in (self.shape_, images.shape[1:]))
            raise ValueError(f"fitted on images of {one}, which cannot explain images of {other}")
        levels = set(self.levels)
        if self.sampling == "reference":
            levels |= {self._reference(level) for level in self.levels}
        wanted = tuple(sorted(levels))
        found = cached_features(fill_missing(images), self.backbone, wanted)
        return dict(zip(wanted, found, strict=True))
