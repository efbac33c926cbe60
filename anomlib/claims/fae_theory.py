"""FAE's claims that a calculation decides: Theorem 1, what follows from it, idempotency.

Means over Gaussian noise are sums over the nodes of Gauss and Hermite, without any scatter, and
derivatives are written out. The study `fae/study_theorem1` does both in another way: it draws the
noise, and torch differentiates.

Symbols as in `studies.fae`: f network, x_hat and x a corrupted and a clean point, their residual
r = f(x_hat) - x, J the Jacobian and Lap f the component-wise Laplacian at x_hat, sigma the noise.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from .outcomes import Outcome, every

SIZE, WIDTH, NETS, PAIRS = 3, 12, 5, 20  # numbers per point, hidden units, networks, pairs of each
NODES = 6  # of Gauss and Hermite per axis: exact to degree 11
SIGMAS = (0.025, 0.05, 0.1, 0.2)
SLOPE_MARGIN = 0.15
EXACT_TO = 1e-12  # what is called zero

# ---- two layers, and their derivatives


class Layers(NamedTuple):
    """z = w2 inner(w1 x + b1) + b2; with a leading axis many networks at once."""

    w1: np.ndarray  # (..., k, D)
    b1: np.ndarray
    w2: np.ndarray  # (..., D, k)
    b2: np.ndarray


class Local(NamedTuple):
    """What Theorem 1 has of a network, at one point."""

    r: np.ndarray
    jacobian: np.ndarray
    laplacian: np.ndarray


def layers(rng: np.random.Generator, *many: int) -> Layers:
    w1 = rng.normal(size=(*many, WIDTH, SIZE)) / math.sqrt(SIZE)
    w2 = rng.normal(size=(*many, SIZE, WIDTH)) / math.sqrt(WIDTH)
    b1, b2 = (0.5 * rng.normal(size=(*many, n)) for n in (WIDTH, SIZE))
    return Layers(w1, b1, w2, b2)


def forward(net: Layers, x: np.ndarray) -> np.ndarray:
    """The smooth network, with tanh."""
    return np.tanh(x @ net.w1.T + net.b1) @ net.w2.T + net.b2


def local(net: Layers, x_hat: np.ndarray, x: np.ndarray) -> Local:
    """With t = tanh: t' = 1 - t^2 and t'' = -2 t (1 - t^2)."""
    t = np.tanh(net.w1 @ x_hat + net.b1)
    first, second = 1 - t**2, -2 * t * (1 - t**2)
    jacobian = (net.w2 * first) @ net.w1
    laplacian = net.w2 @ (second * (net.w1**2).sum(axis=1))
    return Local(forward(net, x_hat) - x, jacobian, laplacian)


def penalty(jacobian: np.ndarray, anchor: int) -> float:
    """|J - I|^2 of FAE at an anchor of 1, Bishop's |J|^2 at 0."""
    return float(((jacobian - anchor * np.eye(len(jacobian))) ** 2).sum())


# ---- the loss


