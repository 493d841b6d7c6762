"""Audit events, and the line of JSON that each one becomes. No text of an attacker can forge a line."""

import json
from typing import Literal, NewType

import msgspec
from msgspec import Struct

Utc = NewType("Utc", str)
"""A moment as RFC 3339 spells it, in UTC: `2026-01-01T00:00:00Z`."""

EventKind = Literal[
    "token.minted",  # a client gets a token
    "token.refused",  # the token endpoint refuses a request
    "token.introspected",  # the service answers about a token
    "token.revoked",  # a client revokes its own token
    "refresh.replayed",  # a refresh token came that was used before, so its family is revoked
    "code.replayed",  # an authorization code came that was used before, so its tokens are revoked
    "login.succeeded",  # a person logs in at the upstream provider
    "login.refused",  # the answer of the upstream provider does not log a person in
    "consent.given",  # a person allows the request of a client
    "consent.refused",  # a person refuses the request of a client
    "request.refused",  # any other endpoint of the service refuses a request
    "rate.limited",  # a client or an address makes more attempts than its limit allows
    "client.locked",  # a client's secret was wrong too often from an address, so that it is not judged there
    "admission.refused",  # a resource server or gateway refuses a request
    "refusals.omitted",  # more refusals came than are written
    "introspections.omitted",  # more introspections came than are written
    "device.approved",  # a person lets a device use a client's rights in the person's name
    "device.denied",  # a person denies it
    "discharge.minted",  # the service confirms what a third-party caveat asks
    "approval.given",  # a person approves a transaction that a third-party caveat describes
    "approval.refused",  # a person refuses such a transaction
    "client.added",  # an administrator registers a client
    "client.invited",  # an administrator makes an initial access token
    "client.registered",  # a client registers itself, by an invitation or openly
    "client.changed",  # an administrator changes the rights of a client, or it does itself
    "client.secret_rotated",  # an administrator gives a client another secret
    "client.removed",  # a client is removed, by an administrator or itself, which revokes its tokens
    "key.rotated",  # a new root key begins to mint, by command or by policy
    "key.retired",  # a root key ends, and with it all of its tokens
    "key.rewrapped",  # the root keys are encrypted under another wrapping key
    "key.exported",  # the keys of an audience are written to a file
    "family.revoked",  # a client or subject revokes a refresh family
    "database.saved",  # the operator makes a backup
    "database.restored",  # the operator restores a backup, which revokes every token so far
    "trust.added",  # an administrator trusts an issuer of JWTs
    "trust.removed",  # an administrator trusts an issuer no more
    "revoked",  # an administrator revokes a token, client, subject, family, key, certificate or all tokens
]
"""Kinds of events. The guide shows the comment beside each (`scripts/guide-tables`)."""

OPERATOR, POLICY = "operator", "policy"
"""Actors that are no clients: the command line, and the service that rotates and retires its own keys."""

MAX_MEMBER = 400
"""Characters of one member; the rest is cut off."""


class AuditEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event: the actor, the token, client or key, and the reason. Never a token text or a secret."""

    at: Utc
    """The time of the event, or of the last omitted line: RFC 3339 in UTC, in whole seconds."""
    event: EventKind
    """The kind of event, as the table of events names it."""
    who: str | None = None
    """The client that proved its identity, `operator` for the command line, or `policy` for the service.
    A refusal names the client of an authentic token, which an attacker may have stolen."""
    client_id: str | None = None
    """The client that the event is about."""
    subject: str | None = None
    """The subject whose tokens are revoked, or the person who logs in or decides."""
    every: str | None = None
    """`tokens` if every token so far is revoked."""
    family: str | None = None
    """The token family that is revoked."""
    trust: str | None = None
    """The name of the trusted issuer: the one that is added or removed, or whose JWT the client presents."""
    issuer: str | None = None
    """The issuer of JWTs that is trusted."""
    token_id: str | None = None
    """The `jti` of the token: of a refused one only once its signature has been verified."""
    kid: str | None = None
    """The name of the root key."""
    certificate: str | None = None
    """The thumbprint of a certificate (x5t#S256): in a refusal that of the connection, elsewhere the one that
    the token is bound to, or that is revoked."""
    proof_key: str | None = None
    """The thumbprint of the DPoP key (jkt) that the token is bound to."""
    audience: str | None = None
    """The audience of the token, keys or client, as an absolute URI; several have a space between two."""
    scope: str | None = None
    """The granted or registered scopes, with a space between two."""
    serves: str | None = None
    """The audiences that a registered client serves, with a space between two."""
    secret: str | None = None
    """`old` where the client proved itself by the secret that a rotation has replaced."""
    until: Utc | None = None
    """The time until which a client's old secret stays valid."""
    active: bool | None = None
    """Whether an introspected token was called active."""
    endpoint: str | None = None
    """The route of the service, never the path that the client sent."""
    status: int | None = None
    """The HTTP status of the answer."""
    error: str | None = None
    """The OAuth error code of the answer."""
    reason: str | None = None
    """The whole reason, which the caller is not told."""
    address: str | None = None
    """The client address that the server saw."""
    request_id: str | None = None
    """The id of the request, which the log and the answer (`X-Request-ID`) name as well."""
    since: Utc | None = None
    """The time of the first omitted line."""
    count: int | None = None
    """The number of omitted lines."""
    counts: dict[str, int] | None = None
    """The number of omitted lines for each kind of event and error."""


def audit_line(event: AuditEvent) -> str:
    """Return the event as one line of printable ASCII, without the line end; what is None is left out."""
    return _plain_line(event) or _escaped_line(event)


def _plain_line(event: AuditEvent) -> str | None:
    """Return the line of an event whose members are short and of printable ASCII, as most are, or None."""
    try:
        line = _encode(event)
    except UnicodeEncodeError:  # a lone surrogate
        return None
    return line.decode() if len(line) <= MAX_MEMBER and line.isascii() and b"\x7f" not in line else None


def _escaped_line(event: AuditEvent) -> str:
    """Return the line of any event; dearer."""
    members = msgspec.to_builtins(event)
    text = json.dumps({name: _bounded(value) for name, value in members.items()}, separators=(",", ":"))
    return text.replace("\x7f", "\\u007f")


_encode = msgspec.json.Encoder().encode


def _bounded(value: object) -> object:
    if isinstance(value, str) and len(value) > MAX_MEMBER:
        return value[: MAX_MEMBER - 1] + "\u2026"
    return value
