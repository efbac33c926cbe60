"""What a step of FAE's training costs, what its masks are like, and what thin curves change.

References:
    | Noise & Pattern: Identity-Anchored Tikhonov Regularization for Robust Structural Anomaly
    | Detection (Bauer & Mueller, 2025): Secs. 3.2, 4.1 and 6, Remark 2, Figures 5 and 7
"""

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from skimage.morphology import skeletonize
from torch import Tensor

from ..api import Dataset, Images, Masks, Method
from ..corruptions import Textures, occlude, occlusion_masks, to_textures
from ..methods.fae import ARMS, FAE, UNet, loss, residual
from ..metrics import pixel_auroc
from ..ops import seeded

# Secs. 3.2 and 6, "lightweight": seconds per training step

AGAIN = "none, again"  # a second network without noise: what else differs is the clock's doing


def step_costs(
    images: Images, width: int, blocks: int, batch: int, repeats: int, device: str = "cpu"
) -> pd.DataFrame:
    """Seconds of one training step with each penalty, on one batch, and of making that batch.

    Every repeat takes one step of each, starting with another one each time, so that a busy
    machine slows all of them alike.

    Returns:
        Columns width, blocks, size, batch, device, threads, repeat, what (a penalty, `AGAIN`, or
        a batch), seconds (of the processor; on a GPU those of a clock on the wall).
    """
    method, images = FAE(width=width, blocks=blocks, batch=batch), images.to(device)
    generator, textures = torch.Generator().manual_seed(0), to_textures(images)
    x, x_hat, masks = method.draw(images, batch, textures, generator)
    arms = ["none", AGAIN, *(arm for arm in ARMS if arm != "none")]
    calls = {arm: _step(method, "none" if arm == AGAIN else arm, x, x_hat, masks) for arm in arms}
    for what, fill in {"batch, of textures": textures, "batch, procedural": None}.items():
        calls[what] = lambda fill=fill: method.draw(images, batch, fill, generator)
    names, lines = [*calls], []
    with warnings.catch_warnings():  # what `jvp` loads at its first call is torch's own affair
        warnings.simplefilter("ignore", FutureWarning)
        for name in names:
            calls[name]()  # the first step makes Adam's moments
    for repeat in range(repeats):
        first = repeat % len(names)
        for name in names[first:] + names[:first]:
            lines.append((repeat, name, _seconds(calls[name], device)))
    table = pd.DataFrame(lines, columns=["repeat", "what", "seconds"])
    place = {"width": width, "blocks": blocks, "size": images.shape[-1], "batch": batch}
    return table.assign(**place, device=device, threads=torch.get_num_threads())


def _step(method: FAE, arm: str, x: Tensor, x_hat: Tensor, masks: Tensor) -> Callable[[], object]:
    """The body of the loop of `FAE.fit`, but for the batch."""
    with seeded(0):
        net = UNet(method.width, method.blocks).to(x.device)
    net.to(memory_format=torch.channels_last)
    adam = torch.optim.Adam(net.parameters(), method.lr, fused=True)
    noise = torch.Generator(x.device).manual_seed(0)

    def step() -> object:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=x.is_cuda):
            r, moved = residual(net, x, x_hat, method.sigma, arm, noise)
        value = loss(r, masks) + moved.square().mean()
        adam.zero_grad()
        value.backward()
        adam.step()
        return value.detach()

    return step


def _seconds(call: Callable[[], object], device: str) -> float:
    clock = time.process_time if device == "cpu" else time.perf_counter
    begin = clock()
    call()
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - begin


# Sec. 4 and Figure 5: what the masks are like

# What differs from the defaults of `occlude`, by axis
AXES: dict[str, dict[str, dict[str, Any]]] = {
    "shape": {shape: {"shape": shape} for shape in ("ellipses", "curves", "both")},
    "opacity": {opacity: {"opacity": opacity} for opacity in ("opaque", "transparent", "mixed")},
    "edge": {f"{edge} px": {"edge": float(edge)} for edge in (0, 2, 8)},
}
PLAIN: dict[str, Any] = {
    "shape": "ellipses",
    "opacity": "opaque",
}  # for the other axes of a picture


