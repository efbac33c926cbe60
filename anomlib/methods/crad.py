"""CRAD: an image's features rebuilt from two continuous grids, which know normal features only.

References:
    | Continuous Memory Representation for Anomaly Detection (Lee et al., 2024),
      https://arxiv.org/abs/2402.18293, whose text was not at hand: "code" is tae-mo/CRAD

Symbols:
    F      x         (n, c, h, w)     aligned features of a frozen backbone, kept in a cache
    p_l    local     (n, h, w, 2)     each position's coordinates in the local grid, in [-1, 1]
    p_g    whole     (n, 2)           each image's coordinates in the global grid
    G_l    Grids.local   (1, c, g, g)        one feature at each node
    G_g    Grids.whole   (1, c h w, g, g)    one feature map at each node
    F_rec  rebuilt   (n, c, h, w)     what residual blocks make of both samples
    F_out  refined   (n, c, h, w)     sim F + (1 - sim) F_rec, where sim is a similarity

Choices where the paper is silent, and departures:
    1. Blocks and epochs of the code's first release: 7 residual blocks, 100 epochs. The final
       one, `as_released`, has 11 of MobileNetV3's bottlenecks and 50 epochs.
    2. One process with batches of 64, statistics of batches included, for the code's four of 16.
    3. The last epoch counts. The code keeps the best of every tenth by the test set's AUROC, and
       turns an AUROC below one half round.
    4. At a border, the mean that smooths maps is of the pixels inside; the code counts zeros.
    5. Images have 256 pixels (code: 224); squeeze and excitation has torchvision's biases.
    6. Features are cached in half precision; on a GPU all but coordinates is in bfloat16.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from ..api import Images, Maps, Method, Scores
from ..features import cached_features
from ..ops import box_mean, check_size, fill_missing, progress, seeded

Features = Float[Tensor, "n c h w"]
Places = Float[Tensor, "n h w 2"]
Shares = Float[Tensor, "n 1 h w"]

# Features and their coordinates


def aligned(levels: list[Tensor], corners: bool) -> Features:
    """All levels at the size of the largest, their channels in a row."""
    size = tuple(max(x.shape[d] for x in levels) for d in (-2, -1))
    return torch.cat([enlarged(x.float(), size, corners) for x in levels], dim=1)


def enlarged(x: Float[Tensor, "n c _h _w"], size: tuple[int, ...], corners: bool) -> Features:
    return F.interpolate(x, size, mode="bilinear", align_corners=corners)


def coordinate_net(channels: int) -> nn.Sequential:
    """Features to coordinates in [-1, 1], position by position."""
    hidden, out = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, 2, 1)
    return nn.Sequential(hidden, nn.Tanh(), out, nn.Tanh()).apply(start)


def start(layer: nn.Module) -> None:
    """Draws a convolution from N(0, 0.01^2), without bias."""
    if isinstance(layer, nn.Conv2d):
        nn.init.normal_(layer.weight, std=0.01)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


class Coordinates(nn.Module):
    """Where positions sample the local grid, with noise in some steps, and images the global."""

    def __init__(self, channels: int, jitter: float, rate: float):
        super().__init__()
        self.local, self.whole = coordinate_net(channels), coordinate_net(channels)
        self.jitter, self.rate = jitter, rate

    @torch.autocast("cuda", enabled=False)
    def forward(self, x: Features) -> tuple[Places, Float[Tensor, "n 2"]]:
        local = self.local(x).movedim(1, 3)
        if self.training and torch.rand(()).item() < self.rate:
            local = local + self.jitter * torch.randn(local.shape).to(local)
        return local, self.whole(x.mean(dim=(2, 3), keepdim=True)).flatten(1)


# Local and global continuous grids, and blocks


def sample(grid: Float[Tensor, "1 c g g"], places: Places) -> Features:
    """Bilinear values at (x, y) in [-1, 1], the grid's outer edges; zeros beyond.

    As `F.grid_sample`, whose gradient is not deterministic on CUDA; this sum of hats' is.
    """
    side = grid.shape[-1]
    at = ((places + 1) * side - 1) / 2  # in nodes
    hats = F.relu(1 - (at[..., None] - torch.arange(side).to(at)).abs())  # (n, h, w, 2, g)
    return torch.einsum("nhwj,nhwi,cij->nchw", hats[..., 0, :], hats[..., 1, :], grid[0])


class Grids(nn.Module):
    """Features of single positions, and feature maps of whole images."""

    def __init__(self, shape: tuple[int, int, int], local: int, whole: int):
        super().__init__()
        self.shape, (c, h, w) = shape, shape
        self.local = nn.Parameter(torch.empty(1, c, local, local))
        self.whole = nn.Parameter(torch.empty(1, c * h * w, whole, whole))
        for grid in self.parameters():
            nn.init.xavier_normal_(grid)

    def forward(self, local: Places, whole: Float[Tensor, "n 2"]) -> Float[Tensor, "n c2 h w"]:
        maps = sample(self.whole, whole[:, None, None]).view(-1, *self.shape)
        return torch.cat([maps, sample(self.local, local)], dim=1)  # (n, 2 c, h, w)


def conv(i: int, o: int, side: int, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(i, o, side, padding=side // 2, groups=groups, bias=False)


class ResidualBlock(nn.Module):
    """ResNet's basic block at constant width."""

    def __init__(self, c: int):
        super().__init__()
        self.inner = nn.Sequential(
            *(conv(c, c, 3), nn.BatchNorm2d(c), nn.ReLU()),
            *(conv(c, c, 3), nn.BatchNorm2d(c)),
        )

    def forward(self, x: Features) -> Features:
        return F.relu(x + self.inner(x))