def gauss(axes: int, nodes: int = NODES) -> tuple[np.ndarray, np.ndarray]:
    """Points (m, axes) and weights (m,): their sum is the mean over standard normal noise."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    grid = np.stack(np.meshgrid(*[points] * axes, indexing="ij"), axis=-1)
    each = np.stack(np.meshgrid(*[weights / weights.sum()] * axes, indexing="ij"), axis=-1)
    return grid.reshape(-1, axes), each.prod(axis=-1).ravel()


Noises = tuple[np.ndarray, np.ndarray, np.ndarray]  # of the input, of the target, weights


def noises() -> dict[str, Noises]:
    u, weight = gauss(SIZE)
    return {"shared": (u, u, weight), "input": (u, 0 * u, weight)}


def independent() -> tuple[Noises, Noises]:
    """Noise on both sides, and that of the input alone; few nodes, for the axes are doubled."""
    both, weight = gauss(2 * SIZE, nodes=4)
    u, v = both[:, :SIZE], both[:, SIZE:]
    return (u, v, weight), (u, 0 * v, weight)


def loss(
    f: Callable[[np.ndarray], np.ndarray],
    x_hat: np.ndarray,
    x: np.ndarray,
    sigma: float,
    noise: Noises,
) -> float:
    """E|f(x_hat + sigma u) - (x + sigma v)|^2."""
    u, v, weight = noise
    return float(weight @ ((f(x_hat + sigma * u) - x - sigma * v) ** 2).sum(axis=1))


def left(
    net: Layers, pairs: np.ndarray, noise: Noises, anchor: int, curved: bool = True
) -> list[float]:
    """The loss minus its expansion at every sigma, root mean square over pairs (n, 2, D).

    Proposition 1 is about each pair; in a plain mean, pairs of either sign could cancel.
    """
    found = []
    for sigma in SIGMAS:
        gaps = []
        for x_hat, x in pairs:
            r, jacobian, laplacian = local(net, x_hat, x)
            second = penalty(jacobian, anchor) + curved * (r @ laplacian)
            whole = loss(partial(forward, net), x_hat, x, sigma, noise)
            gaps.append(whole - r @ r - sigma**2 * second)
        found.append(math.sqrt(np.mean(np.square(gaps))))
    return found


def slope(remainders: list[float]) -> float:
    """Of log remainder over log sigma, by least squares."""
    return float(np.polyfit(np.log(SIGMAS), np.log(remainders), 1)[0])


def random_cases() -> list[tuple[Layers, np.ndarray]]:
    """Networks, each with its pairs."""
    rng = np.random.default_rng(0)
    return [(layers(rng), rng.normal(size=(PAIRS, 2, SIZE))) for _ in range(NETS)]


def slopes_are(label: str, found: list[float], wanted: float) -> Outcome:
    holds = all(abs(x - wanted) <= SLOPE_MARGIN for x in found)
    return bool(holds), f"{label} {min(found):.2f} to {max(found):.2f}, asked for {wanted:g}"


# ---- the claims


def exact_fae_06() -> Outcome:
    shared = noises()["shared"]
    whole = [left(net, pairs, shared, 1) for net, pairs in random_cases()]
    part = [left(net, pairs, shared, 1, curved=False) for net, pairs in random_cases()]
    ratios = [x / SIGMAS[0] ** 4 for x, *_ in whole]
    start = f"{NETS} random tanh networks, {PAIRS} pairs each (root mean square), sigma from "
    start += f"{SIGMAS[0]} to {SIGMAS[-1]}: slope"
    holds, words = every(
        slopes_are(f"{start} of what Eq. 6 leaves", [slope(x) for x in whole], 4.0),
        slopes_are("without the curvature term", [slope(x) for x in part], 2.0),
    )
    words += f"; the former over sigma^4 is {min(ratios):.3g} to {max(ratios):.3g} at {SIGMAS[0]}"
    return holds, words


def exact_fae_07() -> Outcome:
    """A ReLU network is as good as linear while no draw crosses a kink, draw by draw."""
    rng = np.random.default_rng(1)
    w, b, x_hat, x = rng.normal(size=(4, SIZE, SIZE))
    b, x_hat, x = b[0], x_hat[0], x[0]
    r, far = w @ x_hat + b - x, 0.0
    shared, sigmas = noises()["shared"], (0.1, 1.0, 10.0)
    for sigma in sigmas:
        wanted = r @ r + sigma**2 * penalty(w, 1)
        gap = loss(lambda a: a @ w.T + b, x_hat, x, sigma, shared) - wanted
        far = max(far, abs(gap) / wanted)
    relu = inside_a_region(rng)
    words = f"linear network, sigma {', '.join(f'{s:g}' for s in sigmas)}: loss and Eq. 7 differ"
    inside, apart, away, _ = relu[1]
    _, beyond, moved, crossed = relu[5]
    return every(
        (bool(far <= EXACT_TO), f"{words} by at most {far:.0e} of the loss"),
        (
            bool(inside <= EXACT_TO and apart <= 4),
            f"ReLU network, sigma {away:.2g}: no draw of {DRAWS} crosses a kink, none deviates by "
            f"more than {inside:.0e}, and the mean is {apart:.1f} standard errors from Eq. 7; at "
            f"{moved:.2g}, where {100 * crossed:.0f} % cross, {beyond:.0f} standard errors",
        ),
    )


DRAWS = 20_000


def inside_a_region(
    rng: np.random.Generator,
) -> dict[int, tuple[float, float, float, float]]:
    """ReLU, far from every kink, with sigma as large as no draw allows to cross; and 5 times it.

    Returns:
        Factor of sigma -> the largest deviation of a draw from |r + sigma (J - I) u|^2; how many
        standard errors the mean is from Eq. 7; sigma; share of draws that cross a kink.
    """
    net, u = layers(rng), rng.normal(size=(DRAWS, SIZE))
    many, x = 2 * rng.normal(size=(1000, SIZE)), rng.normal(size=SIZE)
    distances = np.abs(many @ net.w1.T + net.b1) / np.linalg.norm(net.w1, axis=1)
    x_hat = many[distances.min(axis=1).argmax()]
    on = net.w1 @ x_hat + net.b1 > 0
    jacobian = (net.w2 * on) @ net.w1
    r = net.w2 @ np.maximum(net.w1 @ x_hat + net.b1, 0) + net.b2 - x
    largest = distances.min(axis=1).max() / np.linalg.norm(u, axis=1).max()
    found = {}
    for factor in (1, 5):
        sigma = float(factor * largest)
        before = (x_hat + sigma * u) @ net.w1.T + net.b1
        losses = ((np.maximum(before, 0) @ net.w2.T + net.b2 - x - sigma * u) ** 2).sum(axis=1)
        affine = ((r + sigma * u @ (jacobian - np.eye(SIZE)).T) ** 2).sum(axis=1)
        apart = losses.mean() - r @ r - sigma**2 * penalty(jacobian, 1)
        errors = abs(apart) / (losses.std() / math.sqrt(DRAWS))
        crossed = ((before > 0) != on).any(axis=1).mean()
        gap = np.abs(losses - affine).max()
        found[factor] = float(gap), float(errors), sigma, float(crossed)
    return found


SECOND_OF_SIGMOID = 1 / (6 * math.sqrt(3))  # the largest |s''|
SHRINKS = (1.0, 0.1, 0.01, 0.001)  # how much of the residual is left


def exact_fae_08() -> Outcome:
    """sigmoid(w2 relu(w1 x + b1) + b2): Lap f_k = s''(z_k) |grad z_k|^2."""
    nets = 1000
    rng = np.random.default_rng(2)
    net, x_hat = layers(rng, nets), rng.normal(size=(nets, SIZE))
    net = net._replace(w2=net.w2 * np.exp(rng.uniform(-1, 3, size=(nets, 1, 1))))
    z, gradients = before_sigmoid(net, x_hat)
    f = 1 / (1 + np.exp(-z))
    laplacian = f * (1 - f) * (1 - 2 * f) * (gradients**2).sum(axis=2)
    start = rng.uniform(size=(nets, SIZE)) - f
    sizes = np.linalg.norm(start, axis=1)
    constant = SECOND_OF_SIGMOID * (gradients**2).sum(axis=(1, 2))
    curvature = {s: np.abs((s * start * laplacian).sum(axis=1)) for s in SHRINKS}
    below = all((term <= s * sizes * constant).all() for s, term in curvature.items())
    some = constant > 0  # where every ReLU is off, both sides are 0
    share = float((curvature[1.0][some] / (sizes * constant)[some]).max())
    literal = int((curvature[1.0] > sizes * SECOND_OF_SIGMOID).sum())
    (first, *_, last), largest = SHRINKS, {s: float(term.max()) for s, term in curvature.items()}
    return every(
        (
            bool(below),
            f"{nets} random networks: |<r, Lap f>| is at most {share:.2f} of the bound with "
            f"sum |grad z|^2; {literal} are beyond the bound without that factor, so the constant "
            "is not of the activation only",
        ),
        (
            bool(largest[last] <= last * largest[first] * (1 + 1e-9)),
            f"when |r| falls to {last:g} of its start, the largest falls from "
            f"{largest[first]:.2g} to {largest[last]:.2g}",
        ),
    )


def before_sigmoid(net: Layers, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z (n, D) and its gradients (n, D, D) of n networks, each at its own point."""
    hidden = np.einsum("nkd,nd->nk", net.w1, x) + net.b1
    z = np.einsum("ndk,nk->nd", net.w2, np.maximum(hidden, 0)) + net.b2
    return z, np.einsum("ndk,nke->nde", net.w2 * (hidden > 0)[:, None], net.w1)


