"""Subspace's loop as printed, what it costs, and how well good images rebuild one another."""

import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from ..api import Dataset, Images, Masks
from ..features import features, normalisation
from ..methods.subspace import Subspace, gram, members, omp, products, residual_maps
from ..metrics import pixel_metrics
from ..ops import seeded


def omp_literal(
    x: Float[Tensor, "d N"],
    y: Float[Tensor, " d"],
    sparsity: int,
    literal_eq3: bool = False,
    eps: float = 1e-6,
) -> tuple[list[int], Float[Tensor, " s"], Float[Tensor, " d"]]:
    """Algorithm 1 line by line: the support, its coefficients and the residual e.

    The reference for `omp`, and what Figure 4 times. It is fed X[:, M_S] when a bank was sampled.
    """
    lengths = torch.ones(x.shape[1]).to(x) if literal_eq3 else x.norm(dim=0)
    e, support, c = y, [], y.new_zeros(0)
    while len(support) < min(sparsity, x.shape[1]) and e.norm() > eps:
        inner = x.T @ e
        score = inner if literal_eq3 else inner.abs() / lengths
        score[support] = -torch.inf
        support.append(int(score.nan_to_num(nan=-torch.inf).argmax()))  # Eq. 3; NaN: no length
        c = torch.linalg.lstsq(x[:, support], y[:, None]).solution[:, 0]  # Eq. 4
        e = y - x[:, support] @ c  # Eq. 5
    return support, c, e


def inner_products(bank: int, sparsity: int) -> int:
    """How many inner products of Eq. 3 the loop takes on a bank of so many images."""
    return sum(bank - k for k in range(min(sparsity, bank)))


# Figure 7


