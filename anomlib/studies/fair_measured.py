"""What FAIR costs and what conventions of its released code move, measured."""

import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..api import Dataset, Images, Masks, Method
from ..corruptions import to_textures
from ..methods.fair import FAIR, UNet, colour, loss, msgms
from ..metrics import aupro, pixel_auroc, pixel_metrics

# Table 5 and Figure 2


def parameters(width: int) -> int:
    """Numbers that the network learns at a width, without making it."""
    with torch.device("meta"):
        return sum(p.numel() for p in UNet(1, width).parameters())


def speed(
    widths: list[int], size: int, batches: list[int], device: str, least: float = 1.0
) -> pd.DataFrame:
    """Images per second at several widths: the network alone, and all from image to map.

    The network has its first, random weights; how fast it is does not depend on them.

    Args:
        size: height and width of the images.
        batches: how many images at once.
        device: "cpu", on as many threads as torch has, or "cuda".
        least: seconds to measure each of them for.

    Returns:
        Columns method, width, size, device, threads, batch, part ("network" or "whole"),
        images_per_second, params.
    """
    lines = []
    for width in widths:
        method = FAIR(width=width, steps=1, batch=1, textures="train")
        method.fit(torch.rand(1, 3, size, size, device=device))
        for batch in batches:
            images = torch.rand(batch, 3, size, size, device=device)
            parts: dict[str, Callable[..., object]] = {
                "network": method.restore,
                "whole": method.anomaly_map,
            }
            for part, call in parts.items():
                seconds = _seconds(lambda call=call, images=images: call(images), least)
                rate, threads = batch / seconds, torch.get_num_threads()
                key = ("fair", width, size, device, threads, batch, part)
                lines.append((*key, rate, parameters(width)))
    columns = ["method", "width", "size", "device", "threads", "batch", "part"]
    return pd.DataFrame(lines, columns=[*columns, "images_per_second", "params"])


def _seconds(call: Callable[[], object], least: float) -> float:
    """Median seconds of a call, once warmed up, repeated for so long and three times at least."""
    took: list[float] = []
    while len(took) < 4 or sum(took[1:]) < least:
        begin = time.perf_counter()
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        took.append(time.perf_counter() - begin)
    return statistics.median(took[1:])


# What training costs


def costs(
    widths: list[int],
    size: int,
    batches: list[int],
    train_width: int,
    device: str,
    least: float = 1.0,
) -> pd.DataFrame:
    """`speed` and `training_cost` in one table; column `kind` tells them apart."""
    parts = {
        "speed": speed(widths, size, batches, device, least),
        "training": training_cost(train_width, size, device, least),
    }
    return pd.concat([table.assign(kind=kind) for kind, table in parts.items()])


def training_cost(width: int, size: int, device: str, least: float = 1.0) -> pd.DataFrame:
    """Seconds of one training step, of the batch it is made on, and of the step's plainer forms.

    Returns:
        Columns width, size, device, what, seconds. "step" is as in `fit`; "batch" makes its
        images; "step, rows of channels" has torch's default layout; "step, loss read" waits for
        the loss after every step; "step, single precision" has no autocast (on a GPU).
    """
    method = FAIR(width=width, textures="train")
    images = torch.rand(16, 3, size, size, device=device)
    textures, generator = to_textures(images), torch.Generator().manual_seed(0)
    clean, damaged, _ = method.draw(images, textures, generator)
    seen = method.highpass(damaged)
    forms: dict[str, Callable[[], object]] = {
        "batch": lambda: method.highpass(method.draw(images, textures, generator)[1]),
        "step": _step(UNet(1, width), seen, clean),
        "step, rows of channels": _step(UNet(1, width), seen, clean, torch.contiguous_format),
        "step, loss read": _step(UNet(1, width), seen, clean, read=True),
        "step, single precision": _step(UNet(1, width), seen, clean, half=False),
    }
    lines = [(width, size, device, what, _seconds(call, least)) for what, call in forms.items()]
    return pd.DataFrame(lines, columns=["width", "size", "device", "what", "seconds"])


