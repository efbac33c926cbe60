"""FAIR: images restored from their high frequencies; what cannot be restored is a defect.

References:
    | FAIR: Frequency-aware Image Restoration for Industrial Visual Anomaly Detection
    | (Liu et al., 2023), code liutongkun/FAIR
    | Textures in Perlin shapes: DRAEM (Zavrtanik et al., 2021). MSGMS: RIAD (same authors, 2021)

Symbols:
    I    images      (n, 3, h, w)  clean
    I'   damaged     (n, 3, h, w)  with synthetic defects
    I'_h highpass    (n, c, h, w)  what the network sees; c is 1, 2 (Sobel xy) or 3 (DeAE)
    I^r  restored    (n, 3, h, w)  the network's output, not bounded
    D_0  cutoff                    in cycles per 256 pixels, the paper's size, at every size
    H    transfer    (h, w/2 + 1)  transfer function on the half plane of a real image's spectrum

Choices where the paper is silent, and departures:
    1. From the code: the grey image is filtered, the network's layout, SSIM's window (11, sigma
       1.5), 30 % of the samples turned by up to 90 degrees, half of them left clean and the other
       half with either kind of defect, constants of GMS, zeros around all windows.
    2. The paper's CutPaste covers more than half of an image; in the code borders cut most of it
       off (`clipped`), and colours are computed from BGR as if it were RGB (`bgr`).
    3. An epoch is m / 8 whole batches, rounded up, drawn with replacement as in the code, whose
       last batch is smaller. One training image is enough, and no batch is too small to normalise.
    4. On a GPU the network is trained in bfloat16; its loss and its maps are in single precision.
    5. Without DTD, textures are any of the training images, with the augmenters of DTD; the code
       adds two. Ranges of the augmenters, and Sobel's weights, not divided, are the usual ones.
    6. D_0 is a frequency per pixel: a smaller image is a crop. Table 11's network is missing.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..api import Images, Maps, Method
from ..assets import textures as textures_at
from ..corruptions import Textures, restore_task, rotate, to_textures, uniform
from ..ops import check_size, fill_missing, gms, progress, seeded, ssim

FILTERS = ("ideal", "gaussian", "butterworth")
CHANNELS = dict.fromkeys((*FILTERS, "sobel_x", "sobel_y", "grey"), 1) | {"sobel_xy": 2, "none": 3}
SOBEL = {3: ((1, 2, 1), (-1, 0, 1)), 5: ((1, 4, 6, 4, 1), (-1, -2, 0, 2, 1))}  # smooth, derive
XYZ = (0.412453, 0.35758, 0.180423), (0.212671, 0.71516, 0.072169), (0.019334, 0.119193, 0.950227)
WHITE = (0.95047, 1.0, 1.08883)
SIDE = 256  # pixels for which a cutoff is given
CHUNK = 8  # images at once

# 3.2 Extract the high-frequency component


def distance(height: int, width: int) -> Float[Tensor, "{height} {width}//2+1"]:
    """D(u, v), in cycles per 256 pixels, in the order of `rfft2`."""
    u, v = torch.fft.fftfreq(height, 1 / SIDE), torch.fft.rfftfreq(width, 1 / SIDE)
    return torch.hypot(u[:, None], v)


@lru_cache(maxsize=8)
def transfer(
    kind: str, cutoff: float, order: int, height: int, width: int, device: torch.device
) -> Float[Tensor, "{height} {width}//2+1"]:
    """Eqs. 2 to 4; the mean of an image, D = 0, is always taken away."""
    d = distance(height, width)
    if kind == "ideal":
        h = (d > cutoff).float()
    elif kind == "gaussian":
        h = 1 - torch.exp(-d.square() / (2 * cutoff**2))
    else:
        h = 1 / (1 + (cutoff / d) ** (2 * order))
    return h.to(device)


def grey(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Luma, as OpenCV computes it."""
    weights = images.new_tensor([0.299, 0.587, 0.114])
    return (weights[:, None, None] * images).sum(dim=1, keepdim=True)


