"""Audit events of the service about the request at hand."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from flask import Flask, Request, current_app, request
from msgspec import UNSET

from macaroon_cbat.audit import utc, write, write_or_log
from macaroon_cbat.audit.event import POLICY, AuditEvent, EventKind
from macaroon_cbat.audit.request_id import REQUEST_ID
from macaroon_cbat.certificate.source import NO_CERTIFICATE, PresentedCertificate, with_ignored
from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.errors import MacaroonError, TooManyRequests
from macaroon_cbat.macaroon.claims import EpochSeconds, several
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.service.http.client_certificate import client_certificate
from macaroon_cbat.service.http.request_input import request_at_hand
from macaroon_cbat.service.metrics import count_introspected, count_locked, count_minted, count_revoked

_CLOCK = "macaroon_cbat.audit"
_NAMES = "macaroon_cbat.names"
"""Environment key of the authentic names: it ends with the request. A header cannot write it, and a peer that
speaks uWSGI's protocol, SCGI or FastCGI writes text."""

_REFUSALS: dict[str, EventKind] = {"token": "token.refused", "callback": "login.refused"}
"""The kinds of refusals at endpoints that have one of their own."""


class _Names(NamedTuple):
    """The authentic names of one request: its client, token, and the subject of a trusted issuer's JWT.

    `secret` is `old` if the client proved itself by the secret that was replaced.
    """

    client_id: str | None = None
    token_id: str | None = None
    trust: str | None = None
    subject: str | None = None
    secret: str | None = None


def audit_requests(app: Flask, clock: Callable[[], float]) -> None:
    """Let this clock date the events about the application's requests."""
    app.extensions[_CLOCK] = clock


def is_from(client_id: str) -> None:
    """Remember the client that the request at hand has authenticated."""
    request.environ[_NAMES] = _Names(client_id, secret=_names().secret)


def is_by_old_secret() -> None:
    """Remember that the client of the request at hand proved itself by the secret that was replaced."""
    request.environ[_NAMES] = _names()._replace(secret="old")  # noqa: S106 # which one it is


def is_with(client_id: str, token_id: str) -> None:
    """Remember the authentic token of the request at hand, and its client; the token may be stolen."""
    request.environ[_NAMES] = _Names(client_id, token_id)


def is_through(trust: str, subject: str | None) -> None:
    """Remember the trusted issuer whose JWT was accepted, and the subject that it names, if it does."""
    request.environ[_NAMES] = _names()._replace(trust=trust, subject=subject)


def authentic_caller() -> str:
    """Return the client of the request at hand, which its token or credentials have proved."""
    client_id = _names().client_id
    assert client_id is not None
    return client_id


def event(kind: EventKind, *, status: int = 200, **members: Any) -> AuditEvent:
    """Return an event about the request at hand."""
    here = request_at_hand()
    names = _names(here)
    members = {"trust": names.trust, "subject": names.subject, "secret": names.secret, **members}
    return AuditEvent(
        at=utc(current_app.extensions[_CLOCK]()),
        event=kind,
        who=names.client_id,
        status=status,
        # The rule, not the path: a request for /TOKEN must not write a token into the log.
        endpoint=None if here.url_rule is None else here.url_rule.rule,
        address=here.remote_addr,
        request_id=here.environ.get(REQUEST_ID),
        **members,
    )


def write_minted(
    grant: Grant, certificate: Thumbprint | None, proof_key: KeyThumbprint | None = None
) -> None:
    """Write that a token was minted, and the certificate and key it is bound to, or raise Unavailable."""
    granted: dict[str, Any] = {
        "audience": _audience(grant),
        "scope": grant.scope,
        "subject": grant.sub if grant.sub != grant.client_id else None,
        "family": grant.fam or None,
    }
    bound: dict[str, Any] = {"certificate": certificate, "proof_key": proof_key}
    write(event("token.minted", token_id=grant.jti, **bound, **granted))
    count_minted(is_bound=certificate is not None or proof_key is not None)


def write_revoked(grant: Grant) -> None:
    """Write that a client revoked its token, or raise Unavailable."""
    write(event("token.revoked", token_id=grant.jti, audience=_audience(grant)))
    count_revoked()


def _audience(grant: Grant) -> str | None:
    return None if grant.aud is UNSET else " ".join(several(grant.aud))


def write_done(kind: EventKind, /, **members: Any) -> None:
    """Write what an administrator or a person did by the request at hand, or raise Unavailable."""
    write(event(kind, **members))


def write_or_log_done(kind: EventKind, /, **members: Any) -> None:
    """Write what a person refused by the request at hand: it stays refused if that cannot be written."""
    write_or_log(event(kind, **members))


def write_or_log_key_changes(changes: Iterable[tuple[EventKind, str]], now: EpochSeconds) -> None:
    """Write which keys the service made, rotated or retired by its own policy."""
    for kind, kid in changes:
        write_or_log(AuditEvent(at=utc(now), event=kind, who=POLICY, kid=kid))


def write_or_log_introspected(grant: Grant | None, *, active: bool, **members: Any) -> None:
    """Write the answer about a token; `grant` is that of an authentic one, else None."""
    known: dict[str, Any] = {} if grant is None else {"token_id": grant.jti, "client_id": grant.client_id}
    write_or_log(event("token.introspected", active=active, **known, **members))
    count_introspected(is_active=active)


def write_or_log_locked(client_id: str, address: str) -> None:
    """Write that no secret of a client is judged from an address for a while."""
    reason = f"the secret of {client_id[:64]!r} was wrong too often from {address}"
    write_or_log(event("client.locked", status=401, client_id=client_id[:64], reason=reason))
    count_locked()


def write_or_log_refusal(status: int, error: str | None, reason: str) -> None:
    """Write why the request at hand is refused, and the client certificate that it came with."""
    kind = _REFUSALS.get(request.endpoint or "", "request.refused")
    if status == TooManyRequests.status:
        kind = "rate.limited"
    presented = _presented()
    members = {
        "error": error,
        "reason": with_ignored(reason, presented),
        "certificate": presented.thumbprint,
        "token_id": _names().token_id,
    }
    write_or_log(event(kind, status=status, **members))


def _names(here: Request | None = None) -> _Names:
    found = (here or request).environ.get(_NAMES)
    return found if isinstance(found, _Names) else _Names()


def _presented() -> PresentedCertificate:
    """Return the client certificate of the request at hand; none if that cannot be told."""
    try:
        return client_certificate(request)
    except MacaroonError:
        return NO_CERTIFICATE