def axis(
    images: Images, name: str, banks: dict[str, Textures | None], seed: int = 0
) -> dict[str, tuple[Images, Tensor]]:
    """The images occluded with every value of one axis, the same seed for each.

    Args:
        name: of `AXES`, or "texture", whose values are the banks.
        banks: name -> textures, None for procedural ones; the other axes take the first.
    """
    first, found = next(iter(banks.values())), {}
    cases: dict[str, tuple[Textures | None, dict[str, Any]]]
    cases = {bank: (fill, {}) for bank, fill in banks.items()}
    if name != "texture":
        cases = {value: (first, change) for value, change in AXES[name].items()}
    for value, (fill, change) in cases.items():
        generator = torch.Generator().manual_seed(seed)
        found[value] = occlude(images, fill, generator, **PLAIN | change)
    return found


def thickness(mask: np.ndarray) -> float:
    """Mean width in pixels: the area over the number of pixels of its skeleton; NaN if empty.

    A diagonal skeleton has fewer pixels than its length, so widths are up to 1.4 times too large.
    """
    return float(mask.sum() / skeletonize(mask).sum()) if mask.any() else float("nan")


def mask_measures(masks: Tensor) -> pd.DataFrame:
    """Of each mask: share covered, thickness, outline's width, and how much is covered at most.

    Inside is what is covered at least half as much as the most covered pixel; the outline's width
    is the number of pixels in between over the number of pixels along the outline.
    """
    lines = []
    for mask in masks.cpu().numpy():
        most = mask.max()
        inside = mask >= most / 2 if most > 0 else np.zeros(mask.shape, dtype=bool)
        between = (mask > 0.01 * most) & (mask < 0.99 * most)
        padded = np.pad(inside, 1, mode="edge")
        kept = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        along = max(int((inside & ~kept).sum()), 1)
        lines.append((inside.mean(), thickness(inside), between.sum() / along, most))
    return pd.DataFrame(lines, columns=["covered", "thickness", "outline", "most"])


def mask_table(size: int, draws: int, seed: int = 0) -> pd.DataFrame:
    """`mask_measures` of many draws of the corruption model, the defaults but for one argument.

    Returns:
        Columns axis, value, and those of `mask_measures`; a line for each draw.
    """
    tables = []
    for name, values in AXES.items():
        for value, change in values.items():
            generator = torch.Generator().manual_seed(seed)
            masks = occlusion_masks(draws, (size, size), generator, torch.device("cpu"), **change)
            tables.append(mask_measures(masks).assign(axis=name, value=value))
    return pd.concat(tables, ignore_index=True)


# Remark 2 and Figure 7: with thin curves in training, and without

TRAINED = ("ellipses", "both")  # without, with
TRIED = ("curves", "ellipses")  # what is erased afterwards; the second is the control


def pair(method: Method, images: Images) -> dict[str, FAE]:
    """The method trained without and with curves, the same seed and settings for both."""
    found = {shape: method.changed(shape=shape).fit(images) for shape in TRAINED}
    return {shape: fitted for shape, fitted in found.items() if isinstance(fitted, FAE)}