def _step(
    net: nn.Module,
    seen: torch.Tensor,
    clean: torch.Tensor,
    layout: torch.memory_format = torch.channels_last,
    read: bool = False,
    half: bool = True,
) -> Callable[[], object]:
    net = net.to(seen.device).to(memory_format=layout)
    adam = torch.optim.Adam(net.parameters(), 1e-4, fused=True)

    def step() -> object:
        with torch.autocast(seen.device.type, torch.bfloat16, enabled=half and seen.is_cuda):
            restored = net(seen)
        value = loss(clean, restored.float())
        adam.zero_grad()
        value.backward()
        adam.step()
        return value.item() if read else value

    return step


# Conventions of the released code


def conventions(method: Method, data: Dataset, large: Masks) -> pd.DataFrame:
    """What the released code's masks, colours and unbounded restorations move.

    The code shrinks masks with bilinear weights. For AUROC only pixels that are defective
    throughout count as defective (it casts to integers), for AU-PRO those that are so in part.

    Args:
        method: FAIR, to be fitted.
        large: masks of the test images at a multiple of their size.

    Returns:
        Columns choice, value, metric, number.

    Raises:
        ValueError: the dataset has no masks.
    """
    if data.masks is None:
        raise ValueError(f"{data.name} has no masks, which the metrics of a study need")
    maps = method.fit(data.train).anomaly_map(data.test)
    times = large.shape[-1] // maps.shape[-1]
    share = F.avg_pool2d(large[:, None].float(), times)[:, 0]
    book = pixel_metrics(maps, data.masks)
    released = {"pixel_auroc": pixel_auroc(maps, share == 1), "aupro": aupro(maps, share > 0)}
    swapped = method.changed(bgr=True).anomaly_map(data.test)
    lines = [
        ("as in this book", "masks by the nearest pixel, RGB", book),
        ("masks", "as released: all of a pixel for AUROC, any of it for AU-PRO", released),
        ("masks", "any of a pixel for all", pixel_metrics(maps, share > 0)),
        ("masks", "all of a pixel for all", pixel_metrics(maps, share == 1)),
        ("colours", "BGR as if RGB", pixel_metrics(swapped, data.masks)),
        ("restoration", "cut to [0, 1]", pixel_metrics(_bounded(method, data), data.masks)),
    ]
    flat = [(c, v, metric, number) for c, v, table in lines for metric, number in table.items()]
    return pd.DataFrame(flat, columns=["choice", "value", "metric", "number"])


def _bounded(method: Method, data: Dataset) -> torch.Tensor:
    """Eq. 10 on restorations cut to what an image can hold."""
    assert isinstance(method, FAIR)
    x, y = data.test, method.restore(data.test).clamp(0, 1)
    found = 1 - msgms(x, y) + method.k * colour(x, y)
    return F.avg_pool2d(found, method.mean, stride=1, padding=method.mean // 2)[:, 0]


# Figure 3

Steps = list[tuple[str, np.ndarray]]  # title and picture


def training_pass(method: FAIR, good: Images, damaged: Images, masks: Masks) -> Steps:
    """The pictures of one training sample.

    Args:
        method: fitted.
        good: one image; `damaged` and `masks` are what was painted into it.
    """
    return [
        ("good image I", _photo(good)),
        ("painted over here", masks[0].cpu().numpy()),
        ("damaged, I'", _photo(damaged)),
        ("high frequencies of I', all the network sees", _photo(method.highpass(damaged))),
        ("restored; should be I", _photo(method.restore(damaged))),
    ]


def test_pass(method: FAIR, image: Images) -> Steps:
    """The pictures of one test image, as (1, 3, h, w), through a fitted method."""
    restored = method.restore(image)
    return [
        ("test image", _photo(image)),
        ("its high frequencies", _photo(method.highpass(image))),
        ("restored", _photo(restored)),
        ("gradients that differ, 1 - MSGMS (Eq. 8)", _photo(1 - msgms(image, restored))),
        ("colours that differ (Eq. 9)", _photo(colour(image, restored))),
        ("anomaly map (Eq. 10)", method.anomaly_map(image)[0].cpu().numpy()),
    ]


def _photo(x: Float[Tensor, "1 c h w"]) -> np.ndarray:
    picture = x[0].permute(1, 2, 0).cpu().numpy()
    return picture if picture.shape[-1] == 3 else picture[..., 0]