def exact_fae_09() -> Outcome:
    kinds, cases = noises(), random_cases()
    bishop = [slope(left(net, pairs, kinds["input"], 0)) for net, pairs in cases]
    anchored = [slope(left(net, pairs, kinds["shared"], 1)) for net, pairs in cases]
    misapplied = [slope(left(net, pairs, kinds["shared"], 0)) for net, pairs in cases]
    far = 0.0
    for net, pairs in cases:
        for sigma in SIGMAS:
            both, alone = (
                loss(partial(forward, net), pairs[0, 0], pairs[0, 1], sigma, noise)
                for noise in independent()
            )
            far = max(far, abs((both - alone) / sigma**2 - SIZE))
    return every(
        slopes_are("noise on the input, remainder with |J|^2: slope", bishop, 4.0),
        (bool(far <= 1e-9), f"independent noises add sigma^2 D, D = {SIZE}, to {far:.0e}"),
        slopes_are("shared noise with |J - I|^2: slope", anchored, 4.0),
        slopes_are("shared noise with |J|^2: slope", misapplied, 2.0),
    )


def exact_fae_10() -> Outcome:
    """By a step along the imaginary axis, which costs no digits."""
    rng = np.random.default_rng(3)
    along, across, points = 0.0, 0.0, 100
    for _ in range(points):
        x = rng.normal(size=SIZE)
        x /= np.linalg.norm(x)
        jacobian = differentiated(onto_the_sphere, x)
        t = np.linalg.svd(x[None])[2][1:]  # orthonormal, and orthogonal to x
        along = max(along, float(np.linalg.norm(t @ jacobian.T - t, axis=1).max()))
        across = max(across, float(np.linalg.norm(jacobian @ x)))
    return every(
        (
            bool(along <= EXACT_TO),
            f"a / |a| and the identity agree on the unit sphere; at {points} points of it "
            f"|J t - t| <= {along:.0e} for unit tangents t",
        ),
        (
            bool(across <= EXACT_TO),
            f"across the sphere they differ, |J x| <= {across:.0e} against 1",
        ),
    )


