"""anomalib's models: the extra, the weights, and the maps that anomalib makes of the same ones."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from anomlib import METHODS, features, library, metrics
from anomlib.assets import shipped_weights
from anomlib.library import Pyramid
from anomlib.methods.dsr import DSR, KNOWN, TINY, FocalLoss, dsr
from anomlib.methods.fastflow import FastFlow
from anomlib.methods.stfpm import STFPM
from anomlib.ops import seeded

NAMES = ("stfpm", "fastflow", "dsr")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SMALL: dict[str, Any] = {"levels": (1, 2), "epochs": 1}


def images(n=3, height=32, width=64):
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def extra() -> Any:
    """anomalib's part of a name, where it is installed."""
    pytest.importorskip("anomalib")
    return library.anomalib


# ---- what needs no extra


@pytest.mark.parametrize("name", NAMES)
def test_without_the_extra_fit_says_what_to_install(monkeypatch, name):
    def missing(name):
        raise ModuleNotFoundError("No module named 'anomalib'")

    monkeypatch.setattr(library, "import_module", missing)
    with pytest.raises(ImportError, match=r'`.venv/bin/pip install -e "\.\[baselines\]"`'):
        METHODS[name]().fit(images())


def test_a_trained_pyramid_gives_the_features_of_its_backbone():
    x, pyramid = images(), Pyramid("tiny", (2, 1))
    found = pyramid.train()(x)  # asked to learn, it does not
    for ours, theirs in zip(found, features.features(x, "tiny", (1, 2)), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)
    assert not any(p.requires_grad for p in pyramid.parameters())
    assert pyramid.feature_info.reduction() == [4, 8]
    with pytest.raises(ValueError, match="tiny has the levels"):
        Pyramid("tiny", (1, 9))


def test_an_untrained_pyramid_is_the_same_network_with_other_weights(monkeypatch):
    msra: Any = features._architecture("resnet50_msra_v1")  # its strides are its own
    monkeypatch.setattr(library, "load_backbone", lambda name: msra)
    monkeypatch.setattr(library, "normalisation", lambda name: ((0.5,) * 3, (0.2,) * 3))
    with seeded(0):
        teacher, student = (Pyramid("any", (2,), trained=t) for t in (True, False))
    for ours, theirs in zip(student.modules(), teacher.modules(), strict=True):
        if isinstance(ours, nn.Conv2d) and isinstance(theirs, nn.Conv2d):
            assert ours.stride == theirs.stride
            assert not torch.equal(ours.weight, theirs.weight)
    assert student.training and all(p.requires_grad for p in student.parameters())


def test_training_sees_every_image_of_an_epoch_and_keeps_the_last():
    weight, seen = torch.zeros(1, requires_grad=True), []

    def loss(x):
        seen.append(x[:, 0, 0, 0].tolist())
        return (weight - 1).square().sum()

    sgd = torch.optim.SGD([weight], lr=0.25)
    fall = torch.optim.lr_scheduler.MultiStepLR(sgd, [1], gamma=0.0)
    x = torch.arange(5.0)[:, None, None, None].expand(5, 3, 1, 1)
    losses = library.train(loss, sgd, x, epochs=2, batch=2, schedule=fall)
    assert [len(part) for part in seen] == [2, 2, 1] * 2
    assert sorted(sum(seen[:3], [])) == sorted(sum(seen[3:], [])) == [0, 1, 2, 3, 4]
    assert seen[:3] != seen[3:]  # shuffled anew
    assert weight.item() == 1 - 0.5**3  # three steps, then a rate of zero
    first = (2 * 1 + 2 * 0.25 + 0.0625) / 5  # the last batch counts by its one image
    assert losses == pytest.approx([first, 0.5**6])


def test_the_focal_loss_by_hand():
    probabilities = torch.tensor([[[[0.75, 0.5]], [[0.25, 0.5]]]])  # normal, anomalous
    loss = FocalLoss()(probabilities, torch.tensor([[[0, 1]]]))
    first, second = torch.tensor([0.75, 0.5]).log()
    assert torch.isclose(loss, -(0.25**2 * first + 0.5**2 * second) / 2)
    everywhere = torch.tensor([0.0, 1.0])[None, :, None, None].expand(1, 2, 4, 4)
    assert FocalLoss()(everywhere, torch.zeros(1, 4, 4).long()) > 10  # a false alarm is no optimum
    assert FocalLoss()(everywhere, torch.ones(1, 4, 4).long()).item() == pytest.approx(0)


