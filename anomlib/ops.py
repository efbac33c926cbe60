"""Tensor operations that two or more methods share. Nothing here knows what an anomaly is."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import jvp
from tqdm import tqdm

T = TypeVar("T")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Runs a block on its own random stream and gives the caller's stream back untouched."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def progress(items: Iterable[T], what: str) -> Iterable[T]:
    """Shows how far a loop has come; silent where nobody watches, or with `--quiet`."""
    silent = not sys.stderr.isatty() or "--quiet" in sys.argv
    return tqdm(items, desc=what, leave=False, disable=silent)


def fill_missing(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Puts 0 in place of missing (NaN) pixels, for methods that do not treat them otherwise."""
    return images.nan_to_num(nan=0.0)


def grey_at(
    images: Float[Tensor, "n 3 h w"], width: int | None, mode: str
) -> Float[Tensor, "n 1 _h _w"]:
    """The mean of RGB, missing pixels 0, resized to a width in pixels; None keeps the size."""
    grey = fill_missing(images).mean(dim=1, keepdim=True)
    if width is None or width == grey.shape[-1]:
        return grey
    height = max(1, round(grey.shape[-2] * width / grey.shape[-1]))
    return F.interpolate(grey, (height, width), mode=mode, antialias=True)


def check_size(images: Float[Tensor, "n 3 h w"], size: tuple[int, ...]) -> None:
    """Raises ValueError where images are not of the size that a method has seen in `fit`."""
    if tuple(images.shape[-2:]) != tuple(size):
        (height, width), (other, wide) = images.shape[-2:], size
        raise ValueError(
            f"images of {height} x {width} pixels, but `fit` has seen {other} x {wide}: load both "
            "at one size"
        )


def box_mean(x: Float[Tensor, "n c h w"], size: int) -> Float[Tensor, "n c h w"]:
    """Mean over a size x size window centred on each pixel; the border counts what is inside."""
    left, right = (size - 1) // 2, size // 2
    ones = F.pad(torch.ones_like(x[:1, :1]), (left, right, left, right))
    total = F.avg_pool2d(F.pad(x, (left, right, left, right)), size, stride=1)
    return total / F.avg_pool2d(ones, size, stride=1)


def gaussian_blur(x: Float[Tensor, "n c h w"], sigma: float) -> Float[Tensor, "n c h w"]:
    """Gaussian filter with reflected borders, cut off at four standard deviations.

    Args:
        sigma: standard deviation in pixels; 0 returns the input.
    """
    if sigma == 0:
        return x
    # a reflection cannot be longer than the image, so the kernel of a tiny image is cut shorter
    radius = min(int(4 * sigma + 0.5), min(x.shape[-2:]) - 1)
    offsets = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    shape, x = x.shape, x.flatten(0, 1)[None]  # images as channels: six times as fast on CPUs
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1)
    x = F.pad(x, (radius, radius, radius, radius), mode="reflect")
    x = F.conv2d(x, kernel[:, :, None, :], groups=x.shape[1])
    return F.conv2d(x, kernel[:, :, :, None], groups=x.shape[1]).view(shape)


