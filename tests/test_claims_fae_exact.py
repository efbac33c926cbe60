"""FAE's theorem and what follows from it: verdicts, a second computation, wrong numbers."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from anomlib import claims as c
from anomlib.claims import fae_theory as theory
from anomlib.studies import fae as study

NAMES = [f"fae-{k:02}" for k in range(6, 12)]


def in_torch(net: theory.Layers, between: nn.Module, *behind: nn.Module) -> nn.Sequential:
    """The same network for the study."""
    parts: list[nn.Module] = []
    for w, b in ((net.w1, net.b1), (net.w2, net.b2)):
        layer: Any = nn.Linear(w.shape[1], w.shape[0], dtype=torch.float64).requires_grad_(False)
        layer.weight.copy_(torch.from_numpy(w))
        layer.bias.copy_(torch.from_numpy(b))
        parts.append(layer)
    return nn.Sequential(parts[0], between, parts[1], *behind)


@pytest.fixture(scope="module")
def case() -> tuple[theory.Layers, np.ndarray]:
    net, pairs = theory.random_cases()[0]
    return net, pairs[:2]


# ---- verdicts


def test_all_of_them_hold_with_their_numbers():
    words = {name: c.EXACT[name]() for name in NAMES}
    assert all(holds for holds, _ in words.values()), words
    said = {
        "fae-06": ["slope of what Eq. 6 leaves 3.9", "without the curvature term 1.9"],
        "fae-07": ["ReLU network", "no draw of 20000 crosses a kink"],
        "fae-08": ["1000 random networks", "not of the activation only"],
        "fae-09": ["slope 3.9", "sigma^2 D, D = 3", "with |J|^2: slope 2.0"],
        "fae-10": ["at 100 points", "|J x| <= "],
        "fae-11": ["1000 random y", "of the bound"],
    }
    for name, parts in said.items():
        assert all(x in words[name][1] for x in parts), words[name]


@pytest.mark.parametrize(
    ("name", "what", "wrong"),
    [
        ("fae-06", "penalty", lambda jacobian, anchor: float((jacobian**2).sum())),
        ("fae-07", "penalty", lambda jacobian, anchor: float((jacobian**2).sum())),
        ("fae-09", "penalty", lambda jacobian, anchor: 1.01 * float((jacobian**2).sum())),
        ("fae-08", "SECOND_OF_SIGMOID", 0.05),  # half of what it is
        ("fae-10", "onto_the_sphere", lambda a: a / (a**2).sum() + 0.001 * a),
        ("fae-10", "onto_the_sphere", lambda a: a),
        ("fae-11", "bound_of_eq_8", lambda error, lipschitz, repair: lipschitz / 2 * repair**2),
        ("fae-11", "bound_of_eq_8", lambda error, lipschitz, repair: error + 0 * repair),
    ],
)
def test_wrong_numbers_fail(name, what, wrong, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(theory, what, wrong)
    assert not c.EXACT[name]()[0]


@pytest.mark.parametrize("name", ["fae-06", "fae-09"])
def test_a_wrong_curvature_fails(name, monkeypatch: pytest.MonkeyPatch):
    right = theory.local

    def wrong(*args: Any) -> theory.Local:
        found = right(*args)
        return found._replace(laplacian=0.9 * found.laplacian)

    monkeypatch.setattr(theory, "local", wrong)
    assert not c.EXACT[name]()[0]


def test_noises_that_are_not_independent_fail(monkeypatch: pytest.MonkeyPatch):
    u, v, weight = theory.independent()[0]
    monkeypatch.setattr(theory, "independent", lambda: ((u, u, weight), (u, 0 * v, weight)))
    assert not c.EXACT["fae-09"]()[0]


def test_a_point_at_a_kink_fails(monkeypatch: pytest.MonkeyPatch):
    right = theory.inside_a_region
    monkeypatch.setattr(theory, "inside_a_region", lambda rng: {1: (f := right(rng)[5]), 5: f})
    assert not c.EXACT["fae-07"]()[0]


# ---- a second computation


def test_derivatives_are_those_of_torch(case):
    net, ((x_hat, x), _) = case
    at, target = torch.from_numpy(x_hat), torch.from_numpy(x)
    f, found = in_torch(net, nn.Tanh()), theory.local(net, x_hat, x)
    for noise, anchor in (("shared", 1), ("input", 0)):
        wanted = study.terms(f, at, target, noise)
        assert found.r @ found.r == pytest.approx(wanted["residual"], rel=1e-12)
        assert theory.penalty(found.jacobian, anchor) == pytest.approx(wanted["penalty"])
        assert found.r @ found.laplacian == pytest.approx(wanted["curvature"], rel=1e-10)
    laplacian = study.laplacian(f)(at).numpy()
    np.testing.assert_allclose(found.laplacian, laplacian, rtol=1e-10)


@pytest.mark.parametrize(("noise", "anchor"), [("shared", 1), ("input", 0)])
def test_nodes_and_draws_agree(case, noise, anchor):
    """What is left, by Gauss and Hermite here and by sampling in the study."""
    net, pairs = case
    f = in_torch(net, nn.Tanh())
    found = theory.left(net, pairs[:1], theory.noises()[noise], anchor)[-1]
    at, target = torch.from_numpy(pairs[:1]).unbind(dim=1)
    wanted, se = study.remainder(f, at, target, theory.SIGMAS[-1], noise)
    assert found == pytest.approx(abs(wanted), abs=4 * se) and se < 0.1 * found


def test_what_is_left_is_what_the_fourth_derivatives_say(case):
    net, pairs = case
    at, target = (torch.from_numpy(p) for p in pairs[0])
    wanted = study.fourth_order(in_torch(net, nn.Tanh()), at, target)
    found = theory.left(net, pairs[:1], theory.noises()["shared"], 1)[0]
    assert found / theory.SIGMAS[0] ** 4 == pytest.approx(abs(wanted), rel=0.02)


def test_nodes_are_enough(case, monkeypatch: pytest.MonkeyPatch):
    net, pairs = case
    few = theory.left(net, pairs, theory.noises()["shared"], 1)
    monkeypatch.setattr(theory, "gauss", lambda axes: GAUSS(axes, 14))
    many = theory.left(net, pairs, theory.noises()["shared"], 1)
    assert few == pytest.approx(many, rel=1e-5)


GAUSS = theory.gauss


def test_moments_of_the_nodes():
    u, weight = theory.gauss(2)
    assert weight.sum() == pytest.approx(1)
    np.testing.assert_allclose(np.einsum("m,mi,mj->ij", weight, u, u), np.eye(2), atol=1e-12)
    assert weight @ u[:, 0] ** 4 == pytest.approx(3)
    assert weight @ (u[:, 0] * u[:, 1]) ** 2 == pytest.approx(1)


def test_gradients_before_the_sigmoid_are_those_of_torch():
    rng = np.random.default_rng(0)
    net, x = theory.layers(rng, 3), rng.normal(size=(3, theory.SIZE))
    z, gradients = theory.before_sigmoid(net, x)
    for k in range(3):
        one = theory.Layers(*(part[k] for part in net))
        f, at = in_torch(one, nn.ReLU(), nn.Sigmoid()), torch.from_numpy(x[k])
        np.testing.assert_allclose(z[k], f[:-1](at).numpy())
        size = float(f(at).norm())  # of the residual from 0
        wanted = study.sigmoid_bounds(f, at, 0 * at)["bound"]
        mine = size * theory.SECOND_OF_SIGMOID * (gradients[k] ** 2).sum()
        assert mine == pytest.approx(wanted, rel=1e-10)


def test_the_step_along_the_imaginary_axis_is_a_jacobian():
    x = np.array([2.0, 3.0])
    found = theory.differentiated(lambda a: np.stack([a[0] ** 2 * a[1], a[1]]), x)
    np.testing.assert_allclose(found, [[12, 4], [0, 1]], rtol=1e-14)


def test_slopes_of_power_laws():
    assert theory.slope([5 * s**4 for s in theory.SIGMAS]) == pytest.approx(4)
    assert theory.slopes_are("slope", [3.9, 4.1], 4.0)[0]
    assert not theory.slopes_are("slope", [3.9, 4.16], 4.0)[0]
