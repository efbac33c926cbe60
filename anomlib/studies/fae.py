"""FAE's Theorem 1 by experiment: what noise on input and target adds to the loss, and what not.

References:
    | FAE, the filtering autoencoder: Section 3, Eq. 3 to 8, and the proof in Section 7;
    | the text at hand has lost its formulas; they are worked out anew from the proof

Symbols:
    f        network, R^D -> R^D
    x, x^    clean and corrupted image, `x` and `x_hat`, without a unit
    r        residual f(x^) - x
    J, Lap   Jacobian and component-wise Laplacian of f at x^
    sigma    standard deviation of the noise, in the unit of the image
    u, v     standard normal: the noise of the input is sigma u, that of the target sigma v

Plain sampling cannot see a remainder of order sigma^4. Here every draw comes with its negative,
which removes odd orders, and the second-order polynomial of the same draw, whose mean is known, is
taken off; what is left has a standard error of order sigma^4, too. All of it needs float64.

Where we differ from the text:
    1. Its C^3 "in a neighbourhood" does not bound E|f|^2, since Gaussian noise leaves every
       neighbourhood: with f(x) = exp(x^4) the loss is infinite for every sigma > 0. All networks
       here grow at most linearly.
    2. Its constant for a sigmoid output "depends only on the activation"; the one that holds
       has the squared gradients of what goes into the sigmoid, too (`sigmoid_bounds`).
"""

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import hessian, jacrev, jvp

from ..api import Images
from ..corruptions import occlude
from ..methods.fae import FAE
from ..ops import seeded

Map = Callable[[Tensor], Tensor]  # (..., D) -> (..., D)
NOISES = ("shared", "input", "target", "independent")  # FAE, DAE and Bishop, and two controls
EXPANSIONS = ("full", "without curvature", "Bishop, misapplied")

# Derivatives


def laplacian(f: Map) -> Map:
    """The component-wise Laplacian of a map, again a map; it can be nested."""
    return lambda x: torch.einsum("kii->k", hessian(f)(x))


def curvature_matrix(
    f: Map, x_hat: Float[Tensor, " D"], r: Float[Tensor, " D"]
) -> Float[Tensor, "D D"]:
    """The Hessian of <r, f> at x^; its trace is the curvature term <r, Lap f> of Eq. 6."""
    return hessian(lambda at: (r * f(at)).sum())(x_hat)


# Theorem 1 and its relatives


def penalty(jacobian: Float[Tensor, "D D"], noise: str) -> Float[Tensor, ""]:
    """E|J u - v|^2, what the noise adds at order sigma^2 beside the curvature term.

    Args:
        noise: "shared" (FAE, Eq. 6): |J - I|^2; "input" (Bishop, Eq. 4): |J|^2; "target": D, a
            constant; "independent" on both: |J|^2 + D.
    """
    size = jacobian.new_tensor(len(jacobian))
    if noise == "shared":
        return (jacobian - torch.eye(len(jacobian)).to(jacobian)).square().sum()
    contractive = jacobian.square().sum()
    found = {"input": contractive, "target": size, "independent": contractive + size}
    if noise not in found:
        raise ValueError(f"noise is one of {', '.join(NOISES)}, not {noise!r}")
    return found[noise]


def terms(
    f: Map, x_hat: Float[Tensor, " D"], x: Float[Tensor, " D"], noise: str = "shared"
) -> dict[str, float]:
    """What Eq. 10 is made of: residual |r|^2; penalty and curvature, to be taken sigma^2 times."""
    r, jacobian = f(x_hat) - x, jacrev(f)(x_hat)
    curvature = curvature_matrix(f, x_hat, r).trace() if noise != "target" else r.new_zeros(())
    found = {
        "residual": r.square().sum(),
        "penalty": penalty(jacobian, noise),
        "curvature": curvature,
    }
    return {name: value.item() for name, value in found.items()}


def coefficient(parts: dict[str, float], contractive: float, expansion: str) -> float:
    """What an expansion puts before sigma^2: Eq. 6, Eq. 7, or |J|^2 as in Eq. 4."""
    return {
        "full": parts["penalty"] + parts["curvature"],
        "without curvature": parts["penalty"],
        "Bishop, misapplied": contractive,
    }[expansion]


