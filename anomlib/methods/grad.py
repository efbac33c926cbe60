"""GRAD: CRAD with a second pair of grids, which learns defects pasted into feature maps.

References:
    | Bi-Grid Reconstruction for Image Anomaly Detection (Huang et al., 2025),
      https://arxiv.org/abs/2504.00609; its appendix was not at hand. "Code" is its authors'
      model file; their settings are known in part
    | Its base: CRAD, in `crad.py`

Symbols beyond CRAD's:
    x_n  normal    (n, c, h, w)  F_rec of CRAD
    x_a  abnormal  (n, c, h, w)  the same from the abnormal grids
    M    walk      (2B+1, 2B+1)  a block's shape; B its size, I its intensity, P its centre
    th             threshold of the contrastive loss
    q              channel 0 of x_a, the similarity that the loss compares with th

Choices where the paper is silent or differs from its code (`as_released` has the code's):
    1. Eq. 2's lambda is not printed (`fusion="lambda"` takes `lam`). The default is the code's
       x_n + w x_a with a learned w, of which the start is known.
    2. Eq. 4 pushes q below +th outside the mask (`literal_eq4`), so that one value suits both
       sides. The default is the code's -th. Which pairs d+ and d- compare is not said: q is code.
    3. Eq. 4 divides by the numbers of pairs. The code divides the positives by the pixels of one
       mask, not of all in the batch (`one_mask_mean`).
    4. FBP as printed: N steps of N in [B, 2B], eight moves or none; the code takes 100 steps of
       four moves (`walk`). The start is marked; steps that leave M are not. Sizes and intensities
       are the code's, the blurred block is added. A block per image; one for a whole batch is
       `batch_shared_fbp`.
    5. The corrupted features are the target of stage 1 too, as in the code; `clean_target` keeps
       them clean.
    6. Stage 1 trains all but the normal grids, as the code. Stage 2 freezes coordinates, abnormal
       grids, their blocks and w, as we read "the anomaly grid parameters". The code freezes
       the abnormal grids alone (`freeze_shared=False`).
    7. Not printed: epochs of each stage (`stage1`), the weight of Eq. 4, optimiser and batch
       (CRAD's, for each stage anew), 256 pixels, 9 blocks, global grids of 8 x 8 (code).
    8. Eq. 3 is printed without a square and called a mean squared error; it is one here.
    9. Refinement is told of inference only; the default is CRAD's, in training too.
    10. The abnormal grid alone, a row that Table II lacks, is stage 1 with x_a for F_rec.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .crad import CRAD, Grids, Head, recovery

# III-B. Bi-grid reconstruction


def standardise(x: Float[Tensor, "n c h w"], eps: float = 1e-5) -> Float[Tensor, "n c h w"]:
    """Each channel with mean 0 and variance 1 over the positions of each image."""
    centred = x.float() - x.float().mean(dim=(2, 3), keepdim=True)
    return centred / (centred.square().mean(dim=(2, 3), keepdim=True) + eps).sqrt()


class BiGrid(Head):
    """Two pairs of grids, sampled at the same coordinates; blocks of their own."""

    def __init__(self, shape: tuple[int, int, int], settings: "GRAD"):
        super().__init__(shape, settings)
        self.grids, self.fusion, self.lam = settings.grids, settings.fusion, settings.lam
        if self.grids != "normal":  # drawn last, so that the normal grid alone is CRAD
            self.abnormal = Grids(shape, settings.local_grid, settings.global_grid)
            self.recover_abnormal = recovery(shape[0], settings.blocks, settings.expansion)
            self.weight = nn.Parameter(torch.tensor(settings.weight))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return self.both(x)[0]

    def both(
        self, x: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n c h w"]]:
        """F_rec and x_a, which is F_rec where there is one pair of grids only."""
        places = self.coordinates(x)
        if self.grids == "normal":
            normal = self.recover(self.normal(*places))
            return normal, normal
        abnormal = self.recover_abnormal(standardise(self.abnormal(*places)))
        if self.grids == "abnormal":
            return abnormal, abnormal
        return self.fuse(self.recover(self.normal(*places)), abnormal), abnormal

    def fuse(self, normal: Tensor, abnormal: Tensor) -> Float[Tensor, "n c h w"]:
        """Eq. 2, or the code's sum with a learned weight."""
        if self.fusion == "lambda":
            return self.lam * normal + (1 - self.lam) * abnormal
        return normal + self.weight * abnormal

    def stage(self, number: int, freeze_shared: bool) -> "BiGrid":
        """Lets train what the stage trains: 1 the abnormal grids, 2 the normal ones."""
        self.train().requires_grad_(True)
        (self.normal if number == 1 else self.abnormal).requires_grad_(False)
        if number == 2 and freeze_shared:
            for part in (self.coordinates, self.recover_abnormal, self.weight):
                part.requires_grad_(False)
            self.recover_abnormal.eval()  # nor do batches move its statistics; the jitter stays
        return self


