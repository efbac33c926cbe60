"""Reading our rows: scopes, sweeps, and which of several settings decides."""

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from .outcomes import PROFILES, SCOPES, Decision, Outcome, keep, listed

COLUMNS = (  # of our rows
    "method settings trained_on dataset category seed metric value profile".split()
)
LINE_COLUMNS = (  # of our lines of images; a metric's column may be absent
    "path kind label method settings trained_on dataset category seed profile".split()
)
STUDY_COLUMNS = "dataset category profile".split()  # of any study
# Variants of a sweep: they change pixels of the test images, or leave out training images, but
# not which images are tested
CORRUPTIONS, SHARES = {"noise", "missing", "nseed"}, {"train", "tseed"}
SWEPT = CORRUPTIONS | SHARES
DRAWN = ("textures", "synthetic")  # bases of names whose images, or features, are made up
MVTEC_CATEGORIES = tuple(
    "bottle cable capsule carpet grid hazelnut leather metal_nut pill screw tile toothbrush "
    "transistor wood zipper".split()
)
# The paper averages over images; its printed pixel_auroc and pixel_ap join to these
PER_IMAGE = ("mean_image_pixel_auroc", "mean_image_pixel_ap")
AUROC_MEAN, AP_MEAN = PER_IMAGE


def scope_of(dataset: str, about: str = "") -> str:
    """What a dataset's name says about how far a result on it reaches.

    Args:
        about: the dataset that a claim is about; "" is whichever the rows are of.

    Examples:
        "mtd" is full data, "mvtec+sample" a real sample, "textures+size=64" a stand-in. For a
        claim about "mvtec", "mtd" is a real stand-in.
    """
    base, *variants = dataset.split("+")
    if base in DRAWN:
        return "embedded stand-in"
    if about and base != about:
        return "real stand-in"
    partial = any(v == "sample" or v.startswith("first=") for v in variants)
    return "real sample" if partial else "full data"


def scoped(rows: pd.DataFrame, about: str = "") -> Iterator[tuple[str, pd.DataFrame]]:
    """Our rows in parts that may be averaged: one scope, one profile, one set of images each.

    The strongest scope comes first, in it the fullest profile, then the plainest name. Names that
    differ in their base only (mvtec, visa), or in a variant of a sweep, stay together: `untouched`
    or `sweeps` tell those apart.
    """
    pairs = [*zip(rows["dataset"], rows["profile"], strict=True)]
    known = {pair: _part(*pair, about) for pair in set(pairs)}
    parts = [known[pair] for pair in pairs]
    for part in sorted(set(parts)):
        yield SCOPES[part[0]], keep(rows, [p == part for p in parts])


def _part(dataset: str, profile: str, about: str) -> tuple[int, int, int, str]:
    variants = [v for v in dataset.split("+")[1:] if not _is_of(v, SWEPT)]
    scope = SCOPES.index(scope_of(dataset, about))
    return scope, PROFILES.index(profile), len(variants), "+".join(variants)


def _is_of(variant: str, kinds: Set[str]) -> bool:
    return variant.partition("=")[0] in kinds


def plain(dataset: str) -> str:
    return "+".join(v for v in dataset.split("+") if not _is_of(v, SWEPT))


def untouched(rows: pd.DataFrame, dataset: str, but: Set[str] = frozenset()) -> pd.DataFrame:
    """Rows of a dataset, whichever part of it, but for those of a sweep.

    No noise is added, no pixel missing, and the method has seen all training images.

    Args:
        but: variants of a sweep that may be there all the same, such as SHARES.
    """
    known = {name: name.split("+") for name in set(rows["dataset"])}
    wanted = [
        name
        for name, (base, *variants) in known.items()
        if base == dataset and not any(_is_of(v, SWEPT - but) for v in variants)
    ]
    return keep(rows, rows["dataset"].isin(wanted))


def stood_in(
    rows: pd.DataFrame, about: str, others: Sequence[str], but: Set[str] = frozenset()
) -> list[tuple[str, pd.DataFrame]]:
    """The parts of `scoped` of one dataset and of those that may stand in for it."""
    bases = (about, *others)
    parts = [part for base in bases for part in scoped(untouched(rows, base, but), about)]
    return sorted(parts, key=lambda part: SCOPES.index(part[0]))


