"""CRAD: an image's features rebuilt from two continuous grids, which know normal features only.

References:
    | Continuous Memory Representation for Anomaly Detection (Lee et al., 2024),
      https://arxiv.org/abs/2402.18293, whose text was not at hand: "code" is tae-mo/CRAD
    | As the base of GRAD: Bi-Grid Reconstruction for Image Anomaly Detection (Huang et al.)

Symbols:
    F      x         (n, c, h, w)     aligned features of a frozen backbone, kept in a cache
    p_l    local     (n, h, w, 2)     each position's coordinates in the local grid, in [-1, 1]
    p_g    whole     (n, 2)           each image's coordinates in the global grid
    G_l    Grids.local   (1, c, g, g)        one feature at each node
    G_g    Grids.whole   (1, c h w, g, g)    one feature map at each node
    F_rec  rebuilt   (n, c, h, w)     what residual blocks make of both samples
    F_out  refined   (n, c, h, w)     sim F + (1 - sim) F_rec

Choices where the paper is silent, and departures:
    1. Blocks and epochs of the code's first release: 7 residual blocks, 100 epochs. The final
       one has 11 MobileNetV3 bottlenecks and 50 epochs; `epochs` says so, the blocks are not here.
    2. One process with batches of 64 stands for the code's four with 16 each; statistics of the
       batch are of 64 images instead of 16.
    3. The last epoch counts. The code keeps the best of every tenth by the test set's AUROC, and
       turns an AUROC below one half round.
    4. Maps are smoothed by means over 21 x 21 pixels, of the pixels inside at the border, and an
       image scores the largest mean over 32 x 32 pixels, or over the image if it is smaller.
    5. Features are rounded to half precision in the cache. No weights, no augmentation: as code.
    6. A grid is sampled once for all images of a batch, whose coordinates stand in one row; the
       code repeats the grid for each image. Same values, less memory.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..api import Images, Maps, Method, Scores
from ..features import cached_features
from ..ops import box_mean, check_size, fill_missing, progress, seeded

CHUNK = 16  # images at once, where nothing is learned

# Features


def aligned(levels: list[Tensor]) -> Float[Tensor, "n c h w"]:
    """All levels at the size of the largest, their channels in a row."""
    height = max(x.shape[-2] for x in levels)
    width = max(x.shape[-1] for x in levels)
    sized = [F.interpolate(x.float(), (height, width), mode="bilinear") for x in levels]
    return torch.cat(sized, dim=1)


# Coordinate mapping


def coordinate_net(channels: int) -> nn.Sequential:
    """Features to coordinates in [-1, 1], position by position."""
    hidden, out = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, 2, 1)
    return nn.Sequential(hidden, nn.Tanh(), out, nn.Tanh())


class Coordinates(nn.Module):
    """Where each position samples the local grid, and each image the global one.

    Args:
        jitter: standard deviation of noise on the local coordinates while training.
        rate: share of the training steps that have it.
    """

    def __init__(self, channels: int, jitter: float, rate: float):
        super().__init__()
        self.local, self.whole = coordinate_net(channels), coordinate_net(channels)
        self.jitter, self.rate = jitter, rate

    def forward(
        self, x: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, "n h w 2"], Float[Tensor, "n 2"]]:
        local = self.local(x).movedim(1, 3)
        if self.training and torch.rand(()).item() < self.rate:
            local = local + self.jitter * torch.randn(local.shape).to(local)
        return local, self.whole(x.mean(dim=(2, 3), keepdim=True)).flatten(1)


# Local and global continuous grids


def sample(
    grid: Float[Tensor, "1 c _g _g"], places: Float[Tensor, "n h w 2"]
) -> Float[Tensor, "n c h w"]:
    """Bilinear values at (x, y) in [-1, 1], the grid's outer edges; zeros beyond."""
    rows = places.flatten(0, 1)[None]  # (1, n h, w, 2)
    found = F.grid_sample(grid, rows, mode="bilinear", padding_mode="zeros", align_corners=False)
    return found[0].unflatten(1, places.shape[:2]).movedim(0, 1)


class Grids(nn.Module):
    """Features of single positions, and feature maps of whole images."""

    def __init__(self, shape: tuple[int, int, int], local: int, whole: int):
        super().__init__()
        self.shape, (c, h, w) = shape, shape
        self.local = nn.Parameter(torch.empty(1, c, local, local))
        self.whole = nn.Parameter(torch.empty(1, c * h * w, whole, whole))
        for grid in self.parameters():
            nn.init.xavier_normal_(grid)

    def forward(
        self, local: Float[Tensor, "n h w 2"], whole: Float[Tensor, "n 2"]
    ) -> Float[Tensor, "n c2 h w"]:
        maps = sample(self.whole, whole[:, None, None]).view(-1, *self.shape)
        return torch.cat([maps, sample(self.local, local)], dim=1)  # (n, 2 c, h, w)


# Residual blocks


