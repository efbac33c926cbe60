"""What the scripts write, on small originals made here; and what they say to wrong ones."""

import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write

from anomlib import METHODS, datasets, metrics

SCRIPTS = Path(__file__).parents[1] / "data_scripts"
sys.path.insert(0, str(SCRIPTS))

import elpv  # noqa: E402
import layout as layout_  # noqa: E402
import mtd  # noqa: E402
import mvtec  # noqa: E402


def run(script, *words):
    command = [sys.executable, str(SCRIPTS / f"{script}.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


def test_textures_are_byte_identical_and_whole(tmp_path):
    for name in ("a", "b"):
        outcome = run("textures", "--root", tmp_path / name, "--categories", "washer")
        assert outcome.returncode == 0 and "train/good 32" in outcome.stdout, outcome.stderr
    one, two = (
        {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.*")}
        for n in ("a", "b")
    )
    assert one == two and len(one) > 80
    (manifest,) = (tmp_path / "a").rglob("manifest.json")
    told = json.loads(manifest.read_text())
    assert told["complete"] and told["counts"]["train/good"] == 32
    assert sum(n for k, n in told["counts"].items() if k.startswith("test/")) >= 20


def test_textures_are_hard_for_floors_and_have_exact_masks():
    """The issue's bounds on the dataset itself: the floors know next to nothing on average."""
    found = {"random": [], "pixelmean": []}
    names = datasets.categories("textures")
    assert len(names) >= 5
    for category in names:
        data = datasets.load("textures+size=64", category)
        kinds = {p.partition("/")[0] for p in data.paths} - {"good"}
        assert len(kinds) >= 3 and len(data.train) >= 32 and len(data.test) >= 20
        assert data.masks is not None
        assert torch.equal(data.masks.flatten(1).any(dim=1), data.labels)
        for name, values in found.items():
            maps = METHODS[name]().fit(data.train).anomaly_map(data.test)
            values.append(metrics.pixel_auroc(maps, data.masks))
    assert abs(np.mean(found["random"]) - 0.5) < 0.02
    assert np.mean(found["pixelmean"]) < 0.65


@pytest.fixture
def tiles(tmp_path, monkeypatch):
    """A tiny copy of the tiles' layout: every original is the same small image."""
    counts = {"Free": 20, "Blowhole": 2, "Break": 1, "Crack": 1, "Fray": 1, "Uneven": 1}
    for kind, count in counts.items():
        for i in range(count):
            folder = tmp_path / "mtd" / f"MT_{kind}" / "Imgs"
            write(folder / f"{kind}{i}.jpg", np.full((8, 9), 100))
            write(folder / f"{kind}{i}.png", np.eye(8, 9) if kind != "Free" else np.zeros((8, 9)))
    monkeypatch.setattr(mtd, "COUNTS", counts)
    monkeypatch.setattr(mtd, "SPLITS", tmp_path)
    good = [f"Free{i}.jpg" for i in range(20)]
    for split in range(3):
        (tmp_path / f"mtd_split{split}.txt").write_text("\n".join(layout_.draw(good, split)))
    words = ["mtd.py", "--source", str(tmp_path / "mtd"), "--root", str(tmp_path / "data")]
    monkeypatch.setattr(sys, "argv", words)
    return tmp_path


def test_mtd_splits(tiles):
    mtd.main()
    root = tiles / "data"
    loaded = {s: datasets.load("mtd", f"split{s}", size=8, root=root) for s in range(3)}
    for data in loaded.values():
        assert len(data.train) == 16 and len(data.test) == 4 + 6
        assert data.masks is not None and data.masks[data.labels].flatten(1).any(dim=1).all()
    assert loaded[0].paths != loaded[1].paths
    sample = datasets.load("mtd+sample", "split0", size=8, root=root)
    assert sample.labels.all() and len(sample.test) == 6
    assert datasets.complete("mtd", "split0", root) is True
    assert datasets.complete("mtd+sample", "split0", root) is False


def test_mtd_with_a_tile_missing(tiles):
    (tiles / "mtd" / "MT_Crack" / "Imgs" / "Crack0.jpg").unlink()
    with pytest.raises(SystemExit, match="'Crack': 0"):
        mtd.main()
    assert not (tiles / "data").exists()


def test_stored_splits_are_those_of_their_seeds():
    """The lists are what counts; they can be drawn again where the originals are."""
    lists = [(SCRIPTS / "splits" / f"mtd_split{s}.txt").read_text().split() for s in range(3)]
    assert [len(names) for names in lists] == [190, 190, 190]
    assert len(set(map(tuple, lists))) == 3
    cells = elpv.read_labels(elpv.package_folder() / "labels.csv")  # type: ignore[operator]
    for category in ("mono", "poly"):
        good = [p.name for p, score, kind in cells if kind == category and score == 0]
        stored = (SCRIPTS / "splits" / f"elpv_{category}.txt").read_text().split()
        assert layout_.draw(good) == stored


def test_elpv_has_image_labels_only():
    data = datasets.load("elpv", "mono", size=16)
    assert data.masks is None
    assert (len(data.train), int(data.labels.sum()), len(data.test)) == (470, 369, 487)


def test_mvtec_parts_become_a_sample(tmp_path):
    source = tmp_path / "originals" / "grid"
    write(source / "train" / "good" / "000.png", np.zeros((8, 8)))
    write(source / "test" / "bent" / "000.png", np.zeros((8, 8)))
    write(source / "ground_truth" / "bent" / "000_mask.png", np.ones((8, 8)))
    (source / "license.txt").write_text("not an image")
    outcome = run("mvtec", "--source", source.parent, "--root", tmp_path / "data")
    assert outcome.returncode == 0 and "partial set" in outcome.stdout, outcome.stderr
    data = datasets.load("mvtec+sample", "grid", size=8, root=tmp_path / "data")
    assert data.paths == ["bent/000.png"] and data.masks is not None and data.masks.all()


def test_mvtec_counts_are_the_official_ones():
    assert [sum(c) for c in zip(*mvtec.COUNTS.values(), strict=True)] == [3629, 1725]


def test_an_archive_with_another_hash_is_refused(tmp_path):
    archive = tmp_path / "mvtec_anomaly_detection.tar.xz"
    archive.write_bytes(b"half a download")
    outcome = run("mvtec", "--source", archive, "--root", tmp_path / "data")
    assert outcome.returncode == 1
    assert f"{archive} has sha256" in outcome.stderr and "download it again" in outcome.stderr
    assert not (tmp_path / "data").exists()


def test_an_archive_cannot_write_outside(tmp_path):
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as tar:
        info = tarfile.TarInfo("../escaped.txt")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"out"))
    with pytest.raises(SystemExit, match="cannot unpack"):
        with layout_.folder_of(archive, "escaped.txt"):
            pass
    assert not list(tmp_path.parent.rglob("escaped.txt"))


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_mtd_from_an_archive(tiles, kind, monkeypatch):
    archive = shutil.make_archive(str(tiles / "copy"), kind, tiles, "mtd")
    words = ["mtd.py", "--source", archive, "--root", str(tiles / "data")]
    monkeypatch.setattr(sys, "argv", words)
    mtd.main()
    assert len(datasets.load("mtd", "split1", size=8, root=tiles / "data").train) == 16


def test_weights_that_cannot_be_loaded(tmp_path):
    (tmp_path / "resnet50.pth").write_bytes(b"not a file of tensors")
    outcome = run("weights", "--source", tmp_path, "--root", tmp_path / "data")
    assert outcome.returncode == 1 and "cannot be loaded" in outcome.stderr
    torch.save({"a": torch.ones(2)}, tmp_path / "resnet50.pth")
    assert run("weights", "--source", tmp_path, "--root", tmp_path / "data").returncode == 0
    assert (tmp_path / "data" / "weights" / "resnet50.pth").is_file()


def test_no_originals_is_one_line(tmp_path):
    outcome = run("dtd", "--source", tmp_path / "nowhere", "--root", tmp_path)
    assert outcome.returncode == 1 and outcome.stderr.startswith("dtd.py: no originals at")