# ---- STFPM


def test_stfpms_map_is_anomalibs_from_the_same_weights(monkeypatch, extra):
    ours = STFPM(backbone="tiny", **SMALL).fit(images())
    torch_model = extra("models.image.stfpm.torch_model")
    here = torch_model.TimmFeatureExtractor
    monkeypatch.setattr(
        torch_model,
        "TimmFeatureExtractor",
        lambda pre_trained, **how: here(pre_trained=False, **how),  # no download
    )
    with seeded(1):
        theirs = torch_model.STFPMModel(["layer1", "layer2"], "resnet10t").eval()
    for name in ("teacher_model", "student_model"):
        weights = getattr(ours.net_, name).net.state_dict()
        extractor = getattr(theirs, name).feature_extractor
        assert not extractor.load_state_dict(weights, strict=False).missing_keys
    mean, std = (torch.tensor(v)[:, None, None] for v in features.normalisation("tiny"))
    with torch.no_grad():
        expected = theirs((images() - mean) / std).anomaly_map[:, 0]
    assert torch.allclose(ours.anomaly_map(images()), expected, rtol=1e-3, atol=1e-7)
    assert expected.std() > 0.1 * expected.mean()  # not constant


def test_stfpms_loss_is_that_of_its_code(extra):
    x = images()
    still: dict[str, Any] = SMALL | {"backbone": "tiny", "lr": 0.0}
    ours = STFPM(**still).fit(x)
    net = ours.net_.train()
    pairs = zip(net.teacher_model(x).values(), net.student_model(x).values(), strict=True)
    gaps = [(F.normalize(t) - F.normalize(s)).square().sum(dim=1).mean() for t, s in pairs]
    code = torch.stack(gaps).sum().item()  # the mean over positions and images, levels added
    assert ours.losses_ == pytest.approx([code], rel=1e-5)
    summed = STFPM(**still, summed=True).fit(x)
    assert summed.losses_ == pytest.approx([code * len(x) / 2], rel=1e-5)


def test_only_stfpms_student_learns(extra):
    before, after = (STFPM(backbone="tiny", **dict(SMALL, epochs=n)).fit(images()) for n in (0, 1))
    for name, alike in {"teacher_model": True, "student_model": False}.items():
        old, new = (getattr(m.net_, name).state_dict() for m in (before, after))
        assert all(torch.equal(old[key], new[key]) for key in old) == alike
    other = replace(before, seed=1).fit(images())
    assert not torch.equal(before.anomaly_map(images()), other.anomaly_map(images()))


# ---- FastFlow


def test_fastflows_map_is_anomalibs_from_the_same_weights(monkeypatch, extra, tmp_path):
    monkeypatch.setenv("ANOMLIB_DATA", str(tmp_path))
    torch_model = extra("models.image.fastflow.torch_model")
    with seeded(1):
        theirs = torch_model.FastflowModel((32, 64), "resnet18", pre_trained=False, flow_steps=2)
        full: Any = features._architecture("resnet18")
    full.load_state_dict(theirs.feature_extractor.state_dict(), strict=False)
    (tmp_path / "weights").mkdir()
    torch.save(full.state_dict(), tmp_path / "weights" / "resnet18.pth")
    features.load_backbone.cache_clear()  # others may have loaded that name from elsewhere
    ours = FastFlow(backbone="resnet18", steps=2, epochs=1).fit(images())
    features.load_backbone.cache_clear()
    learned = {k: v for k, v in ours.net_.state_dict().items() if "feature_extractor" not in k}
    assert not theirs.load_state_dict(learned, strict=False).unexpected_keys
    mean, std = (torch.tensor(v)[:, None, None] for v in IMAGENET)
    with torch.no_grad():
        expected = theirs.eval()((images() - mean) / std).anomaly_map[:, 0]
    assert torch.allclose(ours.anomaly_map(images()), expected, atol=1e-5)
    assert (
        expected.std() > 1e-4 and expected.max() < 0
    )  # minus a likelihood: higher is less likely


