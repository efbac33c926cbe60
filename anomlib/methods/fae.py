"""FAE: an autoencoder that repairs occlusions but keeps noise, and so leaves the rest alone.

References:
    | Noise & Pattern: Identity-Anchored Tikhonov Regularization for Robust Structural Anomaly
    | Detection (Bauer & Mueller, 2025), its base SDC: Self-Supervised Autoencoders for Visual
    | Anomaly Detection (Bauer et al., 2024). Theorem 1 by experiment: `studies/fae.py`

Symbols:
    x, x^   clean and occluded images     (n, 3, h, w)  `x` and `x_hat`, of D values each
    M       masks                         (n, h, w)     from 0 to 1, how much is covered
    f, J    network, its Jacobian at x^                 only J v is ever computed
    k, n    side of the mean filter, and how often it is applied

Choices where the paper is silent, and departures:
    1. The text at hand has lost its formulas, and with them sigma, lr, lambda, n and k; epochs
       and batch are nowhere. lr, lambda's place and the network, but for its skips and linear
       output, are SDC's as we know it, unchecked. Squared norms are divided by D.
    2. Every sample is occluded; ranges of shapes and opacities are ours, in `corruptions.py`.
    3. All categories are flipped, only the transistor is turned; what a turn leaves empty is
       reflected. Where a flipped part is a defect, set `flips=False`.
    4. Under penalties, as under noise, a batch is one input in training: its statistics are part
       of J. Averages over 50 batches with their noise replace running ones, which lag behind.
    5. n, k and Diff are the best on what is held out, occluded with the defaults. At a border the
       mean filter averages what is there. RCAE's J is at x^, too.
    6. An epoch is m / 8 batches, rounded up, drawn with replacement. On a GPU: bfloat16.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.func import jvp
from torch.optim.swa_utils import update_bn

from ..api import Images, Maps, Method, Scores
from ..assets import textures as textures_at
from ..corruptions import OPACITIES, ROTATIONS, SHAPES, Textures, occlude, reoriented, to_textures
from ..ops import check_size, distance, fill_missing, gms, identity_gap, progress, seeded, ssim

ARMS = ("fae", "none", "dae", "target", "independent", "explicit", "rcae")
NOISY = ("fae", "dae", "independent")  # arms with noise on the input
DIFFS, KERNELS, TIMES = ("mse", "ssim", "gms"), (3, 5, 9, 15), (0, 1, 2, 3)
DILATIONS = (1, 2, 4, 8, 16, 32)  # of SDC
OCCLUDED = 16  # images with synthetic masks by which n, k and Diff are chosen
SETTLING = 50  # batches for the statistics of the trained network

# 5 Experiments: "a modified U-Net with dilated convolutions in the bottleneck"


def _layer(conv: nn.Module, channels: int) -> nn.Sequential:
    norm = nn.BatchNorm2d(channels)
    norm.num_batches_tracked = None  # unused, and `jvp` forbids counting
    return nn.Sequential(conv, norm, nn.ReLU(inplace=True))


def _pair(i: int, o: int) -> nn.Sequential:
    return nn.Sequential(*(_layer(nn.Conv2d(c, o, 3, padding=1), o) for c in (i, o)))


class Dilated(nn.ModuleList):  # one convolution per dilation, side by side
    def __init__(self, i: int, o: int):
        super().__init__(nn.Conv2d(i, o, 3, padding=d, dilation=d) for d in DILATIONS)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        return torch.cat([conv(x) for conv in self], dim=1)


class UNet(nn.Module):
    """Three levels, stacked dilated convolutions at an eighth of the size, linear output."""

    def __init__(self, width: int, blocks: int, skips: bool = True):
        super().__init__()
        a, b, c, bottom = width, 2 * width, 4 * width, len(DILATIONS) * width
        self.down = nn.ModuleList([_pair(3, a), _pair(a, b), _pair(b, c)])
        inputs, self.skips = [c] + [bottom] * (blocks - 1), skips
        self.bottom = nn.Sequential(*(_layer(Dilated(i, width), bottom) for i in inputs))
        pairs = [(bottom, c), (c, b), (b, a)]
        self.up = nn.ModuleList(nn.ConvTranspose2d(i, o, 2, stride=2) for i, o in pairs)
        self.merge = nn.ModuleList(_pair(2 * o if skips else o, o) for _, o in pairs)
        self.out = nn.Conv2d(a, 3, 1)

    def forward(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        found: list[Tensor] = []
        for level in self.down:
            found.append(level(x))
            x = F.max_pool2d(found[-1], 2)
        x = self.bottom(x)  # (n, 6c, h/8, w/8)
        for up, merge in zip(self.up, self.merge, strict=True):
            x, skip = up(x), found.pop()
            x = merge(torch.cat([x, skip], dim=1) if self.skips else x)
        return self.out(x)


# 2 Methodology: Eqs. 1 and 3, and the arms of the ablation


def residual(
    net: nn.Module, x: Images, x_hat: Images, sigma: Tensor | float, arm: str, g: torch.Generator
) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "..."]]:
    """r = f(x^ + u) - (x + v), Eq. 3 where u = v; and what an explicit penalty squares, else 0."""
    like = {"generator": g, "device": x.device, "dtype": x.dtype}
    noise = sigma * torch.randn(x.shape, **like) if arm != "none" else torch.zeros_like(x)
    if arm in ("explicit", "rcae"):
        w = noise.sign()  # by Hutchinson: |sigma (J - I) w|^2 or |sigma J w|^2
        y, moved = jvp(net, (x_hat,), (w,))  # pyright: ignore[reportAssignmentType]
        return y.to(x) - x, sigma * (moved.to(x) - w if arm == "explicit" else moved.to(x))
    u = noise if arm in NOISY else 0.0
    v = noise if arm in ("fae", "target") else 0.0
    if arm == "independent":
        v = sigma * torch.randn(x.shape, **like)
    return net(x_hat + u).to(x) - (x + v), x.new_zeros(())


def loss(r: Images, masks: Float[Tensor, "n h w"], weight: float | None = None) -> Tensor:
    """Eqs. 1 and 3; or the first loss of Sec. 2, whose two parts are means weighted by lambda."""
    if weight is None:
        return r.square().mean()
    m = torch.stack([1 - masks, masks])[:, :, None]  # (2, n, 1, h, w)
    parts = (m * r).square().sum(dim=(2, 3, 4)) / (3 * m.sum(dim=(2, 3, 4))).clamp(min=1)
    return torch.lerp(parts[0], parts[1], weight).mean()


# 2 Methodology: test-time detection


def difference(x: Images, y: Images, kind: str) -> Float[Tensor, "n 1 h w"]:
    """Diff: the channels' mean of squared errors, 1 - SSIM or 1 - GMS."""
    if kind == "mse":
        return (x - y).square().mean(dim=1, keepdim=True)
    return 1 - (ssim(x, y).mean(dim=1, keepdim=True) if kind == "ssim" else gms(x, y))