def shapes(trained: dict[str, FAE], data: Dataset, copies: int, thin: float) -> pd.DataFrame:
    """What each network leaves of thin curves and of ellipses, and how well it finds defects.

    Curves and ellipses are painted over normal test images, opaque, with hard edges and in one
    random colour, which training never has; so what should come back is known. Of real defects
    it is not, and they are only looked for.

    Args:
        copies: how often each normal test image is painted over.
        thin: a defect is thin whose mean width is at most so many pixels of 64; where none of a
            category is, those of its thinnest third are.

    Returns:
        Columns trained ("ellipses", "both"), seed, kind ("curves", "ellipses", "defect"), path,
        thickness, thin, painted = |M (x^ - x)|^2, left = |M (f(x^) - x)|^2 (NaN for defects),
        pixel_auroc of this image, dataset, category.

    Raises:
        ValueError: the dataset has no masks.
    """
    if data.masks is None:
        raise ValueError(f"{data.name} has no masks, which the metrics of a study need")
    clean = data.test[~data.labels].repeat(copies, 1, 1, 1)
    named = [p for p, bad in zip(data.paths, data.labels, strict=True) if not bad] * copies
    lines = []
    for kind in TRIED:
        x_hat, masks = painted(clean, kind)
        for shape, method in trained.items():
            erased = _erased(method, clean, x_hat, masks)
            lines.append(erased.assign(trained=shape, seed=method.seed, kind=kind, path=named))
    for shape, method in trained.items():
        found = _found(method, data.test, data.masks)
        found = found.assign(path=data.paths, thin=False).dropna()
        narrow = float(thin * min(data.test.shape[-2:]) / 64)
        if (found["thickness"] > narrow).all():
            narrow = float(found["thickness"].quantile(1 / 3))
        found["thin"] = found["thickness"] <= narrow
        lines.append(found.assign(trained=shape, seed=method.seed, kind="defect"))
    table = pd.concat(lines, ignore_index=True)
    table["thin"] = table["thin"].eq(True)  # of what is painted, the kind says it
    return table.dropna(subset=["pixel_auroc"]).assign(dataset=data.name, category=data.category)


def painted(images: Images, kind: str, seed: int = 0) -> tuple[Images, Masks]:
    """The images under curves or ellipses, each image in one colour, and where those are."""
    g, size = torch.Generator().manual_seed(seed), tuple(images.shape[-2:])
    masks = occlusion_masks(len(images), size, g, images.device, kind, "opaque", 0.0) > 0.5
    colours = torch.rand((len(images), 3, 1, 1), generator=g).to(images)
    return torch.where(masks[:, None], colours, images), masks


def _erased(method: FAE, x: Images, x_hat: Images, masks: Masks) -> pd.DataFrame:
    table, y = _found(method, x_hat, masks), method.restore(x_hat)
    for name, other in {"painted": x_hat, "left": y}.items():
        table[name] = (masks[:, None] * (other - x)).square().sum(dim=(1, 2, 3)).tolist()
    return table


def _found(method: FAE, images: Images, masks: Masks) -> pd.DataFrame:
    """Thickness and pixel AUROC of each image; NaN where its mask is empty."""
    lines = []
    for scores, mask in zip(method.anomaly_map(images), masks, strict=True):
        both = bool(mask.any()) and not bool(mask.all())
        auroc = pixel_auroc(scores[None], mask[None]) if both else float("nan")
        lines.append((thickness(mask.cpu().numpy()), auroc))
    return pd.DataFrame(lines, columns=["thickness", "pixel_auroc"])


Rows = dict[str, list[np.ndarray]]  # path -> input, two restorations, two maps, mask


def figure_7(trained: dict[str, FAE], data: Dataset, table: pd.DataFrame, most: int = 2) -> Rows:
    """Pictures of thin defects: those of median thickness first, whatever was found in them."""
    thin = table[(table["category"] == data.category) & table["thin"]]
    widths = thin.groupby("path")["thickness"].first()
    order = (widths - statistics.median(widths)).abs().sort_values(kind="stable").index
    rows, masks = {}, data.masks
    for path in order[:most]:
        i = data.paths.index(str(path))
        image, methods = data.test[i : i + 1], trained.values()
        pictures = [image, *(method.restore(image) for method in methods)]
        maps = [method.anomaly_map(image)[0].cpu().numpy() for method in methods]
        photos = [p[0].permute(1, 2, 0).cpu().numpy() for p in pictures]
        outline = np.zeros(maps[0].shape, bool) if masks is None else masks[i].cpu().numpy()
        rows[f"{data.category}/{path}"] = [*photos, *maps, outline]
    return rows
