"""Names the page of each run after the run: they all are copies of one notebook with one title."""

TITLE = "# One run: one method on one category"


def name_run(app, docname, source):
    """Puts the run's id in place of the title, before the page is parsed."""
    if docname.startswith("executed/results/"):
        source[0] = source[0].replace(TITLE, f"# {docname.rpartition('/')[2]}", 1)


def setup(app):
    app.connect("source-read", name_run)
    return {"parallel_read_safe": True}
