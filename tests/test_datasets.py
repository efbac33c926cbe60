"""Names, files and what a bad file is told."""

import json

import numpy as np
import pytest
import torch
from conftest import write
from PIL import Image

from anomlib import datasets


def test_layout_becomes_tensors(layout):
    data = datasets.load("folder", "cups", size=16, root=layout)
    assert data.name == "folder+size=16" and data.category == "cups"
    assert data.train.shape == (3, 3, 16, 16) and data.test.shape == (4, 3, 16, 16)
    assert data.paths == ["dent/0.png", "dent/1.png", "good/0.png", "good/1.png"]
    assert data.labels.tolist() == [True, True, False, False]
    assert data.masks is not None and data.masks[0].any() and not data.masks[2:].any()
    assert 0 <= data.test.min() and data.test.max() <= 1
    assert torch.equal(data.test[0, 0], data.test[0, 2])  # grey becomes RGB


def test_masks_are_resized_by_nearest_neighbour(layout):
    mask = datasets.load("folder", "cups", size=10, root=layout).masks
    source = np.zeros((20, 30))
    source[5:10, 6:16] = 1
    nearest = source[1::2, 1::3]  # the pixel in the middle of each 2 x 3 cell
    assert mask is not None and np.array_equal(mask[0].numpy(), nearest > 0)


def test_without_ground_truth_there_are_no_masks(layout):
    truth = layout / "folder" / "cups" / "ground_truth"
    truth.rename(layout / "away")
    assert datasets.load("folder", "cups", size=8, root=layout).masks is None


@pytest.mark.parametrize(
    ("mode", "dtype", "value", "expected"),
    [
        ("L", np.uint8, 51, 0.2),
        ("I;16", np.uint16, 13107, 0.2),
        ("RGB", np.uint8, 51, 0.2),
        ("RGBA", np.uint8, 51, 0.2),
        ("LA", np.uint8, 51, 0.2),
    ],
)
def test_bit_depths_and_modes(tmp_path, mode, dtype, value, expected):
    channels = {"RGB": 3, "RGBA": 4, "LA": 2}.get(mode)
    pixels = np.full((6, 5, channels) if channels else (6, 5), value, dtype)
    if mode in ("RGBA", "LA"):
        pixels[..., -1] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = datasets.read_image(tmp_path / "a.png", 4)
    assert image.shape == (3, 4, 4) and torch.allclose(image, torch.tensor(expected), atol=1e-4)


def test_resize_rule_is_antialiased_and_plain_is_a_variant(layout):
    stripes = np.zeros((64, 64))
    stripes[:, ::2] = 255  # finer than the target can show
    write(layout / "folder" / "cups" / "test" / "good" / "0.png", stripes)
    smooth, plain = (
        datasets.load(name, "cups", size=8, root=layout).test[2]
        for name in ("folder", "folder+plain")
    )
    assert torch.allclose(smooth, torch.tensor(0.5), atol=0.1)
    assert not torch.allclose(smooth, plain, atol=1e-3)


# ---- names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mvtec", "mvtec"),
        ("mvtec+size=256", "mvtec"),
        ("mvtec+nseed=1+noise=0.050+sample", "mvtec+sample+noise=0.05+nseed=1"),
        ("textures+size=64", "textures+size=64"),
        ("mtd+missing=0+first=2+plain", "mtd+plain+first=2"),
    ],
)
def test_one_spelling_of_a_name(name, expected):
    assert datasets.canonical(*datasets.parse(name)) == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mvtek", "unknown dataset 'mvtek'; known are: textures"),
        ("mvtec+blur=1", r"cannot read 'blur=1'.*\+noise=<number>"),
        ("mvtec+sample=1", "cannot read"),
        ("mvtec+noise", "cannot read"),
        ("mvtec+noise=0.1+noise=0.2", "each once"),
        ("mvtec+noise=-1", "from 0 to 1, not -1"),
        ("mvtec+missing=nan", "from 0 to 1"),
        ("mvtec+first=1.5", "whole number"),
    ],
)
def test_bad_names_are_explained(name, message):
    with pytest.raises(ValueError, match=message):
        datasets.parse(name)


def test_first_takes_defective_images_only(layout):
    data = datasets.load("folder+first=1", "cups", size=8, root=layout)
    assert data.paths == ["dent/0.png"] and data.labels.all()


def test_noise_and_missing_pixels(layout):
    def images_of(name):
        return datasets.load(name, "cups", size=32, root=layout).test

    clean, noisy, again = map(images_of, ("folder", "folder+noise=0.05", "folder+noise=0.05"))
    assert torch.equal(noisy, again)
    assert 0.03 < (noisy - clean).std() < 0.06 and noisy.min() >= 0 and noisy.max() <= 1
    assert not torch.equal(noisy, images_of("folder+noise=0.05+nseed=1"))
    one = images_of("folder+noise=0.05+first=1")
    assert torch.equal(one[0], noisy[0])  # a subset sees the same noise
    holes = images_of("folder+missing=0.1").isnan()
    assert torch.equal(holes[:, 0], holes[:, 2])  # in all channels
    assert 0.07 < holes.float().mean() < 0.13
    clean_train = datasets.load("folder", "cups", size=32, root=layout).train
    assert torch.equal(
        datasets.load("folder+noise=0.05", "cups", size=32, root=layout).train, clean_train
    )