def settled(
    rows: pd.DataFrame,
    method: str,
    key: Sequence[str],
    table: Callable[[pd.DataFrame], pd.DataFrame],
) -> tuple[pd.DataFrame, str] | None:
    """A method's numbers, all from the same settings, and the words that say which.

    Args:
        rows: those of one part of `scoped` that are asked for.
        key: the columns that name a row of one run; its number is its `value`.
        table: from the rows of one run to its numbers; NaN, or none at all: it is incomplete.

    Returns:
        None where no settings are complete.

    Raises:
        ValueError: two rows for one key, or a value that is not a number.
    """
    rows, complete = keep(rows, rows["method"] == method), []
    for settings, trained_on in sorted(
        set(zip(rows["settings"], rows["trained_on"], strict=True))
    ):
        run = keep(rows, (rows["settings"] == settings) & (rows["trained_on"] == trained_on))
        if run.duplicated(subset=list(key)).any():
            raise ValueError(f"{method} ({settings}) has two rows for one key")
        if not np.isfinite(run["value"].to_numpy(dtype=float)).all():
            raise ValueError(f"{method} ({settings}) has a value that is not a number")
        numbers = table(run)
        if len(numbers) and numbers.notna().to_numpy().all():
            rank = (-len(run), settings.count("="), settings, trained_on)  # least changed
            complete.append((rank, numbers, run.groupby([k for k in key if k != "seed"]).size()))
    if not complete:
        return None
    (_, _, settings, trained_on), numbers, seeds = min(complete, key=lambda found: found[0])
    words = f"{method} (settings {settings}, trained on {trained_on}, "
    low, high = seeds.min(), seeds.max()
    words += "one seed" if high == 1 else f"mean of {high} seeds"
    words += f", of {low} in places" if low < high else ""
    words += f", most rows of {len(complete)} settings)" if len(complete) > 1 else ")"
    return numbers, words


ROW_KEY = ("dataset", "category", "seed", "metric")


def measured(
    rows: pd.DataFrame, method: str, metrics: Sequence[str], categories: Sequence[str]
) -> tuple[dict[str, float], str] | None:
    """A method's means over seeds and then categories, and the words that say what they are.

    All metrics come from the same settings: those with the most rows among the settings that have
    every metric in every category.

    Args:
        rows: one part of `scoped`, of one dataset.

    Returns:
        None where no settings are complete.

    Raises:
        ValueError: two rows for one key, or a value that is not a number.
    """

    def table(run: pd.DataFrame) -> pd.DataFrame:
        means = run.pivot_table(index="metric", columns="category", values="value")
        return means.reindex(index=list(metrics), columns=list(categories))

    rows = keep(rows, rows["metric"].isin(metrics) & rows["category"].isin(categories))
    found = settled(rows, method, ROW_KEY, table)
    if found is None:
        return None
    return {m: float(x) for m, x in found[0].mean(axis=1).items()}, found[1]


def sweeps(
    rows: pd.DataFrame, kind: str, levels: Sequence[float], methods: Sequence[str]
) -> Iterator[tuple[str, dict[str, pd.DataFrame], str, str]]:
    """Part by part, the means of methods at each level of a corruption, over its draws.

    A draw counts where every method has it at every level; level 0 is the same for all draws.

    Args:
        rows: of one dataset and category.
        kind: "noise" or "missing".

    Yields:
        Scope; method -> a table of PER_IMAGE (rows) by level (columns); which data and draws, in
        words; which runs. Nothing where more than WinCLIP is absent.
    """
    other = SWEPT - {kind, "nseed"}
    split = [dict(v.partition("=")[::2] for v in d.split("+")[1:]) for d in rows["dataset"]]
    rows = rows.assign(
        level=[float(v.get(kind, 0)) for v in split],
        draw=[int(v.get("nseed", 0)) for v in split],
        images=[plain(d) for d in rows["dataset"]],
    )
    asked = rows["metric"].isin(PER_IMAGE) & rows["level"].isin(levels)
    rows = keep(rows, asked & np.array([not other & set(v) for v in split], dtype=bool))

    def table(run: pd.DataFrame) -> pd.DataFrame:
        means = run.pivot_table(index="draw", columns=["metric", "level"], values="value")
        means = means.reindex(columns=pd.MultiIndex.from_product([PER_IMAGE, levels]))
        means = means.sort_index()  # draw 0 first, in which untouched images are counted
        for metric in PER_IMAGE if 0.0 in levels else ():
            means[metric, 0.0] = means[metric, 0.0].ffill().bfill()
        return means.dropna()  # a row for each complete draw

    for scope, part in scoped(rows):
        gathered = gather({m: settled(part, m, ROW_KEY, table) for m in methods})
        if gathered is None:
            continue
        found, runs = gathered
        draws = sorted(set.intersection(*(set(numbers.index) for numbers in found.values())))
        if draws:
            means = {m: x.loc[draws].mean().unstack() for m, x in found.items()}
            words = f"{part['images'].iloc[0]}/{part['category'].iloc[0]}, profile "
            words += f"{part['profile'].iloc[0]}, {len(draws)} draw{'s' * (len(draws) > 1)}"
            yield scope, means, words, runs