def contrast(
    q: Float[Tensor, "n h w"],
    mask: Bool[Tensor, "n h w"],
    th: float,
    literal: bool = False,
    one_mask_mean: bool = False,
) -> Float[Tensor, ""]:
    """Eq. 4: q at least th on the mask, and elsewhere at most -th, or th if `literal`.

    Args:
        one_mask_mean: as the code divides, by the pixels of one mask (the mean of the batch's)
            and by all others of the batch.
    """
    marked = mask.sum()
    positives = marked / len(mask) if one_mask_mean else marked
    negatives = mask.numel() - positives
    low = (F.relu(th - q) * mask).sum() / positives.clamp(min=1)
    high = (F.relu((-th if literal else th) + q) * ~mask).sum() / negatives.clamp(min=1)
    return low + high


# III-C. Feature block paste


def uniform(low: float, high: float) -> float:
    return low + (high - low) * torch.rand(()).item()


def random_walk(size: int, walk: str) -> Float[Tensor, "side side"]:
    """M: where a walk from the centre of 2 B + 1 squared cells has been."""
    side = 2 * size + 1
    if walk == "paper":  # N in [B, 2B], both included; eight moves and none
        steps = torch.randint(-1, 2, (int(torch.randint(size, side, ())), 2))
    else:
        moves = torch.tensor([[0, 1], [0, -1], [1, 0], [-1, 0]])
        steps = moves[torch.randint(4, (100,))]
    return marked_walk(steps, size)


def marked_walk(steps: Tensor, size: int) -> Float[Tensor, "side side"]:
    """The cells of given steps; those outside count as steps, and are not marked."""
    side = 2 * size + 1
    cells = torch.cat([steps.new_zeros(1, 2), steps.cumsum(dim=0)]) + size
    rows, columns = cells[((cells >= 0) & (cells < side)).all(dim=1)].T
    block = torch.zeros(side, side)
    block[rows, columns] = 1
    return block


def blur(x: Float[Tensor, "n 1 h w"], sigma: float) -> Float[Tensor, "n 1 h w"]:
    """Gaussian of 3 x 3 cells with reflected borders; sigma 0 returns the input."""
    if sigma == 0:
        return x
    line = torch.exp(-0.5 * (torch.tensor([-1.0, 0.0, 1.0]) / sigma) ** 2)
    line = (line / line.sum()).to(x)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), (line[:, None] * line)[None, None])


def paste(
    x: Float[Tensor, "n c h w"], block: Float[Tensor, "n 1 h w"], sigma: float
) -> tuple[Float[Tensor, "n c h w"], Bool[Tensor, "n h w"]]:
    """Eq. 6: the blurred block added to each channel, and where it was before the blur."""
    return x + blur(block, sigma), block[:, 0] != 0


def noised(
    x: Float[Tensor, "n c h w"], sd: float
) -> tuple[Float[Tensor, "n c h w"], Bool[Tensor, "n h w"]]:
    """What SimpleNet does instead: Gaussian noise on all of every second map."""
    marked = (torch.arange(len(x), device=x.device) % 2 == 0)[:, None, None].expand_as(x[:, 0])
    return x + sd * torch.randn(x.shape).to(x) * marked[:, None], marked