def test_a_sample_is_never_the_whole_set(layout):
    (layout / "folder").rename(layout / "mvtec+sample")
    assert datasets.load("mvtec+sample", "cups", size=8, root=layout).name == "mvtec+sample+size=8"
    with pytest.raises(FileNotFoundError, match="at hand is 'mvtec\\+sample'"):
        datasets.load("mvtec", "cups", root=layout)
    manifest = layout / "mvtec+sample" / "cups" / "manifest.json"
    assert datasets.complete("mvtec+sample", "cups", root=layout) is None
    manifest.write_text(json.dumps({"complete": False}))
    assert datasets.complete("mvtec+sample+noise=0.1", "cups", root=layout) is False


# ---- bad input: one message that names the file and the fix


def test_truncated_image(layout):
    path = layout / "folder" / "cups" / "train" / "good" / "1.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=rf"cannot read {path}.*replace the file"):
        datasets.load("folder", "cups", root=layout)


def test_text_file_named_png(layout):
    path = layout / "folder" / "cups" / "test" / "dent" / "1.png"
    path.write_text("not an image")
    with pytest.raises(ValueError, match=rf"cannot read {path}"):
        datasets.load("folder", "cups", root=layout)


def test_mask_of_another_size(layout):
    path = layout / "folder" / "cups" / "ground_truth" / "dent" / "0_mask.png"
    write(path, np.ones((20, 20)))
    with pytest.raises(ValueError, match=rf"{path} is 20 x 20 pixels.*30 x 20"):
        datasets.load("folder", "cups", root=layout)


def test_defective_image_without_mask(layout):
    (layout / "folder" / "cups" / "ground_truth" / "dent" / "1_mask.png").unlink()
    with pytest.raises(ValueError, match="dent/1.png is defective but has no mask"):
        datasets.load("folder", "cups", root=layout)


def test_empty_training_folder(layout):
    for path in (layout / "folder" / "cups" / "train" / "good").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="no training image in .*train/good"):
        datasets.load("folder", "cups", root=layout)


def test_unknown_category_lists_the_known_ones(layout):
    with pytest.raises(ValueError, match="no category 'mugs'; it has: cups"):
        datasets.load("folder", "mugs", root=layout)


def test_missing_dataset_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="run `make data`"):
        datasets.load("mvtec", "grid", root=tmp_path)
    with pytest.raises(FileNotFoundError, match="put its images into"):
        datasets.load("folder", "cups", root=tmp_path)


def test_a_share_of_the_training_images(tmp_path):
    folder = tmp_path / "folder" / "a"
    for i in range(10):
        write(folder / "train" / "good" / f"{i}.png", np.full((4, 4), i * 20, np.uint8))
    write(folder / "test" / "good" / "0.png", np.zeros((4, 4), np.uint8))

    def drawn(name):
        data = datasets.load(name, "a", root=tmp_path)
        return data.name, {round(x.item() * 255 / 20) for x in data.train.mean(dim=(1, 2, 3))}

    names = ["folder+train=0.2", "folder+train=0.5", "folder+train=0.5+tseed=1"]
    (_, two), (_, five), (name, other) = map(drawn, names)
    assert len(two) == 2 and len(five) == len(other) == 5 and name == names[2]
    assert two < five != other  # of one draw, fewer are a part of more
    assert len(drawn("folder+train=0.001")[1]) == 1
    assert drawn("folder+train=1.0") == drawn("folder")
    assert datasets.complete("folder+train=0.2", "a", tmp_path) is False


def test_crop_keeps_the_middle_of_image_and_mask_alike(tmp_path):
    folder = tmp_path / "folder" / "a"
    pixels = np.zeros((8, 24, 3), np.uint8)
    pixels[:, 8:16] = 200  # the middle third; what a crop keeps
    for path in ("train/good/0.png", "test/hole/0.png"):
        write(folder / path, pixels)
    write(folder / "ground_truth/hole/0_mask.png", pixels[:, :, 0])
    whole = datasets.load("folder+size=8", "a", root=tmp_path)
    cropped = datasets.load("folder+crop+size=8", "a", root=tmp_path)
    assert whole.masks is not None and cropped.masks is not None
    assert torch.equal(cropped.test, torch.full((1, 3, 8, 8), 200 / 255))
    assert cropped.masks.all() and torch.equal(cropped.train, cropped.test)
    assert 0 < whole.masks.float().mean() < 1
    smaller = datasets.load("folder+crop+size=4", "a", root=tmp_path)
    assert smaller.test.shape == (1, 3, 4, 4) and smaller.masks is not None and smaller.masks.all()
