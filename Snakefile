# The whole book as a graph: data -> runs -> items -> book. The only scheduler; `make` calls it.
#
#   snakemake data                      arrange the originals that are at hand, and make `textures`
#   snakemake book                      demo runs (and sample runs, where real images are), pages
#   snakemake runs --config profile=full items=ssdnet/gallery dataset=mtd      a subset of runs
#   snakemake items --config items=compare                                     single pages

import hashlib
import json
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from anomlib import datasets, experiments, unified
from anomlib.assets import data_root, source_root

ROOT = data_root()
ITEMS = experiments.items()
WANTED = [name for name in str(config.get("items") or "").split(",") if name] or list(ITEMS)
PROFILES = str(config.get("profile", "demo,sample")).split(",")
PYTHON = sys.executable


def named(path):
    """A path as the graph names it: relative where it is inside the project."""
    path = Path(path)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def chosen(item):
    """Whether an item was asked for, by its name or by its paper's."""
    return any(item == name or item.startswith(f"{name}/") for name in WANTED)


def shows_all(item):
    """Whether a page shows the rows of all items."""
    return ITEMS[item].get("reads") == "all"


unknown = [name for name in WANTED if not any(i == name or i.startswith(f"{name}/") for i in ITEMS)]
if unknown or not set(PROFILES) <= set(experiments.PROFILES):
    sys.exit(
        f"no item {unknown} or profile {PROFILES}; items are: {', '.join(ITEMS)} (a paper that is"
        " not among them has its printed numbers and claims here, but no runs yet)"
    )

# ---- data

# Datasets whose originals are at hand. The stamp of each holds the hashes of what was arranged, so
# that runs start anew exactly when an image changes.
ORIGINALS = {"mtd": "datasets/mtd*", "mvtec": "datasets/mvtec*", "dtd": "datasets/dtd"}
ORIGINALS |= {"weights": "weights"}
SCRIPTS = ["textures", "elpv"]  # one is computed, the other comes with its package
if source_root():
    SCRIPTS += [name for name, path in ORIGINALS.items() if any(source_root().glob(path))]


def stamp(dataset):
    return named(ROOT / ".arranged" / f"{dataset.partition('+')[0]}.txt")


rule arrange:
    input:
        "data_scripts/{dataset}.py",
        "data_scripts/layout.py",
        sorted(map(str, Path("data_scripts/splits").glob("*.txt"))),
    output:
        named(ROOT / ".arranged" / "{dataset}.txt"),
    params:
        # originals in another place may be other originals
        source=lambda wildcards: str(source_root()) if wildcards.dataset in ORIGINALS else "",
    wildcard_constraints:
        dataset="|".join(SCRIPTS),
    shell:
        "{PYTHON} {input[0]} --root '{ROOT}' && find '{ROOT}' -path"
        " '{ROOT}/{wildcards.dataset}*/*/manifest.json' -print0 | sort -z"
        " | xargs -0 cat /dev/null > {output:q}"


rule data:
    default_target: False
    input:
        [stamp(name) for name in SCRIPTS],


# ---- runs


def members(run):
    """The (dataset, category) pairs of a run: one, or those that one model is for."""
    if run.trained_on == "own":
        return [(run.dataset, run.category)]
    return unified.members(run.dataset, run.trained_on)


def at_hand(run):
    return all(category in datasets.categories(name) for name, category in members(run))


# (folder of the results, name of a notebook that makes runs) -> its runs, of which a sweep has many
JOBS, JOB_OF, SKIPPED = {}, {}, set()
NEEDED = ITEMS if any(map(shows_all, filter(chosen, ITEMS))) else list(filter(chosen, ITEMS))
for profile in PROFILES:
    for item in NEEDED if profile in ("demo", "sample") else filter(chosen, ITEMS):
        for job in experiments.jobs_of(ITEMS[item], profile):
            if job[0].dataset.startswith(str(config.get("dataset") or "")):
                if at_hand(job[0]):
                    folder, name = named(experiments.folder_of(profile)), experiments.job_id(job)
                    JOBS[folder, name] = job
                    JOB_OF.update({(folder, run.id): name for run in job})
                else:
                    SKIPPED.add(f"{job[0].dataset}/{job[0].category}")
if SKIPPED and workflow.is_main_process:
    print(f"not at hand, left out: {', '.join(sorted(SKIPPED))}", file=sys.stderr)


def status(folder, job):
    return f"{folder}/.status/{job}.json"


STUDIES = [item for item in filter(chosen, ITEMS) if "study" in ITEMS[item] and "full" in PROFILES]


def study_status(item):
    return status("results", f"studies/{item}")


def tidy():
    """What failed last time is tried again; what no item asks for any more is taken away."""
    for path in Path("results").glob("**/.status/**/*.json"):
        if not json.loads(path.read_text())["ok"]:
            path.unlink()
    for profile in ("demo", "sample"):
        known = experiments.ids(profile)
        tops = [Path("results", profile, name) for name in ("metrics", "images", "runs", "maps")]
        for top in (*tops, Path("book/executed/results", profile)):
            for path in top.rglob("*.*"):
                if path.is_file() and path.stem not in known:
                    path.unlink()


if workflow.is_main_process and not {"-n", "--dry-run", "--dryrun"} & set(sys.argv):
    tidy()


