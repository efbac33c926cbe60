"""FAE's tables and figures that come from runs: with and without noise, penalties, corruptions.

References:
    | Noise & Pattern: Identity-Anchored Tikhonov Regularization for Robust Structural Anomaly
    | Detection (Bauer & Mueller, 2025): Tables 1 to 3, Figures 3, 4, 6 and 8 to 11, Remarks 1 to 4
"""

from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.axes import Axes

from .arms import MEASURES, Arm, in_arms, of_every_arm
from .common import Picture

PLAIN: Arm = ({}, "", "")
NOISE: dict[str, Arm] = {
    "with noise": ({}, "fae", "noise=true"),
    "without noise": ({"penalty": "none"}, "fae", "noise=false"),
}
ARMS: dict[str, dict[str, Arm]] = {
    "noise": NOISE,
    "shape": {
        "ellipses and curves": PLAIN,
        "ellipses": ({"shape": "ellipses"}, "", ""),
        "curves": ({"shape": "curves"}, "", ""),
        "whole image, see-through": ({"shape": "whole", "opacity": "transparent"}, "", ""),
    },
    "partial": {  # Remark 1: a classical DAE takes away noise from everywhere
        "occlusions, no noise": ({"penalty": "none"}, "", ""),
        "noise 0.1 on the input": ({"shape": "nothing", "penalty": "dae", "sigma": 0.1}, "", ""),
        "noise 0.2 on the input": ({"shape": "nothing", "penalty": "dae", "sigma": 0.2}, "", ""),
    },
    "texture": {
        "photographs of textures": PLAIN,
        "the training images": ({"textures": "train"}, "", ""),
        "procedural": ({"textures": "procedural"}, "", ""),
    },
    "opacity": {
        "both": PLAIN,
        "opaque": ({"opacity": "opaque"}, "", ""),
        "see-through": ({"opacity": "transparent"}, "", ""),
    },
    "edge": {"soft": PLAIN, "hard": ({"edge": 0.0}, "", "")},
    "loss": {"Eq. 3": PLAIN, "weighted, 0.9 inside": ({"weight": 0.9}, "", "")},
    "skips": {"with": PLAIN, "without": ({"skips": False}, "", "")},
    "maps": {
        "chosen on held-out images": PLAIN,
        "squared error": ({"diff": "mse"}, "", ""),
        "1 - SSIM": ({"diff": "ssim"}, "", ""),
        "1 - GMS": ({"diff": "gms"}, "", ""),
        "score: maximum": ({"score": "max"}, "", ""),
    },
    "steps": {
        f"{name}, {steps} steps": ({"steps": steps} | arm, "", "")
        for steps in (400, 1600)
        for name, (arm, _, _) in NOISE.items()
    },
    "long": {
        f"{name}, {steps} steps": ({"steps": steps} | arm, "", "")
        for steps in (400, 1600, 6400)
        for name, (arm, _, _) in NOISE.items()
    },
}
FAIR_NOISE: dict[str, Arm] = {"with noise": ({"noise": 0.05}, "", ""), "without noise": PLAIN}
RESTORED: dict[str, Arm] = {
    "with noise": PLAIN,
    "without noise": ({"penalty": "none"}, "", ""),
    "noise on the input only": ({"penalty": "dae"}, "", ""),
    "explicit penalty": ({"penalty": "explicit"}, "", ""),
}
# The ablation of the penalty: its name in figures, the settings without sigma, colour and dashes
PENALTIES: dict[str, tuple[dict[str, Any], str, str]] = {
    "FAE: one noise on input and target": ({}, "#0072b2", "-"),
    "FAE, sigma ~ U(0, sigma)": ({}, "#56b4e9", "--"),
    "explicit |J - I|": ({"penalty": "explicit"}, "#000000", ":"),
    "DAE: noise on the input": ({"penalty": "dae"}, "#d55e00", "-"),
    "explicit |J| (RCAE)": ({"penalty": "rcae"}, "#cc79a7", ":"),
    "two independent noises": ({"penalty": "independent"}, "#e69f00", "--"),
    "noise on the target": ({"penalty": "target"}, "#009e73", "-."),
}
RANDOM, NONE, DEFAULT = "FAE, sigma ~ U(0, sigma)", "none", 0.05
SIGMAS = (0.01, 0.02, 0.05, 0.1)


