"""SSDnet: a network trained on the one test image, whose errors mark what does not repeat.

References:
    | A Single Image Is All You Need: Zero-Shot Anomaly Localization Without Training Data
    | (Moradi et al.), under review; its code is announced, not found
    | Encoder-decoder: Deep Image Prior (Ulyanov et al., 2018), code DmitryUlyanov/deep-image-prior

Symbols:
    y    image       (1, 3, h, w)  the test image
    f    network     the encoder-decoder; it is fed the image itself, not noise
    P_r  Patches     all patches of side m_r, N_r of them; the resolutions R are their sides
    phi  PatchEmbedding           VGG19 up to its eighth layer, conv2_2

Choices where the paper is silent, and departures:
    1. Image mode (the default): f sees the whole image, an epoch is one step of Adam, and "up to
       10 epochs" are too few: our runs take 100. Patch mode: each patch is a sample of its own,
       an epoch goes once through all patches in batches.
    2. A patch's squared error is its mean, not its sum, so that resolutions are comparable and
       the stop threshold of 1e-4 is a residual of 0.01. Its inner product is summed over the
       channels and averaged over positions, where the threshold of -100 makes sense.
    3. Every pixel starts a patch; for VGG these are too many, and runs say their `stride`.
    4. Not printed either: widths and skips (Deep Image Prior's default), optimiser, learning
       rate, rates of masking and shuffling (none). Missing pixels count in no term of Eq. 2.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..api import Images, Maps, Method
from ..features import TINY, PatchEmbedding
from ..ops import Patches, fill_missing, progress, seeded

AGGREGATE = {"max": torch.amax, "min": torch.amin, "mean": torch.mean}  # Lambda

# 3.2 Neural network architecture as regularizer


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2))


class EncoderDecoder(nn.Module):
    """Deep Image Prior's network: each level halves the image, skips carry few channels across.

    Args:
        widths: channels of each level, the outermost first.
        skip: channels of each skip connection; 0 for none.
    """

    def __init__(self, widths: tuple[int, ...], skip: int):
        super().__init__()
        inputs = (3, *widths[:-1])
        below = (*widths[1:], widths[-1])
        self.down = nn.ModuleList(
            nn.Sequential(_conv(i, o, 3, stride=2), _conv(o, o, 3))
            for i, o in zip(inputs, widths, strict=True)
        )
        self.skip = nn.ModuleList(_conv(i, skip, 1) for i in inputs if skip)
        self.up = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(b + skip), _conv(b + skip, o, 3), _conv(o, o, 1))
            for b, o in zip(below, widths, strict=True)
        )
        self.out = nn.Sequential(nn.Conv2d(widths[0], 3, 1), nn.Sigmoid())

    def forward(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        levels = []  # what enters each level
        for down in self.down:
            levels.append(x)
            x = down(x)  # (n, c, h/2, w/2)
        for i in reversed(range(len(levels))):
            x = F.interpolate(x, levels[i].shape[-2:])  # nearest, back to (n, c, h, w)
            if self.skip:
                x = torch.cat([x, self.skip[i](levels[i])], dim=1)
            x = self.up[i](x)
        return self.out(x)


# 3.6 Anomaly score computation


def min_max(scores: Float[Tensor, "1 h w"]) -> Float[Tensor, "1 h w"]:
    """Eq. 3, N_minmax: the map scaled to [0, 1]; a constant one becomes zeros."""
    low, high = scores.amin(), scores.amax()
    return (scores - low) / (high - low) if high > low else torch.zeros_like(scores)


@dataclass
class View:
    """What stays the same while f is trained, at one resolution."""

    patches: Patches
    weights: Float[Tensor, "1 h w"]  # of a pixel's error in the mean over all patches
    features: Float[Tensor, "N c s s"] | None  # phi of the image's patches, if it is needed


@dataclass(kw_only=True)
class SSDnet(Method):
    """`fit` learns nothing: each map is the work of a network of its own."""

    epochs: int = 10  # Sec. 4.2, grid: "up to 10"
    stop: float = 1e-4  # Sec. 4.2, grid; training ends when the loss is below
    resolutions: tuple[int, ...] = (16,)  # Sec. 4.2
    aggregate: str = "max"  # Lambda; Sec. 3.4 names max and min
    w_rec: float = 1.0  # Sec. 4.2, grid
    w_perc: float = 0.0
    alpha_rec: float = 1.0  # Sec. 4.2
    alpha_perc: float = 0.0
    coverage_normalise: bool = False  # without the border's lower weight in Eq. 3
    mode: str = "image"  # or "patch"
    stride: int = 1
    batch: int = 64  # patches, in patch mode
    noise: float = 0.01  # Sec. 3.5, standard deviation on the input
    mask_rate: float = 0.0  # Sec. 3.5, share of the input's pixels set to 0 at a step
    permute: float = 0.0  # Sec. 3.5, share of the output's patches compared with another patch
    widths: tuple[int, ...] = (16, 32, 64, 128, 128)
    skip: int = 4  # Sec. 3.2 "with residual connections"
    lr: float = 1e-2
    phi: str = "vgg19"  # or "tiny", for tests
    phi_layer: int = 8  # Sec. 3.3; 9 is behind its ReLU
    phi_size: int = 224  # Sec. 4.2

    published: ClassVar[dict[str, dict[str, Any]]] = {
        "mvtec/grid": {"epochs": 10, "stop": 1e-4, "w_rec": 1.0, "w_perc": 0.0},
        "hkbu_dot": {"epochs": 1, "stop": -100.0, "w_rec": 0.0, "w_perc": 1.0},
        "hkbu_dot/knots": {"alpha_rec": 0.0, "alpha_perc": 1.0},
    }

    def __post_init__(self) -> None:
        known = {"aggregate": tuple(AGGREGATE), "mode": ("image", "patch")}
        for name, values in (known | {"phi": ("vgg19", TINY), "phi_layer": (8, 9)}).items():
            if getattr(self, name) not in values:
                wanted = ", ".join(map(str, values))
                raise ValueError(f"{name} is one of {wanted}, not {getattr(self, name)!r}")
        if abs(self.alpha_rec + self.alpha_perc - 1) > 1e-9:
            raise ValueError("alpha_rec and alpha_perc must sum to 1 (Sec. 3.6)")

    def fit(self, images: Images) -> "SSDnet":
        """Learns nothing; raises FileNotFoundError where VGG19 is needed and not at hand."""
        if self._perceptual:
            self._phi(images)
        return self

    def anomaly_map(self, images: Images) -> Maps:
        """Trains one network per image.

        Raises:
            ValueError: a pixel is infinite, or an image is too small for the patch or the network.
            FileNotFoundError: the perceptual term is asked for and VGG19 is not at hand.
        """
        if images.isinf().any():
            raise ValueError("images hold infinite values; a missing pixel is NaN")
        return torch.cat([self._map(image[None]) for image in progress(images, "SSDnet")])

    def _map(self, y: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 h w"]:
        if y.isnan().any():  # Sec. 5.2: inpaint first, then detect on the inpainted image
            y = torch.where(y.isnan(), self.reconstruct(y), y)
        net, views = self.train(y)
        maps = torch.stack([self.scores(net, y, view) for view in views])
        return AGGREGATE[self.aggregate](maps, dim=0)

    @torch.no_grad()
    def reconstruct(self, y: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 h w"]:
        """f(y) after training f on the pixels of y that are not missing."""
        net, _ = self.train(y)
        return net(fill_missing(y))  # convolutional, so on the whole image after patch mode too

    @torch.enable_grad()
    def train(
        self, y: Float[Tensor, "1 3 h w"], watch: Callable[..., None] | None = None
    ) -> tuple[nn.Module, list[View]]:
        """Eq. 2 by Adam, until `stop` or the last epoch; tells `watch` step, loss and network."""
        seen = y.isfinite().all(dim=1, keepdim=True).to(y)
        y = fill_missing(y)
        views = [self._view(y, seen, m) for m in self.resolutions]
        losses = self._image_losses if self.mode == "image" else self._patch_losses
        with seeded(self.seed):
            net = EncoderDecoder(self.widths, self.skip).to(y)
            optimizer = torch.optim.Adam(net.parameters(), self.lr)
            for step, loss in enumerate(losses(net, y, seen, views), 1):
                if loss.item() < self.stop:
                    break
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if watch:
                    watch(step, loss.item(), net)
        # an image has one set of batch statistics; those of batches of patches are averaged
        return net.train(self.mode == "image"), views

    def _view(self, y: Tensor, seen: Float[Tensor, "1 1 h w"], m: int) -> View:
        height, width = y.shape[-2:]
        patches = Patches(height, width, m, self.stride)
        if self.mode == "image" and max(height, width) <= 2 ** len(self.widths):
            raise ValueError(f"{len(self.widths)} levels shrink {height} x {width} pixels to one")
        if self.mode == "image" and self.permute and (height % m or width % m):
            raise ValueError(f"to permute, tiles of {m} must fill {height} x {width} pixels")
        weights = patches.coverage(y) / m**2 * seen[:, 0]
        features = self._phi(y).targets(patches.cut(y * seen)) if self._perceptual else None
        return View(patches, weights, features)

    @property
    def _perceptual(self) -> bool:
        return self.w_perc != 0 or self.alpha_perc != 0

    def _phi(self, like: Tensor) -> PatchEmbedding:
        return PatchEmbedding(self.phi, self.phi_layer, self.phi_size, like.device)

    def _image_losses(
        self, net: nn.Module, y: Tensor, seen: Tensor, views: list[View]
    ) -> Iterator[Float[Tensor, ""]]:
        """One loss per epoch: f sees the whole image."""
        for _ in range(self.epochs):
            output = self._swap_tiles(net(self._guard(y)))
            error = (output - y).square().mean(dim=1)
            losses = []
            for v in views:
                shown = v.patches.cut(output * seen) if self.w_perc else None
                losses.append(self._loss((v.weights * error).sum(), shown, v.features))
            yield AGGREGATE[self.aggregate](torch.stack(losses))

    def _patch_losses(
        self, net: nn.Module, y: Tensor, seen: Tensor, views: list[View]
    ) -> Iterator[Float[Tensor, ""]]:
        """One loss per batch: f sees single patches, each of them once in an epoch."""
        cuts = [v.patches.cut(torch.cat([y, seen], dim=1)).split([3, 1], dim=1) for v in views]
        steps = -(-max(len(targets) for targets, _ in cuts) // self.batch)
        for _ in range(self.epochs):
            orders = [torch.randperm(len(targets)).tensor_split(steps) for targets, _ in cuts]
            for batch in zip(*orders, strict=True):
                losses = []
                for v, (targets, counted), places in zip(views, cuts, batch, strict=True):
                    other = places[self._partners(len(places))]
                    shown = net(self._guard(targets[places])) * counted[other]
                    error = F.mse_loss(shown, targets[other] * counted[other])
                    features = None if v.features is None else v.features[other]
                    losses.append(self._loss(error, shown, features))
                yield AGGREGATE[self.aggregate](torch.stack(losses))

    def _loss(self, error: Tensor, shown: Tensor | None, features: Tensor | None) -> Tensor:
        """Eq. 2 at one resolution; `shown` are the patches of f(y)."""
        loss = self.w_rec * error
        if shown is not None and features is not None and self.w_perc:
            loss = loss - self.w_perc * self._phi(shown).inner(shown, features).mean()
        return loss

    @torch.no_grad()
    def scores(self, net: nn.Module, y: Tensor, v: View) -> Float[Tensor, "1 h w"]:
        """Eq. 3 at one resolution."""
        shape = (1, *v.patches.shape)
        if self.mode == "image":
            output = net(y)
            shown = v.patches.cut(output) if self.alpha_perc else None
            error = v.patches.mean((output - y).square().mean(dim=1))
        else:
            targets = v.patches.cut(y)
            shown = torch.cat([net(part) for part in targets.split(1024)])
            error = (shown - targets).square().mean(dim=(1, 2, 3)).view(shape)
        found = self.alpha_rec * min_max(self._spread(error, v.patches))
        if shown is not None and v.features is not None and self.alpha_perc:
            similar = self._phi(y).inner(shown, v.features).view(shape)
            found = found - self.alpha_perc * min_max(self._spread(similar, v.patches))
        return found

    def _spread(self, scores: Tensor, patches: Patches) -> Float[Tensor, "1 h w"]:
        spread = patches.spread(scores)
        return spread / patches.coverage(spread) if self.coverage_normalise else spread

    # 3.5 Identity mapping: three guards

    def _guard(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Noise and random masking of what f sees."""
        x = x + self.noise * torch.randn_like(x)
        if self.mask_rate:
            x = x * (torch.rand_like(x[:, :1]) >= self.mask_rate)
        return x

    def _partners(self, count: int) -> Int[Tensor, " {count}"]:
        """Which patch each output is compared with: itself, or for a share `permute` another."""
        partners = torch.arange(count)
        if self.permute:
            some = torch.randperm(count)[: round(self.permute * count)]
            partners[some] = some.roll(1)
        return partners

    def _swap_tiles(self, output: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 h w"]:
        """Patch permutation in image mode: of the tiles that fill the image."""
        if not self.permute:
            return output
        tiles = F.pixel_unshuffle(output, self.resolutions[0])  # (1, 3 m m, h / m, w / m)
        order = self._partners(tiles[0, 0].numel())
        return F.pixel_shuffle(tiles.flatten(2)[..., order].view_as(tiles), self.resolutions[0])
