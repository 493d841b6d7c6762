"""Audit events, and the line of JSON that each one becomes. No text of an attacker can forge a line."""

import json
from typing import Literal, NewType

import msgspec
from msgspec import Struct

Utc = NewType("Utc", str)
"""A moment as RFC 3339 spells it, in UTC: `2026-01-01T00:00:00Z`."""

EventKind = Literal[
    "token.minted",
    "token.refused",
    "token.introspected",
    "token.revoked",
    "request.refused",
    "admission.refused",
    "refusals.omitted",
    "introspections.omitted",
    "client.added",
    "client.changed",
    "client.removed",
    "key.rotated",
    "key.retired",
    "key.rewrapped",
    "key.exported",
    "revoked",
]
"""What happened. `token.refused` is the token endpoint's refusal, `request.refused` any other endpoint's."""

OPERATOR, POLICY = "operator", "policy"
"""Who acts through the command line; and who rotates and retires keys when it is time."""

MAX_MEMBER = 400
"""Characters of one member; the rest is cut off."""


class AuditEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who did what, to which token, client or key, and why not. Never a token, a key or a secret.

    `who` is a client that proved who it is, or OPERATOR or POLICY. `client_id`, `token_id`, `kid`, `subject`,
    `family` and `certificate` name what the event is about; `certificate` is that of the connection
    where the request was refused. In what was omitted, `count` is how many were not written since
    `since`, and `counts` says how many of them there were of each kind and error, which are words of ours.
    """

    at: Utc
    event: EventKind
    who: str | None = None
    client_id: str | None = None
    subject: str | None = None
    family: str | None = None
    token_id: str | None = None
    kid: str | None = None
    certificate: str | None = None
    audience: str | None = None
    scope: str | None = None
    serves: str | None = None
    active: bool | None = None
    endpoint: str | None = None
    status: int | None = None
    error: str | None = None
    reason: str | None = None
    address: str | None = None
    since: Utc | None = None
    count: int | None = None
    counts: dict[str, int] | None = None


def audit_line(event: AuditEvent) -> str:
    """Return the event as one line of printable ASCII, without the line end; what is None is left out."""
    members = msgspec.to_builtins(event)
    text = json.dumps({name: _bounded(value) for name, value in members.items()}, separators=(",", ":"))
    return text.replace("\x7f", "\\u007f")


def _bounded(value: object) -> object:
    if isinstance(value, str) and len(value) > MAX_MEMBER:
        return value[: MAX_MEMBER - 1] + "\u2026"
    return value
