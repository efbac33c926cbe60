"""GRAD's studies: parts, defects and blocks, shortcuts, costs; on a tiny network and by hand."""

from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from anomlib.api import Dataset
from anomlib.methods.crad import CRAD
from anomlib.methods.grad import GRAD, BiGrid
from anomlib.methods.pixelmean import PixelMean
from anomlib.studies import grad as study
from anomlib.studies import grad_measured as measured

SMALL: dict[str, Any] = {
    **{"backbone": "tiny", "levels": (1,), "blocks": 1, "epochs": 1, "batch": 4},
    **{"global_grid": 4, "smooth": 1, "pool": 4},
}


def tiny(**settings: Any) -> GRAD:
    values: dict[str, Any] = SMALL | {"size": (0.5, 3.0)} | settings
    return GRAD(**values)


@pytest.fixture(scope="module")
def fitted(toy: Dataset) -> GRAD:
    return cast(GRAD, tiny().fit(toy.train))


# ---- Figure 2


def test_parts_of_the_papers_size():
    table = study.parts((272, 32, 32), GRAD()).set_index("part")
    count, shape = table["parameters"], table["output"]
    place = 272 * 272 + 272 + 272 * 2 + 2
    blocks = 9 * (2 * 9 * 544**2 + 4 * 544) + 544 * 272
    assert count["local coordinates"] == count["global coordinates"] == place
    assert count["blocks"] == count["standardised, blocks"] == blocks
    for kind in ("normal", "abnormal"):
        assert count[f"{kind} grids, sampled"] == 64 * 272 * 32 * 32 + 64 * 272
        assert shape[f"{kind} grids, sampled"] == (544, 32, 32)
    assert count.sum() == 132_054_372
    assert shape["local coordinates"] == (32, 32, 2) and shape["global coordinates"] == (2,)
    assert shape["map"] == (32, 32)
    for name in ("features", "blocks", "standardised, blocks", "fused", "refined"):
        assert shape[name] == (272, 32, 32)


def test_parts_are_the_networks_but_for_the_weight_of_the_sum():
    table = study.parts((3, 8, 8), tiny(local_grid=2))
    net = BiGrid((3, 8, 8), tiny(local_grid=2))
    assert table["parameters"].sum() + 1 == sum(p.numel() for p in net.parameters())


def test_pictures_of_a_pass_come_in_order(fitted: GRAD, toy: Dataset):
    one = toy.test[:1]
    names, pictures = zip(*study.one_pass(fitted, one), strict=True)
    assert names == (
        *("image", "|F|", "|x_a|, abnormal grids", "|F_rec|, both grids", "|F_rec - F|"),
        *("similarity", "|F_out - F|", "the map"),
    )
    found = dict(zip(names, pictures, strict=True))
    assert np.array_equal(found["image"], one[0].permute(1, 2, 0).numpy())
    assert np.allclose(found["|F|"], fitted.features(one)[0].norm(dim=0))
    assert np.allclose(found["the map"], fitted.anomaly_map(one)[0])
    refined = (1 - found["similarity"]) * found["|F_rec - F|"]
    assert np.allclose(found["|F_out - F|"], refined, atol=1e-4)
    assert not np.allclose(found["|x_a|, abnormal grids"], found["|F_rec|, both grids"])


# ---- Figure 3: defects


def test_defects_share_a_mask_and_leave_the_rest_alone(toy: Dataset):
    found, masks = study.defects(toy.train, seed=1)
    assert tuple(found) == study.FILLS
    outside, inside = masks == 0, masks == 1
    assert outside.any() and inside.any()
    images = toy.train.movedim(1, -1)
    pixels = {kind: x.movedim(1, -1) for kind, x in found.items()}
    for kind, x in pixels.items():
        assert torch.equal(x[outside], images[outside]), kind
        assert not torch.equal(x[inside], images[inside]), kind
        assert x.min() >= 0 and x.max() <= 1
    assert torch.allclose(pixels["dark"][inside], 0.3 * images[inside])
    assert torch.allclose(pixels["bright"][inside], 0.3 * images[inside] + 0.7)
    spread = {kind: x[inside].std().item() for kind, x in pixels.items()}
    assert spread["blurred"] < images[inside].std() < spread["noise"]
    again, same = study.defects(toy.train, seed=1)
    assert torch.equal(masks, same)
    assert all(torch.equal(found[kind], again[kind]) for kind in study.FILLS)
    assert not torch.equal(masks, study.defects(toy.train, seed=2)[1])


