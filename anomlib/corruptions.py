"""Synthetic defects that two or more papers share: whole batches at once, on the images' device.

Everything random is drawn from a generator on the CPU, so that a seed means the same defects on
every device. Textures are 8-bit: a bank of thousands is kept in memory.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

from .api import Images, Masks

Draw = Callable[..., Tensor]
Textures = UInt8[Tensor, "t 3 h w"]


def uniform(low: float, high: float, shape: tuple[int, ...], g: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=g)


def to_textures(images: Images) -> UInt8[Tensor, "n 3 h w"]:
    """Images in 8 bits; missing pixels are black."""
    return (images.nan_to_num(nan=0.0).clamp(0, 1) * 255).round().to(torch.uint8)


def moved(
    x: Float[Tensor, "n c h w"], places: Float[Tensor, "n h w 2"], outside: str = "zeros"
) -> Float[Tensor, "n c h w"]:
    """x at other places (row, column), between pixels bilinear; outside 0, or a "reflection"."""
    height, width = x.shape[-2:]
    scale = places.new_tensor([width, height])
    grid = (2 * places.flip(-1) + 1) / scale - 1
    return F.grid_sample(x, grid, mode="bilinear", padding_mode=outside, align_corners=False)


def turned(
    angles: Float[Tensor, " n"], centres: Float[Tensor, "n 2"], size: tuple[int, ...]
) -> Float[Tensor, "n h w 2"]:
    """Where each pixel (row, column) lies once turned about a centre by an angle in radians."""
    rows, columns = (torch.arange(n, device=angles.device, dtype=angles.dtype) for n in size)
    y, x = (t - c[:, None, None] for t, c in zip((rows[:, None], columns), centres.T, strict=True))
    cos, sin = angles.cos()[:, None, None], angles.sin()[:, None, None]
    return torch.stack([cos * y - sin * x, sin * y + cos * x], dim=-1) + centres[:, None, None]


def rotate(
    x: Float[Tensor, "n c h w"], angles: Float[Tensor, " n"], outside: str = "zeros"
) -> Float[Tensor, "n c h w"]:
    """Each image about its middle, clockwise, angles in radians; `outside` is that of `moved`."""
    size = tuple(x.shape[-2:])
    middle = x.new_tensor([(n - 1) / 2 for n in size]).expand(len(x), 2)
    return moved(x, turned(angles.to(x), middle, size), outside)


ROTATIONS = ("none", "quarter", "any")


def reoriented(images: Images, flips: bool, rotations: str, generator: torch.Generator) -> Images:
    """Images flipped along each axis with even chances and turned, one of `ROTATIONS`.

    Args:
        rotations: by "any" angle what is outside is a reflection; "quarter" turns need squares.
    """
    n = len(images)
    for axis in (2, 3) if flips else ():
        coins = torch.rand((n, 1, 1, 1), generator=generator) < 0.5
        images = torch.where(coins.to(images.device), images.flip(axis), images)
    if rotations == "quarter":
        if images.shape[2] != images.shape[3]:
            raise ValueError('rotations="quarter" needs square images')
        turns = torch.randint(4, (n,), generator=generator).tolist()
        return torch.stack([x.rot90(k, (1, 2)) for x, k in zip(images, turns, strict=True)])
    if rotations == "any":
        return rotate(images, uniform(-math.pi, math.pi, (n,), generator), "reflection")
    return images


def turn_some(images: Images, share: float, most: float, generator: torch.Generator) -> Images:
    """A share of the images, in expectation, turned by up to `most` radians to either side."""
    some = (torch.rand(len(images), generator=generator) < share).nonzero()[:, 0]
    angles = uniform(-most, most, (len(some),), generator)
    turned, some = images.clone(), some.to(images.device)
    turned[some] = rotate(images[some], angles)
    return turned


# Masks


def perlin(
    cells: Int[Tensor, "n 2"], gradients: Float[Tensor, "n a b 2"], size: tuple[int, ...]
) -> Float[Tensor, "n h w"]:
    """Perlin's gradient noise, sqrt(2) times, with cells of its own for each of n.

    Args:
        cells: along the rows and columns.
        gradients: unit vectors at the corners of the cells, of which there may be too many.
    """
    image = torch.arange(len(cells), device=cells.device)[:, None, None]
    corner, place = [], []
    for axis, n in enumerate(size):
        at = torch.arange(n, device=cells.device) / n * cells[:, axis, None]  # (n, h) or (n, w)
        corner.append(at.long())
        place.append(at - at.floor())
    (i, j), (y, x) = corner, place
    i, j, y, x = i[:, :, None], j[:, None, :], y[:, :, None], x[:, None, :]

    def slope(down: int, right: int) -> Float[Tensor, "n h w"]:
        g = gradients[image, i + down, j + right]
        return g[..., 0] * (y - down) + g[..., 1] * (x - right)

    fade_y, fade_x = (t**3 * (t * (6 * t - 15) + 10) for t in (y, x))
    top = torch.lerp(slope(0, 0), slope(0, 1), fade_x.expand(len(cells), *size))
    bottom = torch.lerp(slope(1, 0), slope(1, 1), fade_x.expand(len(cells), *size))
    return math.sqrt(2) * torch.lerp(top, bottom, fade_y.expand(len(cells), *size))


def perlin_masks(
    n: int,
    size: tuple[int, ...],
    generator: torch.Generator,
    device: torch.device,
    scales: int = 6,
    threshold: float = 0.5,
) -> Bool[Tensor, "n h w"]:
    """Turned Perlin noise above a threshold; of 2^k cells along each axis, k below `scales`.

    Some masks are empty, as in DRAEM.
    """
    cells = 2 ** torch.randint(scales, (n, 2), generator=generator)
    corners = 2 ** (scales - 1) + 1
    angles = uniform(0.0, 2 * math.pi, (n, corners, corners), generator)
    turns = uniform(-math.pi / 2, math.pi / 2, (n,), generator)
    gradients = torch.stack([angles.cos(), angles.sin()], dim=-1)
    noise = perlin(cells.to(device), gradients.to(device), size)[:, None]
    return rotate(noise, turns)[:, 0] > threshold


# Textures


def _gamma(x: Tensor, g: torch.Generator) -> Tensor:
    return x ** uniform(0.5, 2.0, (3, 1, 1), g).to(x)  # another one for each channel


def _brightness(x: Tensor, g: torch.Generator) -> Tensor:
    times, plus = uniform(-1.0, 1.0, (2,), g).tolist()
    return (x * (1 + 0.2 * times) + plus * 30 / 255).clamp(0, 1)


def _colour(x: Tensor, g: torch.Generator) -> Tensor:
    hue, saturation = uniform(-0.2, 0.2, (2,), g).tolist()  # 50 of 255
    return TF.adjust_saturation(TF.adjust_hue(x, hue), 1 + saturation)


def _solarize(x: Tensor, g: torch.Generator) -> Tensor:
    coin, level = torch.rand(2, generator=g).tolist()
    return TF.solarize(x, (32 + 96 * level) / 255) if coin < 0.5 else x


# DRAEM's ten, from which three are drawn, in the usual ranges; its code adds to the saturation
# what is multiplied here
AUGMENTERS: tuple[Draw, ...] = (
    _gamma,
    _brightness,
    lambda x, g: TF.adjust_sharpness(x, uniform(0.1, 1.9, (), g).item()),
    _colour,
    _solarize,
    lambda x, g: TF.posterize(x, int(torch.randint(1, 9, (), generator=g))),
    lambda x, _: 1 - x,
    lambda x, _: TF.autocontrast(x),
    lambda x, _: TF.equalize(x),
    lambda x, g: rotate(x[None], uniform(-math.pi / 4, math.pi / 4, (1,), g))[0],
)


def augment(texture: Float[Tensor, "3 h w"], generator: torch.Generator) -> Tensor:
    """Three different augmenters, one after the other."""
    for k in torch.randperm(len(AUGMENTERS), generator=generator)[:3].tolist():
        texture = AUGMENTERS[k](texture, generator)
    return texture


def blend_textures(
    images: Images, textures: Textures, generator: torch.Generator, most: float = 0.8
) -> tuple[Images, Masks]:
    """DRAEM's defects: inside Perlin masks, images are mixed with augmented textures.

    Args:
        textures: of the images' height and width.
        most: the share of the image inside a mask is drawn between 0 and this.
    """
    masks = perlin_masks(len(images), tuple(images.shape[-2:]), generator, images.device)
    chosen = torch.randint(len(textures), (len(images),), generator=generator)
    found = textures[chosen.to(textures.device)].to(images.device).to(images.dtype) / 255
    found = torch.stack([augment(x, generator) for x in found])
    share = uniform(0.0, most, (len(images), 1, 1, 1), generator).to(images)
    return torch.where(masks[:, None], torch.lerp(found, images, share), images), masks


# CutPaste


def large_cutpaste(
    images: Images,
    generator: torch.Generator,
    sides: tuple[float, float] = (0.8, 0.9),
    clipped: bool = False,
) -> tuple[Images, Masks]:
    """A large piece of each image, turned and pasted elsewhere in the same image.

    Args:
        sides: height and width of the piece are drawn between these shares of the image's.
        clipped: as FAIR's code does it: the piece starts anywhere, so that the border cuts much of
            it off; it is turned about its corner inside its own rectangle, what is left of which
            is black, and that rectangle is pasted where it fits. Otherwise the piece fits at both
            places, turns about its middle, and nearly always covers more than half of the image.
    """
    n, size = len(images), tuple(images.shape[-2:])
    whole = torch.tensor(size)
    piece = uniform(*sides, (n, 2), generator) * whole
    room = whole.expand(n, 2) if clipped else whole - piece
    start, goal = torch.rand((2, n, 2), generator=generator)
    start = (start * room).floor()
    piece = torch.minimum(piece, whole - start)
    goal = (goal * (whole - piece)).floor()
    angles = torch.randint(-6, 6, (n,), generator=generator).float()  # whole radians
    pivot = goal if clipped else goal + (piece - 1) / 2
    start, goal, piece, angles, pivot = (t.to(images) for t in (start, goal, piece, angles, pivot))
    inside = turned(angles, pivot, size) - goal[:, None, None]  # (n, h, w, 2), of the piece
    last = piece[:, None, None] - 1
    found = ((inside >= 0) & (inside <= last)).all(dim=-1)  # within the turned piece
    pasted = moved(images, inside + start[:, None, None]) * found[:, None]
    if clipped:
        upright = turned(0 * angles, pivot, size) - goal[:, None, None]
        found = ((upright >= 0) & (upright <= last)).all(dim=-1)
    return torch.where(found[:, None], pasted, images), found


def restore_task(
    images: Images,
    textures: Textures,
    generator: torch.Generator,
    clean: float = 0.5,
    cutpaste: float = 0.5,
    clipped: bool = False,
) -> tuple[Images, Masks]:
    """A batch to be restored: some images left clean, the others with one kind of defect.

    Args:
        clean: share of images that are left as they are, in expectation.
        cutpaste: share of CutPaste among the others; the rest have textures.
    """
    draw, kind = torch.rand((2, len(images)), generator=generator)
    damaged, masks = images.clone(), images.new_zeros(images[:, 0].shape, dtype=torch.bool)
    bad, pasted = draw >= clean, kind < cutpaste
    if (bad & pasted).any():
        some = (bad & pasted).nonzero()[:, 0].to(images.device)
        damaged[some], masks[some] = large_cutpaste(images[some], generator, clipped=clipped)
    if (bad & ~pasted).any():
        some = (bad & ~pasted).nonzero()[:, 0].to(images.device)
        damaged[some], masks[some] = blend_textures(images[some], textures, generator)
    return damaged, masks


# Occlusions: shape, texture and opacity, an argument each

SHAPES = ("ellipses", "curves", "both", "whole", "nothing")
OPACITIES = ("opaque", "transparent", "mixed")


def _used(n: int, least: int, most: int, generator: torch.Generator) -> Bool[Tensor, "n {most}"]:
    """Which of the `most` pieces of each image are there: `least` of them, or more."""
    number = torch.randint(least, most + 1, (n, 1), generator=generator)
    return torch.arange(most) < number


def _deepest(
    depths: Float[Tensor, "p h w"], used: Bool[Tensor, "n m"], device: torch.device
) -> Float[Tensor, "n h w"]:
    """Joins the pieces of each image; an image without is infinitely far from any."""
    whole = torch.full((*used.shape, *depths.shape[-2:]), -torch.inf, device=device)
    whole[used.to(device)] = depths
    return whole.amax(dim=1)


def ellipses(
    n: int,
    size: tuple[int, ...],
    generator: torch.Generator,
    device: torch.device,
    axes: tuple[float, float] = (0.02, 0.25),
    most: int = 4,
) -> Float[Tensor, "n h w"]:
    """How many pixels deep each pixel lies in one to `most` bent ellipses; negative outside.

    Args:
        axes: lengths of both axes, as shares of the shorter side.
    """
    used = _used(n, 1, most, generator)
    m = int(used.sum())
    radii = (uniform(*axes, (m, 2), generator) * min(size) / 2).clamp(min=1)
    centres = torch.rand((m, 2), generator=generator) * torch.tensor(size)
    angles = uniform(0.0, math.pi, (m,), generator)
    bends = uniform(-1.0, 1.0, (m, 2, 5, 5), generator)  # of a disc, out to twice its radius
    bends = bends * uniform(0.0, 0.75, (m, 1, 1, 1), generator)
    radii, centres, angles, bends = (t.to(device) for t in (radii, centres, angles, bends))
    places = turned(angles, centres, size) - centres[:, None, None]  # (m, h, w, 2)
    disc = places / radii[:, None, None]
    bent = F.grid_sample(bends, disc / 2, padding_mode="border", align_corners=True)
    far = (disc + bent.movedim(1, -1)).norm(dim=-1)  # 1 on the ellipse
    return _deepest((1 - far) * radii.amin(dim=1)[:, None, None], used, device)


def curves(
    n: int,
    size: tuple[int, ...],
    generator: torch.Generator,
    device: torch.device,
    lengths: tuple[float, float] = (0.1, 0.6),
    widths: tuple[float, float] = (1 / 256, 5 / 256),
    least: int = 1,
    most: int = 3,
) -> Float[Tensor, "n h w"]:
    """The same for `least` to `most` thin curves, walks whose heading changes at random.

    Args:
        lengths, widths: shares of the shorter side; no curve is thinner than a pixel.
    """
    used = _used(n, least, most, generator)
    m, side, pieces = int(used.sum()), min(size), 12
    width = (uniform(*widths, (m, 1, 1), generator) * side).clamp(min=1)
    step = uniform(*lengths, (m, 1), generator) * side / pieces
    bend = uniform(0.0, 0.6, (m, 1), generator)
    heading = uniform(0.0, 2 * math.pi, (m, 1), generator)
    heading = heading + (bend * torch.randn((m, pieces), generator=generator)).cumsum(dim=1)
    steps = step[..., None] * torch.stack([heading.sin(), heading.cos()], dim=-1)  # (m, pieces, 2)
    start = torch.rand((m, 1, 2), generator=generator) * torch.tensor(size)
    starts = start + steps.cumsum(dim=1) - steps
    width, step, starts, steps = (t.to(device) for t in (width, step, starts, steps))
    rows = torch.arange(size[0], device=device)[:, None]
    columns, far = torch.arange(size[1], device=device), width.new_full((m, *size), torch.inf)
    for k in range(pieces):
        y, x = rows - starts[:, k, 0, None, None], columns - starts[:, k, 1, None, None]
        dy, dx = (t[:, None, None] for t in steps[:, k].unbind(dim=1))
        along = ((y * dy + x * dx) / step[..., None].square()).clamp(0, 1)
        far = torch.minimum(far, (y - along * dy).square() + (x - along * dx).square())
    return _deepest(width / 2 - far.sqrt(), used, device)


def occlusion_masks(
    n: int,
    size: tuple[int, ...],
    generator: torch.Generator,
    device: torch.device,
    shape: str = "both",
    opacity: str | float = "mixed",
    edge: float = 2.0,
) -> Float[Tensor, "n h w"]:
    """How much of each pixel is covered, from 0 to 1; for the arguments see `occlude`."""
    if shape in ("whole", "nothing"):
        everywhere = torch.inf if shape == "whole" else -torch.inf
        depth = torch.full((n, *size), everywhere, device=device)
    elif shape == "curves":
        depth = curves(n, size, generator, device)
    else:
        depth = ellipses(n, size, generator, device)
        if shape == "both":
            depth = torch.maximum(depth, curves(n, size, generator, device, least=0))
    soft = uniform(0.0, edge, (n, 1, 1), generator).clamp(min=1e-3)
    cover = uniform(0.2, 0.9, (n, 1, 1), generator)
    full = {"opaque": 1.0, "transparent": 0.0, "mixed": 0.5}.get(str(opacity), 1.0)
    most = 1.0 if isinstance(opacity, str) else opacity
    cover = cover.where(torch.rand((n, 1, 1), generator=generator) >= full, most)
    return (depth / soft.to(device) + 1).clamp(0, 1) * cover.to(device)  # soft outside


def patches(
    textures: Textures, n: int, generator: torch.Generator, device: torch.device
) -> Float[Tensor, "n 3 h w"]:
    """Windows of random textures, of half their height and width to all, enlarged to all."""
    whole = torch.tensor(textures.shape[-2:])
    chosen = torch.randint(len(textures), (n,), generator=generator)
    share = uniform(0.5, 1.0, (n, 1), generator)
    start = torch.rand((n, 2), generator=generator) * (1 - share) * (whole - 1)
    found = textures[chosen.to(textures.device)].to(device).float() / 255
    here = turned(torch.zeros(n), torch.zeros(n, 2), tuple(whole.tolist())).to(device)
    return moved(found, start.to(device)[:, None, None] + share.to(device)[:, None, None] * here)


def procedural(
    n: int, size: tuple[int, ...], generator: torch.Generator, device: torch.device
) -> Float[Tensor, "n 3 h w"]:
    """Two random colours each, mixed by Perlin noise of 1 to 16 cells along either axis."""
    cells = 2 ** torch.randint(5, (n, 2), generator=generator)
    angles = uniform(0.0, 2 * math.pi, (n, 17, 17), generator)
    gradients = torch.stack([angles.cos(), angles.sin()], dim=-1)
    one, other = torch.rand((2, n, 3, 1, 1), generator=generator).to(device)
    share = (perlin(cells.to(device), gradients.to(device), size) + 0.5).clamp(0, 1)
    return one + (other - one) * share[:, None]


def occlude(
    images: Images,
    textures: Textures | None,
    generator: torch.Generator,
    shape: str = "both",
    opacity: str | float = "mixed",
    edge: float = 2.0,
) -> tuple[Images, Float[Tensor, "n h w"]]:
    """FAE's corruption: M * texture + (1 - M) * image, and the masks M.

    Args:
        textures: of the images' height and width; None makes procedural ones.
        shape: one of `SHAPES`: bent ellipses, thin curves, the former with up to three of the
            latter, everything, or nothing.
        opacity: how much is covered, or one of `OPACITIES`: all, 20 to 90 %, or either with even
            chances.
        edge: what is covered fades out over a length drawn between 0 and so many pixels.
    """
    n, size = len(images), tuple(images.shape[-2:])
    masks = occlusion_masks(n, size, generator, images.device, shape, opacity, edge)
    if textures is None:
        fill = procedural(n, size, generator, images.device)
    else:
        fill = patches(textures, n, generator, images.device)
    return torch.lerp(images, fill.to(images), masks[:, None].to(images)), masks
