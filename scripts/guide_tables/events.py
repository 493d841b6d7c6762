"""Tables of the audit log: its events, and the members of their lines."""

from pathlib import Path

from guide_tables.markdown import code, table
from guide_tables.words import field_words, member_words
from macaroon_cbat.audit import event
from macaroon_cbat.audit.event import AuditEvent


def audit_events() -> str:
    """Return each event, and when it is written."""
    words = member_words(Path(event.__file__).read_text(), "EventKind")
    return table(("event", "written when"), ((code(name), text) for name, text in words.items()))


def audit_members() -> str:
    """Return each member of a line."""
    words = field_words(AuditEvent)
    names = AuditEvent.__struct_fields__
    return table(("member", "meaning"), ((code(name), words.get(name, "")) for name in names))
