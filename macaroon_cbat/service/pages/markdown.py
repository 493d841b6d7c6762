"""Markdown of the manual as HTML, by markdown-it, which is imported here alone.

HTML inside the Markdown is shown as text. A link to another chapter leads to its page, and a drawing stands
in the page itself.
"""

import re
from collections.abc import Mapping
from functools import cache
from itertools import pairwise

from macaroon_cbat.errors.extras import extra

with extra("service"):
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from markupsafe import Markup

_CHAPTER = re.compile(r"(?P<topic>[A-Za-z0-9-]+)\.md(?P<place>#[a-z0-9-]*)?\Z")
_NOT_IN_A_NAME = re.compile(r"[^\w -]")


def rendered(text: str, guide: str, drawings: Mapping[str, str]) -> Markup:
    """Return a chapter as HTML; `guide` is the URL before the names of chapters.

    `drawings` are SVG documents by the names that images have.
    """
    parser = _parser()
    tokens = parser.parse(text)
    for heading, content in pairwise(tokens):
        if heading.type == "heading_open":
            heading.attrSet("id", _name_of(content.content))
    for token in tokens:
        for inner in token.children or ():
            _lead_to_pages(inner, guide)
            _draw(inner, drawings)
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 # html is off


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _name_of(heading: str) -> str:
    """Return the name of a heading as the links of the manual spell it."""
    return _NOT_IN_A_NAME.sub("", heading.lower()).replace(" ", "-")


def _lead_to_pages(token: Token, guide: str) -> None:
    found = _CHAPTER.match(str(token.attrGet("href") or ""))
    if found is not None:
        token.attrSet("href", f"{guide}/{found['topic']}{found['place'] or ''}")


def _draw(token: Token, drawings: Mapping[str, str]) -> None:
    """Put a drawing in the place of its image: the pages load nothing."""
    if token.type == "image":
        token.type, token.content = "html_inline", drawings[str(token.attrGet("src"))]
