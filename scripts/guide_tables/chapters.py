"""The chapters of the guide that hold generated tables, each between two markers."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from guide_tables.certificate_formats import certificate_formats
from guide_tables.errors import errors
from guide_tables.events import audit_events, audit_members
from guide_tables.figures import figures, floors
from guide_tables.metrics import metrics
from guide_tables.settings import guard_settings, policy_members, service_settings
from guide_tables.standards import programs, standards

GUIDE = Path(__file__).parents[2] / "macaroon_cbat" / "guide"
TABLES = {
    "service-settings": service_settings,
    "guard-settings": guard_settings,
    "gateway-policy": policy_members,
    "certificate-formats": certificate_formats,
    "audit-events": audit_events,
    "audit-members": audit_members,
    "metrics": metrics,
    "errors": errors,
    "figures": figures,
    "floors": floors,
    "standards-oauth": partial(standards, "oauth"),
    "standards-identities": partial(standards, "identities"),
    "standards-http": partial(standards, "http"),
    "standards-macaroons": partial(standards, "macaroons"),
    "standards-programs": programs,
}
_TABLE = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def stale_chapters() -> Mapping[Path, str]:
    """Return the chapters whose tables differ from the code, with the text that they should have."""
    texts = {chapter: chapter.read_text() for chapter in sorted(GUIDE.glob("*.md"))}
    fresh = {chapter: with_tables(text) for chapter, text in texts.items()}
    return {chapter: text for chapter, text in fresh.items() if text != texts[chapter]}


def write_chapters(chapters: Mapping[Path, str]) -> None:
    """Write these chapters."""
    for chapter, text in chapters.items():
        chapter.write_text(text)


def with_tables(text: str) -> str:
    """Return the text with a fresh table between each pair of markers. Raises KeyError for an unknown one."""
    return _TABLE.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", text)
