"""Loads every page of the built book in Chromium, with no network; prints what is broken.

python book/check.py            math rendered, pictures loaded, nothing asked of other hosts
python book/check.py --pdf      the whole book as book/_build/anomlib.pdf
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote

# What Chromium asks for by itself: its clock and its updates
OWN = r"https?://(clients\d*|update|accounts|optimizationguide[^/]*)\.google(apis)?\.com"
HTML = Path(__file__).parent / "_build" / "html"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--allow-file-access-from-files",
    "--host-resolver-rules=MAP * ~NOTFOUND",
]  # fmt: skip


def browser() -> str:
    """Chromium's command, or one line that says it is missing."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = [path for path in map(shutil.which, names) if path]
    return (
        found[0]
        if found
        else sys.exit("check.py needs Chromium on the PATH; `make book` does not")
    )


def loaded(chromium: str, page: Path) -> tuple[str, list[str]]:
    """The page as it stands after its scripts ran, and the addresses of other hosts it asked."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "net.json"
        command = [chromium, *FLAGS, f"--user-data-dir={folder}", f"--log-net-log={log}",
                   "--virtual-time-budget=8000", "--dump-dom", page.as_uri()]  # fmt: skip
        dom = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
        asked = (
            re.findall(r'"url":\s*"(https?://[^"]+)"', log.read_text()) if log.is_file() else []
        )
    return dom, sorted({url for url in asked if not re.match(OWN, url)})


def problems(chromium: str, page: Path) -> list[str]:
    """What a reader of this page would miss."""
    source = page.read_text()
    dom, asked = loaded(chromium, page)
    found = [f"asks {url}" for url in asked]
    if 'class="math' in source and "mjx-container" not in dom:
        found.append("math is not rendered")
    for name in re.findall(r'<(?:img|script|link)[^>]+(?:src|href)="([^"#?:]+)[^"]*"', source):
        if not (page.parent / unquote(name)).exists():
            found.append(f"misses {name}")
    return found


def searchable() -> bool:
    """Whether the search index holds a word of the first page."""
    index = (HTML / "searchindex.js").read_text()
    terms = json.loads(index[index.index("(") + 1 : index.rindex(")")])["terms"]
    return "papermil" in terms or "anomali" in terms


def main() -> int:
    chromium = browser()
    if not HTML.is_dir():
        sys.exit(f"no book at {HTML}: make book")
    if "--pdf" in sys.argv:
        book = HTML.parent / "singlehtml"
        source = Path(__file__).parent
        command = ["jupyter-book", "build", source, "--builder", "singlehtml"]
        subprocess.run(command, check=True)
        target = HTML.parent / "anomlib.pdf"
        page = book / "intro.html"  # index.html only leads to it
        options = ["--virtual-time-budget=60000", f"--print-to-pdf={target}", page.as_uri()]
        subprocess.run([chromium, *FLAGS, *options], check=True, timeout=600)
        print(f"{target}: {target.stat().st_size / 2**20:.1f} MB")
        return 0
    pages = [p for p in sorted(HTML.rglob("*.html")) if "_static" not in p.parts]
    broken = {page: problems(chromium, page) for page in pages}
    for page, found in broken.items():
        for problem in found:
            print(f"{page.relative_to(HTML)}: {problem}")
    count = sum(map(bool, broken.values()))
    size = sum(p.stat().st_size for p in HTML.rglob("*") if p.is_file()) / 2**20
    print(
        f"{len(pages)} pages, {count} with problems, {size:.0f} MB; search works: {searchable()}"
    )
    return 1 if count or not searchable() else 0


if __name__ == "__main__":
    sys.exit(main())