def test_fastflow_takes_sizes_that_divide_and_only_that_of_fit(extra):
    small = FastFlow(backbone="tiny", steps=1, **SMALL)
    with pytest.raises(ValueError, match="36 x 64 pixels, but FastFlow on tiny .* multiples of 8"):
        small.fit(images(height=36))
    with pytest.raises(ValueError, match="`fit` has seen 32 x 64"):
        small.fit(images()).anomaly_map(images(width=32))


# ---- DSR


@pytest.fixture
def nowhere(monkeypatch, extra, tmp_path) -> Any:
    """No weights at hand, no network, and an autoencoder of a few kilobytes."""
    monkeypatch.setenv("ANOMLIB_DATA", str(tmp_path))
    torch_model = extra("models.image.dsr.torch_model")
    small = partial(torch_model.DsrModel, num_residual_hiddens=4, **TINY)
    monkeypatch.setattr(torch_model, "DsrModel", small)

    def no_network(*_):
        raise OSError("no route")

    lightning = extra("models.image.dsr.lightning_model")
    monkeypatch.setattr(lightning.Dsr, "prepare_pretrained_model", staticmethod(no_network))
    (tmp_path / "weights").mkdir()
    return small


def test_missing_weights_name_the_places_and_the_fix(nowhere, tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        DSR().fit(images())
    place = str(tmp_path / "weights" / "vq_model_pretrained_128_4096.pth")
    for part in ("DSR's autoencoder", place, "could not download it (OSError)", "make data"):
        assert part in str(error.value)
    with pytest.raises(FileNotFoundError, match="anomalib knows no such file"):
        DSR(weights="other").fit(images())


def test_local_weights_are_the_autoencoders(nowhere, tmp_path):
    with seeded(3):
        tensors = nowhere(0.2).discrete_latent_model.state_dict()
    path = tmp_path / "weights" / f"{KNOWN}.pth"
    torch.save(tensors, path)
    loaded: Any = dsr(KNOWN, 0.2)
    found = loaded.discrete_latent_model.state_dict()
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[key], tensors[key]) for key in tensors)
    torch.save({"a": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=f"{KNOWN}.pth does not hold DSR's autoencoder"):
        dsr(KNOWN, 0.2)


def test_each_phase_of_dsr_trains_its_networks(extra):
    settings = {"weights": "tiny", "size": 64, "batch": 2}
    phases = ((0, 0), (1, 0), (1, 1))
    nets = [DSR(**settings, epochs=e, refining=r).fit(images(2)).net_ for e, r in phases]
    start, second, third = ({k: v.clone() for k, v in n.state_dict().items()} for n in nets)
    moved = {k.partition(".")[0] for k in start if not torch.equal(start[k], second[k])}
    assert moved == {
        "image_reconstruction_network",
        "subspace_restriction_module_lo",
        "subspace_restriction_module_hi",
        "anomaly_detection_module",
    }
    moved = {k.partition(".")[0] for k in second if not torch.equal(second[k], third[k])}
    assert moved == {"upsampling_module"}


def test_dsr_takes_images_of_any_size(extra):
    maps = DSR(weights="tiny", size=64, epochs=0, refining=0).fit(images()).anomaly_map(images())
    assert maps.shape == (3, 32, 64) and 0 <= maps.min() and maps.max() <= 1
    with pytest.raises(ValueError, match="size is a multiple of 32 from 64 on, not 48"):
        DSR(size=48)


# ---- with a network that knows pictures


@pytest.mark.parametrize("name", ["stfpm", "fastflow"])
def test_a_plain_defect_is_found(extra, toy, name):
    if shipped_weights("tf_efficientnet_lite0") is None:
        pytest.skip("its weights are not installed")
    how = {"backbone": "tf_efficientnet_lite0", "levels": (1,), "epochs": 12, "batch": 4}
    method = METHODS[name](**how).fit(toy.train)
    maps = method.anomaly_map(toy.test)
    found = metrics.pixel_metrics(maps, toy.masks)
    assert found["pixel_auroc"] > 0.7 and method.losses_[-1] < method.losses_[0]