def ssim(x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Structural similarity at each pixel, in a Gaussian window with zeros around the image."""
    offsets = torch.arange(-5, 6, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-0.5 * (offsets / 1.5) ** 2)
    moments = torch.cat([x, y, x * x, y * y, x * y]).flatten(0, 1)[None]
    kernel = (kernel / kernel.sum()).expand(moments.shape[1], 1, -1)
    groups = moments.shape[1]  # images as channels: faster on CPUs
    moments = F.conv2d(moments, kernel[:, :, None, :], padding=(0, 5), groups=groups)
    moments = F.conv2d(moments, kernel[:, :, :, None], padding=(5, 0), groups=groups)
    mx, my, xx, yy, xy = moments.view(5, *x.shape)
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mx * my + c1) / (mx**2 + my**2 + c1)
    return luminance * (2 * (xy - mx * my) + c2) / (xx - mx**2 + yy - my**2 + c2)


def gms(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], c: float = 0.0026
) -> Float[Tensor, "n 1 h w"]:
    """Gradient magnitude similarity (Prewitt) at each pixel, the mean over the channels."""
    a, b = (_prewitt(F.pad(t, (1, 1, 1, 1))) for t in (x, y))
    return ((2 * a * b + c) / (a**2 + b**2 + c)).mean(dim=1, keepdim=True)


def _prewitt(x: Float[Tensor, "n c H W"]) -> Float[Tensor, "n c H-2 W-2"]:
    """Length of the gradient: sums over three rows, or columns, and their differences."""
    down = (x[..., :-2, :] + x[..., 1:-1, :] + x[..., 2:, :]) / 3
    across = (x[..., :-2] + x[..., 1:-1] + x[..., 2:]) / 3
    both = down[..., 2:] - down[..., :-2], across[..., 2:, :] - across[..., :-2, :]
    return torch.hypot(*both)  # a norm over two is fifty times as slow


def identity_gap(
    f: Callable[[Tensor], Tensor], x: Float[Tensor, "n c h w"], seed: int = 0, probes: int = 4
) -> float:
    """|J - I|_F^2 / D of a map of images, averaged over them; J is its Jacobian at each.

    From one product with J per probe, a draw of random signs (Hutchinson's estimate).
    """
    generator, total = torch.Generator().manual_seed(seed), 0.0
    for part in x.split(8):
        for _ in range(probes):
            signs = torch.randint(2, part.shape, generator=generator).to(part) * 2 - 1
            moved: Tensor = jvp(f, (part,), (signs,))[1]
            total += (moved - signs).square().mean().item() * len(part)
    return total / (len(x) * probes)


def distance(height: int, width: int, side: int = 256) -> Float[Tensor, "{height} {width}//2+1"]:
    """D(u, v) of each place of `rfft2`, in cycles per `side` pixels, 256 as in most papers."""
    u, v = torch.fft.fftfreq(height, 1 / side), torch.fft.rfftfreq(width, 1 / side)
    return torch.hypot(u[:, None], v)


def ring_cosine(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], ring: int = 8
) -> dict[int, Float[Tensor, " n"]]:
    """Cosine similarity of the complex spectra of x and y, ring by ring (FAIR's Figure 7).

    All channels together, the mean left out. 0 where a ring is empty of x or y.

    Returns:
        Outer radius of each ring, in cycles per 256 pixels up to 128, to similarities in [-1, 1].
    """
    radius = distance(*x.shape[-2:]).to(x.device)
    twice = torch.ones_like(radius)  # half a spectrum: all columns but these stand for two
    twice[:, 1 : (x.shape[-1] + 1) // 2] = 2
    a, b = torch.fft.rfft2(x), torch.fft.rfft2(y)
    products = torch.stack([(a * b.conj()).real, a.abs().square(), b.abs().square()]).sum(dim=2)
    found = {}
    for outer in range(ring, 128 + 1, ring):
        inside = twice * ((radius > outer - ring) & (radius <= outer))
        xy, xx, yy = (products * inside).sum(dim=(-2, -1))
        found[outer] = xy / (xx * yy).sqrt().clamp(min=torch.finfo(xy.dtype).tiny)
    return found


def nearest(
    x: Float[Tensor, "q c"], bank: Float[Tensor, "k c"], block: int = 4096
) -> tuple[Float[Tensor, " q"], Int[Tensor, " q"]]:
    """Euclidean distance of each row of x to the nearest row of a bank, and which row that is.

    Products with one block of the bank at a time find the row, a subtraction measures it: no
    larger array than q x block, and no digits lost to |x|^2 - 2 x b + |b|^2.

    Args:
        bank: in any precision; the products are in that of x.
    """
    best = x.new_full((len(x),), torch.inf)
    place = torch.zeros(len(x), dtype=torch.long, device=x.device)
    for start in range(0, len(bank), block):
        rows = bank[start : start + block].to(x)
        # without |x|^2, which is the same for all rows of the bank
        found, row = torch.addmm(rows.square().sum(dim=1), x, rows.T, alpha=-2).min(dim=1)
        place = torch.where(found < best, row + start, place)
        best = torch.minimum(best, found)
    return torch.linalg.vector_norm(x - bank[place], dim=1), place


def farthest_first(
    x: Float[Tensor, "k c"], size: int, far: Float[Tensor, " k"], ahead: int = 512
) -> Int[Tensor, " size"]:
    """Greedy k-center: each choice is the row farthest from all rows chosen before.

    One product serves many choices, and they are the same as one by one: among the `ahead`
    farthest rows choices go on for as long as they are farther than every other row was, since
    distances only shrink.

    Args:
        size: at most k rows.
        far: distance of each row before the first choice.
        ahead: changes only how fast it is.
    """
    x = x - x.mean(dim=0)  # distances stay, rounding errors shrink
    far = far.square()  # and so are all distances below
    chosen = torch.zeros(0, dtype=torch.long, device=x.device)
    while len(chosen) < size:
        most, rows = far.topk(min(ahead, len(x)))
        rows = rows[_choices(x[rows], most, size - len(chosen))]
        squares = x[rows].square().sum(dim=1)
        for part, known in zip(x.split(4096), far.split(4096), strict=True):
            found = torch.addmm(squares, part, x[rows].T, alpha=-2).amin(dim=1)
            found = (found + part.square().sum(dim=1)).clamp(min=0)
            known.copy_(torch.minimum(known, found))
        far[rows] = -1  # never again, even among equal rows
        chosen = torch.cat([chosen, rows])
    return chosen


def _choices(x: Float[Tensor, "m c"], far: Float[Tensor, " m"], most: int) -> Int[Tensor, " r"]:
    """The choices among candidates, sorted by distance, that no other row can come before."""
    limit, rows = far[-1].item(), []
    for _ in range(min(most, len(x))):
        value, row = far.max(dim=0)
        if rows and value.item() < limit:
            break
        rows.append(row)
        far = torch.minimum(far, (x - x[row]).square().sum(dim=1))
        far[row] = -1
    return torch.stack(rows)


class Patches:
    """All patches of one side in an image, by box filters instead of a loop.

    Args:
        m: side of a patch.
        stride: distance between patches; one that ends at the image's border is always there.

    Raises:
        ValueError: no patch of side m fits into the image.
    """

    def __init__(self, height: int, width: int, m: int, stride: int = 1):
        if m > min(height, width):
            raise ValueError(f"a patch of {m} pixels does not fit into {height} x {width} pixels")
        self.m = m
        self.full = (height - m + 1, width - m + 1)  # places where a patch can start
        rows, columns = (
            torch.arange(0, n - 1 + stride, stride).clamp(max=n - 1) for n in self.full
        )
        self.place = (rows[:, None], columns)
        self.shape = (len(rows), len(columns))

    def cut(self, x: Float[Tensor, "1 c h w"]) -> Float[Tensor, "N c m m"]:
        """Every patch of an image, row by row."""
        windows = x.unfold(2, self.m, 1).unfold(3, self.m, 1)[0]  # (c, h-m+1, w-m+1, m, m)
        return windows[:, *self.place].flatten(1, 2).movedim(1, 0)

    def mean(self, x: Float[Tensor, "1 h w"]) -> Float[Tensor, "1 rows columns"]:
        """Mean over each patch."""
        return F.avg_pool2d(x, self.m, stride=1)[:, *self.place]

    def spread(self, scores: Float[Tensor, "1 rows columns"]) -> Float[Tensor, "1 h w"]:
        """Each pixel sums the scores of the patches that cover it, divided by their number N."""
        starts = scores.new_zeros(1, *self.full)
        starts[:, *self.place] = scores
        padded = F.pad(starts, (self.m - 1,) * 4)
        return F.avg_pool2d(padded, self.m, stride=1) * self.m**2 / scores.numel()

    def coverage(self, like: Tensor) -> Float[Tensor, "1 h w"]:
        """The share of patches that cover each pixel."""
        return self.spread(like.new_ones(1, *self.shape))