def fourth_order(
    f: Map, x_hat: Float[Tensor, " D"], x: Float[Tensor, " D"], noise: str = "shared"
) -> float:
    """What stands before sigma^4: the remainder of Theorem 1 is this times sigma^4 + O(sigma^6).

    <r, Lap Lap f> / 4 + (|Lap f|^2 + 2 |D^2 f|^2) / 4 + <A, D Lap f>, where A is J - I under
    shared noise and J under noise on the input. The paper does not print it; it is its Step 2
    taken two orders further, with E u_i u_j u_k u_l = 1 for each way to pair the four.
    """
    if noise == "target":
        return 0.0
    lap = laplacian(f)
    r, jacobian, second = f(x_hat) - x, jacrev(f)(x_hat), hessian(f)(x_hat)
    anchor = torch.eye(len(x)).to(x) if noise == "shared" else torch.zeros(len(x), len(x)).to(x)
    squares = lap(x_hat).square().sum() + 2 * second.square().sum()
    mixed = ((jacobian - anchor) * jacrev(lap)(x_hat)).sum()
    return ((r * laplacian(lap)(x_hat)).sum() / 4 + squares / 4 + mixed).item()


# By sampling


def draws(
    samples: int, size: int, noise: str, seed: int = 0
) -> tuple[Float[Tensor, "m D"], Float[Tensor, "m D"]]:
    """Standard normal u and v of so many samples; where no noise is added they are 0."""
    with seeded(seed):
        u, other = torch.randn(2, samples, size, dtype=torch.float64)
    pairs = {
        "shared": (u, u),
        "input": (u, 0 * u),
        "target": (0 * u, u),
        "independent": (u, other),
    }
    if noise not in pairs:
        raise ValueError(f"noise is one of {', '.join(NOISES)}, not {noise!r}")
    return pairs[noise]


def noisy_losses(
    f: Map,
    x_hat: Float[Tensor, " D"],
    x: Float[Tensor, " D"],
    sigma: float,
    u: Float[Tensor, "m D"],
    v: Float[Tensor, "m D"],
) -> Float[Tensor, " m"]:
    """|f(x^ + sigma u) - (x + sigma v)|^2 of Eq. 9, the mean of each draw and its negative."""
    if sigma < 0:
        raise ValueError(f"sigma is a standard deviation, it cannot be {sigma}")
    both = [(f(x_hat + s * u) - x - s * v).square().sum(dim=1) for s in (sigma, -sigma)]
    return (both[0] + both[1]) / 2


def polynomial(
    f: Map,
    x_hat: Float[Tensor, " D"],
    x: Float[Tensor, " D"],
    sigma: float,
    u: Float[Tensor, "m D"],
    v: Float[Tensor, "m D"],
) -> Float[Tensor, " m"]:
    """The same to second order in sigma: |r|^2 + sigma^2 (|J u - v|^2 + <r, D^2 f[u, u]>).

    Its mean over all draws is Eq. 10 without the remainder.
    """
    r, jacobian = f(x_hat) - x, jacrev(f)(x_hat)
    second = ((u @ curvature_matrix(f, x_hat, r)) * u).sum(dim=1)
    first = (u @ jacobian.T - v).square().sum(dim=1)
    return r.square().sum() + sigma**2 * (first + second)


def remainder(
    f: Map,
    x_hat: Float[Tensor, "n D"],
    x: Float[Tensor, "n D"],
    sigma: float,
    noise: str = "shared",
    samples: int = 20_000,
    seed: int = 0,
) -> tuple[float, float]:
    """The loss minus its expansion, Eq. 6, averaged over pairs; and its standard error.

    Every sigma sees the same draws, so that a curve over sigma is smooth.
    """
    u, v = draws(samples, x.shape[1], noise, seed)
    pairs = zip(x_hat, x, strict=True)
    left = [noisy_losses(f, *p, sigma, u, v) - polynomial(f, *p, sigma, u, v) for p in pairs]
    mean = torch.stack(left).mean(dim=0)  # (m,)
    return mean.mean().item(), (mean.std() / math.sqrt(samples)).item()


