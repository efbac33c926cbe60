"""The drawings of FAIR's signal processing say what its table and tensors say."""

import json

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes

from anomlib.figures import fair as draw
from anomlib.studies import fair as study


@pytest.fixture(scope="module")
def lines(toy):
    return study.table([toy], [30.0, 60.0], draws=50, side=32)


def drawn(axes: Axes) -> dict[str, np.ndarray]:
    """Label -> points (x, y) of each named line."""
    found = {str(line.get_label()): np.asarray(line.get_xydata()) for line in axes.lines}
    return {k: v for k, v in found.items() if not k.startswith("_")}


def plotted(html: str) -> tuple[list[dict], dict]:
    """The traces and the layout that the page hands to plotly."""
    decoder, rest = json.JSONDecoder(), html[html.index("Plotly.newPlot(") :]
    rest = rest[rest.index("[") :]
    traces, end = decoder.raw_decode(rest)
    layout, _ = decoder.raw_decode(rest[end:].lstrip(" ,\n"))
    return traces, layout


# ---- Figure 5


def test_the_slider_changes_heights_and_nothing_else(lines):
    html = str(draw.responses(lines).data)
    assert "<script src" not in html and 'id="fair-filters"' in html  # no copy of plotly
    traces, layout = plotted(html)
    assert [t["legendgroup"] for t in traces] == 2 * list(draw.FILTERS)
    assert [t["showlegend"] for t in traces] == 4 * [True] + 4 * [False]
    (slider,) = layout["sliders"]
    assert [s["label"] for s in slider["steps"]] == ["30", "60"] and slider["active"] == 0
    heights, moved = slider["steps"][1]["args"]
    assert list(heights) == ["y"]  # a filter hidden in the legend stays hidden
    assert moved["shapes"][0]["x0"] == 60
    for trace, now, later in zip(
        traces, slider["steps"][0]["args"][0]["y"], heights["y"], strict=True
    ):
        assert trace["y"] == now != later and len(trace["x"]) == len(now) == len(later)
    gaussian = traces[3]
    at_60 = dict(zip(gaussian["x"], heights["y"][3], strict=True))
    assert at_60[60] == pytest.approx(1 - np.exp(-0.5), abs=1e-4)


def test_a_cutoff_or_filter_that_is_not_there_is_an_error(lines):
    with pytest.raises(ValueError, match="cutoffs are 30.*60.*, not 45"):
        draw.responses(lines, first=45.0)
    with pytest.raises(ValueError, match="no transfer of gaussian at cutoff 30"):
        draw.responses(lines[lines["kind"] != "gaussian"])
    with pytest.raises(ValueError, match="nothing to draw"):
        draw.responses(lines[lines["item"] == "figure9"])


def test_the_table_of_ringing_reads_like_the_numbers(lines):
    table = draw.ringing_table(lines)
    data = table.data  # type: ignore[attr-defined]
    assert data.index.tolist()[0] == "ideal" and data.shape == (4, 4)
    wanted = study.negative_share(study.impulse("ideal", 60.0))
    assert data.loc["ideal", ("negative share", 60)] == pytest.approx(wanted)
    assert f"{wanted:.3f}" in table.to_html()  # type: ignore[attr-defined]


def test_pictures_of_responses_are_centred_and_signed():
    found = {kind: study.impulse(kind, 30.0) for kind in study.FILTERS}
    figure = draw.impulses(found, far=10)
    ideal = np.asarray(figure.axes[0].images[0].get_array())
    assert ideal.shape == (21, 21) and ideal[10, 10] == 1 and ideal.min() < -0.1
    assert figure.axes[0].images[0].get_clim() == (-0.05, 0.05)
    assert figure.axes[3].get_title() == "Gaussian"
    assert figure._repr_jpeg_().startswith(b"\xff\xd8")


# ---- Figure 6