def sobel(
    x: Float[Tensor, "n 1 h w"], directions: str, size: int
) -> Float[Tensor, "n {len(directions)} h w"]:
    """Gradients along x, y or both (Sec. 5.4), with OpenCV's kernels and mirrored borders."""
    smooth, derive = (x.new_tensor(k) for k in SOBEL[size])
    kernels = {"x": smooth[:, None] * derive, "y": derive[:, None] * smooth}
    padded = F.pad(x, (size // 2,) * 4, mode="reflect")
    return F.conv2d(padded, torch.stack([kernels[d] for d in directions])[:, None])


# 4.3 The restoration network: "the vanilla UNet with skip connections"


def _conv(inputs: int, outputs: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class UNet(nn.Module):
    """Five levels, two convolutions each; skips are added, not concatenated (code)."""

    def __init__(self, channels: int, width: int, skips: bool = True):
        super().__init__()
        widths = [width * k for k in (1, 2, 4, 8, 8)]
        inputs, self.skips = [channels, *widths[:-1]], skips
        pairs = zip(inputs, widths, strict=True)
        self.down = nn.ModuleList(nn.Sequential(_conv(i, o), _conv(o, o)) for i, o in pairs)
        outputs = [width, *widths[:3]]  # of each level on the way up, the outermost first
        ups = list(zip(widths[:4], outputs, strict=True))
        self.up = nn.ModuleList(_conv(i, i) for i, _ in ups)
        self.merge = nn.ModuleList(nn.Sequential(_conv(i, i), _conv(i, o)) for i, o in ups)
        self.out = nn.Conv2d(width, 3, 3, padding=1)
        for name, weight in self.named_parameters():
            if weight.dim() == 4:
                nn.init.normal_(weight, 0.0, 0.02)
            elif ".1.weight" in name:  # of a batch normalisation
                nn.init.normal_(weight, 1.0, 0.02)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 h w"]:
        found: list[Tensor] = []
        for level in self.down:
            x = level(F.max_pool2d(x, 2) if found else x)
            found.append(x)
        for k in (3, 2, 1, 0):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = self.up[k](x)
            x = self.merge[k](x + found[k] if self.skips else x)
        return self.out(x)


# 3.3 Training objectives


def loss(images: Images, restored: Float[Tensor, "n 3 h w"]) -> Float[Tensor, ""]:
    """Eq. 7."""
    return F.mse_loss(restored, images) + 1 - ssim(restored, images).mean()


# 3.4 Anomaly evaluation function


def msgms(
    x: Float[Tensor, "n 3 h w"], y: Float[Tensor, "n 3 h w"], scales: int = 2
) -> Float[Tensor, "n 1 h w"]:
    """GMS at full size and at halves of it, enlarged and averaged."""
    total, size = gms(x, y), x.shape[-2:]
    for _ in range(scales - 1):
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        total = total + F.interpolate(gms(x, y), size, mode="bilinear")
    return total / scales


def lab(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """CIELAB of sRGB under D65; values outside [0, 1] go on, so that they stay finite."""
    curved = ((images.clamp(min=0) + 0.055) / 1.055) ** 2.4
    linear = torch.where(images > 0.04045, curved, images / 12.92)
    xyz = torch.einsum("ij,njhw->nihw", linear.new_tensor(XYZ), linear)
    xyz = xyz / linear.new_tensor(WHITE)[:, None, None]
    cubic = xyz.clamp(min=1e-8) ** (1 / 3)
    x, y, z = torch.where(xyz > 0.008856, cubic, 7.787 * xyz + 16 / 116).unbind(dim=1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def colour(x: Float[Tensor, "n 3 h w"], y: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Eq. 9: squared distance of a and b; lightness does not count."""
    return (lab(x) - lab(y))[:, 1:].square().sum(dim=1, keepdim=True)


@dataclass(kw_only=True)
class FAIR(Method):
    extractor: str = "butterworth"  # Sec. 3.2; "grey" is ColorRe, "none" DeAE
    cutoff: float = 30.0  # D_0, Sec. 4.3, in cycles per 256 pixels
    order: int = 2  # n, Sec. 3.2
    kernel: int = 3  # of Sobel, Sec. 5.4
    width: int = 128  # c, Sec. 4.3
    skips: bool = True  # Sec. 5.1, False is DeAE_noskip
    textures: str = "dtd"  # Sec. 3.1; "train" is noDTD, Sec. 5.6
    clean: float = 0.5  # code: share of samples without a defect
    cutpaste: float = 0.5  # code: share of CutPaste among defects
    clipped: bool = False
    turned: float = 0.3  # code: share of samples turned by up to 90 degrees
    epochs: int = 800  # Sec. 4.3
    steps: int | None = None  # batches of the whole training, instead of epochs
    batch: int = 8  # Sec. 4.3
    lr: float = 1e-4  # Sec. 4.3, times 0.2 after 80 % and 90 % of the epochs
    score: str = "msgms+co"  # Sec. 3.4; or "msgms", "co" (Table 11)
    k: float = 3e-4  # Sec. 3.4
    mean: int = 21  # f_mean, Sec. 3.4
    bgr: bool = False

    published: ClassVar[dict[str, dict[str, Any]]] = {"visa": {"epochs": 400}}  # Sec. 4.3
    released: ClassVar[dict[str, dict[str, Any]]] = {
        name: {"clipped": True, "bgr": True} for name in ("mvtec", "visa")
    }

    def __post_init__(self) -> None:
        known = {"extractor": tuple(CHANNELS), "kernel": tuple(SOBEL)}
        for name, values in (known | {"score": ("msgms", "co", "msgms+co")}).items():
            if getattr(self, name) not in values:
                wanted = ", ".join(map(str, values))
                raise ValueError(f"{name} is one of {wanted}, not {getattr(self, name)!r}")
        if not 0 < self.cutoff < SIDE / 2:
            raise ValueError(
                f"cutoff lies between 0 and Nyquist's {SIDE // 2} cycles per {SIDE} pixels, "
                f"both excluded, and is not {self.cutoff}"
            )
        if min(self.order, self.width, self.batch, self.epochs) < 1 or self.mean % 2 != 1:
            raise ValueError("order, width, batch and epochs are at least 1, and mean is odd")

    def fit(self, images: Images) -> "FAIR":
        """Trains the network; `losses_` holds the loss of each step.

        Raises:
            ValueError: height or width is no multiple of 16.
            FileNotFoundError: the textures are nowhere; names the place and the fix.
        """
        self.size_ = tuple(images.shape[-2:])
        if any(n % 16 for n in self.size_):
            raise ValueError(
                f"images of {self.size_[0]} x {self.size_[1]} pixels: the network halves them "
                "four times, so load them at a multiple of 16, such as 64, 128 or 256"
            )
        own = self.textures == "train"
        textures = to_textures(images) if own else textures_at(self.textures, *self.size_)
        with seeded(self.seed):
            net = UNet(CHANNELS[self.extractor], self.width, self.skips).to(images.device)
        self.losses_ = self._train(net, fill_missing(images), textures)
        self.net_ = net.eval()  # of the last step
        return self

    def _train(self, net: UNet, images: Images, textures: Textures) -> list[float]:
        on_gpu, losses = images.is_cuda, []
        net.to(memory_format=torch.channels_last if on_gpu else torch.contiguous_format)
        steps = self.steps or self.epochs * -(-len(images) // self.batch)
        adam = torch.optim.Adam(net.parameters(), self.lr)
        falls = [int(share * steps) for share in (0.8, 0.9)]
        schedule = torch.optim.lr_scheduler.MultiStepLR(adam, falls, gamma=0.2)
        generator = torch.Generator().manual_seed(self.seed)
        for _ in progress(range(steps), "FAIR"):
            clean, damaged = self.draw(images, textures, generator)
            seen = self.highpass(damaged)
            with torch.autocast(images.device.type, torch.bfloat16, enabled=on_gpu):
                restored = net(seen)
            value = loss(clean, restored.float())
            adam.zero_grad()
            value.backward()
            adam.step()
            schedule.step()
            losses.append(value.detach())  # read at the end: a GPU need not wait
        return torch.stack(losses).tolist()

    def draw(
        self, images: Images, textures: Textures, generator: torch.Generator
    ) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b 3 h w"]]:
        """A batch to restore, clean and damaged."""
        some = torch.randint(len(images), (self.batch,), generator=generator)
        clean = images[some.to(images.device)]
        turned = (torch.rand(self.batch, generator=generator) < self.turned).nonzero()[:, 0]
        angles = uniform(-math.pi / 2, math.pi / 2, (len(turned),), generator)
        turned = turned.to(images.device)
        clean[turned] = rotate(clean[turned], angles)
        how = (self.clean, self.cutpaste, self.clipped)
        return clean, restore_task(clean, textures, generator, *how)[0]

    def highpass(self, images: Images) -> Float[Tensor, "n _c h w"]:
        """Eqs. 5 and 6, or one of the other extractors: what the network sees."""
        if self.extractor == "none":
            return images
        x, size = grey(images), images.shape[-2:]
        if self.extractor == "grey":
            return x
        if self.extractor not in FILTERS:
            return sobel(x, self.extractor.removeprefix("sobel_"), self.kernel)
        h = transfer(self.extractor, self.cutoff, self.order, *size, images.device)
        return torch.fft.irfft2(torch.fft.rfft2(x) * h, s=tuple(size))

    @torch.no_grad()
    def restore(self, images: Images) -> Float[Tensor, "n 3 h w"]:
        """I^r; raises ValueError for images of another size than those of `fit`."""
        check_size(images, self.size_)
        parts = fill_missing(images).split(CHUNK)
        return torch.cat([self.net_(self.highpass(part)) for part in parts])

    def anomaly_map(self, images: Images) -> Maps:
        """Eq. 10."""
        x, y = fill_missing(images), self.restore(images)
        found = torch.zeros_like(x[:, :1])
        if self.score != "co":
            found = found + 1 - msgms(x, y)  # Eq. 8
        if self.score != "msgms":
            found = found + self.k * (colour(x.flip(1), y.flip(1)) if self.bgr else colour(x, y))
        return F.avg_pool2d(found, self.mean, stride=1, padding=self.mean // 2)[:, 0]

    def diagnostics(self, images: Images, maps: Maps) -> dict[str, float]:
        """Mean squared error on normal images (Tables 7, 8 and 10)."""
        if not len(images):
            return {}
        return {"normal_mse": F.mse_loss(self.restore(images), fill_missing(images)).item()}
