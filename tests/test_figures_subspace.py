"""The drawings of the Subspace paper say what the tables, the maps and the plane say."""

import importlib.util
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from anomlib.figures import common, subspace
from anomlib.methods.subspace import gram, members, omp, products

EXTENSION = Path(__file__).parents[1] / "book" / "_ext" / "plotly_js.py"


def drawn(axes: Axes) -> dict[str, np.ndarray]:
    """Label -> points (x, y) of each named line."""
    found = {str(line.get_label()): line.get_xydata() for line in axes.lines}
    return {k: np.asarray(v) for k, v in found.items() if not k.startswith("_")}


def bands(axes: Axes) -> list[np.ndarray]:
    """The corners of each band, in the order in which they were drawn."""
    polygons = [c for c in axes.collections if isinstance(c, PolyCollection)]
    return [np.concatenate([np.asarray(p.vertices) for p in c.get_paths()]) for c in polygons]


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def part(size: int = 8, used: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    maps = {name: torch.rand(size, size, generator=generator)
            for name in ("target", "rebuilt", "residual")}  # fmt: skip
    weights = torch.linspace(0.5, -0.7, used)
    return maps | {"bank": torch.arange(5), "chosen": torch.arange(used), "weights": weights}


# Figure 2


def test_a_pass_shows_the_bank_and_features_in_one_range(toy):
    parts = {2: part(), 3: part(4)}
    figure = subspace.overview(toy, 0, parts, torch.rand(32, 32))
    titles = [re.sub(r"\s+", " ", a.get_title()) for a in figure.axes if a.images]
    assert len(titles) == 8 and "the 5 good images" in titles[1] and "sum of 3" in titles[3]
    target, rebuilt, residual = (a.images[0] for a in figure.axes[2:5])
    assert target.get_clim() == rebuilt.get_clim() and target.get_cmap().name == common.FEATURES
    both = torch.stack([parts[2]["target"], parts[2]["rebuilt"]])
    assert target.get_clim() == pytest.approx((both.min().item(), both.max().item()))
    assert residual.get_cmap().name == common.HEAT
    assert figure._repr_jpeg_().startswith(b"\xff\xd8")
    deeper = subspace.overview(toy, 0, parts, torch.rand(32, 32), level=3)
    assert np.asarray(deeper.axes[2].images[0].get_array()).shape == (4, 4)


def test_the_bank_is_tiled_line_by_line(toy):
    tiles = subspace.mosaic(toy, np.array([3, 1, 0, 2, 4]))
    assert tiles.shape == (3 * 34, 3 * 34, 3)  # a pixel of white around each
    image = toy.train[2].permute(1, 2, 0).numpy()  # the fourth: second line, first column
    assert (tiles[35:67, 1:33] == image).all()
    assert (tiles[68:] == 1).all() and (tiles[34:68, 68:] == 1).all()


def test_the_sum_names_each_weight(toy):
    figure = subspace.combination(toy, part(), most=2)
    assert [a.get_title() for a in figure.axes] == ["1. weight +0.50", "2. weight -0.10"]
    shown = np.asarray(figure.axes[1].images[0].get_array())
    assert (shown == toy.train[1].permute(1, 2, 0).numpy()).all()


def test_the_table_of_levels_compares_neighbours():
    table = subspace.level_table([torch.zeros(1, 4, 8, 8), torch.zeros(1, 8, 4, 4)])
    html = table.to_html()  # type: ignore[attr-defined]
    assert "256" in html and "128" in html and "0.50" in html


# Figure 3


def plane() -> tuple[torch.Tensor, ...]:
    """Points of a plane, the two that the pursuit of an outside point takes, what they rebuild."""
    basis = torch.tensor([[1, 0], [0, 1], [0.4, -0.5]], dtype=torch.double)
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(9, 2, generator=generator, dtype=torch.double) @ basis.T
    off = points[0] + torch.linalg.cross(basis[:, 0], basis[:, 1])
    y = torch.cat([points, off[None]])[:, :, None, None]
    x, g = y[:-1], gram(y[:-1])
    chosen, _ = omp(g, *products(x, y[-1:]), 2)
    support, c = omp(g, *products(x, y), 2, members(chosen, len(x)).expand(len(y), -1))
    rebuilt = (points[support.clamp(min=0)] * c[..., None]).sum(dim=1)
    return points, chosen[0], rebuilt[:-1], torch.stack([off, rebuilt[-1]])


def traces(html: str) -> dict[str, dict]:
    """Name (or type) -> trace, of the JSON that the page hands to plotly."""
    begin = html.index("Plotly.newPlot(")
    found, _ = json.JSONDecoder().raw_decode(html[html.index("[", begin) :])
    return {trace.get("name", trace["type"]): trace for trace in found}


def test_the_toy_highlights_the_two_that_were_chosen():
    points, bank, rebuilt, off = plane()
    html = subspace.toy_plane(points, bank, rebuilt, off).data or ""
    found = traces(html)
    shown = found["the bank: two chosen images"]
    at = np.stack([shown[axis] for axis in "xyz"], axis=1)
    assert at == pytest.approx(points[bank].numpy(), abs=1e-4)
    others = found["good images, not in the bank"]
    assert len(others["x"]) == len(points) - 2
    left = found["what is left of it (residual)"]
    ends = np.stack([left[axis] for axis in "xyz"], axis=1)
    assert ends == pytest.approx(off.numpy(), abs=1e-4)
    direction = ends[0] - ends[1]
    corners = np.stack([found["mesh3d"][axis] for axis in "xyz"], axis=1)
    sides = np.diff(corners, axis=0)
    assert sides @ direction == pytest.approx(0, abs=1e-3)  # it stands upright on the surface


def test_the_toy_is_the_same_each_time_and_loads_nothing():
    first, again = (subspace.toy_plane(*plane()).data or "" for _ in range(2))
    assert first == again
    assert "<script src" not in first and "https://cdn" not in first and len(first) < 30_000


# book/_ext/plotly_js.py


def extension():
    spec = importlib.util.spec_from_file_location("plotly_js", EXTENSION)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_is_copied_once_and_loaded_where_a_figure_is(tmp_path, monkeypatch):
    module, loaded = extension(), []
    script = tmp_path / "installed.js"
    script.write_text("Plotly = 1")
    monkeypatch.setattr(module, "installed", lambda: script)
    app = SimpleNamespace(outdir=tmp_path, add_js_file=lambda name, **_: loaded.append(name))
    target = tmp_path / "_static" / module.SCRIPT
    module.add_script(app, "plain", "", {"body": "a plotly-graph-div in words"}, None)
    module.add_script(app, "genindex", "", {}, None)  # pages without a body of their own
    assert not loaded and not target.exists()
    page = {"body": subspace.toy_plane(*plane()).data}
    module.add_script(app, "toy", "", page, None)
    assert loaded == [module.SCRIPT] and target.read_text() == "Plotly = 1"
    stamp = target.stat().st_mtime_ns
    module.add_script(app, "other", "", page, None)
    assert len(loaded) == 2 and target.stat().st_mtime_ns == stamp  # no second copy
    script.write_text("Plotly = 2.5")  # another version was installed
    module.add_script(app, "toy", "", page, None)
    assert target.read_text() == "Plotly = 2.5"


def test_the_installed_package_ships_the_script(monkeypatch):
    module = extension()
    assert module.installed().stat().st_size > 1e6
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install 'plotly"):
        module.installed()


# Figures 4, 6, 7 and 8


def rows(*lines: tuple) -> pd.DataFrame:
    return pd.DataFrame(list(lines), columns=["method", "share", "seed", "value"])


def test_a_line_is_the_mean_of_its_repeats_and_the_band_their_spread():
    table = rows(
        ("subspace", 0.1, 0, 0.2), ("subspace", 0.1, 1, 0.6), ("subspace", 0.01, 0, 0.4),
        ("spade", 0.1, 0, np.nan),
    )  # fmt: skip
    figure = subspace.lines(table, "share", "value", "method", {"value": "AU-PRO, 0 to 1"})
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("share", "AU-PRO, 0 to 1")
    assert drawn(axes)["subspace"] == pytest.approx(np.array([[0.01, 0.4], [0.1, 0.4]]))
    assert axes.lines[0].get_color() == common.PALETTE["subspace"]
    assert legend(figure) == ["subspace"]  # spade has no value
    (band,) = bands(axes)
    at = band[np.isclose(band[:, 0], 0.1), 1]
    assert (at.min(), at.max()) == pytest.approx((0.2, 0.6))
    assert figure.legends[0].get_title().get_text() == "mean and range of\n2 repeats"
    (band,) = bands(subspace.lines(table, "share", "value", "method", {}, spread="sd").axes[0])
    at = band[np.isclose(band[:, 0], 0.1), 1]
    assert (at.min(), at.max()) == pytest.approx((0.4 - 0.08**0.5, 0.4 + 0.08**0.5))
    with pytest.raises(ValueError, match="spread is range or sd, not 'se'"):
        subspace.lines(table, "share", "value", "method", {}, spread="se")


def test_lines_of_one_repeat_are_averaged_first():
    table = rows(("a", 1, 0, 0.0), ("a", 1, 0, 1.0), ("a", 1, 1, 0.7))  # two categories
    figure = subspace.lines(table, "share", "value", "method", {}, repeat="seed")
    assert drawn(figure.axes[0])["a"] == pytest.approx(np.array([[1, 0.6]]))
    (band,) = bands(figure.axes[0])
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((0.5, 0.7))
    assert "2 seeds" in figure.legends[0].get_title().get_text()


def test_printed_values_are_a_marker_or_a_line_across():
    table = rows(("subspace", 0.1, 0, 0.5), ("subspace", 0.2, 0, 0.6))
    printed = rows(("subspace", np.nan, 0, 0.9), ("patchcore", 0.2, 0, 0.7))
    figure = subspace.lines(table, "share", "value", "method", {}, printed=printed, log=True)
    (axes,) = figure.axes
    found = drawn(axes)
    assert legend(figure) == ["subspace", "subspace, printed", "patchcore, printed"]
    assert found["subspace, printed"][:, 1].tolist() == [0.9, 0.9]
    assert found["patchcore, printed"].tolist() == [[0.2, 0.7]]
    assert axes.lines[-1].get_color() == common.PALETTE["patchcore"]
    assert axes.get_xscale() == "log"
    assert [t.get_text() for t in axes.get_xticklabels()] == ["0.1", "0.2"]


def test_lines_that_are_no_methods_are_told_apart_without_colour():
    table = pd.DataFrame([(n, k, k / 9) for k in range(4) for n in (50, 100)], columns=list("xhy"))
    figure = subspace.lines(table, "x", "y", "h", {"h": "bank"})
    looks = {(str(a.get_linestyle()), str(a.get_marker())) for a in figure.axes[0].lines}
    assert len(looks) == 4 and legend(figure) == ["0", "1", "2", "3"]
    assert figure.legends[0].get_title().get_text() == "bank"


def test_departing_settings_are_starred_and_nothing_to_draw_is_said():
    table = rows(("subspace", 0.1, 0, 0.5)).assign(settings="clip=True")
    assert legend(subspace.lines(table, "share", "value", "method", {})) == ["subspace *"]
    with pytest.raises(ValueError, match="nothing to draw"):
        subspace.lines(rows(), "share", "value", "method", {})
    with pytest.raises(ValueError, match="the table lacks share; it has"):
        subspace.lines(table.drop(columns="share"), "share", "value", "method", {})


# Figure 9


def test_single_levels_come_first_and_a_missing_bar_leaves_a_gap():
    lines = [("2 + 3", "a", 0.9), ("4", "a", 0.5), ("2", "a", 0.7), ("2", "a", 0.9),
             ("2", "b", 0.6), ("2 + 3 + 4", "b", 0.65)]  # fmt: skip
    table = pd.DataFrame(lines, columns=["levels", "backbone", "value"])
    figure = subspace.level_bars(table)
    (axes,) = figure.axes
    assert [t.get_text() for t in axes.get_xticklabels()] == ["2", "4", "2 + 3", "2 + 3 + 4"]
    assert legend(figure) == ["a", "b"]
    assert sorted(t.get_text() for t in axes.texts) == ["0.50", "0.60", "0.65", "0.80", "0.90"]
    first = axes.patches[0]
    assert first.get_height() == pytest.approx(0.8)  # type: ignore[attr-defined]
    named = table.rename(columns={"value": "aupro"})
    assert subspace.level_bars(named, "aupro", "AU-PRO").axes[0].get_ylabel() == "AU-PRO"
    with pytest.raises(ValueError, match="the table lacks backbone"):
        subspace.level_bars(table.drop(columns="backbone"))


# Figures 1 and 5


def test_a_row_shows_one_image_from_its_good_twin_to_what_is_found(toy):
    maps = torch.zeros(2, 32, 32)
    maps[0, 10:14, 12:16] = 1.0
    parts = [{2: part(), 3: part(4)} for _ in range(2)]
    figure = subspace.reconstruction_panels(toy, [0, 1], maps, parts)
    first, second = figure.axes[:6], figure.axes[6:]
    assert "features, level 2" in [a.get_title() for a in first]
    assert first[0].get_xlabel() == "weight -0.70"  # the largest, whatever its sign
    good = np.asarray(first[0].images[0].get_array())
    assert (good == toy.train[2].permute(1, 2, 0).numpy()).all()
    target, rebuilt = (np.asarray(a.images[0].get_array()) for a in first[2:4])
    assert target.shape == rebuilt.shape == (32, 32, 3)  # squares of 4 x 4, in one range
    assert (target[:4, :4] == target[0, 0]).all()
    assert first[2].get_xlabel() == first[3].get_xlabel()
    assert len(first[5].collections) == 2  # the mask's outline, and what Otsu finds
    assert second[0].get_ylabel() == "good\n001"
    assert figure._repr_jpeg_().startswith(b"\xff\xd8")


def test_images_without_masks_have_rows_too(toy):
    from dataclasses import replace

    data = replace(toy, masks=None)
    figure = subspace.reconstruction_panels(data, [0], torch.rand(1, 32, 32), [{3: part(4)}])
    assert len(figure.axes[1].collections) == 0
    assert len([a for a in subspace.overview(data, 0, {3: part(4)}, torch.rand(32, 32)).axes
                if a.images]) == 7  # fmt: skip
