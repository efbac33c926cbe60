"""Theorem 1 of FAE: slopes, exact cases, and every formula on a case worked by hand."""

import math
from typing import Any

import pandas as pd
import pytest
import torch

from anomlib import results
from anomlib.figures import fae as draw
from anomlib.methods.fae import FAE
from anomlib.studies.fae import (
    BOUND,
    NOISES,
    anchored,
    as_text,
    crossed,
    curves,
    draws,
    equation_8,
    formulas,
    fourth_order,
    hutchinson,
    idempotency,
    kink_distances,
    kink_points,
    laplacian,
    network,
    noisy_losses,
    of_trained,
    part_of,
    penalty,
    polynomial,
    random_pairs,
    remainder,
    sigmoid_bounds,
    sigmoid_table,
    slopes,
    tangents,
    terms,
    theorem1,
)
from anomlib.studies.fae import table as all_parts

SIGMAS = [0.0125, 0.025, 0.05, 0.1]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return theorem1(4, 2, [0.00625, *SIGMAS], 4000)


def one(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


# ---- by hand: f(a) = a^2 in one dimension, x^ = 2, x = 1: r = 3, J = 4, Lap f = 2


def square(a: torch.Tensor) -> torch.Tensor:
    return a**2


def test_terms_by_hand():
    found = {noise: terms(square, one(2), one(1), noise) for noise in NOISES}
    assert found["shared"] == {"residual": 9.0, "penalty": 9.0, "curvature": 6.0}
    assert found["input"] == {"residual": 9.0, "penalty": 16.0, "curvature": 6.0}
    assert found["target"] == {"residual": 9.0, "penalty": 1.0, "curvature": 0.0}
    assert found["independent"] == {"residual": 9.0, "penalty": 17.0, "curvature": 6.0}


def test_the_fourth_order_by_hand():
    """(r + (2 x^ - 1) e + e^2)^2: what is left beyond sigma^2 is E e^4 = 3 sigma^4."""
    assert fourth_order(square, one(2), one(1)) == pytest.approx(3, abs=1e-12)
    assert fourth_order(square, one(2), one(1), "target") == 0
    left, se = remainder(square, one(2)[None], one(1)[None], 0.1, samples=50_000)
    assert left == pytest.approx(3e-4, abs=4 * se) and se < 1e-5
    # the cube at 0: (-x + e^3 - e)^2 = x^2 + e^2 - 2 e^4 + odd orders + O(e^6): -2 * 3
    assert fourth_order(lambda a: a**3, one(0), one(1)) == pytest.approx(-6, abs=1e-12)
    # a^4 at 0, r = -1: -2 e^4 and from (e^4 - e)^2 no more: -2 * 3
    assert fourth_order(lambda a: a**4, one(0), one(1)) == pytest.approx(-6, abs=1e-12)
    # in two dimensions, (a b, 0) at 0: E a^2 b^2 = 1
    product = lambda a: torch.stack([a[0] * a[1], 0 * a[0]])  # noqa: E731
    assert fourth_order(product, one(0, 0), one(1, 1)) == pytest.approx(1, abs=1e-12)


def test_the_laplacian_sums_second_derivatives_of_each_component():
    f = lambda a: torch.stack([a[0] ** 2 + a[1] ** 3, a[0] * a[1]])  # noqa: E731
    assert laplacian(f)(one(1, 2)).tolist() == [2 + 6 * 2, 0]


def test_losses_are_means_of_a_draw_and_its_negative():
    u, v = one(1)[None], one(1)[None]
    # sigma 1/2: (2.5^2 - 1.5)^2 = 22.5625, and (1.5^2 - 0.5)^2 = 3.0625
    assert noisy_losses(square, one(2), one(1), 0.5, u, v).tolist() == [12.8125]
    # 9 + 1/4 ((4 - 1)^2 + 3 * 2); what is left is sigma^4 = 1/16
    assert polynomial(square, one(2), one(1), 0.5, u, v).tolist() == [12.75]


def test_the_mean_of_the_polynomial_is_the_expansion():
    x_hat, x = (p[0] for p in random_pairs(1, 4))
    f = network("tanh", 4)
    for noise in NOISES:
        parts = terms(f, x_hat, x, noise)
        values = polynomial(f, x_hat, x, 0.3, *draws(40_000, 4, noise))
        wanted = parts["residual"] + 0.09 * (parts["penalty"] + parts["curvature"])
        assert values.mean().item() == pytest.approx(wanted, abs=4 * values.std().item() / 200)


def test_penalties_by_hand():
    jacobian = torch.tensor([[1.0, 2.0], [0.0, 3.0]])
    found = [penalty(jacobian, noise).item() for noise in NOISES]
    assert found == [4 + 4, 1 + 4 + 9, 2, 14 + 2]


# ---- the curves


def test_slopes_of_power_laws():
    lines = [("a", s, 1.0, 5 * s**4) for s in SIGMAS] + [("b", s, 1.0, 0.0) for s in SIGMAS]
    made = pd.DataFrame(lines, columns=["kind", "sigma", "loss", "remainder"])
    found = slopes(made, ["kind"]).set_index("kind")
    assert found.loc["a", "slope"] == pytest.approx(4) == found.loc["a", "first"]
    assert found.loc["a", "largest"] == pytest.approx(5e-4)
    assert math.isnan(found.loc["b", "slope"]) and found.loc["b", "largest"] == 0


def test_small_numbers_survive_a_file(table, tmp_path):
    results.save_study("fae/x", as_text(table), tmp_path)
    kept = pd.read_csv(tmp_path / "studies" / "fae" / "x.csv")
    pd.testing.assert_series_equal(kept["remainder"], table["remainder"], rtol=1e-6, atol=0.0)
    assert kept["fourth"].isna().equals(table["fourth"].isna())


@pytest.mark.parametrize("noise", ["shared", "input", "independent"])
@pytest.mark.parametrize("kind", ["tanh", "sigmoid"])
def test_the_remainder_has_slope_4_and_without_curvature_2(kind, noise):
    x_hat, x = random_pairs(3, 6)
    made = curves(network(kind, 6), x_hat, x, SIGMAS, noise, samples=5000)
    found = slopes(made, ["noise", "expansion"]).set_index("expansion")["slope"]
    assert found["full"] == pytest.approx(4, abs=0.1)
    assert found["without curvature"] == pytest.approx(2, abs=0.1)
    if noise == "shared":
        assert found["Bishop, misapplied"] == pytest.approx(2, abs=0.1)


def test_the_remainder_is_what_the_fourth_derivatives_say(table):
    smooth = table.query("expansion == 'full' and fourth != 0 and sigma == 0.00625").dropna(
        subset=["fourth"]
    )
    assert set(zip(smooth["network"], smooth["noise"], strict=True)) == {
        ("tanh", "shared"), ("tanh", "input"), ("tanh", "independent"), ("sigmoid", "shared"),
    }  # fmt: skip
    assert ((smooth["remainder"] - smooth["fourth"]).abs() < 4 * smooth["se"]).all()


def test_exact_cases(table):
    kinds = [("linear", "shared"), ("ReLU, inside a region", "shared"), ("tanh", "target")]
    for kind, noise in kinds:
        part = table[(table["network"] == kind) & (table["noise"] == noise)]
        for name in ("full", "without curvature"):  # Eq. 7
            left = part[part["expansion"] == name]
            assert len(left) == 5 and left["remainder"].abs().max() < 1e-10


def test_a_linear_network_is_exact_at_any_sigma():
    x_hat, x = random_pairs(2, 5)
    left, _ = remainder(network("linear", 5), x_hat, x, 3.0, samples=100)
    assert abs(left) < 1e-10


def test_the_bound_lies_above_what_the_curvature_leaves_out(table):
    part = table[table["network"] == "sigmoid"].pivot(
        index="sigma", columns="expansion", values="remainder"
    )
    left_out = (part["without curvature"] - part["full"]).abs()
    assert (left_out <= part[BOUND]).all()


# ---- ReLU


def test_relu_is_exact_while_no_draw_crosses_a_kink(table):
    near = table.query("network == 'ReLU, near a kink' and expansion == 'full'")
    assert near["crossed"].iloc[0] == 0 < near["crossed"].iloc[-1]
    exact = near["remainder"].abs() < 1e-10
    assert (exact == (near["crossed"] == 0)).all()


def test_relu_across_a_kink_by_hand():
    """relu(d + sigma z) has the mean d Phi(d / sigma) + sigma phi(d / sigma)."""
    d, sigma, x = 0.1, 0.2, 1.0
    u, v = draws(200_000, 1, "input")
    losses = noisy_losses(torch.relu, one(d), one(x), sigma, u, v)
    t = d / sigma
    phi = math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    below = math.erfc(t / math.sqrt(2)) / 2
    first = d * (1 - below) + sigma * phi
    second = (d * d + sigma * sigma) * (1 - below) + d * sigma * phi
    wanted = second - 2 * x * first + x * x
    assert losses.mean().item() == pytest.approx(wanted, abs=4 * losses.std().item() / 447)


def test_kinks():
    relu = network("relu", 4, width=6)
    points = kink_points(relu, 4, near=0.05, candidates=200)
    nearest = {name: kink_distances(relu, at).min().item() for name, at in points.items()}
    assert nearest["ReLU, near a kink"] == pytest.approx(0.05)
    assert nearest["ReLU, inside a region"] > 0.2
    u = torch.zeros(2, 4, dtype=torch.float64)
    layer: Any = relu[0]
    close = points["ReLU, near a kink"][0]
    u[1] = layer.weight[kink_distances(relu, close[None])[0].argmin()]
    u[1] /= u[1].norm()  # straight at the kink, one way or the other
    assert crossed(relu, close, 0.049, u) == 0 and crossed(relu, close, 0.051, u) == 0.5


# ---- a sigmoid output


def test_sigmoid_bounds_by_hand():
    """sigmoid(2 a) at the place of the largest |s''|, where the bound is attained."""
    f = network("sigmoid", 1)
    layer: Any = f[0]
    layer.weight.fill_(2)
    layer.bias.zero_()
    z = math.log(2 + math.sqrt(3))
    found = sigmoid_bounds(f, one(z / 2), one(0))
    assert found["curvature"] == pytest.approx(found["residual"] * 4 / (6 * math.sqrt(3)))
    assert found["bound"] == pytest.approx(found["curvature"])
    assert found["activation_only"] == pytest.approx(found["curvature"] / 4)  # no bound


def test_the_curvature_fades_with_the_residual_and_the_text_s_constant_is_no_bound():
    made = sigmoid_table(5, [1.0, 3.0], [1.0, 0.1], 6)
    assert len(made) == 6 * 2 * 2 and (made["curvature"] <= made["bound"]).all()
    wide = made.pivot(index=["seed", "scale"], columns="shrink", values="curvature")
    assert (wide[0.1] / wide[1.0]).tolist() == pytest.approx([0.1] * 12)
    assert (made["curvature"] > made["activation_only"]).any()


# ---- FAE beside DAE and RCAE


def test_formulas_agree_with_plain_samples_but_a_dae_is_no_rcae():
    x_hat, x = (p[0] for p in random_pairs(1, 4))
    made = formulas(network("tanh", 4), x_hat, x, 0.01, 4000).set_index("objective")
    *agree, dae = made.index
    assert (made.loc[agree, "apart"].abs() < 4).all()
    row = made.loc[dae]
    assert abs(row["apart"]) > 4  # apart by the curvature term
    assert row["measured"] - row["expected"] == pytest.approx(row["curvature"], abs=4 * row["se"])


def test_hutchinson_by_hand():
    u = torch.eye(2, dtype=torch.float64)
    # f(a) = a^2 at (1, 2): r = (0, 2), J = diag(2, 4)
    assert hutchinson(square, one(1, 2), 0.5, u).tolist() == [4 + 1, 4 + 4]


# ---- idempotency, tangents


def test_idempotency_by_hand():
    """f(a) = a^2 at x = 2, y = 3: f(y) = 9, f(f(y)) = 81, f(x) = 4, J(x) = 4, R = 7^2."""
    found = idempotency(square, one(2)[None], one(3)[None])
    values = {name: part.item() for name, part in found.items()}
    assert values == {"left": 72, "error": 2, "anchor": 21, "rest": 49, "repair": 7}


def test_equation_8_holds_where_the_jacobian_is_the_identity():
    made = equation_8(5, 200, 0.5)
    assert made["anchor"].max() < 1e-10
    assert (made["left"] <= made["right"]).all()
    assert (made["left"] / made["right"]).max() > 0.1  # and says something
    x = one(0.3, -1, 2)
    f, lipschitz = anchored(x)
    jacobian = torch.func.jacrev(f)
    torch.testing.assert_close(jacobian(x), torch.eye(3).double())
    for k in range(5):
        other = x + draws(5, 3, "shared")[0][k]
        apart = torch.linalg.matrix_norm(jacobian(other) - torch.eye(3), 2)
        assert 0 < apart <= lipschitz * (other - x).norm()


def test_jacobians_agree_along_the_sphere():
    assert len(found := tangents(5)) == 2
    assert max(found.values()) < 1e-10


# ---- what is saved


def test_the_saved_table_gives_every_part_back(tmp_path):
    made = all_parts(3, 1, SIGMAS[:2], 50, [1.0], [1.0, 0.1], nets=2, points=20)
    results.save_study("fae/x", as_text(made), tmp_path)
    kept = pd.read_csv(tmp_path / "studies" / "fae" / "x.csv")
    assert {"dataset", "category", "quantity", "value"} <= set(kept)
    assert len(part_of(kept, "sigmoid")) == 4
    wanted = {
        "theorem 1": theorem1(3, 1, SIGMAS[:2], 50),
        "sigmoid": sigmoid_table(3, [1.0], [1.0, 0.1], 2),
    }
    for name, whole in wanted.items():
        found = part_of(kept, name)[list(whole)]
        pd.testing.assert_frame_equal(found, whole, rtol=1e-6, atol=0.0, check_dtype=False)
    sides = equation_8(3, 20, spread=0.5)
    values = part_of(kept, "equation 8").set_index("quantity")["value"]
    assert values["points"] == 20
    share = (sides["left"] / sides["right"]).max()
    assert values["largest |f(f(y)) - f(y)| / bound"] == pytest.approx(share, rel=1e-6)
    tables = part_of(kept, "equation 8"), part_of(kept, "tangents")
    shown: Any = draw.value_table(*tables)
    assert "across it" in shown.to_html() and "theorem" not in shown.to_html()


# ---- bad input


def test_bad_input():
    x_hat, x = random_pairs(1, 3)
    with pytest.raises(ValueError, match="cannot be -0.1"):
        remainder(network("linear", 3), x_hat, x, -0.1)
    with pytest.raises(ValueError, match="noise is one of shared, input"):
        remainder(network("linear", 3), x_hat, x, 0.1, "both")
    with pytest.raises(ValueError, match="noise is one of shared, input"):
        penalty(torch.eye(2), "both")
    with pytest.raises(ValueError, match="no network 'gelu'"):
        network("gelu", 3)


# ---- the figure


def with_slopes(table: pd.DataFrame) -> pd.DataFrame:
    key = ["network", "noise", "expansion"]
    return table.merge(slopes(table, key).drop(columns="largest"), on=key)


def test_the_figure_has_a_line_per_network_and_expansion(table):
    table = with_slopes(table)
    text = str(draw.remainders(table).data)
    assert text == str(draw.remainders(table).data)  # the same each time
    for name in (
        "linear: full (zero to rounding)",
        "tanh: without curvature (slope ",
        "sigmoid: full (slope ",
    ):
        assert name in text
    assert 'near a kink: full"' in text and "theorem-1" in text
    part = pd.DataFrame({"sigma": [0.1, 0.2], "remainder": [-1e-4, 0.0]})
    assert draw.heights(part, 0) == [1e-4, draw.LEAST]
    assert draw.heights(part, 4)[0] == pytest.approx(1)


def test_the_figure_needs_rows(table):
    with pytest.raises(ValueError, match="lacks slope"):
        draw.remainders(table)
    table = with_slopes(table)
    with pytest.raises(ValueError, match="nothing to draw"):
        draw.remainders(table.iloc[:0])
    with pytest.raises(ValueError, match="no network of the figure"):
        draw.remainders(table[table["noise"] == "input"])


def test_tables_for_display(table):
    x_hat, x = (p[0] for p in random_pairs(1, 3))
    shown = [
        draw.slope_table(slopes(table, ["network", "noise", "expansion"])),
        draw.formula_table(formulas(network("tanh", 3), x_hat, x, 0.05, 50)),
        draw.bound_table(sigmoid_table(3, [1.0], [1.0], 2)),
    ]
    assert all("</table>" in style.to_html() for style in shown)  # type: ignore[attr-defined]


def test_the_parts_of_equation_8_of_trained_networks_add_up(toy):
    settings = {"width": 2, "blocks": 1, "textures": "procedural", "steps": 2, "batch": 2}
    methods = {"a": FAE(**settings).fit(toy.train), "b": FAE(**settings, seed=1).fit(toy.train)}
    found = of_trained(methods, toy.test[:2])
    assert [*found.index] == ["a", "b"] and (found > 0).all().all()
    error = (methods["a"].restore(toy.test[:2]) - toy.test[:2]).flatten(1).norm(dim=1).mean()
    assert found.loc["a", "error"] == pytest.approx(error.item(), rel=1e-4)
    parts = found[["error", "anchor", "rest"]].sum(axis=1)
    assert (found["left"] <= parts * (1 + 1e-5)).all()  # the triangle inequality
