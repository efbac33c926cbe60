"""FAIR: images restored from their high frequencies; what cannot be restored is a defect.

References:
    | FAIR: Frequency-aware Image Restoration for Industrial Visual Anomaly Detection
    | (Liu et al., 2023), code liutongkun/FAIR
    | Perlin shapes: DRAEM (Zavrtanik et al., 2021). MSGMS: RIAD (2021)

Symbols:
    I    images      (n, 3, h, w)  clean
    I'   damaged     (n, 3, h, w)  with synthetic defects
    I'_h highpass    (n, c, h, w)  what the network sees; c is 1, 2 (Sobel xy) or 3 (DeAE)
    I^r  restored    (n, 3, h, w)  the network's output, not bounded
    D_0  cutoff                    per 256 pixels at any size: lower on an image that was shrunk
    H    transfer    (h, w/2 + 1)  transfer function on the half plane of a real image's spectrum

Choices where the paper is silent, and departures:
    1. From the code: grey is filtered, the layout, means in Eq. 7, SSIM's window, what is turned
       or left clean, one kind of defect per sample, constants of GMS, zeros around all windows.
    2. In the code the border cuts a large CutPaste (`clipped`), and BGR is taken for RGB (`bgr`).
    3. An epoch is m / 8 batches, rounded up, drawn with replacement. On a GPU: bfloat16.
    4. Without DTD, textures are the training images. Augmenters are as in `corruptions`.
    5. Nothing bounds the output, and SSIM likes negatives of textures: see `offset`.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from skimage.color import rgb2lab
from torch import Tensor, nn

from ..api import Images, Maps, Masks, Method, Scores
from ..assets import textures as textures_at
from ..corruptions import Textures, restore_task, to_textures, turn_some
from ..ops import check_size, distance, fill_missing, gms, progress, ring_cosine, seeded, ssim

FILTERS = ("ideal", "gaussian", "butterworth")
CHANNELS = dict.fromkeys((*FILTERS, "sobel_x", "sobel_y", "grey"), 1) | {"sobel_xy": 2, "none": 3}
SOBEL = {3: ((1, 2, 1), (-1, 0, 1)), 5: ((1, 4, 6, 4, 1), (-1, -2, 0, 2, 1))}  # smooth, derive
SIDE, CHUNK = 256, 8  # pixels for which a cutoff is given; images at once

# 3.2 Extract the high-frequency component


@lru_cache(maxsize=8)
def transfer(
    kind: str, cutoff: float, order: int, height: int, width: int, device: torch.device
) -> Float[Tensor, "{height} {width}//2+1"]:
    """Eqs. 2 to 4; the mean of an image, D = 0, is always taken away."""
    d = distance(height, width, SIDE)
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

    def __init__(self, channels: int, width: int, skips: bool = True, outputs: int = 3):
        super().__init__()
        widths = [width * k for k in (1, 2, 4, 8, 8)]
        self.skips, pairs = skips, zip([channels, *widths[:-1]], widths, strict=True)
        self.down = nn.ModuleList(nn.Sequential(_conv(i, o), _conv(o, o)) for i, o in pairs)
        ups = list(zip(widths[:4], [width, *widths[:3]], strict=True))  # the outermost first
        self.up = nn.ModuleList(_conv(i, i) for i, _ in ups)
        self.merge = nn.ModuleList(nn.Sequential(_conv(i, i), _conv(i, o)) for i, o in ups)
        self.out = nn.Conv2d(width, outputs, 3, padding=1)
        for name, weight in self.named_parameters():
            if weight.dim() == 4:
                nn.init.normal_(weight, 0.0, 0.02)
            elif ".1.weight" in name:  # of a batch normalisation
                nn.init.normal_(weight, 1.0, 0.02)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n _o h w"]:
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


def focal(logits: Float[Tensor, "n 2 h w"], masks: Masks) -> Float[Tensor, ""]:
    """DRAEM's loss of the discriminative network, gamma = 2."""
    true = logits.log_softmax(dim=1).gather(1, masks[:, None].long())
    return -((1 - true.exp()).square() * true).mean()


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
    """CIELAB of sRGB under D65; values outside [0, 1], which a network may give, are allowed."""
    return torch.from_numpy(rgb2lab(images.detach().cpu().numpy(), channel_axis=1)).to(images)


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
    learned: bool = False  # Table 11, "Dis": not `score` but one more such U-Net judges
    offset: float | None = None  # where the output starts; None is by chance, as in the code
    textures: str = "dtd"  # Sec. 3.1; "train" is noDTD, Sec. 5.6
    noise: float = 0.0  # FAE's: on what is seen and on what is asked for
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

    after_fit: ClassVar[tuple[str, ...]] = ("score", "k", "mean", "bgr")
    published: ClassVar[dict[str, dict[str, Any]]] = {"visa": {"epochs": 400}}  # Sec. 4.3
    released: ClassVar[dict[str, dict[str, Any]]] = {
        name: {"clipped": True, "bgr": True} for name in ("mvtec", "visa")
    }

    def __post_init__(self) -> None:
        known = {"extractor": tuple(CHANNELS), "kernel": tuple(SOBEL)}
        known |= {"score": ("msgms", "co", "msgms+co")}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is one of {[*values]}, not {getattr(self, name)!r}")
        if not 0 < self.cutoff < SIDE / 2:
            limits = f"0 and Nyquist's {SIDE // 2} cycles per {SIDE} pixels, both excluded"
            raise ValueError(f"cutoff lies between {limits}, and is not {self.cutoff}")
        wrong = min(self.order, self.width, self.batch, self.epochs) < 1 or self.steps == 0
        if wrong or self.noise < 0 or self.mean % 2 != 1:
            raise ValueError(
                "order, width, batch, epochs, steps >= 1, noise >= 0, and mean is odd"
            )

    def fit(self, images: Images) -> "FAIR":
        """Trains the network; `losses_` holds the loss of each step.

        Raises:
            ValueError: height or width is no multiple of 16.
            FileNotFoundError: the textures are nowhere; names the place and the fix.
        """
        height, width = images.shape[-2:]
        if height % 16 or width % 16:
            fix = "halves them four times: load them at a multiple of 16, such as 64, 128 or 256"
            raise ValueError(f"images of {height} x {width} pixels: the network {fix}")
        inside = self.textures == "train"
        textures = to_textures(images) if inside else textures_at(self.textures, height, width)
        with seeded(self.seed):
            nets = nn.ModuleList([UNet(CHANNELS[self.extractor], self.width, self.skips)])
            if self.offset is not None:
                nn.init.constant_(nets[0].get_parameter("out.bias"), self.offset)
            if self.learned:  # sees the image and what was restored, side by side
                nets.append(UNet(6, self.width, outputs=2))
        nets.to(images.device).to(memory_format=torch.channels_last)  # the faster layout
        self.losses_ = self._train(nets, fill_missing(images), textures)
        self.size_, self.nets_ = (height, width), nets.eval()  # of the last step
        return self

    def _train(self, nets: nn.ModuleList, images: Images, textures: Textures) -> list[float]:
        losses: list[Tensor] = []
        steps = self.steps or self.epochs * -(-len(images) // self.batch)
        adam = torch.optim.Adam(nets.parameters(), self.lr, fused=True)
        falls = [8 * steps // 10, 9 * steps // 10]
        schedule = torch.optim.lr_scheduler.MultiStepLR(adam, falls, gamma=0.2)
        generator = torch.Generator().manual_seed(self.seed)
        for _ in progress(range(steps), "FAIR"):
            clean, damaged, masks = self.draw(images, textures, generator)
            seen = self.highpass(damaged)
            with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
                restored = nets[0](seen)
                logits = [net(torch.cat([restored, damaged], dim=1)) for net in nets[1:]]
            value = loss(clean, restored.float()) + sum(focal(x.float(), masks) for x in logits)
            adam.zero_grad()
            value.backward()
            adam.step()
            schedule.step()
            losses.append(value.detach())
        return torch.stack(losses).tolist()

    def draw(self, images: Images, textures: Textures, g: torch.Generator) -> tuple[Tensor, ...]:
        """A batch to restore: clean and damaged (b, 3, h, w), and where (b, h, w)."""
        some = torch.randint(len(images), (self.batch,), generator=g).to(images.device)
        clean = turn_some(images[some], self.turned, math.pi / 2, g)
        damaged, masks = restore_task(clean, textures, g, self.clean, self.cutpaste, self.clipped)
        added = self.noise * torch.randn(clean.shape, generator=g).to(clean) if self.noise else 0
        return clean + added, damaged + added, masks

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
        return torch.cat([self.nets_[0](self.highpass(part)) for part in parts])

    @torch.no_grad()
    def anomaly_map(self, images: Images) -> Maps:
        """Eq. 10, or one of the other scores."""
        x, y = fill_missing(images), self.restore(images)
        found = torch.zeros_like(x[:, :1])
        if "msgms" in self.score:
            found = found + 1 - msgms(x, y)  # Eq. 8
        if "co" in self.score:
            found = found + self.k * (colour(x.flip(1), y.flip(1)) if self.bgr else colour(x, y))
        if self.learned:
            pairs = torch.cat([y, x], dim=1).split(CHUNK)
            found = torch.cat([self.nets_[1](pair).softmax(dim=1)[:, 1:] for pair in pairs])
        rows = F.avg_pool2d(found, (1, self.mean), 1, (0, self.mean // 2))  # two passes are faster
        return F.avg_pool2d(rows, (self.mean, 1), 1, (self.mean // 2, 0))[:, 0]

    def diagnostics(self, images: Images, maps: Maps) -> dict[str, float]:
        """Mean squared error on normal images (Tables 7, 8 and 10)."""
        x = fill_missing(images)
        return {"normal_mse": F.mse_loss(self.restore(x), x).item()} if len(x) else {}

    def image_diagnostics(self, images: Images) -> dict[str, Scores]:
        """Figure 7: how alike image and restoration are in each ring of frequencies."""
        found = ring_cosine(fill_missing(images), self.restore(images))
        return {f"similarity_{radius}": values for radius, values in found.items()}

    def pictures(self, images: Images) -> dict[str, Images]:
        return {"restored": self.restore(images)}