def representation_error(
    gram: Float[Tensor, "N N"], budget: int
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Eq. 9: mean distance of each image to what the others make of it.

    Args:
        gram: X'X of the training images.
        budget: s_ref, how many of the other images may be combined.

    Returns:
        By matching pursuit, and by the nearest of the other images. The nearest one is among the
        nearest s_ref, so that curve is flat.
    """
    others = ~torch.eye(len(gram), dtype=torch.bool, device=gram.device)
    energy = gram.diagonal()
    support, c = omp(gram, gram, energy, budget, allowed=others)
    explained = (c * gram.gather(1, support.clamp(min=0))).sum(dim=1)  # b'c; c is 0 past the end
    return (energy - explained).clamp(min=0).sqrt().mean(), _nearest(gram, others).mean()


def random_error(gram: Float[Tensor, "N N"], budget: int, seed: int) -> Float[Tensor, ""]:
    """The same by the nearest of so many images drawn at random, once for all."""
    with seeded(seed):
        drawn = torch.randperm(len(gram))[:budget].to(gram.device)
    allowed = torch.zeros_like(gram, dtype=torch.bool)
    allowed[:, drawn] = True
    return _nearest(gram, allowed.fill_diagonal_(False)).mean()


def _nearest(gram: Float[Tensor, "N N"], allowed: Bool[Tensor, "N N"]) -> Float[Tensor, " N"]:
    energy = gram.diagonal()
    squared = energy + energy[:, None] - 2 * gram
    return squared.masked_fill(~allowed, torch.inf).amin(dim=1).clamp(min=0).sqrt()


def coverage(bank: dict[int, Tensor], budgets: list[int], seeds: int = 5) -> pd.DataFrame:
    """Figure 7 for the features of good images at each level.

    Budgets that the images do not suffice for are left out.

    Returns:
        Columns level; s_ref; rule: "subspace", "nearest" (of all others, as the paper describes
        it), "random" (of s_ref images, the mean of several draws); error, in the features' unit.
    """
    lines = []
    for level, x in bank.items():
        products_ = gram(x)
        for budget in (b for b in budgets if b < len(x)):
            ours, nearest = representation_error(products_, budget)
            draws = [random_error(products_, budget, seed) for seed in range(seeds)]
            errors = {"subspace": ours, "nearest": nearest, "random": torch.stack(draws).mean()}
            lines += [(level, budget, rule, error.item()) for rule, error in errors.items()]
    return pd.DataFrame(lines, columns=["level", "s_ref", "rule", "error"])


# Figure 4 and 6b


def timings(
    length: int, sizes: list[int], budgets: list[tuple[int, int]], repeats: int, images: int = 20
) -> pd.DataFrame:
    """CPU seconds per test image of both steps, by the printed loop and in Gram space.

    On random features: neither form can stop early, so their values do not matter. On one thread
    CPU seconds are what a clock would show, but for what else the machine is doing.

    Args:
        length: numbers per image at level l; half of that at l_ref.
        sizes: N, how many training images there are.
        budgets: pairs (s_ref, s).
        images: how many test images share a batch in Gram space; the printed loop has one.

    Returns:
        Columns form ("literal", "gram"), rule ("none", "reference", "random"), images (N), s_ref,
        s, part ("sampling", "reconstruction"), repeat, seconds.
    """
    with seeded(0):
        x, x_ref = (torch.rand(max(sizes), d, 1, 1) for d in (length, length // 2))
        y, y_ref = (torch.rand(images, d, 1, 1) for d in (length, length // 2))
    forms = {"literal": _literal_steps, "gram": _gram_steps}
    lines = []
    for n in sizes:
        data = x[:n], x_ref[:n], y, y_ref
        for form, steps in forms.items():
            for s_ref, s in budgets:
                for rule in ("none", "reference", "random"):
                    for repeat in range(repeats):
                        took = steps(*data, rule, s_ref, s)
                        place = form, rule, n, s_ref, s
                        lines += [(*place, part, repeat, t) for part, t in took.items()]
    columns = ["form", "rule", "images", "s_ref", "s", "part", "repeat", "seconds"]
    return pd.DataFrame(lines, columns=columns)


def _literal_steps(
    x: Tensor, x_ref: Tensor, y: Tensor, y_ref: Tensor, rule: str, s_ref: int, s: int
) -> dict[str, float]:
    begin = time.process_time()
    bank = list(range(len(x)))
    if rule == "reference":
        bank = omp_literal(x_ref.flatten(1).T, y_ref[0].flatten(), s_ref)[0]
    elif rule == "random":
        bank = torch.randperm(len(x))[:s_ref].tolist()
    chosen = time.process_time()
    some = x if rule == "none" else x[bank]
    omp_literal(some.flatten(1).T, y[0].flatten(), s)
    return {"sampling": chosen - begin, "reconstruction": time.process_time() - chosen}


def _gram_steps(
    x: Tensor, x_ref: Tensor, y: Tensor, y_ref: Tensor, rule: str, s_ref: int, s: int
) -> dict[str, float]:
    if rule == "random":
        x = x[torch.randperm(len(x))[:s_ref]]  # once, in `fit`
    g, g_ref = gram(x), gram(x_ref)  # once, in `fit`
    begin, bank = time.process_time(), None
    if rule == "reference":
        bank = members(omp(g_ref, *products(x_ref, y_ref), s_ref)[0], len(x))
    chosen = time.process_time()
    residual_maps(x, y, *omp(g, *products(x, y), s, bank))
    took = {"sampling": chosen - begin, "reconstruction": time.process_time() - chosen}
    return {part: seconds / len(y) for part, seconds in took.items()}


def figures_4_and_6(
    length: int,
    sizes: list[int],
    budget: list[int],
    budgets: list[list[int]],
    repeats: int,
    backbone: str,
) -> pd.DataFrame:
    """The times of Figure 4 (one budget, every size) and 6 (b) (every budget, the last size).

    Returns:
        The columns of `timings` with figure, dataset and category; of Figure 6 (b) also the part
        "backbone", one image's pass, which is the same for all.
    """
    over_n = timings(length, sizes, [(budget[0], budget[1])], repeats).assign(figure="4")
    over_s = timings(length, sizes[-1:], [(b[0], b[1]) for b in budgets], repeats)
    forward = over_s[over_s["part"] == "sampling"].assign(part="backbone")
    forward["seconds"] = forward_seconds(backbone, (2, 3, 4), repeats)
    table = pd.concat([over_n, pd.concat([over_s, forward]).assign(figure="6b")])
    return table.assign(dataset="synthetic", category=f"{length} numbers per image")


def forward_seconds(
    backbone: str, levels: tuple[int, ...], repeats: int, size: int = 256
) -> float:
    """Median CPU seconds of one image's pass through a backbone, once the network is loaded."""
    image, took = torch.zeros(1, 3, size, size), []
    for _ in range(repeats + 1):  # the first pass loads it
        begin = time.process_time()
        features(image, backbone, levels)
        took.append(time.process_time() - begin)
    return float(torch.tensor(took[1:]).median())


# What the paper does not say about MTD

Change = Callable[[Images], Images]


def other_normalisation(backbone: str, mean: Any, std: Any) -> Change:
    """Images changed so that the backbone sees (x - mean) / std instead of its own rule."""
    own_mean, own_std = normalisation(backbone)

    def change(images: Images) -> Images:
        new, old = (
            [torch.tensor(v).expand(3)[:, None, None].to(images) for v in pair]
            for pair in ((mean, std), (own_mean, own_std))
        )
        return (images - new[0]) / new[1] * old[1] + old[0]

    return change


def choices(
    method: Subspace, data: Dataset, large: Masks, rules: dict[str, tuple[Any, Any]]
) -> pd.DataFrame:
    """What conventions move that no setting holds: how masks shrink, and what the backbone sees.

    Args:
        large: masks of the test images at a multiple of their size.
        rules: name -> mean and standard deviation that images are normalised with.

    Returns:
        Columns choice, value, metric, number. The choice "images" counts the images.
    """
    if data.masks is None:
        raise ValueError(f"{data.name} has no masks, which the metrics of a study need")
    maps = method.fit(data.train).anomaly_map(data.test)
    share = F.avg_pool2d(large[:, None].float(), large.shape[-1] // maps.shape[-1])[:, 0]
    empty = data.labels & ~large.flatten(1).any(dim=1)
    judged = [
        ("as in this book", "all", maps, data.masks),
        ("mask", "any pixel", maps, share > 0),
        ("mask", "half of the pixels", maps, share >= 0.5),
        ("empty masks", "left out", maps[~empty], data.masks[~empty]),
    ]
    for name, rule in rules.items():
        change = other_normalisation(method.backbone, *rule)
        other = method.fit(change(data.train)).anomaly_map(change(data.test))
        judged.append(("normalisation", name, other, data.masks))
    lines = [(*j[:2], metric, x) for j in judged for metric, x in pixel_metrics(*j[2:]).items()]
    counts = {
        "good": len(data.train) + int((~data.labels).sum()),
        "defective": int(data.labels.sum()),
        "defective with an empty mask": int(empty.sum()),
    }
    lines += [("images", value, "count", number) for value, number in counts.items()]
    return pd.DataFrame(lines, columns=["choice", "value", "metric", "number"])


# Figures 1, 2 and 5


def reconstruction(
    method: Subspace, image: Float[Tensor, "1 3 h w"]
) -> dict[int, dict[str, Tensor]]:
    """What one test image is rebuilt from and how well, at each level of a fitted method.

    Returns:
        Level -> `target` and `rebuilt` (h, w): norms over the channels of y and of X c;
        `residual` (h, w): the norm of their difference (Eq. 5); `bank` and `chosen` (at most s_ref
        and s): places of M_S and S in `method.bank_`, in the order chosen (`bank` holds all of
        them unless sampled at l_ref); `weights`: c, one for each of `chosen`.
    """
    features = method._features(image)
    inner = {level: products(method.bank_[level], y) for level, y in features.items()}
    found = {}
    for level in method.levels:
        x, y, allowed = method.bank_[level], features[level], None
        bank = torch.arange(len(x), device=x.device)
        if method.sampling == "reference":
            sampled, _ = method._pursue(method._reference(level), inner, method.sample, None)
            bank, allowed = sampled[0][sampled[0] >= 0], members(sampled, len(x))
        support, c = method._pursue(level, inner, method.sparsity, allowed)
        chosen, weights = support[0][support[0] >= 0], c[0][support[0] >= 0]
        rebuilt = torch.einsum("s,schw->chw", weights.float(), x[chosen].float())
        found[level] = {
            "target": y[0].float().norm(dim=0),
            "rebuilt": rebuilt.norm(dim=0),
            "residual": residual_maps(x, y, support, c)[0],
            "bank": bank,
            "chosen": chosen,
            "weights": weights,
        }
    return found
