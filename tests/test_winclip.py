"""WinCLIP: the extra, the weights, and anomalib's own map from the same network."""

import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from anomlib.methods.winclip import WinCLIP, load_clip

SMALL = {  # a network with a name, of the size of anomalib's: what the tests below store and load
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 240, "patch_size": 48, "width": 32, "head_width": 16, "layers": 1,
    },
    "text_cfg": {"width": 16, "heads": 2, "layers": 1},
}  # fmt: skip


def images(n=2, height=32, width=48):
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def open_clip(monkeypatch, tmp_path) -> Any:
    """The library, which also knows `small-seeded`; no weights at hand and no network."""
    pytest.importorskip("anomalib")
    library = pytest.importorskip("open_clip")
    monkeypatch.setenv("ANOMLIB_DATA", str(tmp_path))
    monkeypatch.setitem(library.factory._MODEL_CONFIGS, "small", SMALL)
    known = [*library.list_pretrained(), ("small", "seeded")]
    monkeypatch.setattr(library, "list_pretrained", lambda: known)

    def no_network(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(library.factory, "download_pretrained", no_network)
    (tmp_path / "weights").mkdir()
    return library


def stored(open_clip, tmp_path, prefix="") -> dict[str, torch.Tensor]:
    """The weights of a small network, after they were written where they are looked for."""
    torch.manual_seed(3)
    tensors = open_clip.create_model("small").state_dict()
    checkpoint = {f"{prefix}{key}": value for key, value in tensors.items()}
    checkpoint = {"epoch": 31, "state_dict": checkpoint} if prefix else checkpoint
    torch.save(checkpoint, tmp_path / "weights" / "small-seeded.pth")
    return tensors


def test_without_the_extra_fit_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)  # as if it were not installed
    with pytest.raises(ImportError, match=r'`.venv/bin/pip install -e "\.\[baselines\]"`'):
        WinCLIP().fit(images())


def test_an_open_clip_that_anomalib_misreads_is_refused(monkeypatch, open_clip):
    monkeypatch.setattr(open_clip.transformer.Transformer, "batch_first", True, raising=False)
    with pytest.raises(ImportError, match="2.26.1 and later"):
        WinCLIP(backbone="tiny").fit(images())


def test_missing_weights_name_the_places_and_the_fix(open_clip, tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        WinCLIP().fit(images())
    place = str(tmp_path / "weights" / "ViT-B-16-plus-240-laion400m_e31.pth")
    for part in (place, "could not download", "OSError", "make data"):
        assert part in str(error.value)
    with pytest.raises(FileNotFoundError, match="open_clip knows no such model"):
        WinCLIP(backbone="no-such-model").fit(images())


@pytest.mark.parametrize("prefix", ["", "module."])  # tensors alone, a checkpoint of training
def test_local_weights_are_the_networks_weights(open_clip, tmp_path, prefix):
    tensors = stored(open_clip, tmp_path, prefix)
    stream = torch.get_rng_state()
    loaded = load_clip("small-seeded").state_dict()
    assert torch.equal(stream, torch.get_rng_state())
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[key], tensors[key]) for key in tensors)


@pytest.mark.parametrize("content", [{"a": torch.zeros(3)}, {"state_dict": slice(3)}])
def test_a_file_of_something_else_is_refused(open_clip, tmp_path, content):
    torch.save(content, tmp_path / "weights" / "small-seeded.pth")
    with pytest.raises(ValueError, match="small-seeded.pth does not hold the weights"):
        load_clip("small-seeded")


def test_the_map_is_anomalibs_from_the_same_weights(monkeypatch, open_clip, tmp_path):
    """anomalib loads the file by itself and prepares the images by its own pre-processor."""
    from anomalib.models.image.winclip import (  # type: ignore[import-not-found]
        WinClip,
        torch_model,
    )

    stored(open_clip, tmp_path)
    monkeypatch.setattr(torch_model, "BACKBONE", "small")
    monkeypatch.setattr(torch_model, "PRETRAINED", str(tmp_path / "weights" / "small-seeded.pth"))
    theirs = torch_model.WinClipModel("grid").eval()
    x = WinClip.configure_pre_processor().transform(images())
    expected = F.interpolate(theirs(x).anomaly_map[:, None], (32, 48), mode="bilinear")[:, 0]
    ours = WinCLIP(backbone="small-seeded", class_name="grid").fit(images())
    assert torch.allclose(ours.anomaly_map(images()), expected, atol=1e-6)
    assert expected.std() > 1e-4  # not constant


@pytest.mark.parametrize(
    "setting", [{"class_name": "grid"}, {"scales": (2,)}, {"temperature": 1.0}]
)
def test_every_setting_changes_the_map(open_clip, setting):
    plain, other = (WinCLIP(backbone="tiny", **s).fit(images()) for s in ({}, setting))
    assert not torch.allclose(plain.anomaly_map(images()), other.anomaly_map(images()), atol=1e-6)


def test_maps_of_many_images_with_missing_pixels(open_clip):
    x = images(n=11)  # more than are computed at once
    x[4, :, 5:9, 5:9] = torch.nan
    method = WinCLIP(backbone="tiny").fit(x[:1])
    maps = method.anomaly_map(x.requires_grad_())
    assert maps.shape == (11, 32, 48) and maps.isfinite().all() and not maps.requires_grad
    assert torch.allclose(maps[4:5], method.anomaly_map(x[4:5]), atol=1e-6)


def test_prompts_of_mvtec_name_the_category():
    assert WinCLIP.paper("mvtec+sample", "metal_nut") == WinCLIP(class_name="metal nut")
    assert WinCLIP.paper("textures", "grid") == WinCLIP()