def test_edges_are_drawn_as_they_are(lines):
    figure = draw.edge_lines(lines)
    curves = drawn(figure.axes[0])
    assert list(curves) == [name for name, *_ in draw.FILTERS.values()]
    ideal, smooth = curves["ideal"], curves["Gaussian"]
    far = np.abs(ideal[:, 0]) > 15
    assert np.abs(ideal[far, 1]).max() > 0.02 > 1e-3 > np.abs(smooth[far, 1]).max()


def test_ringing_shares_one_range_in_a_row():
    images = torch.stack([study.disc(32)[0], torch.rand(3, 32, 32)])
    seen = study.filtered(images)
    figure = draw.ringing(images, seen)
    rows = [figure.axes[:5], figure.axes[5:]]
    limits = [{axes.images[0].get_clim() for axes in row[1:]} for row in rows]
    assert [len(x) for x in limits] == [1, 1] and limits[0] != limits[1]
    shown = np.asarray(rows[1][4].images[0].get_array())
    assert (shown == seen["gaussian"][1, 0].numpy()).all()


# ---- Figure 9


def test_energy_leaves_the_mean_out(lines):
    figure = draw.energy(lines)
    each, within = figure.axes
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["textures / toy"]
    assert len(figure.legends) == 1 and each.get_yscale() == "log"
    part = lines[(lines["item"] == "figure9") & (lines["x"] > 0)].sort_values("x")
    share = part["value"] / part["value"].sum()
    line = np.asarray(within.lines[0].get_xydata())
    np.testing.assert_allclose(line[:, 1], share.cumsum())
    assert line[-1, 1] == pytest.approx(1)


def test_a_quarter_of_an_octave_is_a_mean():
    x = np.array([8.0, 16, 24, 32, 40, 128, 136])
    share = np.array([0.8, 0.16, 0.08, 0.032, 0.016, 0.0, 9.0])
    radius, density = draw._by_octave(x, share)
    assert radius.tolist() == [8, 16, 24, 32, 40, 128]  # and nothing beyond the axes' end
    assert density.tolist() == pytest.approx([0.1, 0.02, 0.01, 0.004, 0.002, 0])
    radius, density = draw._by_octave(np.arange(1.0, 11), np.arange(10.0, 0, -1))
    assert radius[-1] == 10 and radius[-2] == 8.5 and density[-2] == 2.5  # 8 and 9 together


# ---- Figure 10


def test_the_spectrum_of_a_wave_is_two_points():
    at = torch.arange(32)
    wave = 0.5 + 0.25 * torch.cos(2 * torch.pi * 3 * at / 32)
    decibels = draw._decibels(wave.expand(32, 32).double().numpy())
    bright = np.argwhere(decibels > -60)
    assert bright.tolist() == [[16, 13], [16, 19]]
    assert decibels.max() == pytest.approx(0, abs=1e-9)
    assert np.isfinite(draw._decibels(np.ones((4, 4)))).all()


def test_directions_show_each_image_above_its_spectrum(toy):
    views = study.directions(toy.test[:1])
    figure = draw.directions(views)
    assert [a.get_title() for a in figure.axes[:4]] == list(draw.VIEWS.values())
    g_y = np.asarray(figure.axes[2].images[0].get_array())
    assert (g_y == views["g_y"].numpy()).all()
    below = [a.images[0].get_clim() for a in figure.axes[4:8]]
    assert set(below) == {(-60, 0)}


def test_gradients_are_labelled_with_their_shares(lines):
    curves = drawn(draw.kernel_lines(lines).axes[0])
    assert "Sobel 5 x 5: 0.27 above 64" in curves and len(curves) == 4


# ---- Section 3.1


def test_pasted_pieces_are_drawn_with_their_means(lines):
    figure = draw.coverage(lines)
    labels = [t.get_text() for t in figure.legends[0].get_texts()]
    part = lines[(lines["kind"] == "text") & (lines["quantity"] == "mean")]
    assert labels[0].endswith(f"mean {part['value'].iloc[0]:.2f}") and len(labels) == 2
