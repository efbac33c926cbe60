"""Models of anomalib under our contract: its networks and losses, our weights, images and maps.

Nothing of its engine is used: no files, no logs, no early stopping, and maps as the network gives
them, before a post-processor scales them by the smallest and largest value of the test set.
Backbones have the weights that `features.py` finds for all methods, not timm's newest of a name.
"""

from collections.abc import Callable
from copy import deepcopy
from importlib import import_module
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .api import Images, Maps
from .features import load_backbone, normalisation
from .ops import fill_missing, progress

EXTRA = 'the extra `baselines`: `.venv/bin/pip install -e ".[baselines]"`'


def anomalib(name: str) -> Any:
    """One of its modules, such as `models.image.stfpm.loss`.

    Raises:
        ImportError: the extra is not installed; names the command.
    """
    try:
        return import_module(f"anomalib.{name}")
    except ImportError as error:
        raise ImportError(f"this needs {EXTRA} ({error})") from error


class Pyramid(nn.Module):
    """A backbone of `features.py` as a module: images in [0, 1] in, maps of its levels out.

    Args:
        trained: has the weights of that name and keeps them; False draws new ones, to be learned.

    Raises:
        FileNotFoundError: its weights are nowhere; names the three places and the fix.
        ValueError: a level that the backbone does not have; lists those it has.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: str, levels: tuple[int, ...], trained: bool = True):
        import timm  # takes seconds

        super().__init__()
        info: Any = timm.models.FeatureInfo
        self.levels, self.trained = sorted(levels), trained
        net: Any = deepcopy(load_backbone(backbone))
        known = range(len(net.feature_info))
        if not levels or not set(levels) <= set(known):
            raise ValueError(f"{backbone} has the levels {list(known)}, not {list(levels)}")
        if not trained:
            drawn = timm.create_model(net.default_cfg["architecture"], pretrained=False)
            net.load_state_dict(drawn.state_dict())
            net.requires_grad_(True)
        self.feature_info = info(net.feature_info, self.levels)  # channels and reduction
        net.prune_intermediate_layers(self.levels, prune_head=True)  # what is above is not needed
        self.net = net.train(not trained)
        mean, std = (torch.tensor(v)[:, None, None] for v in normalisation(backbone))
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def train(self, mode: bool = True) -> "Pyramid":
        return super().train(mode and not self.trained)  # statistics of batches are weights too

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _c _h _w"]]:
        x = (images - self.mean) / self.std
        return self.net.forward_intermediates(x, indices=self.levels, intermediates_only=True)


def train(
    loss: Callable[[Images], Tensor],
    optimizer: torch.optim.Optimizer,
    images: Images,
    epochs: int,
    batch: int,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
) -> list[float]:
    """Minimises the loss of shuffled batches; returns its mean over each epoch.

    Whatever is random comes from torch's own stream, and the last epoch is the one that counts.

    Args:
        batch: images per step; the last one of an epoch has what is left.
        schedule: of the learning rate, in epochs.
    """
    found = []
    for _ in progress(range(epochs), "anomalib"):
        total = 0.0
        for some in torch.randperm(len(images)).split(batch):
            value = loss(fill_missing(images[some.to(images.device)]))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.item() * len(some)
        if schedule:
            schedule.step()
        found.append(total / len(images))
    return found


@torch.no_grad()
def raw_maps(model: nn.Module, images: Images) -> Maps:
    """What the network itself gives, image by image, so that no map depends on its batch."""
    model.to(images.device).eval()
    parts = progress(fill_missing(images).split(1), "anomalib")
    return torch.cat([model(x).anomaly_map for x in parts]).view(-1, *images.shape[-2:])