def onto_the_sphere(a: np.ndarray) -> np.ndarray:
    return a / np.sqrt((a**2).sum())


def differentiated(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """The Jacobian of an analytic f; column k is Im f(x + ih e_k) / h."""
    h = 1e-30
    columns = [np.imag(f(x + 1j * h * axis)) / h for axis in np.eye(len(x))]
    return np.stack(columns, axis=1)


def exact_fae_11() -> Outcome:
    """f(a) = a + b + W (1 - cos V (a - x)): J(x) = I, and J is |W| |V| max |V_j| Lipschitz."""
    rng, points = np.random.default_rng(4), 1000
    x, b = rng.normal(size=SIZE), 0.05 * rng.normal(size=SIZE)
    w = rng.normal(size=(SIZE, WIDTH)) / WIDTH
    v = rng.normal(size=(WIDTH, SIZE)) / math.sqrt(SIZE)
    lipschitz = np.linalg.norm(w, 2) * np.linalg.norm(v, 2) * np.linalg.norm(v, axis=1).max()

    def f(a: np.ndarray) -> np.ndarray:
        return a + b + (1 - np.cos((a - x) @ v.T)) @ w.T

    y = x + rng.uniform(0.01, 1, size=(points, 1)) * rng.normal(size=(points, SIZE))
    off = float(np.abs(differentiated(f, x) - np.eye(SIZE)).max())
    once = f(y)
    twice = np.linalg.norm(f(once) - once, axis=1)
    error, repair = float(np.linalg.norm(f(x) - x)), np.linalg.norm(once - x, axis=1)
    share = twice / bound_of_eq_8(error, float(lipschitz), repair)
    words = f"a map with J(x) = I and L = {lipschitz:.2f}, {points} random y: |f(f(y)) - f(y)|"
    return every(
        (bool((share <= 1).all()), f"{words} is at most {share.max():.3f} of the bound"),
        (bool(off <= EXACT_TO), f"J(x) is I to {off:g}"),
    )


def bound_of_eq_8(error: float, lipschitz: float, repair: np.ndarray) -> np.ndarray:
    return error + lipschitz / 2 * repair**2


EXACT: dict[str, Callable[[], Outcome]] = {
    "fae-06": exact_fae_06,
    "fae-07": exact_fae_07,
    "fae-08": exact_fae_08,
    "fae-09": exact_fae_09,
    "fae-10": exact_fae_10,
    "fae-11": exact_fae_11,
}