def smoothed(maps: Float[Tensor, "n 1 h w"], k: int, n: int) -> Float[Tensor, "n 1 h w"]:
    """Eq. 2: a k x k mean filter, n times."""
    for _ in range(n):
        maps = F.avg_pool2d(maps, k, 1, k // 2, count_include_pad=False)
    return maps


@dataclass(kw_only=True)
class FAE(Method):
    penalty: str = "fae"  # Eq. 3; or another arm of the ablation
    sigma: float = 0.05
    sigma_max: float | None = None  # Sec. 3.2: instead, sigma ~ U(0, sigma_max) for each image
    weight: float | None = None  # lambda of the first loss of Sec. 2; None is Eq. 3
    width: int = 64
    blocks: int = 4
    skips: bool = True  # Sec. 5, "U-Net"
    shape: str = "both"  # Sec. 4.1; or "ellipses", "curves"; Remark 1: "whole", "nothing"
    textures: str = "dtd"  # Sec. 4.2; or "train", "procedural"
    opacity: str | float = "mixed"  # Sec. 4.3; or "opaque", "transparent", a share covered
    edge: float = 2.0  # Sec. 4.2, boundary smoothing: at most so many pixels
    flips: bool = True  # Sec. 5
    rotations: str = "none"  # Sec. 5; or "quarter" turns, "any" angle
    held_out: float = 0.05  # Sec. 5
    diff: str | None = None  # Diff; this, k and n are chosen on what is held out
    mean: int | None = None  # k
    times: int | None = None  # n
    score: str = "sum"  # Sec. 2; or "max"
    epochs: int = 800
    steps: int | None = None  # batches of the whole training, instead of epochs
    batch: int = 8
    lr: float = 1e-4

    published: ClassVar[dict[str, dict[str, Any]]] = {"mvtec/transistor": {"rotations": "any"}}
    after_fit: ClassVar[tuple[str, ...]] = ("diff", "mean", "times", "score")

    def __post_init__(self) -> None:
        known = {"penalty": ARMS, "shape": SHAPES, "rotations": ROTATIONS, "score": ("sum", "max")}
        known |= {"diff": (None, *DIFFS), "mean": (None, *KERNELS), "times": (None, *TIMES)}
        known |= {"opacity": OPACITIES} if isinstance(self.opacity, str) else {}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is one of {values}, not {getattr(self, name)!r}")
        bounds = dict.fromkeys(("sigma", "sigma_max", "weight", "held_out", "opacity"), (0, 1))
        bounds |= dict.fromkeys(("width", "blocks", "epochs", "steps", "batch"), (1, math.inf))
        for name, (least, most) in (bounds | {"edge": (0, math.inf)}).items():
            value = getattr(self, name)
            if not (value is None or isinstance(value, str) or least <= value <= most):
                raise ValueError(f"{name} lies between {least} and {most}, and is not {value}")
        if self.shape == "whole" and self.opacity in ("opaque", "mixed", 1):
            raise ValueError("opacity: a mask over the whole image has to let some of it be seen")

    def fit(self, images: Images) -> "FAE":
        """Trains the network; `losses_` holds the loss of each step, `graded_` grades of maps.

        Raises:
            ValueError: height or width is no multiple of 8, or quarter turns change the size.
            FileNotFoundError: the textures are nowhere; names the place and the fix.
        """
        self.size_ = (height, width) = tuple(images.shape[-2:])
        if height % 8 or width % 8:
            raise ValueError(f"images of {height} x {width} pixels: load a multiple of 8")
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(self.seed))
        held = min(max(1, round(self.held_out * len(images))), len(images) - 1)
        images = fill_missing(images)[order.to(images.device)]
        train, rest = images[held:], images[: max(held, 1)]  # a single image is both
        with seeded(self.seed):
            net = UNet(self.width, self.blocks, self.skips).to(images.device)
        textures = to_textures(train) if self.textures == "train" else None
        if self.textures not in ("train", "procedural"):
            textures = textures_at(self.textures, *self.size_)
        self.losses_ = self._train(net, train, textures)
        self.net_ = net.eval()  # of the last step
        self.graded_ = self._grade(rest, textures)
        return self

    def _train(self, net: UNet, images: Images, textures: Textures | None) -> list[float]:
        device, losses = images.device, []
        net.to(memory_format=torch.channels_last)
        adam = torch.optim.Adam(net.parameters(), self.lr, fused=True)
        generator = torch.Generator().manual_seed(self.seed)
        noise = torch.Generator(device).manual_seed(self.seed + 2**31)  # apart from occlusions
        steps = self.steps or self.epochs * -(-len(images) // self.batch)
        for _ in progress(range(steps), "FAE"):
            x, x_hat, masks = self.draw(images, self.batch, textures, generator)
            sigma = self._sigma(noise)
            with torch.autocast(device.type, torch.bfloat16, enabled=images.is_cuda):
                r, moved = residual(net, x, x_hat, sigma, self.penalty, noise)
            value = loss(r, masks, self.weight) + moved.square().mean()
            adam.zero_grad()
            value.backward()
            adam.step()
            losses.append(value.detach())  # read at the end: a GPU need not wait
        for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
            norm.num_batches_tracked, norm.momentum = torch.zeros((), dtype=torch.long), None
        seen = (self.draw(images, self.batch, textures, generator)[1] for _ in range(SETTLING))
        if self.penalty in NOISY:
            seen = (torch.normal(x, self._sigma(noise), generator=noise) for x in seen)
        update_bn(seen, net)
        return torch.stack(losses).tolist()

    def _sigma(self, g: torch.Generator) -> Tensor | float:
        share = torch.rand(self.batch, 1, 1, 1, generator=g, device=g.device)
        return self.sigma if self.sigma_max is None else self.sigma_max * share

    def draw(
        self, images: Images, b: int, textures: Textures | None, g: torch.Generator
    ) -> tuple[Tensor, ...]:
        """b of the images, flipped and turned; the same occluded; the masks, (b, h, w)."""
        some = torch.randint(len(images), (b,), generator=g).to(images.device)
        x = reoriented(images[some], self.flips, self.rotations, g)
        return x, *occlude(x, textures, g, self.shape, self.opacity, self.edge)

    def _grade(self, images: Images, textures: Textures | None) -> dict[Any, float]:
        """The pixel AUROC of each Diff, k and n on occluded images."""
        g = torch.Generator().manual_seed(self.seed + 2**30)
        usual = FAE(flips=self.flips, rotations=self.rotations)  # with the default corruptions
        _, x_hat, masks = usual.draw(images, OCCLUDED, textures, g)
        inside = masks > 0.5 * masks.amax(dim=(1, 2), keepdim=True)
        y, true, graded = self.restore(x_hat), inside.flatten().cpu().numpy(), {}
        for diff, k, n in itertools.product(DIFFS, KERNELS, TIMES):
            maps = smoothed(difference(x_hat, y, diff), k, n)
            graded[diff, k, n] = float(roc_auc_score(true, maps.flatten().cpu().numpy()))
        return graded

    def choice(self) -> tuple[str, int, int]:
        """Diff, k and n: as they are set, or else those of the best grade beside what is set."""
        asked = self.diff, self.mean, self.times
        fits = [c for c in self.graded_ if all(map(lambda a, b: a in (None, b), asked, c))]
        return max(fits, key=lambda c: self.graded_[c])

    @torch.no_grad()
    def restore(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """f; raises ValueError for images of another size than those of `fit`."""
        check_size(images, self.size_)
        return torch.cat([self.net_(part) for part in fill_missing(images).split(8)])

    def anomaly_map(self, images: Images) -> Maps:
        """Eq. 2."""
        diff, k, n = self.choice()
        found = difference(fill_missing(images), self.restore(images), diff)
        return smoothed(found, k, n)[:, 0]

    def image_score(self, maps: Maps) -> Scores:
        return maps.sum(dim=(1, 2)) if self.score == "sum" else maps.amax(dim=(1, 2))

    def pictures(self, images: Images) -> dict[str, Images]:
        return {"restored": self.restore(images)}

    def diagnostics(self, images: Images, maps: Maps) -> dict[str, float]:
        """On normal images: what Sec. 3 says of restorations, and |J - I|_F^2 / D."""
        if not len(images):
            return {}
        x, y = fill_missing(images), self.restore(images)
        high = distance(*self.size_).to(x.device) > 64  # half of Nyquist's 128 per 256 pixels
        fine = [torch.fft.irfft2(torch.fft.rfft2(t) * high, s=self.size_) for t in (y, x)]
        twice, once = (t.flatten(1).norm(dim=1) for t in (self.restore(y) - y, y))
        return {
            "normal_mse": F.mse_loss(y, x).item(),
            "jacobian_identity": identity_gap(self.net_, x, self.seed),
            "idempotency": (twice / once).mean().item(),
            "high_frequencies": (fine[0].square().sum() / fine[1].square().sum()).item(),
        }
