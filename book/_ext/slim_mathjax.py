"""Keeps of the offline MathJax what pages ask for: 3 of its 24 MB."""

from pathlib import Path

KEPT = ("tex-chtml.js", "output/chtml/", "a11y/", "ui/", "sre/mathmaps/base", "sre/mathmaps/en")
KEPT += ("input/tex/extensions/", "LICENSE")


def slim(app, exception):
    """Removes the other bundles of the same library, fonts for SVG and speech in 14 languages."""
    folder = Path(app.outdir) / "_static" / "mathjax"
    for path in folder.rglob("*"):
        if path.is_file() and not str(path.relative_to(folder)).startswith(KEPT):
            path.unlink()


def setup(app):
    app.connect("build-finished", slim)
    return {"parallel_read_safe": True}
