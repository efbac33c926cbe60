"""Serves plotly's script from the installed package, on pages that show a figure of it only."""

import shutil
from importlib.util import find_spec
from pathlib import Path

FIGURE = 'class="plotly-graph-div"'  # what plotly's `to_html` writes
SCRIPT = "plotly.min.js"  # 4.6 MB: one copy for all pages, none where there is no figure


def add_script(app, pagename, templatename, context, doctree):
    """Loads the script in a page that holds a figure; copies it there before the first one."""
    if FIGURE not in context.get("body", ""):
        return
    target = Path(app.outdir) / "_static" / SCRIPT
    source = installed()
    if not target.is_file() or target.stat().st_size != source.stat().st_size:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    app.add_js_file(SCRIPT, priority=100)  # of this page; before what draws with it


def installed() -> Path:
    """The script in the installed package.

    Raises:
        FileNotFoundError: the package is not installed, or ships no script where it used to.
    """
    spec = find_spec("plotly")
    places = spec.submodule_search_locations if spec else None
    path = Path(*(places or ["plotly"])[:1]) / "package_data" / SCRIPT
    if not path.is_file():
        raise FileNotFoundError(f"no {path}, which a page needs: pip install 'plotly>=6'")
    return path


def setup(app):
    app.connect("html-page-context", add_script)
    return {"parallel_read_safe": True}