def test_positions_are_covered_by_hand():
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 0], [0, 0, 1, 1], [0, 0, 1, 1]]).float()[None]
    like = torch.zeros(1, 5, 2, 2)
    assert study.covered(mask, like).tolist() == [[[0.5, 0.75], [0, 1]]]
    assert study.at_positions(mask, like).tolist() == [[[False, True], [False, True]]]
    found = study.at_positions(mask, like, least=0.4)
    assert found.tolist() == [[[True, True], [False, True]]]


def test_likeness_by_hand():
    clean = torch.randn(1, 2, 1, 3)
    moves = {  # at three positions, of which the last is not asked for
        "a": [[1.0, 0.0], [0.0, 2.0], [5.0, 0.0]],
        "same": [[3.0, 0.0], [0.0, 1.0], [-5.0, 0.0]],
        "opposite": [[-1.0, 0.0], [0.0, -1.0], [5.0, 0.0]],
        "half": [[2.0, 0.0], [1.0, 0.0], [5.0, 0.0]],
    }
    changed = {k: clean + torch.tensor(x).T[None, :, None] for k, x in moves.items()}
    table = study.likeness(clean, changed, torch.tensor([[[True, True, False]]]))
    found = table.set_index(["one", "other"])["cosine"]
    assert len(found) == 6 + 4
    assert found["a", "same"] == pytest.approx(1, abs=1e-5)
    assert found["a", "opposite"] == pytest.approx(-1, abs=1e-5)
    assert found["a", "half"] == pytest.approx(0.5, abs=1e-5)  # 1 at one, 0 at the other
    assert found["same", "opposite"] == pytest.approx(-1, abs=1e-5)


def test_a_random_offset_is_unlike_anything_and_always_the_same():
    clean, inside = torch.zeros(1, 4000, 1, 5), torch.ones(1, 1, 5, dtype=torch.bool)
    changed = {"a": torch.ones(1, 4000, 1, 5), "b": -torch.ones(1, 4000, 1, 5)}
    torch.manual_seed(1)
    one = study.likeness(clean, changed, inside)
    torch.manual_seed(2)
    assert one.equals(study.likeness(clean, changed, inside))
    random = one[one["other"] == "random"]
    assert list(random["one"]) == ["a", "b"]
    assert random["cosine"].abs().max() < 5 / np.sqrt(5 * 4000)  # five standard deviations
    assert one["cosine"].iloc[0] == pytest.approx(-1)


def test_likeness_of_images_has_every_pair_of_kinds(toy: Dataset):
    table = study.likeness_of(tiny(), toy.train, seed=1)
    known = table[table["other"] != "random"]
    assert len(known) == 10 and len(table) == 15
    assert set(known["one"]) | set(known["other"]) == {*study.FILLS}
    assert table["cosine"].abs().max() <= 1 + 1e-5
    assert not table.equals(study.likeness_of(tiny(), toy.train, seed=2))


# ---- Figure 3: blocks


def test_a_block_is_added_where_it_is_said_to_be():
    x = torch.randn(3, 2, 8, 8)
    found, where = study.pasted(tiny(blur_sigma=0.0), x, seed=0)
    moved = found - x
    assert torch.allclose(moved[:, 0], moved[:, 1], atol=1e-5)  # the same in each channel
    assert torch.equal(moved.abs()[:, 0] > 1e-4, where) and where.flatten(1).any(dim=1).all()
    assert moved.max() <= 16.001 and moved[:, 0][where].min() >= 7.999
    assert torch.equal(found, study.pasted(tiny(blur_sigma=0.0), x, seed=0)[0])
    assert not torch.equal(where, study.pasted(tiny(blur_sigma=0.0), x, seed=1)[1])