class ResidualBlock(nn.Module):
    """ResNet's basic block at constant width."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(2))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        inner = F.relu(self.norms[0](self.first(x)))
        return F.relu(x + self.norms[1](self.second(inner)))


def recovery(channels: int, blocks: int) -> nn.Sequential:
    """What the grids gave, twice the channels, back to features."""
    residual = (ResidualBlock(2 * channels) for _ in range(blocks))
    return nn.Sequential(*residual, nn.Conv2d(2 * channels, channels, 1))


class Head(nn.Module):
    """F to F_rec: coordinates, grids, blocks; all that is trained.

    Args:
        shape: (c, h, w) of the features.
    """

    def __init__(self, shape: tuple[int, int, int], settings: "CRAD"):
        super().__init__()
        self.coordinates = Coordinates(shape[0], settings.jitter, settings.jitter_rate)
        self.normal = Grids(shape, settings.local_grid, settings.global_grid)
        self.recover = recovery(shape[0], settings.blocks)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return self.recover(self.normal(*self.coordinates(x)))


# Similarity-based refinement


def similarity(
    rebuilt: Float[Tensor, "n c h w"], x: Float[Tensor, "n c h w"], distance: float, scale: float
) -> Float[Tensor, "n 1 h w"]:
    """Whether the mean squared error is small, weighed `distance`, and the cosine.

    Args:
        scale: of the error, before it is cut to [0, 1] and rounded.
    """
    error = (rebuilt - x).square().mean(dim=1, keepdim=True)
    near = 1 - (scale * error).clamp(0, 1).round()
    return distance * near + (1 - distance) * F.cosine_similarity(rebuilt, x)[:, None]


def refine(
    rebuilt: Float[Tensor, "n c h w"], x: Float[Tensor, "n c h w"], sim: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, "n c h w"]:
    """F_out: where F_rec resembles F, mostly F; so F_out - F is (1 - sim) (F_rec - F)."""
    return sim * x + (1 - sim) * rebuilt


# Training and detection


@dataclass(kw_only=True)
class CRAD(Method):
    """One model for all images of `fit`, of whatever categories."""

    backbone: str = "efficientnet_b4"  # code
    levels: tuple[int, ...] = (2, 3)  # code: its stages 3 and 4; here at 1/8 and 1/16
    local_grid: int = 8  # code, nodes along a side
    global_grid: int = 4  # code
    blocks: int = 7  # code, first release
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

    def __post_init__(self) -> None:
        sides = ("local_grid", "global_grid", "batch", "lr_step", "smooth", "pool")
        for name in (*sides, "epochs", "blocks"):
            least = int(name in sides)
            if getattr(self, name) < least:
                raise ValueError(f"{name} is at least {least}, not {getattr(self, name)}")

    def fit(self, images: Images) -> "CRAD":
        """Trains the head; interrupted, the method is one that was never fitted.

        Raises:
            ValueError: a level that the backbone does not have.
            FileNotFoundError: the backbone's weights are nowhere; names the places and the fix.
        """
        for name in ("net_", "losses_", "size_"):
            vars(self).pop(name, None)
        x = self._features(images)
        with seeded(self.seed), torch.enable_grad():
            net = self._head(x)
            losses = self._train(net, x)
        self.net_, self.losses_, self.size_ = net.eval(), losses, images.shape[-2:]
        return self

    @torch.no_grad()
    def anomaly_map(self, images: Images) -> Maps:
        """Raises RuntimeError without a finished `fit`, ValueError for images of another size."""
        if "net_" not in vars(self):
            raise RuntimeError(f"no finished fit of {type(self).__name__}: call `fit` first")
        check_size(images, self.size_)
        self.net_.to(images.device)
        return torch.cat([self._map(self._features(part)) for part in images.split(CHUNK)])

    def image_score(self, maps: Maps) -> Scores:
        side = (min(self.pool, maps.shape[1]), min(self.pool, maps.shape[2]))
        return F.avg_pool2d(maps[:, None], side, stride=1).amax(dim=(1, 2, 3))

    def _features(self, images: Images) -> Float[Tensor, "n c rows columns"]:
        return aligned(cached_features(fill_missing(images), self.backbone, self.levels))

    def _head(self, x: Float[Tensor, "n c h w"]) -> nn.Module:
        _, c, h, w = x.shape
        return Head((c, h, w), self).to(x)

    def _train(self, net: nn.Module, x: Float[Tensor, "n c h w"]) -> list[float]:
        return self._epochs(net, x, self.epochs, lambda f: self._loss(net(f), f))

    def _epochs(
        self, net: nn.Module, x: Tensor, epochs: int, loss: Callable[[Tensor], Tensor]
    ) -> list[float]:
        """Minimises the loss of shuffled batches; returns its mean over each epoch."""
        learned = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
        grids = [p for name, p in learned if name.endswith(("normal.local", "normal.whole"))]
        others = [p for _, p in learned if all(p is not grid for grid in grids)]
        groups = [{"params": others}, {"params": grids, "lr": self.lr_grid}]
        optimizer = torch.optim.AdamW(groups, self.lr, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, self.lr_step, 0.1)
        losses = []
        for _ in progress(range(epochs), type(self).__name__):
            total = 0.0
            for some in torch.randperm(len(x)).split(self.batch):
                value = loss(x[some.to(x.device)])
                optimizer.zero_grad()
                value.backward()
                nn.utils.clip_grad_norm_([*others, *grids], self.clip)
                optimizer.step()
                total += value.item() * len(some)
            schedule.step()
            losses.append(total / len(x))
        return losses

    def _loss(self, rebuilt: Tensor, x: Tensor) -> Float[Tensor, ""]:
        """Mean squared error of F_out, through the similarity too."""
        return F.mse_loss(self._refined(rebuilt, x) if self.refine_training else rebuilt, x)

    def _refined(self, rebuilt: Tensor, x: Tensor) -> Float[Tensor, "n c h w"]:
        return refine(rebuilt, x, similarity(rebuilt, x, self.distance, self.scale))

    def _map(self, x: Float[Tensor, "n c rows columns"]) -> Maps:
        """How far F_out is from F, at the size of the images."""
        far = (self._refined(self.net_(x), x) - x).norm(dim=1, keepdim=True)
        return box_mean(F.interpolate(far, self.size_, mode="bilinear"), self.smooth)[:, 0]
