"""Every method keeps the contract of `anomlib/api.py`."""

from dataclasses import replace

import pytest
import torch
from jaxtyping import TypeCheckError

from anomlib import METHODS

# Settings that make a method small enough for a test: departures, all of them
GRIDS = {
    **{"backbone": "tiny", "levels": (1,), "blocks": 1, "epochs": 20, "batch": 2},
    **{"refine_training": False, "smooth": 1, "pool": 1},
}
TINY = {
    "ssdnet": {"epochs": 40, "widths": (8, 16), "skip": 0, "resolutions": (5,)},
    "subspace": {"backbone": "tiny", "sample": 5, "sparsity": 3, "sigma": 1.0},
    "fair": {
        **{"width": 4, "skips": False, "textures": "train", "turned": 0.0, "mean": 3},
        **{"steps": 50, "batch": 4, "lr": 2e-2},
    },
    "fae": {
        **{"width": 4, "blocks": 1, "textures": "procedural", "times": 0},
        **{"steps": 60, "batch": 4, "lr": 1e-2},
    },
    "grad": {**GRIDS, "size": (0.5, 3.0)},
    "crad": GRIDS,
    "glcm": {"window": 4, "levels": 16, "stride": 1},
    "spectral_residual": {"width": None, "sigma": 2.0},
    "pg_lsr": {"width": None, "patch": 6, "overlap": 3, "sigma": 1.0},
    "rpca": {"patch": 8, "stride": 4},
    "spade": {"backbone": "tiny", "neighbours": 3, "sigma": 1.0},
    "padim": {"backbone": "tiny", "dims": 20, "sigma": 1.0},
    "patchcore": {"backbone": "tiny", "levels": (1, 2), "dim": 64, "sigma": 1.0},
    "stfpm": {"backbone": "tiny", "levels": (1,), "epochs": 2},
    "fastflow": {"backbone": "tiny", "levels": (1,), "steps": 2, "epochs": 2},
    "dsr": {"weights": "tiny", "size": 64, "epochs": 1, "refining": 1},
    "winclip": {"backbone": "tiny"},
    "random": {},
    "pixelmean": {},
}
LIBRARY = ("stfpm", "fastflow", "dsr", "winclip")  # anomalib's
FLOORS = ("random", *LIBRARY)  # find nothing: one must not, the others have random weights here
EXTRAS = {name: ("anomalib", "open_clip") for name in LIBRARY}  # skipped where they are not


def tiny(name: str, **settings):
    for package in EXTRAS.get(name, ()):
        pytest.importorskip(package)
    return METHODS[name](**TINY[name] | settings)


def learned(method) -> dict[str, torch.Tensor]:
    """A copy of every tensor that a method has learned."""
    found = {}
    for name, value in vars(method).items():
        if isinstance(value, torch.nn.Module):
            found |= {f"{name}.{key}": t.clone() for key, t in value.state_dict().items()}
        elif isinstance(value, torch.Tensor):
            found[name] = value.clone()
    return found


def test_every_method_has_tiny_settings():
    assert set(TINY) == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_fit_and_map(name, toy):
    stream = torch.get_rng_state()
    method = tiny(name)
    assert method.fit(toy.train) is method
    before = learned(method)
    maps = method.anomaly_map(toy.test)
    assert maps.shape == toy.masks.shape and maps.isfinite().all()
    assert method.image_score(maps).shape == toy.labels.shape
    if name not in FLOORS:  # finds a plain defect
        assert maps[toy.masks].mean() > 1.3 * maps[~toy.masks].mean()
    assert torch.equal(stream, torch.get_rng_state())  # leaves the global stream alone
    after = learned(method)  # a map changes nothing in the method
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("name", METHODS)
def test_same_seed_same_map_and_refit_forgets(name, toy):
    method = tiny(name).fit(toy.train)
    maps = method.anomaly_map(toy.test[:3])
    fresh = replace(method)  # same hyperparameters, nothing learned
    assert not any(key.endswith("_") for key in vars(fresh))
    assert torch.equal(maps, fresh.fit(toy.train).anomaly_map(toy.test[:3]))
    method.fit(toy.test).fit(toy.train)  # the last fit is the only one that counts
    assert torch.equal(maps, method.anomaly_map(toy.test[:3]))


@pytest.mark.parametrize("name", METHODS)
def test_a_map_ignores_its_batch(name, toy):
    method = tiny(name).fit(toy.train)
    maps = method.anomaly_map(toy.test[:3])
    assert torch.allclose(method.anomaly_map(toy.test[2:3]), maps[2:3], atol=1e-5)


@pytest.mark.parametrize("name", ["random", "ssdnet", "pg_lsr"])
def test_another_seed_is_another_map(name, toy):
    first, second = (tiny(name, seed=s).fit(toy.train).anomaly_map(toy.test[:1]) for s in (0, 1))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("name", METHODS)
def test_missing_pixels_give_finite_maps(name, toy):
    holes = toy.test[:2].clone()
    holes[0, :, 3:5, 3:9] = torch.nan
    holes[1] = torch.nan
    maps = tiny(name).fit(toy.train).anomaly_map(holes)
    assert maps.isfinite().all() and maps.shape == (2, 32, 32)


@pytest.mark.parametrize("name", METHODS)
def test_a_constant_image_gives_a_finite_map(name, toy):
    maps = tiny(name).fit(toy.train).anomaly_map(torch.full((1, 3, 32, 32), 0.5))
    assert maps.isfinite().all()


@pytest.mark.parametrize("name", METHODS)
def test_mistakes_are_loud(name, toy):
    with pytest.raises(TypeError):
        METHODS[name](no_such_setting=1)
    with pytest.raises(TypeCheckError):
        METHODS[name]().fit(toy.train[:, :1])  # grey images


@pytest.mark.parametrize("name", METHODS)
def test_the_paper_departs_from_itself_in_nothing(name):
    for key, values in {"textures/toy": {}, **METHODS[name].published}.items():
        dataset, _, category = key.partition("/")
        method = METHODS[name].paper(dataset, category)
        assert method.departures(dataset, category) == "paper"
        assert {k: getattr(method, k) for k in values} == values


def test_departures_are_named():
    method = METHODS["pixelmean"].paper("mvtec", "grid", blur=3, seed=5)
    assert method.departures("mvtec", "grid") == "blur=3"
    assert method.changes("mvtec", "grid") == {"blur": 3}


def test_variants_of_a_dataset_keep_the_settings_of_its_paper():
    plain = METHODS["ssdnet"].paper("mvtec", "grid")
    assert METHODS["ssdnet"].paper("mvtec+sample+noise=0.05", "grid") == plain


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", METHODS)
def test_a_method_computes_where_its_images_are(name, toy):
    there = toy.to("cuda")
    maps = tiny(name).fit(there.train).anomaly_map(there.test[:2])
    assert maps.is_cuda