def test_each_row_of_blocks_varies_one_setting():
    found = study.settings_of_blocks(GRAD(), 16)
    shapes, sizes, strengths, places = found.values()
    assert [name[0] for name in found] == ["M", "B", "I", "P"]
    assert all(len(maps) == 4 for maps in found.values())
    # I of 3, 6, 9 and 12
    for k, block in enumerate(strengths, start=1):
        assert np.allclose(block, k * strengths[0], atol=1e-5)
    assert strengths[0].max() > 0
    # P, down and right: at 4 or at 11 of 16
    first, *others = places
    for block, shift in zip(others, ((0, 7), (7, 0), (7, 7)), strict=True):
        assert np.allclose(block, np.roll(first, shift, axis=(0, 1)), atol=1e-5)
    rows, columns = np.nonzero(first > 1e-6)
    assert rows.max() < 8 and columns.max() < 8
    # B of 1, 3, 5 and 7 round the middle, and one cell of blur
    for size, block in zip((1, 3, 5, 7), sizes, strict=True):
        far = np.abs(np.argwhere(block > 1e-6) - 8).max()
        assert far <= size + 1
    assert (sizes[3] > 1e-6).sum() > (sizes[0] > 1e-6).sum()
    for i in range(4):
        for k in range(i):
            assert not np.allclose(shapes[i], shapes[k], atol=0.1)


def test_changes_have_a_map_for_each_picture(toy: Dataset):
    titles, maps = study.changes(tiny(), toy.train[:1], seed=0)
    assert list(titles) == list(maps) == [*study.FILLS, "block pasted"]
    image, mask = titles["block pasted"]
    assert mask is None and np.array_equal(image, toy.train[0].permute(1, 2, 0).numpy())
    dark, outline = titles["dark"]
    assert outline is not None and np.allclose(
        dark[outline].mean(), 0.3 * image[outline].mean(), atol=0.15
    )
    assert all(m.shape == (8, 8) and m.max() > 0 for m in maps.values())
    x = tiny().features(toy.train[:1])
    block, where = study.pasted(tiny(), x, seed=0)
    assert np.allclose(maps["block pasted"], (block - x).norm(dim=1)[0], atol=1e-5)


# ---- Eq. 4


def test_losses_of_eq_4_by_hand():
    table = study.contrasts(0.5, n=5)  # q of -1, -1/2, 0, 1/2, 1
    found = table.groupby(["pair", "sign"])["loss"].agg(list)
    assert found["similar", "printed"] == found["similar", "code"] == [1.5, 1, 0.5, 0, 0]
    assert found["dissimilar", "printed"] == [0, 0, 0, 0, 0.5]
    assert found["dissimilar", "code"] == [0, 0, 0.5, 1, 1.5]


def test_no_buffer_as_printed_and_one_in_the_code():
    table = study.contrasts(0.5)
    zero = table[table["loss"] == 0].groupby(["sign", "pair"])["q"].agg(["min", "max"])
    for sign, width in (("printed", 0.0), ("code", 1.0)):
        gap = zero.loc[(sign, "similar"), "min"] - zero.loc[(sign, "dissimilar"), "max"]
        assert gap == pytest.approx(width, abs=0.011)  # a step of q


# ---- what grids are asked


def test_places_are_in_the_square(fitted: GRAD, toy: Dataset):
    local, whole = study.places(fitted, toy.test)
    assert local.shape == (8, 8, 8, 2) and whole.shape == (8, 2)
    for found in (local, whole):
        assert np.abs(found).max() <= 1 and found.std() > 0
    one, _ = study.places(fitted, toy.test[3:4])
    assert np.allclose(one[0], local[3], atol=1e-6)


# ---- the shortcut