# ---- Table 3


def table3(rows: pd.DataFrame, printed: pd.DataFrame) -> pd.DataFrame:
    """Pixel AUROC in percent, with and without noise: mean, deviation over seeds, and the gain.

    Args:
        rows: of any runs of FAE.
        printed: rows of `results.published("fae", "table3")`.

    Returns:
        A line per place; a category of one seed has no deviation.
    """
    lines = of_every_arm(in_arms(rows[rows["metric"] == "pixel_auroc"], NOISE))
    by = ["profile", "dataset", "category"]
    found = lines.assign(value=100 * lines["value"]).groupby([*by, "arm"])["value"]
    wide = found.agg(["mean", "std", "count"]).unstack("arm")
    cells = printed.assign(profile="printed", value=printed["value"].astype(float))
    names = {variant: name for name, (_, _, variant) in NOISE.items()}
    cells = cells.assign(arm=cells["variant"].map(names)).dropna(subset="arm")
    kinds = {"pixel_auroc": "mean", "pixel_auroc_std": "std"}
    cells = cells.assign(kind=cells["metric"].map(kinds)).dropna(subset="kind")
    cells = cells.pivot_table(index=by, columns=["kind", "arm"], values="value", sort=False)
    both = pd.concat([cells, wide])
    gain = both["mean", "with noise"] - both["mean", "without noise"]
    columns = [(kind, name) for kind in ("mean", "std") for name in NOISE]
    runs = both["count", "with noise"] if "count" in both else np.nan
    shown = both.reindex(columns=columns)
    shown[("gain", "")], shown[("seeds", "")] = gain, runs
    return shown


def show_table3(wide: pd.DataFrame) -> object:
    if wide.empty:
        return Markdown("*No runs with and without noise.*")
    style = wide.style.format("{:.2f}", na_rep="").format("{:.0f}", subset=["seeds"], na_rep="")
    style = style.format("{:+.2f}", subset=["gain"], na_rep="")

    def colour(x: float) -> str:
        return "" if np.isnan(x) else f"color: {'#00703c' if x > 0 else '#b2182b'}"

    return style.map(colour, subset=["gain"])


# ---- the ablation of the Jacobian penalty


def penalties() -> dict[str, Arm]:
    """Every arm at every sigma, named "arm | sigma"; what equals the paper's stays away."""
    arms: dict[str, Arm] = {f"{NONE} | 0": ({"penalty": "none"}, "", "")}
    for name, (settings, _, _) in PENALTIES.items():
        for sigma in SIGMAS:
            strength = {"sigma": sigma} if sigma != DEFAULT else {}
            strength = {"sigma_max": sigma} if name == RANDOM else strength
            arms[f"{name} | {sigma}"] = (settings | strength, "", "")
    return arms