class Bottleneck(nn.Module):
    """MobileNetV3's block at constant width, with squeeze and excitation, `wide` inside."""

    def __init__(self, c: int, wide: int):
        super().__init__()
        excite = SqueezeExcitation(wide, wide // 4, scale_activation=nn.Hardsigmoid)
        self.inner = nn.Sequential(
            *(conv(c, wide, 1), nn.BatchNorm2d(wide), nn.Hardswish()),
            *(conv(wide, wide, 3, wide), nn.BatchNorm2d(wide), excite, nn.Hardswish()),
            *(conv(wide, c, 1), nn.BatchNorm2d(c)),
        )

    def forward(self, x: Features) -> Features:
        return x + self.inner(x)


def recovery(channels: int, blocks: int, expansion: float | None = None) -> nn.Sequential:
    """What the grids gave, twice the channels, back to features."""
    c = 2 * channels
    wide = round((expansion or 1) * c)
    made = (Bottleneck(c, wide) if expansion else ResidualBlock(c) for _ in range(blocks))
    return nn.Sequential(*made, conv(c, channels, 1)).apply(start)


class Head(nn.Module):
    """F, of shape (c, h, w), to F_rec: coordinates, grids, blocks; all that is trained."""

    def __init__(self, shape: tuple[int, int, int], settings: "CRAD"):
        super().__init__()
        self.coordinates = Coordinates(shape[0], settings.jitter, settings.jitter_rate)
        self.normal = Grids(shape, settings.local_grid, settings.global_grid)
        self.recover = recovery(shape[0], settings.blocks, settings.expansion)

    def forward(self, x: Features) -> Features:
        return self.recover(self.normal(*self.coordinates(x)))


# Similarity-based refinement


def similarity(rebuilt: Features, x: Features, distance: float, scale: float) -> Shares:
    """The cosine, and by the weight `distance` whether `scale` times the error is small."""
    error = (rebuilt - x).square().mean(dim=1, keepdim=True)
    near = 1 - (scale * error).clamp(0, 1).round()
    return distance * near + (1 - distance) * F.cosine_similarity(rebuilt, x)[:, None]


def refine(rebuilt: Features, x: Features, sim: Shares) -> Features:
    """F_out: where F_rec resembles F, mostly F; so F_out - F is (1 - sim) (F_rec - F)."""
    return sim * x + (1 - sim) * rebuilt


# Training and detection


@dataclass(kw_only=True)
class CRAD(Method):
    """One model for all images of `fit`, of whatever categories."""

    backbone: str = "efficientnet_b4"  # code
    levels: tuple[int, ...] = (2, 3)  # code: its stages 3 and 4; here at 1/8 and 1/16
    corners: bool = True  # code: maps are enlarged with corners on corners; False: centres
    local_grid: int = 8  # code, nodes along a side
    global_grid: int = 4  # code
    blocks: int = 7  # code, first release
    expansion: float | None = None  # of bottlenecks; None: residual blocks (first release)
    jitter: float = 0.05  # code, standard deviation on the local coordinates
    jitter_rate: float = 0.5  # code, share of the steps with it
    distance: float = 0.3  # code, weight in the similarity; the cosine has the rest
    scale: float = 0.05  # code, of the squared error in the similarity
    refine_training: bool = True  # code; False: refinement in maps only
    epochs: int = 100  # code, first release
    batch: int = 64  # code, four processes of 16
    lr: float = 1e-3  # code
    lr_grid: float = 0.1  # code
    weight_decay: float = 0.01  # code, AdamW's default
    lr_step: int = 40  # code, epochs after which rates fall to a tenth
    clip: float = 0.1  # code, largest norm of a gradient
    smooth: int = 21  # code, side of the mean over a map
    pool: int = 32  # code, side of the mean that scores an image

    released: ClassVar[dict[str, dict[str, Any]]] = {  # the final release
        "mvtec": {"blocks": 11, "expansion": 2.0, "epochs": 50}
    }

    def __post_init__(self) -> None:
        lowest = dict.fromkeys(("local_grid", "global_grid", "batch", "lr_step"), 1)
        for name, least in (lowest | {"smooth": 1, "pool": 1, "epochs": 0, "blocks": 0}).items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} is at least {least}, not {getattr(self, name)}")

    def fit(self, images: Images) -> "CRAD":
        """Trains the head; interrupted, the method is one that was never fitted.

        Raises:
            ValueError: a level that the backbone does not have.
            FileNotFoundError: the backbone's weights are nowhere; names the places and the fix.
        """
        vars(self).pop("net_", None)
        x = self.features(images)
        with seeded(self.seed), torch.enable_grad():
            net = self.head(x)
            losses = self._train(net, x)
        self.net_, self.losses_, self.size_ = net.eval(), losses, tuple(images.shape[-2:])
        return self

    @torch.no_grad()
    def anomaly_map(self, images: Images) -> Maps:
        """Raises RuntimeError without a finished fit, ValueError for images of another size."""
        if "net_" not in vars(self):
            raise RuntimeError(f"no finished fit of {type(self).__name__}: call `fit` first")
        check_size(images, self.size_)
        self.net_.to(images.device)
        return torch.cat([self._map(self.features(part)) for part in images.split(16)])

    def image_score(self, maps: Maps) -> Scores:
        side = [min(self.pool, n) for n in maps.shape[1:]]
        return F.avg_pool2d(maps[:, None], side, stride=1).amax(dim=(1, 2, 3))

    def features(self, images: Images) -> Float[Tensor, "n c rows columns"]:
        levels = cached_features(fill_missing(images), self.backbone, self.levels)
        return aligned(levels, self.corners)

    def head(self, x: Features) -> nn.Module:
        return Head((x.shape[1], x.shape[2], x.shape[3]), self).to(x)

    def _train(self, net: nn.Module, x: Features) -> list[float]:
        return self.minimise(net, x, self.epochs, lambda f: self.loss(net(f), f))

    def minimise(
        self, net: nn.Module, x: Tensor, epochs: int, loss: Callable[[Tensor], Tensor]
    ) -> list[float]:
        """Minimises the loss of shuffled batches; returns its mean over each epoch."""
        learned = {name: p for name, p in net.named_parameters() if p.requires_grad}
        names = [name for name in learned if name.endswith(("normal.local", "normal.whole"))]
        grids = [learned.pop(name) for name in names]  # the abnormal ones too
        groups = [{"params": [*learned.values()]}, {"params": grids, "lr": self.lr_grid}]
        adam = torch.optim.AdamW(groups, self.lr, weight_decay=self.weight_decay, fused=True)
        schedule = torch.optim.lr_scheduler.StepLR(adam, self.lr_step, 0.1)
        losses = []
        for _ in progress(range(epochs), type(self).__name__):
            total = x.new_zeros(())
            for some in torch.randperm(len(x)).split(self.batch):
                with torch.autocast(x.device.type, torch.bfloat16, enabled=x.is_cuda):
                    value = loss(x[some.to(x.device)])
                adam.zero_grad()
                value.backward()
                nn.utils.clip_grad_norm_([*learned.values(), *grids], self.clip)
                adam.step()
                total = total + value.detach() * len(some)
            schedule.step()
            losses.append(total / len(x))
        return torch.stack(losses).tolist() if losses else []

    def loss(self, rebuilt: Tensor, x: Tensor) -> Float[Tensor, ""]:
        """Mean squared error of F_out, through the similarity too."""
        return F.mse_loss(self._refined(rebuilt, x) if self.refine_training else rebuilt, x)

    def _refined(self, rebuilt: Tensor, x: Tensor) -> Features:
        return refine(rebuilt, x, similarity(rebuilt, x, self.distance, self.scale))

    def _map(self, x: Float[Tensor, "n c rows columns"]) -> Maps:
        """How far F_out is from F, at the size of the images."""
        far = (self._refined(self.net_(x), x) - x).norm(dim=1, keepdim=True)
        return box_mean(enlarged(far, self.size_, self.corners), self.smooth)[:, 0]
