"""What FAIR's filters do to a point, an edge and an image, and how large its pasted defects are.

Frequencies are in cycles per 256 pixels, as in `methods.fair`: u goes with x, along a row, and v
with y. A filter is named with its order: "butterworth2".
"""

from collections.abc import Iterable, Sequence

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor

from ..api import Dataset, Images
from ..corruptions import large_cutpaste
from ..methods.fair import CHUNK, FAIR, SIDE, SOBEL, distance, grey, sobel, transfer

FILTERS = {  # name -> kind and order, of which only Butterworth's has a meaning
    "ideal": ("ideal", 1),
    "butterworth3": ("butterworth", 3),
    "butterworth2": ("butterworth", 2),
    "gaussian": ("gaussian", 1),
}
# Weights along y and along x; a gradient along y is the same, transposed
KERNELS = {"difference": ((1,), (-1, 0, 1)), "sobel3": SOBEL[3], "sobel5": SOBEL[5]}
COLUMNS = ["item", "dataset", "category", "kind", "cutoff", "quantity", "x", "value"]
HIGH = SIDE // 4  # half of the way to Nyquist's frequency
CPU = torch.device("cpu")

# Figure 5: transfer functions and impulse responses


def filter_transfer(name: str, cutoff: float, size: int = SIDE) -> Float[Tensor, "{size} _w"]:
    """H on the half plane, by Eqs. 2 to 4."""
    return transfer(*_of(name, cutoff), size, size, CPU)


def impulse(name: str, cutoff: float, size: int = SIDE) -> Float[Tensor, "{size} {size}"]:
    """h, the impulse response of 1 - H, with its origin in the middle; it sums to 1.

    A high-pass filter subtracts this blur from an image. Where h is negative it rings.
    """
    low = 1 - filter_transfer(name, cutoff, size).double()
    return torch.fft.fftshift(torch.fft.irfft2(low, s=(size, size)))


def negative_share(h: Float[Tensor, "n n"]) -> float:
    """How much of |h| is of negative values, 0 to 0.5."""
    return float((-h).clamp(min=0).sum() / h.abs().sum())


def radius_holding(h: Float[Tensor, "n n"], share: float = 0.95) -> float:
    """The radius in pixels, about the middle, of the disc that holds this share of |h|."""
    at = torch.arange(len(h)) - len(h) // 2
    radius, order = torch.hypot(at[:, None].double(), at.double()).flatten().sort()
    held = h.abs().flatten()[order].cumsum(0)
    return float(radius[int(torch.searchsorted(held, share * held[-1]))])