def by_penalty(rows: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """The rows of the ablation, with `penalty` and `noise`, its sigma; 0 without any.

    The seconds of a training step become rows, too; the machine may have been busy.

    Args:
        records: `results.load_records`.
    """
    lines = of_every_arm(in_arms(rows[rows["metric"].isin([*MEASURES])], penalties()))
    if lines.empty:
        return lines.assign(penalty="", noise=0.0)
    costs = lines.drop_duplicates(["run", "profile"]).assign(metric="seconds per step")
    fits = records.set_index(["run", "profile"])
    steps = fits["key.settings"].map(lambda settings: settings.get("steps"))
    seconds = (fits["seconds.fit"] / steps).rename("value")
    costs = costs.drop(columns="value").join(seconds, on=["run", "profile"])
    both = pd.concat([lines, costs], ignore_index=True)
    names = both["arm"].str.rsplit(" | ", n=1, expand=True)
    return both.assign(penalty=names[0], noise=names[1].astype(float))


def penalty_table(lines: pd.DataFrame) -> pd.DataFrame:
    """Mean over categories and seeds, and the deviation over seeds of the mean over categories."""
    by = ["profile", "dataset", "penalty", "noise", "metric"]
    by_seed = lines.groupby([*by, "seed"], sort=False)["value"].mean()
    found = by_seed.groupby(level=by, sort=False).agg(["mean", "std", "count"])
    runs = lines.groupby(by, sort=False)["run"].nunique()
    return found.assign(runs=runs).reset_index()


def show_penalties(table: pd.DataFrame) -> object:
    """The table of the ablation for display: means, with their deviation over seeds."""
    if table.empty:
        return Markdown("*The arms have not run here: `make full ITEM=fae/ablation`.*")
    measures = MEASURES | {"seconds per step": (1000.0, "ms", "low")}
    scale = table["metric"].map({m: factor for m, (factor, *_) in measures.items()})
    labels = {m: f"{m}, {unit}" for m, (_, unit, _) in measures.items()}
    metric = table["metric"].map(labels)
    lines = table.assign(mean=scale * table["mean"], sd=scale * table["std"], metric=metric)
    lines["words"] = [
        f"{m:.2f}" if np.isnan(s) else f"{m:.2f} ± {s:.2f}"
        for m, s in zip(lines["mean"], lines["sd"], strict=True)
    ]
    by = ["profile", "dataset", "penalty", "noise"]
    wide = lines.pivot(index=by, columns="metric", values="words")
    runs = lines.groupby(by)["runs"].max()
    names = [NONE, *PENALTIES]
    wide = wide.reindex(columns=[label for label in labels.values() if label in wide]).assign(
        runs=runs
    )
    return wide.sort_index(key=lambda i: i.map(names.index) if i.name == "penalty" else i)


def penalty_lines(table: pd.DataFrame, metrics: list[str], columns: int = 2) -> Picture:
    """Each metric over sigma, a line per arm with its deviation over seeds; grey is no penalty.

    Args:
        table: `penalty_table` of one profile and dataset.
    """
    rows = -(-len(metrics) // columns)
    figure = Picture(figsize=(4.2 * columns, 2.5 * rows + 0.7), dpi=110)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, metric in zip(panels, metrics, strict=False):
        part = table[table["metric"] == metric].set_index("penalty")
        _penalty_panel(axes, part, metric)
    for axes in panels[len(metrics) :]:
        axes.axis("off")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.set_layout_engine("constrained")
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=7.5)
    return figure


def _penalty_panel(axes: Axes, part: pd.DataFrame, metric: str) -> None:
    spot = list(SIGMAS)
    for k, (name, (_, colour, dashes)) in enumerate(PENALTIES.items()):
        if name in part.index:
            line = part.loc[[name]].set_index("noise").reindex(spot)
            x = np.array(spot) * (1 + 0.025 * (k - 3))  # side by side
            axes.errorbar(x, line["mean"], line["std"].fillna(0), label=name, color=colour,
                          linestyle=dashes, marker="o", markersize=3, linewidth=1.4, capsize=2,
                          elinewidth=0.7)  # fmt: skip
    if NONE in part.index:
        none = part.loc[[NONE]].iloc[0]
        axes.axhline(none["mean"], color="0.5", linewidth=1.2, label="no penalty")
        if none["std"] > 0:
            low, high = none["mean"] - none["std"], none["mean"] + none["std"]
            axes.axhspan(low, high, color="0.9")
    axes.set_xscale("log")
    axes.set_xticks(spot, [f"{s:g}" for s in spot], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_title(metric, fontsize=9, loc="left")
    axes.set_xlabel("sigma", fontsize=8)
    axes.tick_params(labelsize=7.5)
    axes.grid(color="0.93", linewidth=0.6)


def agreement(lines: pd.DataFrame, one: str, other: str) -> pd.DataFrame:
    """How far two arms of the ablation lie apart, beside what another seed changes.

    Args:
        lines: `by_penalty` of one profile and dataset.

    Returns:
        A line per metric and sigma: the mean and deviation of the difference over pairs (a
        category and a seed), and the deviation over seeds of the first arm within a category.
    """
    by = ["metric", "noise", "category", "seed"]
    pairs = [lines[lines["penalty"] == name].set_index(by)["value"] for name in (one, other)]
    wide = pd.concat(pairs, axis=1, keys=["one", "other"]).dropna()
    groups = wide.assign(gap=wide["one"] - wide["other"]).groupby(level=["metric", "noise"])
    found = groups["gap"].agg(["mean", "std", "count"])
    within = wide["one"].groupby(level=["metric", "noise", "category"]).std()
    found["sd over seeds"] = within.groupby(level=["metric", "noise"]).mean()
    return found.rename(columns={"mean": "difference", "std": "sd", "count": "pairs"})


def show_agreement(found: pd.DataFrame) -> object:
    if found.empty:
        return Markdown("*The two arms have not run on the same images with the same seed.*")
    digits = {"difference": "{:+.4f}", "sd": "{:.4f}", "sd over seeds": "{:.4f}"}
    return found.style.format(digits, na_rep="").format_index("{:g}", level="noise")


def plainly(table: pd.DataFrame, lines: pd.DataFrame, metric: str = "pixel_auroc") -> Markdown:
    """What the ablation says of one metric, in words made from its numbers.

    Args:
        table, lines: of one profile and dataset.
    """
    here = table[table["metric"] == metric].set_index(["penalty", "noise"])["mean"]
    if here.empty or (NONE, 0.0) not in here:
        return Markdown("*Not enough arms have run to say anything.*")
    fae, explicit, *_ = [name for name in PENALTIES if name != RANDOM]
    none, said = here[NONE, 0.0], []
    for sigma in SIGMAS:
        if (fae, sigma) in here:
            change = here[fae, sigma] - none
            word = "above" if change > 0 else "below"
            said.append(f"{abs(change):.3f} {word} at {sigma:g}")
    words = [f"**{metric}.** Without any penalty {none:.3f}; with FAE's noise {', '.join(said)}."]
    both = agreement(lines[lines["metric"] == metric], fae, explicit)
    if len(both):
        close = (both["difference"].abs() <= both["sd over seeds"]).sum()
        words.append(
            f"The noise and the explicit penalty differ by less than another seed does at {close}"
            f" of {len(both)} strengths (largest difference {both['difference'].abs().max():.3f})."
        )
    ranking = here.drop(index=NONE, level=0).groupby(level=0).max().sort_values(ascending=False)
    best = ", ".join(f"{name} {value:.3f}" for name, value in ranking.items())
    words.append(f"At each arm's best strength: {best}.")
    return Markdown(" ".join(words))


# ---- noise on test images


def noise_levels(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A metric over the noise that was added to test images, by how the network was trained.

    Returns:
        Columns profile, arm, level, mean, std (over seeds of the mean over categories) and count.
    """
    base = rows["dataset"].str.replace(r"\+noise=[0-9.]+", "", regex=True)
    level = rows["dataset"].str.extract(r"\+noise=([0-9.]+)")[0].astype(float).fillna(0.0)
    arms: dict[str, Arm] = {
        "sigma fixed": PLAIN,
        "sigma ~ U(0, sigma)": ({"sigma_max": 0.05}, "", ""),
    }
    found = []
    for value, part in rows[rows["metric"] == metric].assign(dataset=base).groupby(level):
        found.append(of_every_arm(in_arms(part, arms)).assign(level=value))
    lines = pd.concat(found, ignore_index=True) if found else rows.assign(arm="", level=0.0)[:0]
    by = ["profile", "arm", "level"]
    by_seed = lines.groupby([*by, "seed"])["value"].mean()
    return by_seed.groupby(level=by).agg(["mean", "std", "count"]).reset_index()


def noise_lines(table: pd.DataFrame, metric: str) -> Picture:
    figure = Picture(figsize=(5.5, 2.8), dpi=110)
    axes = figure.subplots()
    for (profile, arm), part in table.groupby(["profile", "arm"]):
        axes.errorbar(part["level"], part["mean"], part["std"].fillna(0), marker="o",
                      markersize=3, capsize=2, label=f"{profile}: {arm}")  # fmt: skip
    axes.set(xlabel="noise on the test images", ylabel=metric)
    axes.grid(color="0.93", linewidth=0.6)
    axes.legend(fontsize=8)
    figure.set_layout_engine("constrained")
    return figure


# ---- the choice of the map


def grades(graded: dict[tuple[str, int, int], float]) -> object:
    """The pixel AUROC of each Diff, k and n on held-out images; for display."""
    lines = [(diff, f"k = {k}", f"n = {n}", value) for (diff, k, n), value in graded.items()]
    table = pd.DataFrame(lines, columns=["Diff", "k", "n", "value"])
    wide = table.pivot_table(index="Diff", columns=["k", "n"], values="value", sort=False)
    return wide.style.format("{:.3f}").background_gradient("YlGnBu", axis=None)
