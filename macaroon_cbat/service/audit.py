"""What the service writes into the audit log about the request at hand."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from flask import Flask, current_app, request

from macaroon_cbat.audit import utc, write, write_or_log
from macaroon_cbat.audit.event import POLICY, AuditEvent, EventKind
from macaroon_cbat.certificate.source import (
    NO_CERTIFICATE,
    CertificateSource,
    PresentedCertificate,
    with_ignored,
)
from macaroon_cbat.certificate.wsgi_connection import WsgiConnection
from macaroon_cbat.errors import MacaroonError
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.service.metrics import count_introspected, count_minted, count_revoked

if TYPE_CHECKING:
    from macaroon_cbat.service.oauth2.issuer import Minted

_FACTS = "macaroon_cbat.audit"
_WHO, _TOKEN = "macaroon_cbat.who", "macaroon_cbat.token_id"
"""Environment keys of the authenticated client and token: no header can write them, and they end with the
request."""


def audit_requests(app: Flask, certificate_source: CertificateSource, clock: Callable[[], float]) -> None:
    """Let events about this application's requests say whence and when they came."""
    app.extensions[_FACTS] = certificate_source, clock


def is_from(client_id: str) -> None:
    """Remember who has just proved to be behind the request at hand."""
    request.environ[_WHO] = client_id


def is_with(client_id: str, token_id: str) -> None:
    """Remember the authentic token behind the request at hand, which may be stolen, and whose it is."""
    request.environ[_WHO], request.environ[_TOKEN] = client_id, token_id


def event(kind: EventKind, *, status: int = 200, **members: Any) -> AuditEvent:
    """Return an event about the request at hand."""
    _, clock = current_app.extensions[_FACTS]
    return AuditEvent(
        at=utc(clock()),
        event=kind,
        who=request.environ.get(_WHO),
        status=status,
        # The rule, not the path: whoever asks for /TOKEN must not get it into the log.
        endpoint=None if request.url_rule is None else request.url_rule.rule,
        address=request.remote_addr,
        **members,
    )


def write_minted(minted: "Minted") -> None:
    """Write that a token was minted, or raise Unavailable."""
    grant = minted.grant
    granted: dict[str, Any] = {"audience": grant.audience, "scope": grant.scope}
    write(event("token.minted", token_id=grant.jti, certificate=minted.certificate, **granted))
    count_minted(is_bound=minted.certificate is not None)


def write_revoked(grant: Grant) -> None:
    """Write that a token was taken back, or raise Unavailable."""
    write(event("token.revoked", token_id=grant.jti, audience=grant.audience))
    count_revoked()


def write_done(kind: EventKind, /, **members: Any) -> None:
    """Write what an administrator did by the request at hand, or raise Unavailable."""
    write(event(kind, **members))


def write_or_log_key_changes(changes: Iterable[tuple[EventKind, str]], now: EpochSeconds) -> None:
    """Write what the service did to its keys by itself, whoever's request it was that made it look."""
    for kind, kid in changes:
        write_or_log(AuditEvent(at=utc(now), event=kind, who=POLICY, kid=kid))


def write_or_log_introspected(grant: Grant | None, *, active: bool, **members: Any) -> None:
    """Write what was said about a token; only the identifier of an authentic one is known."""
    known: dict[str, Any] = {} if grant is None else {"token_id": grant.jti, "client_id": grant.client_id}
    write_or_log(event("token.introspected", active=active, **known, **members))
    count_introspected(is_active=active)


def write_or_log_refusal(status: int, error: str | None, reason: str) -> None:
    """Write why the request at hand is refused, and over which certificate it came."""
    kind: EventKind = "token.refused" if request.endpoint == "token" else "request.refused"
    presented = _presented()
    token_id = request.environ.get(_TOKEN)
    members = {
        "error": error,
        "reason": with_ignored(reason, presented),
        "certificate": presented.thumbprint,
        "token_id": token_id,
    }
    write_or_log(event(kind, status=status, **members))


def _presented() -> PresentedCertificate:
    """Return who is at the other end of the connection; nobody where that cannot be told."""
    source, _ = current_app.extensions[_FACTS]
    try:
        return cast("PresentedCertificate", source(WsgiConnection(request.environ)))
    except MacaroonError:
        return NO_CERTIFICATE