def imagewise(lines: pd.DataFrame, method: str) -> tuple[pd.DataFrame, str] | None:
    """A method's numbers by seed (rows) and image (columns: category, path), and words for it.

    Args:
        lines: one part of `scoped`, of `defective`; settings that lack one of its images are
            incomplete.
    """
    places = pd.MultiIndex.from_frame(lines[["category", "path"]].drop_duplicates())

    def table(run: pd.DataFrame) -> pd.DataFrame:
        numbers = run.pivot_table(index="seed", columns=["category", "path"], values="value")
        return numbers.reindex(columns=places)

    return settled(lines, method, ("dataset", "category", "seed", "path"), table)


def defective(images: pd.DataFrame, column: str) -> pd.DataFrame:
    """The lines of defective images that have a number in a column, as their `value`."""
    if column not in images.columns:  # in no file of an older version
        return images.iloc[:0].assign(value=[])
    lines = images.assign(value=images[column])
    return keep(lines, (lines["label"] == 1) & lines["value"].notna())


# ---- what is absent

ABSENT = {  # methods that are not waited for, and why
    "winclip": "its weights are not at hand",
    **dict.fromkeys(
        "ae_ssim destseg dfr dsr fastflow riad simplenet stfpm uniad".split(), "not run here"
    ),
}
Found = TypeVar("Found")


def gather(
    found: dict[str, tuple[Found, str] | None],
) -> tuple[dict[str, Found], str] | None:
    """What was found of each method, and the words; None where one is absent that need not be."""
    here = {m: x for m, x in found.items() if x is not None}
    if not here or set(found) - set(here) - set(ABSENT):
        return None
    return {m: x for m, (x, _) in here.items()}, ", ".join(words for _, words in here.values())


@dataclass(frozen=True)
class Finding:
    """What one part of our rows says about a claim."""

    scope: str
    outcome: Outcome
    absent: Sequence[str] = ()  # methods, or whatever else the claim speaks of
    aside: str = ""  # what does not decide, but shows


def strongest(findings: Iterable[Finding]) -> Decision | None:
    """What the strongest of several scopes says that can say something.

    Args:
        findings: the strongest scope first. An outcome that fails decides, whatever is absent. One
            that holds as far as there are rows is undecided, and then only a finding without
            anything absent may decide in a weaker scope.
    """
    waiting = None
    for x in findings:
        holds, words = x.outcome
        if not x.absent:
            return Decision(holds, x.scope, words + x.aside)
        if waiting is None and not holds:
            words += f". It fails already without {listed(x.absent)}"
            return Decision(False, x.scope, words + x.aside)
        words = f"Holds so far: {words}. No rows of {_lacking(x.absent)}{x.aside}"
        waiting = waiting or Decision(None, x.scope, words)
    return waiting


def _lacking(names: Sequence[str]) -> str:
    by_reason: dict[str, list[str]] = {}
    for name in names:
        by_reason.setdefault(ABSENT.get(name, "not at hand"), []).append(name)
    return "; ".join(f"{listed(found)}: {why}" for why, found in by_reason.items())


def place_of(rows: pd.DataFrame) -> str:
    sets = " and ".join(sorted(set(rows["dataset"] + "/" + rows["category"])))
    return f"{sets}, profile {rows['profile'].iloc[0]}"
