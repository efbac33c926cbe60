"""What SSDnet's paper does not show: how a map changes while its network is trained."""

import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..api import Dataset
from ..methods.ssdnet import SSDnet
from ..metrics import per_image_pixel
from ..ops import Patches


def trajectory(
    method: SSDnet, y: Float[Tensor, "1 3 h w"], mask: Bool[Tensor, "1 h w"], steps: list[int]
) -> pd.DataFrame:
    """Trains on one image and looks at its map after some of the steps.

    Args:
        method: in image mode; its `epochs` are set to the last of the steps, its `stop` to none.
        steps: after how many steps of Adam to look.

    Returns:
        Columns step; loss (of that step); pixel_ap and pixel_auroc of the map at the first
        resolution; inside and outside: the mean squared residual of defective and other pixels.
    """
    height, width = y.shape[-2:]
    patches = Patches(height, width, method.resolutions[0])
    lines = []

    def look(step: int, loss: float, net: nn.Module) -> None:
        if step not in steps:
            return
        with torch.no_grad():
            error = (net(y) - y).square().mean(dim=1)  # (1, h, w)
        scores = per_image_pixel(patches.spread(patches.mean(error)), mask)
        line = {"step": step, "loss": loss} | {k: float(v[0]) for k, v in scores.items()}
        residual = {"inside": error[mask].mean().item(), "outside": error[~mask].mean().item()}
        lines.append(line | residual)

    endless = vars(method) | {"epochs": max(steps), "stop": float("-inf"), "mode": "image"}
    SSDnet(**endless).train(y, look)
    return pd.DataFrame(lines)


def ablation(
    data: Dataset, settings: dict, variants: dict[str, dict], steps: list[int], seeds: list[int]
) -> pd.DataFrame:
    """`trajectory` for several settings on every defective image of a dataset.

    Args:
        settings: those that all variants share.
        variants: name -> the settings that it changes.

    Returns:
        The columns of `trajectory` after dataset, category, variant, image and seed.
    """
    if data.masks is None:
        raise ValueError(f"{data.name} has no masks, which the metrics of a study need")
    tables = []
    for variant, changed in variants.items():
        for seed in seeds:
            method = SSDnet.paper(data.name, data.category, seed=seed, **settings | changed)
            assert isinstance(method, SSDnet)
            for image, mask, path in zip(data.test, data.masks, data.paths, strict=True):
                if mask.any():
                    table = trajectory(method, image[None], mask[None], steps)
                    place = {"dataset": data.name, "category": data.category, "variant": variant}
                    tables.append(table.assign(**place, image=path, seed=seed))
    names = ["dataset", "category", "variant", "image", "seed"]
    table = pd.concat(tables, ignore_index=True)
    return table[[*names, *table.columns.difference(names, sort=False)]]


def turning_points(table: pd.DataFrame) -> pd.DataFrame:
    """Where the mean AP over images and seeds is highest, and what is left of it at the end.

    Args:
        table: `ablation`'s, with `profile`.
    """
    by = ["profile", "dataset", "category", "variant"]
    mean = table.groupby([*by, "step"], sort=False)["pixel_ap"].mean().reset_index()
    groups = mean.groupby(by, sort=False)
    best = mean.loc[groups["pixel_ap"].idxmax()].set_index(by)
    last = mean.loc[groups["step"].idxmax()].set_index(by)
    found = best.rename(columns={"pixel_ap": "highest AP", "step": "at step"})
    found["AP at the last step"] = last["pixel_ap"]
    found["lost"] = found["highest AP"] - found["AP at the last step"]
    return found.round(3)