def curves(
    f: Map,
    x_hat: Float[Tensor, "n D"],
    x: Float[Tensor, "n D"],
    sigmas: list[float],
    noise: str = "shared",
    samples: int = 20_000,
    smooth: bool = True,
) -> pd.DataFrame:
    """What each expansion leaves of the loss over sigma.

    Args:
        smooth: whether f has the four derivatives that the last column needs.

    Returns:
        Columns noise; expansion, of `EXPANSIONS`, the last under shared noise only; sigma; loss;
        remainder, the loss minus the expansion; se, its standard error; fourth, what the
        remainder of the full expansion is expected to be, from the derivatives of f alone.
    """
    pairs = list(zip(x_hat, x, strict=True))
    parts = pd.DataFrame([terms(f, *p, noise) for p in pairs]).mean().to_dict()
    contractive = pd.DataFrame([terms(f, *p, "input") for p in pairs])["penalty"].mean()
    fourth = sum(fourth_order(f, *p, noise) for p in pairs) / len(pairs) if smooth else math.nan
    full = coefficient(parts, contractive, "full")
    lines = []
    for sigma in sigmas:
        left, se = remainder(f, x_hat, x, sigma, noise, samples)
        loss = parts["residual"] + sigma**2 * full + left
        for name in EXPANSIONS if noise == "shared" else EXPANSIONS[:2]:
            gap = sigma**2 * (full - coefficient(parts, contractive, name))
            expected = fourth * sigma**4 if name == "full" else math.nan
            lines.append((noise, name, sigma, loss, left + gap, se, expected))
    columns = ["noise", "expansion", "sigma", "loss", "remainder", "se", "fourth"]
    return pd.DataFrame(lines, columns=columns)


def as_text(table: pd.DataFrame, digits: int = 8) -> pd.DataFrame:
    """The same with numbers spelled in significant digits, for a file that keeps six decimals."""
    reals = table.select_dtypes("float")
    texts = {c: reals[c].map(f"{{:.{digits}g}}".format, na_action="ignore") for c in reals}
    return table.assign(**texts)


ROUNDING = 1e-12  # of the loss: a remainder below it is taken for zero


