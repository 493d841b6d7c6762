"""The form of README and guide: length, width, links, first lines."""

import re
from pathlib import Path

import pytest

from macaroon_cbat.files.chapters import summary
from tests.support.guide import CHAPTERS, DOCUMENTS, README, ROOT, anchors, blocks, links

NAMES = [document.stem for document in DOCUMENTS]
EXTRA = re.compile(r"macaroon_cbat\[([a-z0-9,]+)\]")


def wide(document: Path) -> list[str]:
    """Return the lines of more than 110 columns that are neither a table's nor generated."""
    made = {
        number
        for block in blocks(document)
        if block.name
        for number in range(block.line, block.line + block.text.count("\n") + 1)
    }
    lines = enumerate(document.read_text().splitlines(), 1)
    return [line for number, line in lines if len(line) > 110 and line[0] != "|" and number not in made]


def broken(document: Path) -> list[str]:
    """Return the relative links that lead nowhere."""
    return [link for link in links(document) if "://" not in link and not _leads(document, link)]


def _leads(document: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (document.parent / name).resolve() if name else document
    if not target.exists():
        return False
    return not anchor or anchor in anchors(target)


def test_the_readme_is_short():
    """The README has 200 lines at most: the guide has the rest."""
    assert len(README.read_text().splitlines()) <= 200


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_no_line_is_wide(document: Path):
    """No line but a table's, or one that a program wrote, is wider than 110 columns."""
    assert wide(document) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_relative_link_leads_somewhere(document: Path):
    """Each relative link names a file that exists, and a heading that the file has."""
    assert broken(document) == []


@pytest.mark.parametrize("document", CHAPTERS, ids=NAMES[1:])
def test_a_chapter_begins_with_title_and_summary(document: Path):
    """A chapter begins with its title and a sentence of 90 characters at most, which the list shows."""
    text = document.read_text()
    assert re.match(r"# \S.*\n\n\S", text)
    assert len(summary(text)) <= 90


def test_the_readme_links_every_chapter():
    """No chapter is hidden: the README leads to each."""
    linked = {(README.parent / link.partition("#")[0]).resolve() for link in links(README)}
    assert set(CHAPTERS) <= linked


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_extra_exists(document: Path):
    """Each extra that a document names is one of this package."""
    import tomllib

    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {name for names in EXTRA.findall(document.read_text()) for name in names.split(",")}
    assert named <= known.keys()
