"""The README and the chapters of the guide, cut into the parts that tests look at."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
FOLDER = ROOT / "macaroon_cbat/guide"
CHAPTERS = sorted(FOLDER.glob("*.md"))
DOCUMENTS = (README, *CHAPTERS)

_FENCE = re.compile(r"^```(\S*)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`[^`]*`")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the name of what generates it if anything does, its text."""

    document: Path
    line: int
    language: str
    name: str
    text: str

    def __str__(self) -> str:
        """Return where it stands, as tests are named."""
        return f"{self.document.name}:{self.line}"


def blocks(document: Path, *languages: str) -> list[Block]:
    """Return the fenced blocks of a document, in order; of these languages alone, if any are given."""
    text = document.read_text()
    found = [
        Block(document, text.count("\n", 0, fence.start()) + 1, *fence.groups(default=""))
        for fence in _FENCE.finditer(text)
    ]
    return [block for block in found if not languages or block.language in languages]


def every_block(*languages: str) -> list[Block]:
    """Return the fenced blocks of all documents."""
    return [block for document in DOCUMENTS for block in blocks(document, *languages)]


def prose(document: Path) -> str:
    """Return a document without its fenced blocks."""
    return _FENCE.sub("", document.read_text())


def anchors(document: Path) -> set[str]:
    """Return the anchors that a code host makes of the headings of a document."""
    return {_slug(heading) for heading in _HEADING.findall(prose(document))}


def links(document: Path) -> list[str]:
    """Return the targets of links and pictures in a document."""
    return _LINK.findall(_CODE.sub("", prose(document)))


def section(document: Path, title: str) -> str:
    """Return the text of the section below this heading of the second level."""
    return document.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def _slug(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return kept.replace(" ", "-")
