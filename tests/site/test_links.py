"""Links of all pages, those outside the site too, lead somewhere; no network is asked."""

import json
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from built import ROOT, Site

BOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = sorted((ROOT / "docs").glob("*.md"))
OTHERS = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
ALL = [*OTHERS, *PAGES, *BOOKS]
HERE = {"127.0.0.1", "localhost"}
WITHOUT_HTTPS = {"vision.stanford.edu"}
LINK = re.compile(r"\]\(([^)\s]+)\)|<(https?://[^>\s]+)>|(?:href|src)=\"([^\"]+)\"")
CODE = re.compile(r"^(```+).*?^\1|`[^`\n]+`", flags=re.MULTILINE | re.DOTALL)


def text_of(path: Path) -> str:
    """Return what a page or a notebook says, without its code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return CODE.sub("", text)


def links(path: Path) -> list[str]:
    return [next(filter(None, found)) for found in LINK.findall(text_of(path))]


def anchors(path: Path, site: Site) -> set[str]:
    """Return the anchors of a page: of the built one where it is one of the site, else by GitHub's rule."""
    if path.parent.name == "docs":
        return set(re.findall(r'id="([^"]+)"', site.page(path.stem)))
    titles = re.findall(r"^#+ +(.+)$", text_of(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_a_link_to_a_file_or_a_heading_leads_nowhere(path: Path, site: Site) -> None:
    for link in links(path):
        if urlsplit(link).scheme:
            continue
        place, _, anchor = unquote(link).partition("#")
        target = (path.parent / place).resolve() if place else path
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target, site), link


def test_an_address_of_another_host_is_misspelt() -> None:
    found = {link for path in ALL for link in links(path) if urlsplit(link).scheme}
    assert len(found) > 10
    for link in found:
        parts = urlsplit(link)
        assert re.fullmatch(r"[a-z0-9.-]+", parts.hostname or ""), link
        assert parts.scheme == "https" or parts.hostname in HERE | WITHOUT_HTTPS, link
        assert parts.hostname in HERE or "." in str(parts.hostname), link
        assert not re.search(r"[\s<>\"]|[.,;:]$", link), link


@pytest.mark.parametrize("line", re.findall(r"^\|.*\d.*\|$", (ROOT / "docs/benchmarks.md").read_text(), re.MULTILINE))
def test_the_page_of_benchmarks_has_a_figure_that_no_other_page_has(line: str) -> None:
    told = "\n".join(
        page.read_text(encoding="utf-8") for page in PAGES if page.stem in ("speed", "load", "export", "scores")
    )
    figures = re.findall(r"\d+(?:[.,]\d+)*", re.sub(r"`[^`]+`|\([a-z.#-]+\)", "", line))
    assert [figure for figure in figures if not re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d])", told)] == []