def responses(cutoffs: Sequence[float], far: int = 64) -> pd.DataFrame:
    """Figure 5 and the measures of ringing, of every filter at every cutoff.

    Returns:
        Quantities "transfer" (x: D, in every second cycle per 256 pixels), "impulse" (x: pixels
        from the origin along a row, up to `far`; h / h(0)), "negative_share" and "radius_95" (in
        pixels).
    """
    lines = []
    for name in FILTERS:
        for cutoff in cutoffs:
            h, row = impulse(name, cutoff), filter_transfer(name, cutoff)[0]
            profile = h[SIDE // 2, SIDE // 2 :][: far + 1] / h.max()
            found = [("transfer", d, row[d]) for d in range(0, SIDE // 2 + 1, 2)]
            found += [("impulse", x, value) for x, value in enumerate(profile)]
            found += [("negative_share", None, negative_share(h))]
            found += [("radius_95", None, radius_holding(h))]
            lines += [("figure5", name, cutoff, q, x, float(value)) for q, x, value in found]
    return _synthetic(lines)


def _of(name: str, cutoff: float) -> tuple[str, float, int]:
    if name not in FILTERS:
        raise ValueError(f"a filter is one of {', '.join(FILTERS)}, not {name!r}")
    kind, order = FILTERS[name]
    return kind, cutoff, order


def _synthetic(lines: list[tuple]) -> pd.DataFrame:
    columns = [c for c in COLUMNS if c not in ("dataset", "category")]
    return pd.DataFrame(lines, columns=columns).assign(dataset="synthetic", category=f"{SIDE} px")


# Figure 6: ringing


def filtered(images: Images, cutoff: float = FAIR.cutoff) -> dict[str, Float[Tensor, "n 1 h w"]]:
    """Filter -> what the network would see of the images (Eqs. 5 and 6)."""
    found = {}
    for name in FILTERS:
        kind, _, order = _of(name, cutoff)
        found[name] = FAIR(extractor=kind, cutoff=cutoff, order=order).highpass(images)
    return found


def disc(size: int = SIDE) -> Images:
    """A bright disc in front of black; an edge in every direction."""
    at = torch.arange(size) - (size - 1) / 2
    return (torch.hypot(at[:, None], at) < size / 4).float().expand(1, 3, size, size)


def sample(*sources: Float[Tensor, "_n 3 _h _w"]) -> Float[Tensor, "n 3 h w"]:
    """The first image of each, at the height and width of the last."""
    size = sources[-1].shape[-2:]
    first = [F.interpolate(x[:1], tuple(size), mode="area") for x in sources]
    return torch.cat(first)


def edges(far: int = 40) -> pd.DataFrame:
    """Figure 6 in one dimension: what each filter at the paper's cutoff makes of an edge.

    Returns:
        Quantities "edge" (x: pixels from the edge, which goes from 0 to 1) and "overshoot", by
        how much the blur of the same edge passes 0 or 1.
    """
    first = SIDE // 4  # bright pixel; the bar ends, for the image is periodic, far from there
    bar = torch.zeros(1, 3, SIDE, SIDE)
    bar[..., first : 3 * first] = 1
    lines = []
    for name, seen in filtered(bar).items():
        row = seen[0, 0, 0]
        near = row[first - far : first + far]
        found = [("edge", x + 0.5 - far, float(value)) for x, value in enumerate(near)]
        blur = bar[0, 0, 0] - row  # its mean is whole, for H(0) = 0
        found += [("overshoot", None, float(torch.maximum(-blur, blur - 1).max()))]
        lines += [("figure6", name, FAIR.cutoff, *line) for line in found]
    return _synthetic(lines)


# Figure 9: energy by radius


def energy(images: Images) -> Float[Tensor, " r"]:
    """How |F|^2 of the grey images, all together, is shared out by radius; sums to 1.

    Ring k holds the radii of k cycles per image, rounded: k * 256 / size in cycles per 256
    pixels. Ring 0 is the mean.
    """
    height, width = images.shape[-2:]
    if height != width:
        raise ValueError(f"rings want square images, not {height} x {width}")
    ring = (distance(height, width) * height / SIDE).round().long().flatten()
    twice = torch.full((width // 2 + 1,), 2.0, dtype=torch.double)  # the other half plane
    twice[0] = 1
    if width % 2 == 0:
        twice[-1] = 1  # Nyquist's frequency has no twin
    total = torch.zeros(int(ring.max()) + 1, dtype=torch.double)
    for part in images.split(CHUNK):
        power = torch.fft.rfft2(grey(part).double()).abs().square().sum(dim=(0, 1)) * twice
        total.index_add_(0, ring, power.flatten())
    return total / total.sum()


def energies(parts: Iterable[Dataset]) -> pd.DataFrame:
    """Figure 9, of the training images of each category.

    Returns:
        Quantity "energy_ppm": millionths of the energy with its mean (x: D of the ring; D = 0 is
        the mean, and without it shares are those of what is left).
    """
    tables = []
    for data in parts:
        size = data.train.shape[-1]
        ppm = (1e6 * energy(data.train)).tolist()
        lines = [("figure9", "grey", None, "energy_ppm", k * SIDE / size, e)
                 for k, e in enumerate(ppm)]  # fmt: skip
        place = {"dataset": data.name, "category": data.category}
        tables.append(_synthetic(lines).assign(**place))
    return pd.concat(tables) if tables else pd.DataFrame(columns=COLUMNS)


# 5.4 and Figure 10: image gradients


def kernel_transfer(name: str, size: int = SIDE) -> Complex[Tensor, "{size} {size}"]:
    """Transfer function of a gradient along x, v (rows) by u, in the order of `fft2` (Eq. 16)."""
    smooth, derive = (_series(weights, size) for weights in KERNELS[name])
    return smooth[:, None] * derive


def _series(weights: Sequence[int], size: int) -> Complex[Tensor, " size"]:
    """Sum of w_k e^{2 pi i k u / size}, for weight w_k meets f(x + k), as in Eq. 12 (Eq. 15)."""
    k = torch.arange(len(weights), dtype=torch.double) - len(weights) // 2
    phase = 2 * torch.pi * torch.fft.fftfreq(size, dtype=torch.double)[:, None] * k
    w = torch.tensor(weights, dtype=torch.double)
    return torch.complex((w * phase.cos()).sum(dim=1), (w * phase.sin()).sum(dim=1))


def periodic_gradient(x: Float[Tensor, "h w"], name: str) -> Float[Tensor, "h w"]:
    """The gradient along x in pixels (Eq. 12, smoothed along y), borders meeting each other."""
    smooth, derive = (x.new_tensor(weights) for weights in KERNELS[name])
    across, down = len(derive) // 2, len(smooth) // 2
    padded = F.pad(x[None, None], (across, across, down, down), mode="circular")
    return F.conv2d(padded, (smooth[:, None] * derive)[None, None])[0, 0]


def share_above(power: Float[Tensor, "n n"], radius: float = HIGH) -> float:
    """How much of |transfer function|^2 lies at a larger radius, 0 to 1; `fft2`'s order."""
    u = torch.fft.fftfreq(len(power), 1 / SIDE)
    return float(power[torch.hypot(u[:, None], u) > radius].sum() / power.sum())


def kernels(far: int = SIDE // 2) -> pd.DataFrame:
    """How each gradient treats a frequency, whatever its direction.

    Returns:
        Quantities "amplitude" (x: D; mean over directions of |transfer function| as a share of
        its largest) and "share_above_64", of its square.
    """
    u = torch.fft.fftfreq(SIDE, 1 / SIDE)
    ring = torch.hypot(u[:, None], u).round().long().flatten()
    lines = []
    for name in KERNELS:
        amplitude = kernel_transfer(name).abs()
        shape = (amplitude / amplitude.max()).flatten()
        mean = torch.bincount(ring, shape) / torch.bincount(ring)
        found = [("amplitude", d, mean[d].item()) for d in range(0, far + 1, 2)]
        found += [("share_above_64", None, share_above(amplitude.square()))]
        lines += [("section5.4", name, None, *line) for line in found]
    return _synthetic(lines)


def directions(image: Float[Tensor, "1 3 h w"]) -> dict[str, Float[Tensor, "h w"]]:
    """Figure 10: the grey image, its Sobel gradients and what the paper's filter leaves of it."""
    x = grey(image)
    g_x, g_y = sobel(x, "xy", FAIR.kernel)[0]
    return {"grey": x[0, 0], "g_x": g_x, "g_y": g_y, "bhpf": FAIR().highpass(image)[0, 0]}


# 3.1 Large CutPaste


def pasted_shares(draws: int, side: int, clipped: bool, seed: int = 0) -> Float[Tensor, " n"]:
    """Area of each drawn mask of `large_cutpaste`, as a share of the image's.

    Args:
        side: of the images in pixels; a mask of few pixels lacks a part of its border.
        clipped: as the released code cuts pieces, or else as the paper describes them.
    """
    generator, found = torch.Generator().manual_seed(seed), []
    for start in range(0, draws, 100):
        blank = torch.zeros(1, 3, side, side).expand(min(100, draws - start), -1, -1, -1)
        masks = large_cutpaste(blank, generator, clipped=clipped)[1]
        found.append(masks.float().mean(dim=(1, 2)))
    return torch.cat(found)


def coverage(draws: int, side: int) -> pd.DataFrame:
    """How much of an image large CutPaste covers.

    Returns:
        Kinds "text" (as the paper describes it) and "released" (its code); quantities "draws" in
        each twentieth (x: where it begins), "count", "mean", "median" and "above_half", all but
        the count as shares.
    """
    if draws < 1:
        raise ValueError(f"coverage takes at least one draw, not {draws}")
    shares = {
        "text": pasted_shares(draws, side, clipped=False),
        "released": pasted_shares(draws, side, clipped=True),
    }
    lines = []
    for name, x in shares.items():
        bars = torch.histc(x, 20, 0, 1) / draws
        found = [("draws", k / 20, bar) for k, bar in enumerate(bars.tolist())]
        found += [("count", None, draws), ("mean", None, x.mean().item())]
        found += [("median", None, x.median().item())]
        found += [("above_half", None, (x > 0.5).float().mean().item())]
        lines += [("section3.1", name, None, *line) for line in found]
    return _synthetic(lines).assign(category=f"{side} px")


# The study


def table(
    parts: Iterable[Dataset], cutoffs: Sequence[float], draws: int, side: int
) -> pd.DataFrame:
    """All of the above in one table.

    Args:
        parts: categories whose energy is measured; they may be loaded one after the other.
        cutoffs: D_0 of Figure 5.
        draws, side: of large CutPaste; see `pasted_shares`.

    Returns:
        Columns item, dataset ("synthetic" where no images are), category, kind, cutoff, quantity,
        x, value.
    """
    found = [responses(cutoffs), edges(), energies(parts), kernels(), coverage(draws, side)]
    return pd.concat([part for part in found if len(part)], ignore_index=True)[COLUMNS]
