"""What the studies of Subspace compute, by hand and by brute force."""

from dataclasses import replace

import pytest
import torch

from anomlib.features import cached_features, normalisation
from anomlib.methods.subspace import Subspace, gram
from anomlib.ops import gaussian_blur
from anomlib.studies.subspace import (
    choices,
    coverage,
    other_normalisation,
    random_error,
    reconstruction,
    timings,
)

# ---- Figure 7


def test_coverage_has_every_rule_at_every_budget_that_fits():
    torch.manual_seed(0)
    x = torch.rand(6, 2, 3, 3)
    table = coverage({2: x}, [1, 3, 6, 9])
    assert sorted(set(table["s_ref"])) == [1, 3]  # 6 images leave five others
    wide = table.pivot(index="s_ref", columns="rule", values="error")
    rows = x.flatten(1).double()
    apart = torch.cdist(rows, rows).fill_diagonal_(torch.inf).amin(dim=1).mean().item()
    assert wide["nearest"].tolist() == pytest.approx([apart, apart], rel=1e-5)  # flat
    assert (wide["subspace"] <= wide["nearest"]).all()
    assert (wide["random"] >= wide["nearest"]).all()  # a part of the bank is no closer


def test_random_error_never_compares_an_image_with_itself():
    x = torch.eye(3)[:, :, None, None]  # every other image is sqrt(2) away
    assert random_error(gram(x), 3, 0).item() == pytest.approx(2**0.5)


# ---- Figures 4 and 6 (b)


def test_timings_time_every_form_rule_and_step():
    table = timings(64, [8, 16], [(4, 2)], repeats=2, images=3)
    key = ["form", "rule", "images", "s_ref", "s", "part", "repeat"]
    assert not table.duplicated(subset=key).any()
    assert len(table) == 2 * 3 * 2 * 2 * 2 and (table["seconds"] >= 0).all()


# ---- conventions


def settings() -> dict:
    return {"backbone": "tiny", "levels": (1, 2), "sample": 3, "sparsity": 2}


def test_choices_judge_one_map_under_every_rule(toy):
    assert toy.masks is not None
    large = toy.masks.repeat_interleave(2, 1).repeat_interleave(2, 2)
    same = normalisation("tiny")
    table = choices(Subspace(**settings()), toy, large, {"its own": same, "none": (0, 1)})
    wide = table.pivot(index=["choice", "value"], columns="metric", values="number")
    metrics = ["pixel_auroc", "pixel_ap", "aupro"]
    book = wide.loc[("as in this book", "all"), metrics]
    # masks that were only made larger come back as they were, whatever the rule
    for line in (("mask", "any pixel"), ("mask", "half of the pixels")):
        assert wide.loc[line, metrics].tolist() == book.tolist()
    assert wide.loc[("normalisation", "its own"), metrics].tolist() == pytest.approx(
        book.tolist(), abs=0.02
    )
    assert wide.loc[("normalisation", "none"), metrics].tolist() != book.tolist()
    good = len(toy.train) + int((~toy.labels).sum())
    assert wide.loc[("images", "good"), "count"] == good
    assert wide.loc[("images", "defective"), "count"] == toy.labels.sum()


def test_an_empty_mask_can_be_left_out(toy):
    assert toy.masks is not None
    masks = toy.masks.clone()
    first = int(toy.labels.nonzero()[0])
    masks[first] = False
    data = replace(toy, masks=masks)
    table = choices(Subspace(**settings()), data, masks, {})
    number = table.set_index(["choice", "value", "metric"])["number"]
    assert number["images", "defective with an empty mask", "count"] == 1
    left_out = number["empty masks", "left out", "pixel_auroc"]
    assert left_out != number["as in this book", "all", "pixel_auroc"]
    with pytest.raises(ValueError, match="no masks"):
        choices(Subspace(**settings()), replace(data, masks=None), masks, {})


def test_the_backbone_sees_what_another_rule_makes_of_an_image():
    mean, std = (torch.tensor(v)[:, None, None] for v in normalisation("tiny"))
    images = torch.rand(2, 3, 4, 4)
    seen = (other_normalisation("tiny", 0.5, [0.5, 0.25, 1.0])(images) - mean) / std
    wanted = (images - 0.5) / torch.tensor([0.5, 0.25, 1.0])[:, None, None]
    torch.testing.assert_close(seen, wanted)


# ---- Figures 1, 2 and 5


@pytest.mark.parametrize("sampling", ["reference", "none", "random"])
def test_a_reconstruction_is_what_the_map_is_made_of(toy, sampling):
    made = {"backbone": "tiny", "levels": (1, 2), "sample": 4, "sparsity": 3}
    method = Subspace(**made, sampling=sampling).fit(toy.train)
    image = toy.test[:1]
    found = reconstruction(method, image)
    maps = [torch.nn.functional.interpolate(p["residual"][None, None], (32, 32), mode="bilinear")
            for p in found.values()]  # fmt: skip
    again = gaussian_blur(torch.stack(maps).mean(dim=0), method.sigma)[:, 0]
    torch.testing.assert_close(again, method.anomaly_map(image))
    pairs = zip((1, 2), cached_features(image, "tiny", (1, 2)), strict=True)
    features: dict[int, torch.Tensor] = dict(pairs)
    for level, part in found.items():
        y, x = features[level][0].float(), method.bank_[level].float()
        assert set(part["chosen"].tolist()) <= set(part["bank"].tolist())
        assert len(part["chosen"]) == len(set(part["chosen"].tolist())) == 3
        assert len(part["bank"]) == (8 if sampling == "none" else 4)
        rebuilt = (part["weights"].float()[:, None, None, None] * x[part["chosen"]]).sum(dim=0)
        torch.testing.assert_close(part["target"], y.norm(dim=0))
        torch.testing.assert_close(part["rebuilt"], rebuilt.norm(dim=0))
        torch.testing.assert_close(part["residual"], (y - rebuilt).norm(dim=0))
        # what is left stands at a right angle to what is rebuilt (Eq. 4)
        energy = {name: part[name].square().sum() for name in ("target", "rebuilt", "residual")}
        torch.testing.assert_close(energy["rebuilt"] + energy["residual"], energy["target"])
        best = torch.linalg.lstsq(x[part["chosen"]].flatten(1).T, y.flatten()[:, None]).solution
        torch.testing.assert_close(part["weights"].float(), best[:, 0], rtol=1e-3, atol=1e-3)