def run_inputs(wildcards):
    run = JOBS[wildcards.folder, wildcards.job][0]
    modules = [named(path) for path in experiments.closure(run.method)]
    stamps = {stamp(name) for name, _ in members(run)}
    data = sorted(path for path in stamps if Path(path).exists())
    return ["notebooks/run.ipynb", *data, *modules]


def run_parameters(wildcards):
    job = JOBS[wildcards.folder, wildcards.job]
    names = ("method", "settings", "trained_on", "dataset", "category", "seed")
    parameters = {name: getattr(job[0], name) for name in names}
    if len(job) > 1:
        parameters["sweep"] = experiments.steps_of(job)
    return json.dumps(parameters | {"results_dir": wildcards.folder})


localrules:
    arrange, data, runs, item, items, html, book,


rule run:
    input:
        run_inputs,
    output:
        status("{folder}", "{job}"),
    log:
        "book/executed/{folder}/{job}.ipynb",
    params:
        run_parameters,
    wildcard_constraints:
        folder="results(/demo|/sample)?",
        job="[^/]+",
    resources:
        mem_mb=4000,
    shell:
        "{PYTHON} notebooks/execute.py notebooks/run.ipynb {log:q} {params:q} --status {output:q}"


rule runs:
    input:
        [status(*key) for key in JOBS],
        [study_status(item) for item in STUDIES],
    run:
        report_failures(input)


# ---- studies: pages whose notebook computes; in the profile `full` with the parameters listed there


rule study:
    input:
        lambda wildcards: study_inputs(wildcards.item),
    output:
        status("results", "studies/{item}"),
    log:
        "book/executed/results/studies/{item}.ipynb",
    params:
        lambda wildcards: json.dumps(ITEMS[wildcards.item]["study"] | {"results_dir": "results"}),
    resources:
        mem_mb=4000,
    shell:
        "{PYTHON} notebooks/execute.py notebooks/{wildcards.item}.ipynb {log:q} {params:q}"
        " --status {output:q}"


def study_inputs(item):
    """A study computes with its paper's method and its paper's functions."""
    paper = item.partition("/")[0]
    modules = [named(path) for path in experiments.closure(paper)]
    return [f"notebooks/{item}.ipynb", *modules, *map(str, Path("anomlib/studies").glob("*.py"))]


# ---- items: the pages with tables and figures

# Every page may show committed numbers, thousands of files. One file that changes when any of them
# does stands for them, or else each page would have an edge to each file
COMMITTED = Path("results/demo/.committed.txt")


def stamp_committed():
    digest = hashlib.sha256()
    for path in sorted(p for t in ("metrics", "studies") for p in Path("results", t).rglob("*.csv")):
        digest.update(f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    if not COMMITTED.exists() or COMMITTED.read_text() != digest.hexdigest():
        COMMITTED.parent.mkdir(parents=True, exist_ok=True)
        COMMITTED.write_text(digest.hexdigest())


if workflow.is_main_process:
    stamp_committed()


def item_runs(item):
    """The runs whose rows an item shows: its own, or all where it shows everything."""
    sources = ITEMS.values() if shows_all(item) else [ITEMS[item]]
    wanted = {run.id for i in sources for p in PROFILES for run in experiments.runs_of(i, p)}
    return sorted({status(f, job) for (f, run), job in JOB_OF.items() if run in wanted})


def item_inputs(wildcards):
    modules = [*map(str, Path("anomlib/figures").glob("*.py")), "anomlib/results.py"]
    modules += ["anomlib/experiments.py", *map(str, Path("anomlib/claims").glob("*.py"))]
    if "study" in ITEMS[wildcards.item]:
        modules += study_inputs(wildcards.item)
    tables = ["results/published.csv", "results/claims.csv", "notebooks/experiments.yaml"]
    notebook = [f"notebooks/{wildcards.item}.ipynb", stamp("textures")]
    return notebook + modules + tables + [str(COMMITTED)] + item_runs(wildcards.item)


rule item:
    input:
        item_inputs,
    output:
        status("results/demo", "items/{item}"),
    log:
        "book/executed/{item}.ipynb",
    shell:
        "{PYTHON} notebooks/execute.py notebooks/{wildcards.item}.ipynb {log:q} --status {output:q}"


PAGES = [status("results/demo", f"items/{item}") for item in ITEMS if chosen(item)]


rule items:
    input:
        PAGES,
    run:
        report_failures(input)


# ---- book


def report_failures(paths):
    failed = {p: json.loads(Path(p).read_text()).get("error") for p in paths}
    failed = {Path(p).stem: error for p, error in failed.items() if error}
    for name, error in failed.items():
        print(f"failed: {name}: {error}", file=sys.stderr)
    if failed:
        raise WorkflowError(f"{len(failed)} of {len(paths)} failed; their pages say so")


SOURCES = [str(p) for p in Path("book").glob("**/*") if p.is_file()
           and p.parts[1] not in ("_build", "executed")]


rule html:
    input:
        PAGES,
        [status(*key) for key in JOBS],
        SOURCES,
    output:
        "book/_build/html/index.html",
    shell:  # from nothing, so that no page or picture of before stays
        "rm -rf book/_build && jupyter-book build book --all -W --keep-going"


rule book:
    default_target: True
    input:
        "book/_build/html/index.html",
        pages=PAGES,
        runs=[status(*key) for key in JOBS],
    run:
        report_failures([*input.pages, *input.runs])
        print("open book/_build/html/index.html")
