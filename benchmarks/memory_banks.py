"""SPADE, PaDiM and PatchCore beside anomalib's: agreement and seconds, one core each; by hand.

    python benchmarks/memory_banks.py [--size 64] [--train 40] [--test 8] [--rows 20000]

Needs the extra `baselines`. Both sides get the same images and the same network with seeded random
weights (`tiny`). PaDiM gets the same channels; anomalib adds a further 1e-5 to the covariance.
PatchCore pools features, enlarges maps and draws the coreset otherwise than anomalib, so a further
line gives both anomalib's features, anomalib's bank and a bilinear enlargement. anomalib has no
SPADE: it is timed alone. Then the parts after the network, on random features of the papers' size.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from anomalib.models.components import KCenterGreedy  # type: ignore[import-not-found]
from anomalib.models.components.stats import (  # type: ignore[import-not-found]
    MultiVariateGaussian,
)
from anomalib.models.image.padim.anomaly_map import (  # type: ignore[import-not-found]
    AnomalyMapGenerator,
)
from anomalib.models.image.padim.torch_model import (  # type: ignore[import-not-found]
    PadimModel,
)
from anomalib.models.image.patchcore.torch_model import (  # type: ignore[import-not-found]
    PatchcoreModel,
)
from torch import Tensor

from anomlib.features import load_backbone, normalisation
from anomlib.methods.padim import PaDiM, cholesky_, mahalanobis
from anomlib.methods.patchcore import PatchCore, greedy_coreset
from anomlib.methods.spade import SPADE
from anomlib.ops import gaussian_blur, nearest

NET = "resnet10t"  # what `tiny` is
LAYERS = ["layer1", "layer2", "layer3"]


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def line(what: str, ours: float, theirs: float | None = None, agreement: str = "") -> None:
    other = "" if theirs is None else f"{theirs:8.2f} s anomalib  x{theirs / ours:.1f}"
    print(f"{what:38} {ours:8.2f} s ours {other:28} {agreement}", flush=True)


def agree(ours: Tensor, theirs: Tensor) -> str:
    r = torch.corrcoef(torch.stack([ours.flatten(), theirs.flatten()]))[0, 1]
    gap = (ours - theirs).abs().max() / theirs.abs().max()
    return f"r = {r:.6f}, largest difference {gap:.1e} of the maximum"


def photos(n: int, size: int, seed: int) -> Tensor:
    noise = torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed))
    return (0.5 + 0.3 * gaussian_blur(noise, 1.0)).clamp(0, 1)


def normalised(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(v)[:, None, None] for v in normalisation("tiny"))
    return (images - mean) / std


def with_our_weights(model: Any) -> Any:
    model.feature_extractor.feature_extractor.load_state_dict(
        load_backbone("tiny").state_dict(), strict=False
    )
    return model


def padim(train: Tensor, test: Tensor) -> None:
    ours = PaDiM(backbone="tiny", dims=100)
    _, fit = timed(lambda: ours.fit(train))
    maps, mapping = timed(lambda: ours.anomaly_map(test))
    model = with_our_weights(PadimModel(NET, LAYERS, pre_trained=False, n_features=100))
    model.idx = ours.dims_

    def their_fit() -> None:
        model.train()
        model(normalised(train))
        model.fit()
        model.eval()

    _, their_seconds = timed(their_fit)
    output, their_mapping = timed(lambda: model(normalised(test)))
    line("PaDiM, 100 of 448 channels: fit", fit, their_seconds)
    line("PaDiM: maps", mapping, their_mapping, agree(maps, output.anomaly_map[:, 0]))


def patchcore(train: Tensor, test: Tensor) -> None:
    model = with_our_weights(PatchcoreModel(LAYERS[1:], NET, pre_trained=False, num_neighbors=1))

    def their_fit() -> None:
        model.train()
        model(normalised(train))
        model.subsample_embedding(0.1)
        model.eval()

    torch.manual_seed(0)
    _, their_seconds = timed(their_fit)
    output, their_mapping = timed(lambda: model(normalised(test)))
    ours = PatchCore(backbone="tiny", dim=384)
    _, fit = timed(lambda: ours.fit(train))
    maps, mapping = timed(lambda: ours.anomaly_map(test))
    line("PatchCore, 10 %: fit", fit, their_seconds, "(pooling and coreset differ)")
    line("PatchCore: maps", mapping, their_mapping, agree(maps, output.anomaly_map[:, 0]))

    # anomalib's features and bank in our class; both enlarge as ours does
    bilinear = partial(F.interpolate, mode="bilinear")
    ours.bank_ = model.memory_bank
    with mock.patch("anomlib.methods.patchcore.patch_features", plain):
        maps, mapping = timed(lambda: ours.anomaly_map(test))
    with mock.patch.object(F, "interpolate", bilinear):
        output = model(normalised(test))
    line(
        "PatchCore: maps, same features, bank",
        mapping,
        None,
        agree(maps, output.anomaly_map[:, 0]),
    )


def plain(levels: list[Tensor], patch: int, dim: int) -> Tensor:
    """anomalib's features: 3 x 3 means, all channels of all levels."""
    first, *others = (F.avg_pool2d(x, patch, 1, patch // 2) for x in levels)
    larger = (F.interpolate(x, first.shape[-2:], mode="bilinear") for x in others)
    return torch.cat([first, *larger], dim=1).movedim(1, 3)


def spade(train: Tensor, test: Tensor) -> None:
    ours = SPADE(backbone="tiny", neighbours=5)
    _, fit = timed(lambda: ours.fit(train))
    _, mapping = timed(lambda: ours.anomaly_map(test))
    line("SPADE, 5 neighbours: fit", fit)
    line("SPADE: maps", mapping)


def radius(x: Tensor, chosen: Tensor) -> float:
    return nearest(x, x[chosen])[0].max().item()


def papers_size(rows: int) -> None:
    """The parts after the network, on random features that vary in 16 directions and a little."""
    generator = torch.Generator().manual_seed(0)

    def features(n: int, c: int) -> Tensor:
        axes = torch.randn(16, c, generator=torch.Generator().manual_seed(1))
        inner = torch.randn(n, 16, generator=generator) @ axes
        return inner + 0.3 * torch.randn(n, c, generator=generator)

    x = features(rows, 1024)
    axes = torch.rand(1024, 128, generator=generator) - 0.5
    size = rows // 10
    ours, seconds = timed(lambda: greedy_coreset(x @ axes, size, generator))
    torch.manual_seed(0)
    sampler = KCenterGreedy(x, 0.1)
    theirs, their_seconds = timed(sampler.select_coreset_idxs)
    line(f"coreset of 10 % of {rows} x 1024", seconds, their_seconds)
    at_random = torch.randperm(rows, generator=generator)[:size]
    radii = [radius(x, chosen) for chosen in (ours, torch.tensor(theirs), at_random)]
    print(
        "    largest distance to it: ours {:.2f}, anomalib's {:.2f}, random {:.2f}".format(*radii)
    )

    query = features(1024, 1024)
    model: Any = mock.Mock(memory_bank=x, euclidean_dist=PatchcoreModel.euclidean_dist)
    (ours, _), seconds = timed(lambda: nearest(query, x))
    (theirs, _), their_seconds = timed(
        lambda: PatchcoreModel.nearest_neighbors(model, query, n_neighbors=1)
    )
    line(f"1024 patches, bank of {rows}", seconds, their_seconds, agree(ours, theirs))

    gallery = features(5 * 4096, 256)
    query = features(4096, 256)
    _, seconds = timed(lambda: nearest(query, gallery.half()))
    line("SPADE, level 1 at 256 px, K = 5", seconds)

    x, p = features(60 * 64, 550).view(60, 64, 550).mT, 64  # (n, d, p)
    mean = x.mean(dim=0)
    centred = (x - mean).permute(2, 1, 0)

    def factor() -> Tensor:
        return cholesky_(centred @ centred.mT, len(x), 0.01)

    factors, seconds = timed(factor)
    gaussian = MultiVariateGaussian()
    _, their_seconds = timed(lambda: gaussian.fit(x.unflatten(2, (8, 8))))
    line(f"PaDiM, 550 dimensions, {p} positions", seconds, their_seconds)
    query = features(8 * p, 550).view(8, p, 550).mT
    ours, seconds = timed(lambda: mahalanobis(query - mean, factors))
    stats = [gaussian.mean, gaussian.inv_covariance]
    theirs, their_seconds = timed(
        lambda: AnomalyMapGenerator.compute_distance(query.unflatten(2, (8, 8)), stats)
    )
    line("PaDiM, distances of 8 images", seconds, their_seconds, agree(ours, theirs.flatten(1)))


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--train", type=int, default=40)
    parser.add_argument("--test", type=int, default=8)
    parser.add_argument("--rows", type=int, default=20000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    train, test = photos(options.train, options.size, 0), photos(options.test, options.size, 1)
    load_backbone("tiny")(train[:1])  # warm up
    with mock.patch("anomalib.models.components.sampling.k_center_greedy.tqdm", lambda x, **_: x):
        padim(train, test)
        patchcore(train, test)
        spade(train, test)
        papers_size(options.rows)


if __name__ == "__main__":
    main()
