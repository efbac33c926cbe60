"""The drawings of the FAE paper: what the expansions of Theorem 1 leave of the loss.

References:
    | FAE, the filtering autoencoder: Section 3, Theorem 1 (no figure of the paper shows it)

Everything is drawn from what is handed in: the tables of `studies.fae`.
"""

from typing import Any

import pandas as pd
from IPython.display import HTML

from .common import VARIANTS, checked

# Theorem 1

LOOKS = {  # expansion -> dash; a network has its colour and marker
    "full": "solid",
    "without curvature": "dash",
    "Bishop, misapplied": "dashdot",
    "bound on the curvature term": "dot",
}
SHOWN = {  # network -> expansions that have a curve; the others lie on one of these
    "tanh": ["full", "without curvature", "Bishop, misapplied"],
    "linear": ["full"],
    "sigmoid": ["full", "without curvature", "bound on the curvature term"],
    "ReLU, inside a region": ["full"],
    "ReLU, near a kink": ["full"],
}
SYMBOLS = ["circle", "square", "diamond", "triangle-up", "x"]
VIEWS = {"remainder": ("|loss − expansion|", 0), "remainder / σ⁴": ("|loss − expansion| / σ⁴", 4)}
LEAST = 1e-17  # where an exact 0 stands on a logarithmic axis
ROUNDING = 1e-12  # of the loss: a curve below it everywhere is named as zero


def remainders(table: pd.DataFrame, name: str = "theorem-1") -> HTML:
    """Theorem 1 on logarithmic axes, a line per network and expansion; a click hides a line.

    Two buttons choose between the remainder and the remainder over sigma^4, on which a slope of 4
    is level. The script of plotly itself is not part of it: `book/_ext/plotly_js.py` loads it.

    Args:
        table: of `studies.fae.theorem1` with the column slope of `studies.fae.slopes`; drawn are
            the lines of noise on both sides ("shared").
        name: of the figure in its page, where there are several.

    Raises:
        ValueError: there is nothing to draw, or a column is missing.
    """
    import plotly.graph_objects as go  # takes a second, and only this figure needs it

    columns = ["network", "noise", "expansion", "sigma", "loss", "se", "slope"]
    table = checked(table, columns, "remainder")
    table = table[table["noise"] == "shared"]
    lines = [
        (part.sort_values("sigma"), network, expansion)
        for network, expansions in SHOWN.items()
        for expansion in expansions
        if len(part := table.query("network == @network and expansion == @expansion"))
    ]
    if not lines:
        raise ValueError("there is nothing to draw: no network of the figure has shared noise")
    figure = go.Figure([_line(*line) for line in lines])
    axes = {"type": "log", "exponentformat": "power", "gridcolor": "#dddddd"}
    figure.update_layout(
        xaxis=axes | {"title": {"text": "standard deviation of the noise, σ"}} | _ticks(table),
        yaxis=axes | {"title": {"text": VIEWS["remainder"][0]}},
        updatemenus=[_buttons([part for part, _, _ in lines])],
        legend={"orientation": "h", "y": -0.2, "yanchor": "top", "font": {"size": 13}},
        margin={"l": 70, "r": 10, "t": 50, "b": 0}, height=640,
        paper_bgcolor="white", plot_bgcolor="white",
    )  # fmt: skip
    # a name of its own, or the page would differ each time it is made
    options = {"include_plotlyjs": False, "full_html": False, "div_id": name}
    config = {"displayModeBar": False, "responsive": True}
    return HTML(figure.to_html(config=config, **options))


def _ticks(table: pd.DataFrame) -> dict[str, Any]:
    values = sorted(set(table["sigma"]))
    return {"tickvals": values, "ticktext": [f"{value:g}" for value in values]}


def _line(part: pd.DataFrame, network: str, expansion: str) -> dict[str, Any]:
    place = list(SHOWN).index(network)
    color = VARIANTS[place]
    zero = (part["remainder"].abs() / part["loss"]).max() < ROUNDING
    slope = part["slope"].iloc[0]
    what = " (zero to rounding)" if zero else "" if pd.isna(slope) else f" (slope {slope:.2f})"
    hover = "σ = %{x}<br>%{customdata[0]:.3e} ± %{customdata[1]:.1e}<extra>%{fullData.name}"
    return {
        "type": "scatter", "mode": "lines+markers",
        "name": f"{network}: {expansion}{what}",
        "x": part["sigma"].tolist(), "y": heights(part, 0),
        "customdata": part[["remainder", "se"]].to_numpy().tolist(),
        "hovertemplate": hover + "</extra>",
        "line": {"color": color, "dash": LOOKS[expansion]},
        "marker": {"color": color, "symbol": SYMBOLS[place], "size": 8},
    }  # fmt: skip


def heights(part: pd.DataFrame, power: int) -> list[float]:
    """|remainder| over a power of sigma; an exact 0 is lifted to where it can be drawn."""
    return (part["remainder"].abs().clip(lower=LEAST) / part["sigma"] ** power).tolist()


def _buttons(parts: list[pd.DataFrame]) -> dict[str, Any]:
    buttons = [
        {
            "label": label,
            "method": "update",
            "args": [
                {"y": [heights(part, power) for part in parts]},
                {"yaxis.title.text": title, "yaxis.autorange": True},
            ],
        }
        for label, (title, power) in VIEWS.items()
    ]
    place = {"x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"}
    return place | {"type": "buttons", "direction": "right", "buttons": buttons}


# Tables


def slope_table(slopes: pd.DataFrame) -> object:
    """The slope of every curve; for display.

    Args:
        slopes: of `studies.fae.slopes` by network, noise and expansion.
    """
    names = {
        "slope": "slope, all σ",
        "first": "slope, two smallest σ",
        "largest": "largest |remainder| / loss",
    }
    digits = {names["slope"]: "{:.2f}", names["first"]: "{:.3f}", names["largest"]: "{:.1e}"}
    return slopes.rename(columns=names).style.format(digits, na_rep="").hide()


def formula_table(table: pd.DataFrame) -> object:
    """FAE beside DAE and RCAE, with what was measured; for display.

    Args:
        table: of `studies.fae.formulas`.
    """
    names = {
        "expected": "before σ²",
        "measured": "measured",
        "se": "standard error",
        "apart": "apart, in standard errors",
        "curvature": "⟨r, Lap f⟩",
    }
    digits = {name: "{:.3f}" for name in names.values()} | {names["apart"]: "{:+.1f}"}
    shown = table[["objective", "formula", *names]].rename(columns=names)
    return shown.style.format(digits).hide()


def bound_table(table: pd.DataFrame) -> object:
    """How far the curvature term of a sigmoid stays below its bounds; for display.

    Args:
        table: of `studies.fae.sigmoid_table`.
    """
    ratios = table.assign(
        bound=table["curvature"] / table["bound"],
        activation_only=table["curvature"] / table["activation_only"],
    )
    columns = ["curvature", "residual", "bound", "activation_only"]
    worst = ratios.groupby(["scale", "shrink"])[columns].max()
    names = {
        "curvature": "|⟨r, Lap f⟩|",
        "residual": "|r|",
        "bound": "share of the bound",
        "activation_only": "share of max|s''| |r|",
    }
    return worst.rename(columns=names).style.format("{:.2g}").format_index("{:g}")


def value_table(*tables: pd.DataFrame) -> object:
    """Named numbers; for display.

    Args:
        tables: with quantity and value.
    """
    both = pd.concat([checked(t, ["quantity", "value"], "value") for t in tables])
    return both[["quantity", "value"]].style.format({"value": "{:.3g}"}).hide()