def largest_block(sizes: tuple[float, float]) -> int:
    """The largest B that is the whole part of a number in [low, high)."""
    return max(int(sizes[0]), -int(-sizes[1] // 1) - 1)


# III-B. Training

AS_CODE: dict[str, Any] = {
    "one_mask_mean": True,
    "freeze_shared": False,
    "walk": "code",
    "batch_shared_fbp": True,
}


@dataclass(kw_only=True)
class GRAD(CRAD):
    """One model for all images of `fit`; its two stages are in `_train`."""

    backbone: str = "tf_efficientnet_b6"  # Sec. III-A
    levels: tuple[int, ...] = (2, 3)  # Sec. III-A: layers 3 and 4, counted from 1
    global_grid: int = 8  # code
    blocks: int = 9  # code, of each branch
    grids: str = "both"  # or "normal", which is CRAD, or "abnormal" (Table II)
    fusion: str = "learned"  # code; or "lambda" (Eq. 2)
    weight: float = -0.2  # code, where the learned weight starts
    lam: float = 0.5  # not printed
    th: float = 0.5  # Sec. III-B
    w_con: float = 1.0  # not printed
    literal_eq4: bool = False
    one_mask_mean: bool = False
    stage1: float = 0.1  # share of the epochs, not printed
    freeze_shared: bool = True  # our reading of Sec. III-B
    clean_target: bool = False
    walk: str = "paper"  # M, Sec. III-C; or "code"
    size: tuple[float, float] = (0.5, 10.0)  # B, code: whole part of a number between them
    intensity: tuple[float, float] = (8.0, 16.0)  # I, code
    position: tuple[float, float] | None = None  # P as shares of the map, down and right; None:
    # anywhere that holds the block (code)
    blur_sigma: float = 0.8  # code, 3 x 3 cells; 0 for none
    batch_shared_fbp: bool = False
    noise: float | None = None  # SimpleNet's noise (its own sd: 0.015) instead of blocks

    released: ClassVar[dict[str, dict[str, Any]]] = {
        "mvtec": AS_CODE,
        "visa": AS_CODE,
        "goodsad": AS_CODE,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        known = {"grids": ("both", "normal", "abnormal"), "fusion": ("learned", "lambda")}
        for name, values in (known | {"walk": ("paper", "code")}).items():
            if getattr(self, name) not in values:
                wanted = ", ".join(values)
                raise ValueError(f"{name} is one of {wanted}, not {getattr(self, name)!r}")
        for name in ("size", "intensity"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name} is (low, high), not negative, not {(low, high)}")
        shares = [self.stage1, *(self.position or ())]
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError("stage1 and position are shares between 0 and 1")

    def head(self, x: Float[Tensor, "n c h w"]) -> BiGrid:
        _, c, h, w = x.shape
        side = 2 * largest_block(self.size) + 1
        if self.grids != "normal" and min(h, w) < max(side, 2):
            raise ValueError(
                f"a block of {side} x {side} positions does not fit into feature maps of {h} x "
                f"{w}: load larger images, or lower `size`, {self.size}"
            )
        return BiGrid((c, h, w), self).to(x)

    def _train(self, net: BiGrid, x: Float[Tensor, "n c h w"]) -> list[float]:
        """The abnormal grids, then the normal ones; a pair alone has all epochs for itself."""
        if self.grids == "normal":
            return super()._train(net, x)
        first = max(1, round(self.stage1 * self.epochs)) if self.stage1 else 0
        first = self.epochs if self.grids == "abnormal" else min(first, self.epochs)
        net.stage(1, self.freeze_shared)
        losses = self.minimise(net, x, first, lambda f: self._first_loss(net, f))
        if self.grids == "both":
            net.stage(2, self.freeze_shared)
            rest = self.epochs - first
            losses += self.minimise(net, x, rest, lambda f: self.loss(net(f), f))
        return losses

    def _first_loss(self, net: BiGrid, x: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
        """Eqs. 3 and 4 on features with blocks pasted in."""
        if self.noise is None:
            pasted, mask = paste(x, self.blocks_for(x), self.blur_sigma)
        else:
            pasted, mask = noised(x, self.noise)
        rebuilt, abnormal = net.both(pasted)
        found = contrast(abnormal[:, 0], mask, self.th, self.literal_eq4, self.one_mask_mean)
        return self.loss(rebuilt, x if self.clean_target else pasted) + self.w_con * found

    def blocks_for(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """One block per map, or one for all, drawn on the CPU so that devices agree."""
        h, w = x.shape[-2:]
        drawn = [self._block(h, w) for _ in range(1 if self.batch_shared_fbp else len(x))]
        return torch.stack(drawn).to(x).expand(len(x), 1, h, w)

    def _block(self, h: int, w: int) -> Float[Tensor, "1 {h} {w}"]:
        """P, zero but for a block of shape M, size B and intensity I at its centre."""
        size = min(int(uniform(*self.size)), largest_block(self.size))  # 10.0 can be a rounding
        places = [int(torch.randint(size, n - size, ())) for n in (h, w)]
        if self.position:
            wanted = zip(self.position, (h, w), strict=True)
            places = [min(max(int(p * n), size), n - size - 1) for p, n in wanted]
        top, left = (place - size for place in places)
        block = torch.zeros(1, h, w)
        side = 2 * size + 1
        walked = random_walk(size, self.walk)
        block[0, top : top + side, left : left + side] = uniform(*self.intensity) * walked
        return block
