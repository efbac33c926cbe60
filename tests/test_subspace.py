"""Subspace: matching pursuit against least squares, Algorithm 2, and what it says to bad input."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from anomlib import features, metrics
from anomlib.methods import subspace
from anomlib.methods.subspace import Subspace, gram, members, omp, products, residual_maps
from anomlib.studies.subspace import inner_products, omp_literal, representation_error


def tiny(**settings: Any) -> Subspace:
    return Subspace(**{"backbone": "tiny", "sample": 5, "sparsity": 3, "sigma": 1.0} | settings)


def maps(n, seed=0, shape=(12, 4, 5)):
    """Feature maps that share a mean, as those of a rectified network do; double precision."""
    generator = torch.Generator().manual_seed(seed)
    shared = torch.rand(shape, generator=generator, dtype=torch.double)
    return shared + torch.randn(n, *shape, generator=generator, dtype=torch.double)


def pursue(x, y, s, **options):
    """Support, coefficients and residual maps of every image in y."""
    found = omp(gram(x), *products(x, y), s, **options)
    return *found, residual_maps(x, y, *found)


def literal(x, y, s, **options):
    support, c, e = omp_literal(x.flatten(1).T, y.flatten(), s, **options)
    return support, c, e.view(y.shape).norm(dim=0)


# ---- 3.1 Algorithm 1


@pytest.mark.parametrize("literal_eq3", [False, True])
def test_pursuit_is_the_literal_loop(literal_eq3):
    x, y = maps(30), maps(9, seed=1)
    support, coefficients, residual = pursue(x, y, 8, literal_eq3=literal_eq3)
    for i in range(len(y)):
        chosen, c, e = literal(x, y[i], 8, literal_eq3=literal_eq3)
        assert support[i].tolist() == chosen
        assert torch.allclose(coefficients[i], c, atol=1e-12)
        assert torch.allclose(residual[i], e, atol=1e-12)


def test_pursuit_by_hand():
    x = torch.tensor([[[2.0, 0.0]], [[0.0, 1.0]]]).double()[..., None]  # columns (2, 0) and (0, 1)
    y = torch.tensor([[[1.0, -3.0]]]).double()[..., None]
    support, coefficients, residual = pursue(x, y, 2)
    assert support.tolist() == [[1, 0]] and coefficients.tolist() == [[-3.0, 0.5]]
    assert residual.flatten().tolist() == [0, 0]
    # as printed, signed and not divided by the length: (2, 0) comes first, and -3 counts as least
    assert pursue(x, y, 2, literal_eq3=True)[0].tolist() == [[0, 1]]
    assert pursue(x, y, 1)[2].flatten().tolist() == [1, 0]


def test_more_steps_than_columns():
    x, y = maps(4), maps(3, seed=1)
    support, _, residual = pursue(x, y, 9)
    assert support.shape == (3, 4) and support.sort().values.tolist() == [[0, 1, 2, 3]] * 3
    for i in range(3):
        assert torch.allclose(residual[i], literal(x, y[i], 9)[2], atol=1e-12)


def test_duplicated_and_collinear_columns():
    x = maps(6)
    x = torch.cat([x, x[2:4], x[:1] + x[1:2], 2 * x[4:5]])  # ten columns, six of them independent
    y = maps(5, seed=1)
    support, _, residual = pursue(x, y, 10)
    assert ((support >= 0).sum(dim=1) == 6).all()  # no column twice in the span
    for i in range(len(y)):
        chosen, _, e = literal(x, y[i], 6)
        twins = {6: 2, 7: 3, 9: 4}
        assert [twins.get(j, j) for j in support[i, :6].tolist()] == [
            twins.get(j, j) for j in chosen
        ]
        assert torch.allclose(residual[i], e, atol=1e-12)


def test_an_image_of_the_bank_is_explained_by_itself_and_the_pursuit_ends():
    x = maps(8)
    support, coefficients, residual = pursue(x, x[3:4], 5)
    assert support.tolist() == [[3, -1, -1, -1, -1]] and residual.abs().max() < 1e-12
    assert coefficients[0].tolist() == pytest.approx([1, 0, 0, 0, 0])


def test_zero_features():
    x, y = maps(5), maps(2, seed=1)
    x[1], y[0] = 0, 0
    support, coefficients, residual = pursue(x, y, 5)
    assert (support[0] == -1).all() and not residual[0].any()
    assert sorted(support[1].tolist()) == [-1, 0, 2, 3, 4]
    assert torch.allclose(residual[1], literal(x, y[1], 4)[2], atol=1e-12)
    assert torch.allclose(pursue(x * 0, y, 3)[2], y.norm(dim=1))  # nothing to explain it with
    assert coefficients.isfinite().all()


def test_eps_ends_the_pursuit():
    x, y = maps(9), maps(1, seed=1)
    _, _, e = literal(x, y[0], 3)
    assert (pursue(x, y, 9, eps=float(e.norm()) + 1e-6)[0] >= 0).sum() == 3


def test_half_precision_chooses_the_same_and_sums_in_double(monkeypatch):
    x, y = maps(20, shape=(64, 8, 8)).half(), maps(6, seed=1, shape=(64, 8, 8)).half()
    exact = pursue(x.double(), y.double(), 6)
    assert gram(x).dtype == torch.double
    assert torch.allclose(gram(x), gram(x.double()), rtol=1e-6, atol=1e-3)
    for chunk in (100, 4096):  # one channel at a time, and all at once
        monkeypatch.setattr(subspace, "CHUNK", chunk)
        support, _, residual = pursue(x, y, 6)
        assert torch.equal(support, exact[0])
        assert torch.allclose(residual.double(), exact[2], atol=1e-4)


def test_gram_is_symmetric_over_blocks_of_columns():
    x = maps(130)
    flat = x.flatten(1)
    assert torch.equal(gram(x), gram(x).T) and torch.allclose(gram(x), flat @ flat.T)


# ---- 3.2 Sampling


def test_a_bank_is_what_the_reference_level_chose():
    x, y, deep, deep_y = maps(12), maps(4, seed=1), maps(12, seed=2), maps(4, seed=3)
    chosen = omp(gram(deep), *products(deep, deep_y), 5)[0]
    bank = members(chosen, 12)
    assert (bank.sum(dim=1) == 5).all()
    support, _, residual = pursue(x, y, 3, allowed=bank)
    for i in range(4):
        columns = bank[i].nonzero()[:, 0]
        few, _, e = literal(x[columns], y[i], 3)
        assert support[i].tolist() == columns[few].tolist()
        assert torch.allclose(residual[i], e, atol=1e-12)


def test_members_leaves_out_the_places_after_the_end():
    found = members(torch.tensor([[2, 0, -1]]), 4)
    assert found.tolist() == [[True, False, True, False]]


def test_a_sampled_bank_of_all_images_is_no_sampling(toy):
    sampled = tiny(levels=(1, 2), sample=8).fit(toy.train).anomaly_map(toy.test)
    plain = tiny(levels=(1, 2), sampling="none").fit(toy.train).anomaly_map(toy.test)
    assert torch.allclose(sampled, plain, atol=1e-5)


def test_a_random_bank_is_drawn_by_the_seed(toy):
    one, two, again = (tiny(sampling="random", seed=s).fit(toy.train) for s in (0, 1, 0))
    assert [len(x) for x in one.bank_.values()] == [5, 5]  # only the levels that are rebuilt
    found = [m.anomaly_map(toy.test) for m in (one, two, again)]
    assert torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1])


# ---- 3.3 Algorithm 2


def test_algorithm_2_written_out(toy):
    """One level, sampled at the next, without the class."""
    method = tiny(levels=(2,), sigma=0.0).fit(toy.train)
    found = method.anomaly_map(toy.test)
    (x, deep), (y, deep_y) = (
        [m.double() for m in features.cached_features(images, "tiny", (2, 3))]
        for images in (toy.train, toy.test)
    )
    for i in range(len(y)):
        bank = sorted(literal(deep, deep_y[i], 5)[0])
        e = literal(x[bank], y[i], 3)[2]
        up = torch.nn.functional.interpolate(e[None, None], (32, 32), mode="bilinear")[0, 0]
        assert torch.allclose(found[i].double(), up, atol=1e-4)


def test_the_level_past_the_last_is_pooled(toy):
    method = tiny(levels=(4,)).fit(toy.train)
    assert method.bank_[5].shape[2:] == (1, 1) and set(method.gram_) == {4, 5}


def test_one_reference_for_all_levels(toy):
    method = tiny(reference=4).fit(toy.train)
    assert set(method.bank_) == {2, 3, 4}


def test_fusion(toy):
    def found(*levels, fusion="mean"):
        method = tiny(levels=levels, fusion=fusion, sigma=0.0)
        return method.fit(toy.train).anomaly_map(toy.test)

    assert torch.allclose(found(1, 2), (found(1) + found(2)) / 2, atol=1e-5)
    assert torch.allclose(found(1, 2, fusion="product"), found(1) * found(2), rtol=1e-4)


def test_test_images_pass_in_batches(toy, monkeypatch):
    method = tiny().fit(toy.train)
    whole = method.anomaly_map(toy.test)
    monkeypatch.setattr(subspace, "BATCH", 3)
    assert torch.allclose(method.anomaly_map(toy.test), whole, atol=1e-5)


def test_half_precision_moves_no_metric_by_a_thousandth(toy, monkeypatch):
    method = tiny()
    half = method.fit(toy.train).anomaly_map(toy.test)
    monkeypatch.setattr(subspace, "cached_features", features.features)
    full = replace(method).fit(toy.train).anomaly_map(toy.test)
    assert not torch.equal(half, full) and torch.allclose(half, full, rtol=5e-3)
    both = [metrics.pixel_metrics(m, toy.masks) for m in (half, full)]
    assert both[0] == pytest.approx(both[1], abs=1e-3)


# ---- bad input: one clear error each


def test_too_few_training_images_name_the_fix(toy):
    with pytest.raises(ValueError, match="4 training images .* s_ref = 5: .*`clip=True`"):
        tiny().fit(toy.train[:4])
    with pytest.raises(ValueError, match="1 training images"):
        tiny(sample=1, sparsity=1).fit(toy.train[:1])
    few = tiny(clip=True)  # for few-shot runs: asked for by name
    for n in (1, 4):
        assert few.fit(toy.train[:n]).anomaly_map(toy.test).isfinite().all()


def test_test_images_of_another_shape(toy):
    method = tiny().fit(toy.train)
    with pytest.raises(ValueError, match="images of 3 x 32 x 32, which .* of 3 x 16 x 32"):
        method.anomaly_map(toy.test[:, :, :16])
    with pytest.raises(ValueError, match="which cannot explain images of 1 x 32 x 32"):
        method._features(toy.test[:, :1])  # anomaly_map's types are checked in tests only


def test_a_level_that_the_backbone_lacks(toy):
    with pytest.raises(ValueError, match=r"tiny has the levels \[0, 1, 2, 3, 4\], not \[7, 8\]"):
        tiny(levels=(7,)).fit(toy.train)


def test_missing_weights(toy, monkeypatch, tmp_path):
    monkeypatch.setenv("ANOMLIB_DATA", str(tmp_path))
    features.load_backbone.cache_clear()

    def no_network(name, pretrained):
        raise OSError("no route")

    monkeypatch.setattr("timm.create_model", no_network)
    with pytest.raises(FileNotFoundError, match="no weights for backbone 'wide_resnet50_2'"):
        Subspace(sample=5, sparsity=3).fit(toy.train)


@pytest.mark.parametrize(
    "settings", [{"sampling": "coreset"}, {"fusion": "max"}, {"sparsity": 50}, {"sparsity": 0}]
)
def test_settings_that_do_not_exist(settings):
    with pytest.raises(ValueError, match=r"is one of|sparsity must lie between 1 and sample, 40"):
        Subspace(**settings)


# ---- the study


def test_costs_of_the_printed_loop():
    assert inner_products(10, 7) == 10 + 9 + 8 + 7 + 6 + 5 + 4
    assert inner_products(3, 7) == 6


def test_representation_error_leaves_an_image_out():
    x = maps(10)
    ours, nearest = representation_error(gram(x), 4)
    flat = x.flatten(1)
    expected, matched = [], []
    for j in range(10):
        rest = torch.cat([x[:j], x[j + 1 :]])
        expected.append(literal(rest, x[j], 4)[2].norm())
        matched.append((rest.flatten(1) - flat[j]).norm(dim=1).min())
    assert ours.item() == pytest.approx(torch.stack(expected).mean().item())
    assert nearest.item() == pytest.approx(torch.stack(matched).mean().item())
