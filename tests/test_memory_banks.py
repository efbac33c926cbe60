"""SPADE, PaDiM and PatchCore against plain loops, scipy and scikit-learn."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.distance import mahalanobis as one_mahalanobis
from sklearn.covariance import EmpiricalCovariance
from sklearn.neighbors import NearestNeighbors

from anomlib.features import features
from anomlib.methods.padim import PaDiM, cholesky_, embedding, mahalanobis
from anomlib.methods.patchcore import PatchCore, greedy_coreset, patch_features
from anomlib.methods.spade import SPADE, correspondence, similar_images
from anomlib.ops import farthest_first, gaussian_blur, nearest

METHODS = {
    "spade": SPADE(backbone="tiny", neighbours=3),
    "padim": PaDiM(backbone="tiny", dims=20),
    "patchcore": PatchCore(backbone="tiny", dim=64),
}
every_method = pytest.mark.parametrize("name", METHODS)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def photos(n: int, size: int = 64, seed: int = 0) -> torch.Tensor:
    return (0.5 + 0.2 * gaussian_blur(random(n, 3, size, size, seed=seed), 1.0)).clamp(0, 1)


def enlarge(maps: torch.Tensor, sigma: float, size: int = 64) -> torch.Tensor:
    """What all three do at the end; the filter itself is tested with the operations."""
    return gaussian_blur(F.interpolate(maps[:, None], size, mode="bilinear"), sigma)[:, 0]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---- nearest rows of a bank


@pytest.mark.parametrize("block", [1, 7, 30, 4096])
def test_nearest_is_scikit_learns_whatever_the_block(block):
    x, bank = random(20, 5), random(30, 5, seed=1)
    distances, rows = NearestNeighbors(n_neighbors=1).fit(bank.numpy()).kneighbors(x.numpy())
    found, places = nearest(x, bank, block)
    assert torch.allclose(found, torch.tensor(distances[:, 0]).float(), atol=1e-6)
    assert places.tolist() == rows[:, 0].tolist()


def test_nearest_keeps_its_digits_far_from_the_origin():
    x = 1000 + random(10, 64).double()
    step = torch.zeros(64)
    step[0] = 0.5
    found, places = nearest(x.float(), torch.cat([x.float() + step, x.float() + 100]))
    assert torch.allclose(found, torch.full((10,), 0.5)) and places.tolist() == list(range(10))


def test_a_bank_in_half_precision_moves_a_distance_by_less_than_a_thousandth_of_the_length():
    x, bank = random(50, 256).relu(), random(500, 256, seed=1).relu()
    gap = nearest(x, bank.half())[0] - nearest(x, bank)[0]
    assert (gap.abs() < 1e-3 * x.norm(dim=1)).all()


# ---- greedy coreset


def one_by_one(x: np.ndarray, size: int, far: np.ndarray) -> list[int]:
    """Each choice by itself, each distance by itself."""
    chosen: list[int] = []
    for _ in range(size):
        chosen.append(max((i for i in range(len(x)) if i not in chosen), key=lambda i: far[i]))
        centre = x[chosen[-1]]
        far = np.array([min(far[i], math.dist(x[i], centre)) for i in range(len(x))])
    return chosen


@pytest.mark.parametrize("ahead", [1, 2, 10, 60, 512])
def test_farthest_first_is_one_choice_at_a_time(ahead):
    x = random(60, 4)
    far = x.norm(dim=1)
    expected = one_by_one(x.double().numpy(), 60, far.double().numpy())
    assert farthest_first(x, 60, far, ahead).tolist() == expected
    assert farthest_first(x, 7, far, ahead).tolist() == expected[:7]


def test_farthest_first_by_hand():
    x = torch.tensor([[0.0], [1.0], [5.0], [9.0]])
    assert farthest_first(x, 4, torch.tensor([3.0, 2, 1, 0])).tolist() == [0, 1, 2, 3]
    assert farthest_first(x, 4, torch.tensor([20.0, 10, 10, 10])).tolist() == [0, 3, 2, 1]


def test_coreset_begins_farthest_from_ten_random_rows():
    x = random(200, 6)
    starts = torch.randperm(200, generator=generator(5))[:10]
    far = np.array([np.mean([math.dist(a, b) for b in x[starts].numpy()]) for a in x.numpy()])
    expected = one_by_one(x.double().numpy(), 20, far)
    assert greedy_coreset(x, 20, generator(5)).tolist() == expected


def test_coreset_of_equal_rows_repeats_none():
    chosen = greedy_coreset(torch.ones(50, 3), 50, generator())
    assert sorted(chosen.tolist()) == list(range(50))


def test_coreset_covers_better_than_random():
    x = random(2000, 3)
    chosen = greedy_coreset(x, 50, generator())
    covered = nearest(x, x[chosen])[0].max()
    others = (
        nearest(x, x[torch.randperm(2000, generator=generator(s))[:50]])[0] for s in range(5)
    )
    assert covered < 0.75 * min(other.max() for other in others)


def test_coreset_is_the_same_for_a_seed():
    train = photos(4)
    banks = [replace(METHODS["patchcore"], seed=s).fit(train).bank_ for s in (0, 0, 1)]
    assert torch.equal(banks[0], banks[1]) and not torch.equal(banks[0], banks[2])


# ---- SPADE


def test_similar_images_are_scikit_learns():
    x, bank = random(6, 12), random(9, 12, seed=1)
    rows = NearestNeighbors(n_neighbors=4).fit(bank.numpy()).kneighbors(x.numpy())[1]
    assert similar_images(x, bank, 4).tolist() == rows.tolist()
    assert sorted(similar_images(x, bank, 50)[0].tolist()) == list(range(9))  # fewer than K


def test_correspondence_by_hand():
    x = torch.tensor([[[0.0, 3.0]], [[0.0, 4.0]]])  # two positions, two channels
    assert correspondence(x, torch.tensor([[0.0, 1], [3, 4]])).tolist() == [[1, 0]]


def test_spade_is_what_loops_over_images_levels_and_positions_find():
    train, test = photos(7), photos(2, seed=1)
    maps = SPADE(backbone="tiny", neighbours=3).fit(train).anomaly_map(test)
    *normal, normal_last = features(train, "tiny", (1, 2, 3, 4))
    *seen, seen_last = features(test, "tiny", (1, 2, 3, 4))
    for i in range(2):
        away = [math.dist(seen_last[i].mean((1, 2)), one.mean((1, 2))) for one in normal_last]
        similar = sorted(range(7), key=away.__getitem__)[:3]
        total = torch.zeros(1, 64, 64)
        for x, bank in zip(seen, normal, strict=True):
            rows = bank[similar].movedim(1, 3).flatten(0, 2)
            level = [[(rows - p).norm(dim=1).min() for p in line.T] for line in x[i].movedim(1, 0)]
            total += enlarge(torch.tensor(level)[None], 0.0)
        assert torch.allclose(maps[i], enlarge(total / 3, 4.0)[0], rtol=1e-3)


def test_spade_with_fewer_images_than_neighbours_compares_with_all():
    train, test = photos(4), photos(2, seed=1)
    few, all_ = (SPADE(backbone="tiny", neighbours=k).fit(train) for k in (50, 4))
    assert torch.equal(few.anomaly_map(test), all_.anomaly_map(test))


# ---- PaDiM


def test_embedding_repeats_coarse_levels_and_keeps_the_chosen_channels():
    fine, coarse = random(2, 3, 4, 6), random(2, 5, 2, 3)
    whole = torch.cat([fine, coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)], dim=1)
    dims = torch.tensor([0, 2, 3, 7])
    assert torch.equal(embedding([fine, coarse], dims), whole[:, dims])


@pytest.mark.parametrize("block", [1, 2, 64])
def test_mahalanobis_is_scikit_learns_and_scipys(block):
    n, d, p = 40, 6, 5
    train, x = random(n, d, p).double(), random(3, d, p, seed=1).double()
    mean = train.mean(dim=0)
    centred = (train - mean).permute(2, 0, 1)
    factor = cholesky_(centred.mT @ centred, n, 0.01, block)
    found = mahalanobis(x - mean, factor, block)
    plain = mahalanobis(x - mean, cholesky_(centred.mT @ centred, n, 0.0))
    for i in range(p):
        covariance = np.cov(train[:, :, i].numpy(), rowvar=False) + 0.01 * np.eye(d)
        inverse = np.linalg.inv(covariance)
        expected = [
            one_mahalanobis(one, mean[:, i].numpy(), inverse) for one in x[:, :, i].numpy()
        ]
        assert np.allclose(found[:, i], expected)
        biased = EmpiricalCovariance().fit(train[:, :, i].numpy())  # divides by n, not n - 1
        squared = biased.mahalanobis(x[:, :, i].numpy()) * (n - 1) / n
        assert np.allclose(plain[:, i] ** 2, squared)


@pytest.mark.parametrize("n", [1, 6, 40])  # fewer images than dimensions, chunks that end within
def test_padim_is_numpys_covariance_at_every_position(n):
    train, test = photos(n), photos(2, seed=1)
    method = PaDiM(backbone="tiny", dims=20, seed=3).fit(train)
    dims = torch.randperm(448, generator=generator(3))[:20].sort().values
    x, y = (embedding(features(i, "tiny", (1, 2, 3)), dims).double() for i in (train, test))
    expected = torch.zeros(2, 16, 16)
    for row in range(16):
        for column in range(16):
            samples = x[:, :, row, column].numpy()
            covariance = np.cov(samples, rowvar=False) if n > 1 else np.zeros((20, 20))
            inverse = np.linalg.inv(covariance + 0.01 * np.eye(20))
            for i in range(2):
                point = y[i, :, row, column].numpy()
                distance = one_mahalanobis(point, samples.mean(axis=0), inverse)
                expected[i, row, column] = distance
    assert torch.allclose(method.anomaly_map(test), enlarge(expected, 4.0), rtol=1e-3)


def test_padim_draws_other_channels_for_another_seed():
    first, second = (PaDiM(backbone="tiny", dims=20, seed=s).fit(photos(2)) for s in (0, 1))
    assert not torch.equal(first.dims_, second.dims_) and len(first.dims_.unique()) == 20


def test_padim_says_how_many_channels_there_are():
    with pytest.raises(ValueError, match="dims=550, but tiny has 448 channels"):
        PaDiM(backbone="tiny").fit(photos(2))


# ---- PatchCore


def windows(values: np.ndarray, count: int) -> np.ndarray:
    """Means over `count` windows that cover all values and may share one."""
    n = len(values)
    edges = [(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]
    return np.array([values[a:b].mean() for a, b in edges])


@pytest.mark.parametrize("channels", [(4, 6), (2, 16), (9, 3)])
def test_patch_features_are_windows_over_neighbourhoods(channels):
    fine, coarse = random(1, channels[0], 4, 6), random(1, channels[1], 2, 3, seed=1)
    pooled = []
    for x in (fine, coarse):
        padded = F.pad(x, (1, 1, 1, 1))[0].numpy()
        rows, columns = x.shape[-2:]
        level = np.zeros((1, 8, rows, columns), np.float32)
        for r in range(rows):
            for c in range(columns):
                level[0, :, r, c] = windows(padded[:, r : r + 3, c : c + 3].ravel(), 8)
        pooled.append(F.interpolate(torch.tensor(level), (4, 6), mode="bilinear")[0].numpy())
    found = patch_features([fine, coarse], patch=3, dim=8)
    for r in range(4):
        for c in range(6):
            both = np.concatenate([level[:, r, c] for level in pooled])
            assert np.allclose(found[0, r, c], windows(both, 8), atol=1e-5)


def test_patch_features_of_the_papers_network_are_channels_and_pairs_of_channels():
    """With 512 and 1024 channels the centre of a neighbourhood counts twice in the first half."""
    fine, coarse = random(1, 512, 2, 2), random(1, 1024, 1, 1, seed=1)
    found = patch_features([fine, coarse], patch=3, dim=1024)[0]
    around = F.avg_pool2d(fine, 3, 1, 1)
    assert torch.allclose(found[..., :512], ((9 * around + fine) / 10)[0].movedim(0, 2), atol=1e-5)
    pairs = (coarse / 9).view(512, 2).mean(dim=1)
    assert torch.allclose(found[..., 512:], pairs.expand(2, 2, 512), atol=1e-5)


@pytest.mark.parametrize("squared", [False, True])
def test_patchcore_with_every_patch_is_the_distance_to_the_nearest_one(squared):
    train, test = photos(10), photos(2, seed=1)
    method = PatchCore(backbone="tiny", dim=64, coreset=1.0, squared=squared).fit(train)
    x, y = (patch_features(features(i, "tiny", (2, 3)), 3, 64) for i in (train, test))
    expected = torch.cdist(y.flatten(0, 2).double(), x.flatten(0, 2).double()).amin(dim=1)
    expected = (expected**2 if squared else expected).view(2, 8, 8).float()
    assert len(method.bank_) == 10 * 64
    assert torch.allclose(method.anomaly_map(test), enlarge(expected, 4.0), rtol=3e-3)


def test_patchcore_keeps_the_patches_that_the_coreset_names():
    train = photos(10)
    method = PatchCore(backbone="tiny", dim=64, coreset=0.05).fit(train)
    x = patch_features(features(train, "tiny", (2, 3)), 3, 64).flatten(0, 2)
    chosen = greedy_coreset(x, 32, generator()).sort().values  # 64 dimensions are not projected
    assert torch.allclose(method.bank_.float(), x[chosen], atol=1e-3)


def test_projection_is_drawn_before_the_coreset():
    train = photos(4)
    method = PatchCore(backbone="tiny", dim=64, project=8, coreset=0.1).fit(train)
    x = patch_features(features(train, "tiny", (2, 3)), 3, 64).flatten(0, 2)
    stream = generator()
    axes = 2 * torch.rand(64, 8, generator=stream) - 1
    chosen = greedy_coreset(x @ axes, 25, stream).sort().values
    assert torch.allclose(method.bank_.float(), x[chosen], atol=1e-3)


def test_a_coreset_of_one_patch():
    method = PatchCore(backbone="tiny", dim=64, coreset=1e-9).fit(photos(3))
    assert method.bank_.shape == (1, 64)
    assert method.anomaly_map(photos(1, seed=1)).isfinite().all()


def test_as_released_squares_distances_on_mvtec():
    assert PatchCore.as_released("mvtec", "grid").squared  # type: ignore[attr-defined]
    assert PatchCore.paper("mvtec", "grid") == PatchCore()


# ---- all three


@every_method
def test_a_training_image_is_the_least_anomalous(name):
    """Its own features are in the bank, or (PaDiM) they are the mean."""
    train, other = photos(1), photos(1, seed=1)
    method = replace(METHODS[name], **({"coreset": 1.0} if name == "patchcore" else {})).fit(train)
    own = method.anomaly_map(train)
    assert own.max() < 0.02 * method.anomaly_map(other).min()


@every_method
def test_images_of_another_size_are_refused(name):
    method = replace(METHODS[name]).fit(photos(2))
    with pytest.raises(ValueError, match="images of 32 x 32 pixels, but `fit` has seen 64 x 64"):
        method.anomaly_map(photos(1, size=32))


@every_method
def test_chunks_change_nothing(name, monkeypatch):
    train, test = photos(5), photos(3, seed=1)
    maps = replace(METHODS[name]).fit(train).anomaly_map(test)
    monkeypatch.setattr(f"anomlib.methods.{name}.CHUNK", 2)
    again = replace(METHODS[name]).fit(train).anomaly_map(test)
    assert torch.allclose(maps, again, rtol=1e-4)


@every_method
def test_a_side_that_is_no_multiple_of_the_stride(name):
    train, test = photos(3, size=72)[..., :50], photos(2, size=72, seed=1)[..., :50]
    maps = replace(METHODS[name]).fit(train).anomaly_map(test)
    assert maps.shape == (2, 72, 50) and maps.isfinite().all()


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="coreset is a share"):
        PatchCore(coreset=0.0)
    with pytest.raises(ValueError, match="neighbours is at least 1"):
        SPADE(neighbours=0)
