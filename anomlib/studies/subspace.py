"""Subspace's loop as printed, what it costs, and how well good images rebuild one another."""

import torch
from jaxtyping import Float
from torch import Tensor

from ..methods.subspace import omp


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
    squared = energy + energy[:, None] - 2 * gram
    nearest = squared.masked_fill(~others, torch.inf).amin(dim=1)
    return (energy - explained).clamp(min=0).sqrt().mean(), nearest.clamp(min=0).sqrt().mean()