class Bare(CRAD):
    """The images are their features."""

    def features(self, images: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(images, 2)


def test_residuals_by_hand():
    method: Any = Bare()
    offset = torch.tensor([[[3.0, 1.0], [9.0, 2.0]]])  # by position
    method.net_ = lambda x: x + offset * torch.tensor([0.0, 0.6, 0.8]).view(3, 1, 1)
    masks = torch.zeros(1, 4, 4, dtype=torch.bool)
    masks[0, :2, :2] = True  # all of the first position
    masks[0, 2, 0] = True  # a quarter of the third, which counts nowhere
    found = study.residuals(method, torch.rand(1, 3, 4, 4), masks)
    assert found == pytest.approx({"inside": 3, "outside": 1.5})


def test_the_shortcut_lies_past_the_grids(toy: Dataset):
    settings: dict[str, Any] = SMALL | {"levels": (0,), "global_grid": 2}  # at half the side
    table = study.shortcut(toy, settings, seeds=(0, 1))
    assert list(zip(table["seed"], table["blocks_see"], strict=True)) == [
        *((0, "grids"), (0, "features"), (1, "grids"), (1, "features"))
    ]
    assert np.allclose(table["ratio"], table["inside"] / table["outside"])
    assert table[["inside", "outside"]].gt(0).all().all()
    assert table["inside"].nunique() == 4
    chosen = toy.labels
    method = CRAD(seed=1, **settings).fit(toy.train)
    found = study.residuals(method, toy.test[chosen], cast(Tensor, toy.masks)[chosen])
    assert table.loc[2, ["inside", "outside"]].to_dict() == pytest.approx(found, rel=1e-4)


def test_without_grids_blocks_see_the_features():
    method = study.Shortcut(**SMALL)
    x = torch.randn(2, 6, 8, 8)
    net: Any = method.head(x).eval()
    assert torch.equal(net(x), net.recover(torch.cat([x, x], dim=1)))
    moved = x.clone()
    moved[0, :, 0, 0] += 5
    assert not torch.allclose(net(moved)[0, :, 0, 0], net(x)[0, :, 0, 0])


# ---- costs


def test_every_size_is_looked_up_both_ways():
    table = measured.lookups([4, 9], queries=3, channels=2, nodes=2, repeats=2)
    found = table.groupby(["features", "how"])["repeat"].agg(list)
    assert set(found.index) == {(n, h) for n in (4, 9) for h in ("grid", "nearest neighbour")}
    assert all(repeats == [0, 1] for repeats in found)
    assert (table["seconds"] > 0).all()


def test_slopes_by_hand():
    lines = [(n, "grid", 0, 3.0) for n in (10, 100, 1000)]
    lines += [(n, "nearest neighbour", 0, 2.0 * n) for n in (10, 100, 1000)]
    lines += [(n, "square root", 0, n**0.5) for n in (10, 100, 1000)]
    lines += [(1000, how, 1, 1e9) for how in ("grid", "nearest neighbour", "square root")]
    table = pd.DataFrame(lines, columns=["features", "how", "repeat", "seconds"])
    wanted = {"grid": 0, "nearest neighbour": 1, "square root": 0.5}
    assert measured.slopes(table) == pytest.approx(wanted, abs=1e-9)


def test_the_three_parts_of_an_epoch_take_turns(toy: Dataset):
    table = measured.throughput(toy.train, CRAD(**SMALL), repeats=2)
    assert list(table["what"]) == ["backbone", "cache", "head"] * 2
    assert list(table["repeat"]) == [0] * 3 + [1] * 3
    assert (table["seconds"] > 0).all()


def test_a_footprint_has_numbers(toy: Dataset):
    images = toy.test.numpy()
    method = PixelMean()
    found: Any = measured.footprint(method, toy.train.numpy(), images)
    assert set(found) == {"device", "fps", "fit_seconds", "memory_mb", "cuda_mb"}
    assert found["fps"] > 0 and found["memory_mb"] > 10
    assert found["device"] in ("cpu", "cuda")
    assert (found["cuda_mb"] > 0) == (found["device"] == "cuda")
    assert torch.allclose(method.mean_.cpu(), toy.train.mean(dim=0))  # it was fitted


def test_methods_are_measured_in_processes_of_their_own(toy: Dataset):
    hopeless = tiny(levels=(99,))
    methods = {"grad": hopeless, "pixelmean": PixelMean()}
    table = measured.footprints(methods, toy.train, toy.test).set_index("method")
    assert list(table.index) == ["grad", "pixelmean"]
    assert "not [99]" in str(table.loc["grad", "error"])
    assert table["error"]["pixelmean"] == ""
    assert np.isnan(table["fps"]["grad"]) and table["fps"]["pixelmean"] > 0
    assert table["memory_mb"]["pixelmean"] > 10
    assert "mean_" not in vars(methods["pixelmean"])  # the fit stays in the other process