def slopes(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Least-squares slope of log |remainder| over log sigma of each curve of `curves`.

    Returns:
        Columns of `by`; slope, NaN for a curve that is zero to rounding somewhere; first, the
        slope between the two smallest sigmas, where higher orders matter least; largest, the
        largest |remainder| as a share of the loss.
    """
    lines = []
    for key, part in table.reset_index(drop=True).groupby(by, sort=False):
        size = part["remainder"].abs()
        share = size / part["loss"]
        fits = share.min() > ROUNDING and len(part) > 1
        least = part["sigma"].nsmallest(2).index
        parts = (part["sigma"], size), (part.loc[least, "sigma"], size[least])
        both = [_slope(*pair) if fits else math.nan for pair in parts]
        lines.append((*key, *both, share.max()))
    return pd.DataFrame(lines, columns=[*by, "slope", "first", "largest"])


def _slope(x: pd.Series, y: pd.Series) -> float:
    x, y = (torch.tensor(s.to_numpy(), dtype=torch.float64).log() for s in (x, y))
    x, y = x - x.mean(), y - y.mean()
    return ((x * y).sum() / x.square().sum()).item()


# The networks of the page


def network(
    kind: str, size: int, width: int = 24, seed: int = 0, scale: float = 1.0
) -> nn.Sequential:
    """A random network in float64: normal weights of variance scale^2 / inputs, biases of 1/4.

    Args:
        kind: "linear", one layer; "tanh" or "relu", two with that between; "sigmoid", one with a
            sigmoid behind; "relu, sigmoid", two with both.
        size: D, of input and output.
        scale: of the last layer's weights, which with a sigmoid says how far it saturates.
    """
    inner = {"tanh": nn.Tanh, "relu": nn.ReLU, "relu, sigmoid": nn.ReLU}.get(kind)
    if inner is None and kind not in ("linear", "sigmoid"):
        raise ValueError(f"there is no network {kind!r}")
    with seeded(seed):
        hidden = [] if inner is None else [_layer(size, width, 1.0), inner()]
        last = _layer(width if hidden else size, size, scale)
    return nn.Sequential(*hidden, last, *([nn.Sigmoid()] if kind.endswith("sigmoid") else []))


def _layer(inputs: int, outputs: int, scale: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, dtype=torch.float64).requires_grad_(False)
    layer.weight.normal_().mul_(scale / math.sqrt(inputs))
    layer.bias.normal_().mul_(0.5)
    return layer


def random_pairs(
    pairs: int, size: int, seed: int = 0
) -> tuple[Float[Tensor, "n D"], Float[Tensor, "n D"]]:
    """Corrupted and clean points: the corruption replaces the last third of each point."""
    with seeded(seed):
        x, other = torch.randn(2, pairs, size, dtype=torch.float64)
    x_hat = x.clone()
    third = max(1, size // 3)
    x_hat[:, -third:] = other[:, -third:]
    return x_hat, x


def table(
    size: int,
    pairs: int,
    sigmas: list[float],
    samples: int,
    scales: list[float],
    shrinks: list[float],
    nets: int,
    points: int,
) -> pd.DataFrame:
    """All that the page shows, in one table; a cell is empty where its part has no such column.

    Args:
        nets: how many random networks with a sigmoid behind.
        points: for Eq. 8.

    Returns:
        Columns dataset and category, what the numbers are of; part: "theorem 1" with the columns
        of `theorem1`; "formulas" with those of `formulas`, of one pair at sigma = 0.01; "sigmoid"
        with those of `sigmoid_table`; and "equation 8" and "tangents" with quantity and value.
    """
    (x_hat, x), f = (p[0] for p in random_pairs(1, size)), network("tanh", size)
    parts = {
        "theorem 1": theorem1(size, pairs, sigmas, samples),
        "formulas": formulas(f, x_hat, x, 0.01, samples),
        "sigmoid": sigmoid_table(size, scales, shrinks, nets),
        "equation 8": _named(shares_of_bound(equation_8(size, points, spread=0.5))),
        "tangents": _named(tangents(size)),
    }
    return pd.concat(
        [
            found.assign(part=name, dataset="synthetic", category=f"{size} numbers")
            for name, found in parts.items()
        ],
        ignore_index=True,
    )


def theorem1(
    size: int, pairs: int, sigmas: list[float], samples: int, seed: int = 0
) -> pd.DataFrame:
    """The figure of the page: every network under shared noise, and tanh under every noise.

    Returns:
        The columns of `curves` with network, which for ReLU says where the point is; and crossed,
        for ReLU the share of draws that leave the linear region.
        For the sigmoid a fourth expansion, "bound on the curvature term": sigma^2 times the
        bound of `sigmoid_bounds`.
    """
    x_hat, x = random_pairs(pairs, size, seed)
    tanh, linear, sigmoid = (network(k, size, seed=seed) for k in ("tanh", "linear", "sigmoid"))
    parts = {("tanh", noise): curves(tanh, x_hat, x, sigmas, noise, samples) for noise in NOISES}
    parts["linear", ""] = curves(linear, x_hat, x, sigmas, samples=samples)
    bounded = curves(sigmoid, x_hat, x, sigmas, samples=samples)
    bound = sum(sigmoid_bounds(sigmoid, *p)["bound"] for p in zip(x_hat, x, strict=True)) / pairs
    line = bounded[bounded["expansion"] == "full"].assign(se=0.0, fourth=math.nan)
    line = line.assign(expansion=BOUND, remainder=bound * line["sigma"] ** 2)
    parts["sigmoid", ""] = pd.concat([bounded, line])
    relu = network("relu", size, width=8, seed=seed)
    for where, at in kink_points(relu, size, seed=seed).items():
        target = at + (x - x_hat)[:1]
        found = curves(relu, at, target, sigmas, samples=samples, smooth=False)
        u, _ = draws(samples, size, "shared")
        shares = {sigma: crossed(relu, at[0], sigma, u) for sigma in sigmas}
        parts[where, ""] = found.assign(crossed=found["sigma"].map(shares))
    tables = [part.assign(network=name) for (name, _), part in parts.items()]
    return pd.concat(tables, ignore_index=True)


BOUND = "bound on the curvature term"

# Eq. 7: ReLU


def kink_distances(relu: nn.Sequential, x: Float[Tensor, "n D"]) -> Float[Tensor, "n k"]:
    """How far points are from the hyperplane where each hidden ReLU bends."""
    layer: Any = relu[0]
    return layer(x).abs() / layer.weight.norm(dim=1)


def crossed(
    relu: nn.Sequential, x_hat: Float[Tensor, " D"], sigma: float, u: Float[Tensor, "m D"]
) -> float:
    """The share of draws that with their negative leave the linear region of x^."""
    here = relu[0](x_hat) > 0
    left = [((relu[0](x_hat + s * u) > 0) != here).any(dim=1) for s in (sigma, -sigma)]
    return (left[0] | left[1]).double().mean().item()


def kink_points(
    relu: nn.Sequential, size: int, near: float = 0.05, candidates: int = 4000, seed: int = 0
) -> dict[str, Float[Tensor, "1 D"]]:
    """Two points: the one of many that is farthest from any kink, and that moved close to one.

    Args:
        near: how far from its nearest kink the second point is left.
    """
    with seeded(seed):
        x = 2 * torch.randn(candidates, size, dtype=torch.float64)
    distances = kink_distances(relu, x)
    deep = x[distances.amin(dim=1).argmax()]
    nearest = int(kink_distances(relu, deep[None])[0].argmin())
    layer: Any = relu[0]
    normal = layer.weight[nearest] / layer.weight[nearest].norm()
    far = layer(deep)[nearest] / layer.weight[nearest].norm()  # signed: the side of the kink
    close = deep - (far - near * far.sign()) * normal
    return {"ReLU, inside a region": deep[None], "ReLU, near a kink": close[None]}


# Section 3: a sigmoid output

SECOND_OF_SIGMOID = 1 / (6 * math.sqrt(3))  # the largest |s''|, where s = (1 +- 1/sqrt(3)) / 2


def sigmoid_bounds(
    f: nn.Sequential, x_hat: Float[Tensor, " D"], x: Float[Tensor, " D"]
) -> dict[str, float]:
    """The curvature term of f = sigmoid(z), z locally affine, and what bounds it.

    Returns:
        curvature, |<r, Lap f>|; residual, |r|; bound, |r| max|s''| sum_k |grad z_k|^2;
        activation_only, |r| max|s''|, the constant of the text read to the letter, which is no
        bound.
    """
    z = f[:-1]
    gradients = jacrev(z)(x_hat).square().sum()
    r = f(x_hat) - x
    curvature = curvature_matrix(f, x_hat, r).trace().abs()
    size = r.norm().item()
    return {
        "curvature": curvature.item(),
        "residual": size,
        "bound": size * SECOND_OF_SIGMOID * gradients.item(),
        "activation_only": size * SECOND_OF_SIGMOID,
    }


def sigmoid_table(size: int, scales: list[float], shrinks: list[float], nets: int) -> pd.DataFrame:
    """`sigmoid_bounds` of random networks, sigmoid behind ReLU, as weights grow or |r| fades.

    Args:
        scales: of the last layer's weights.
        shrinks: how much of the residual is left; the target is moved towards f(x^).

    Returns:
        Columns seed, scale, shrink and those of `sigmoid_bounds`.
    """
    lines = []
    for seed in range(nets):
        x_hat, x = (p[0] for p in random_pairs(1, size, seed))
        for scale in scales:
            f = network("relu, sigmoid", size, seed=seed, scale=scale)
            start = torch.sigmoid(x)  # a target that a sigmoid can reach
            for shrink in shrinks:
                target = f(x_hat) + shrink * (start - f(x_hat))
                found = sigmoid_bounds(f, x_hat, target)
                lines.append({"seed": seed, "scale": scale, "shrink": shrink} | found)
    return pd.DataFrame(lines)


# Sections 3.1 and 3.2: FAE beside DAE and RCAE, and the controls

FORMULAS = {
    "shared": ("FAE", "|r|² + σ² (|J − I|² + ⟨r, Lap f⟩)"),
    "input": ("DAE, Bishop", "|r|² + σ² (|J|² + ⟨r, Lap f⟩)"),
    "target": ("noise on the target only", "|r|² + σ² D"),
    "independent": ("independent noises", "|r|² + σ² (|J|² + D + ⟨r, Lap f⟩)"),
}
RCAE = "|r|² + σ² |J|²"  # at the clean image, explicit


def formulas(
    f: Map, x_hat: Float[Tensor, " D"], x: Float[Tensor, " D"], sigma: float, samples: int
) -> pd.DataFrame:
    """Each objective, its formula and how far a plain sample of it agrees.

    The sample has no control variate: the derivatives of f enter the formula alone.

    Returns:
        Columns objective; formula; expected, what the formula puts before sigma^2; measured,
        (loss - |r|^2) / sigma^2; se, the standard error of that; apart, their difference in se;
        curvature, <r, Lap f>, which a DAE on clean images has and RCAE has not.
    """
    clean = terms(f, x, x, "input")
    rows = []
    for noise, names in FORMULAS.items():
        u, v = draws(samples, len(x), noise, seed=1)
        parts = terms(f, x_hat, x, noise)
        losses = noisy_losses(f, x_hat, x, sigma, u, v)
        rows.append((*names, parts, parts["penalty"] + parts["curvature"], losses))
    u, v = draws(samples, len(x), "input", seed=1)
    rows.append(("RCAE, by Hutchinson", RCAE, clean, clean["penalty"], hutchinson(f, x, sigma, u)))
    losses = noisy_losses(f, x, x, sigma, u, v)
    rows.append(("DAE on clean images, as RCAE", RCAE, clean, clean["penalty"], losses))
    lines = []
    for objective, formula, parts, expected, losses in rows:
        found = (losses - parts["residual"]) / sigma**2
        measured, se = found.mean().item(), (found.std() / math.sqrt(samples)).item()
        apart = (measured - expected) / se
        lines.append((objective, formula, expected, measured, se, apart, parts["curvature"]))
    columns = ["objective", "formula", "expected", "measured", "se", "apart", "curvature"]
    return pd.DataFrame(lines, columns=columns)


def hutchinson(
    f: Map, x: Float[Tensor, " D"], sigma: float, u: Float[Tensor, "m D"]
) -> Float[Tensor, " m"]:
    """RCAE's loss with |J|^2 = E|J u|^2 by one product with the Jacobian per draw."""
    out, moved = jvp(f, (x.repeat(len(u), 1),), (u,))[:2]
    return (out - x).square().sum(dim=1) + sigma**2 * moved.square().sum(dim=1)


# Section 3.1: idempotency and tangents


def idempotency(
    f: Map, x: Float[Tensor, "n ..."], y: Float[Tensor, "n ..."]
) -> dict[str, Float[Tensor, " n"]]:
    """The norms of f(f(y)) - f(y) = (f(x) - x) + (J(x) - I)(f(y) - x) + R, Eq. 8 before bounds.

    Eq. 8 takes J(x) = I, so that the second part is gone. One product with the Jacobian is
    enough, so this serves for trained networks on images, too. Each row is on its own: a network
    that normalises batches has to be in eval mode.

    Args:
        x: clean; the Jacobian is taken there.
        y: their corrupted twins.

    Returns:
        Norms per row: left, |f(f(y)) - f(y)|; error, |f(x) - x|; anchor, |(J(x) - I)(f(y) - x)|;
        rest, |R|; repair, |f(y) - x|.
    """
    repaired = f(y)
    step = repaired - x
    at_x, moved = jvp(f, (x,), (step,))[:2]
    left = f(repaired) - repaired
    parts = {
        "left": left,
        "error": at_x - x,
        "anchor": moved - step,
        "rest": left - (at_x - x) - (moved - step),
        "repair": step,
    }
    return {name: part.flatten(1).norm(dim=1) for name, part in parts.items()}


def of_trained(methods: dict[str, FAE], images: Images, seed: int = 0) -> pd.DataFrame:
    """The parts of Eq. 8 for fitted networks, on images and their occluded twins: mean norms.

    Args:
        images: clean, of the size of the fit.

    Returns:
        A line per network; columns as `idempotency` names them.
    """
    y, _ = occlude(images, None, torch.Generator().manual_seed(seed))
    lines = []
    with torch.no_grad():
        for name, method in methods.items():
            found = idempotency(method.net_, images, y)
            lines.append({"network": name} | {k: v.mean().item() for k, v in found.items()})
    return pd.DataFrame(lines).set_index("network")


def anchored(x: Float[Tensor, " D"], width: int = 12, seed: int = 0) -> tuple[Map, float]:
    """A random map whose Jacobian at x is I, and a Lipschitz constant of that Jacobian.

    f(a) = a + b + W (1 - cos V (a - x)): the sine of 0 leaves I at x, and |J(a) - J(c)| is at
    most |W| |V| max_j |V_j| |a - c|.
    """
    with seeded(seed):
        b = 0.05 * torch.randn(len(x), dtype=x.dtype)
        w = torch.randn(len(x), width, dtype=x.dtype) / width
        v = torch.randn(width, len(x), dtype=x.dtype) / math.sqrt(len(x))
    norms = torch.linalg.matrix_norm(w, 2) * torch.linalg.matrix_norm(v, 2)
    lipschitz = (norms * v.norm(dim=1).max()).item()
    return lambda a: a + b + (1 - torch.cos((a - x) @ v.T)) @ w.T, lipschitz


def equation_8(size: int, points: int, spread: float, seed: int = 0) -> pd.DataFrame:
    """Both sides of Eq. 8 at random points around x, for a map with J(x) = I.

    Returns:
        Columns left, error, anchor, rest, repair as `idempotency`; right, error + L / 2 repair^2.
    """
    with seeded(seed):
        x = torch.randn(size, dtype=torch.float64)
        y = x + spread * torch.randn(points, size, dtype=torch.float64)
    f, lipschitz = anchored(x, seed=seed)
    found = idempotency(f, x.repeat(points, 1), y)
    table = pd.DataFrame({name: part.numpy() for name, part in found.items()})
    return table.assign(right=table["error"] + lipschitz / 2 * table["repair"] ** 2)


def shares_of_bound(sides: pd.DataFrame) -> dict[str, float]:
    """How close the left side of `equation_8` comes to the right one."""
    share = sides["left"] / sides["right"]
    return {
        "points": float(len(share)),
        "largest |f(f(y)) - f(y)| / bound": share.max(),
        "median |f(f(y)) - f(y)| / bound": share.median(),
        "largest |(J(x) - I)(f(y) - x)|": sides["anchor"].max(),
    }


def tangents(size: int, seed: int = 0) -> dict[str, float]:
    """f(a) = a / |a| and the identity agree on the unit sphere; do their Jacobians along it?

    Returns:
        The largest |J t - t| of unit tangents t; |J x|, which is free to differ from |x| = 1.
    """
    with seeded(seed):
        x, others = torch.randn(size).double(), torch.randn(size, size).double()
    x = x / x.norm()
    t = others - (others @ x)[:, None] * x
    t = t / t.norm(dim=1, keepdim=True)
    jacobian: Any = jacrev(lambda a: a / a.norm())(x)
    tangent = (t @ jacobian.T - t).norm(dim=1).max().item()
    across = (jacobian @ x).norm().item()
    return {"largest |J t - t| along the sphere": tangent, "|J x| across it": across}


# The saved table


def _named(values: dict[str, float]) -> pd.DataFrame:
    return pd.DataFrame({"quantity": list(values), "value": list(values.values())})


def part_of(lines: pd.DataFrame, part: str) -> pd.DataFrame:
    """The lines of one part of `table`, with the columns that it has."""
    lines = lines[lines["part"] == part].dropna(axis=1, how="all")
    about = ["part", "dataset", "category", "profile"]
    return lines.drop(columns=about, errors="ignore").reset_index(drop=True)
