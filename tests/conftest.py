"""What several tests share: a tiny in-memory dataset, and one on disk in our layout."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from anomlib.api import Dataset
from anomlib.ops import gaussian_blur

torch.set_num_threads(1)  # tensors are tiny here; threads would only wait for each other


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Tests keep features in a folder of their own, not among the data at hand."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("anomlib.features.cache_root", lambda: folder)
        yield folder


@pytest.fixture(scope="session")
def toy() -> Dataset:
    """Grained stripes with small bright squares, 32 x 32: a plain defect on a plain surface."""
    generator = torch.Generator().manual_seed(0)
    stripes = 0.4 + 0.2 * (torch.arange(32) // 4 % 2).expand(16, 3, 32, 32)
    grain = gaussian_blur(torch.randn(16, 3, 32, 32, generator=generator), sigma=1.0)
    images = stripes + 0.3 * grain
    train, test = images.clamp(0, 1).split(8)
    masks = torch.zeros(8, 32, 32, dtype=torch.bool)
    masks[::2, 10:14, 12:16] = True
    return Dataset(
        name="textures",
        category="toy",
        train=train,
        test=(test + 0.4 * masks[:, None]).clamp(0, 1),
        labels=masks.flatten(1).any(dim=1),
        masks=masks,
        paths=[f"{'square' if i % 2 == 0 else 'good'}/{i:03}.png" for i in range(8)],
    )


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A root with `folder/cups`: three training and four test images, two of them defective."""
    category = tmp_path / "folder" / "cups"
    rng = np.random.default_rng(0)
    for i in range(3):
        write(category / "train" / "good" / f"{i}.png", rng.integers(0, 256, (20, 30, 3)))
    for i in range(2):
        write(category / "test" / "good" / f"{i}.png", rng.integers(0, 256, (20, 30, 3)))
        write(category / "test" / "dent" / f"{i}.png", rng.integers(0, 256, (20, 30)))
        mask = np.zeros((20, 30))
        mask[5:10, 6:16] = 1  # any non-zero value counts
        write(category / "ground_truth" / "dent" / f"{i}_mask.png", mask)
    return tmp_path


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
