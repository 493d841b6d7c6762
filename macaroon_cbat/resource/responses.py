"""The HTTP answers of a guard, as values that each adapter sends in its own way."""

import logging

import msgspec
from msgspec import Struct

from macaroon_cbat.errors import OAuthError, ServerMisconfigured, Unavailable
from macaroon_cbat.macaroon.bearer import challenge
from macaroon_cbat.resource.admission import Admission
from macaroon_cbat.resource.metadata import document_url, protected_resource_metadata
from macaroon_cbat.resource.request import PresentedRequest

log = logging.getLogger("macaroon_cbat.resource")


class Answer(Struct, frozen=True):
    """A whole HTTP answer: status, header fields in their order, JSON body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def answer_to(error: OAuthError | Unavailable, admission: Admission, request: PresentedRequest) -> Answer:
    """Return the answer to a request that the guard refuses or cannot judge."""
    if isinstance(error, OAuthError):
        return refusal(error, admission)
    return unavailable(error, f"{request.method} {request.path!r}")


def metadata_answer(admission: Admission, scopes: set[str]) -> Answer:
    """Return the metadata document (RFC 9728). `scopes` are those that resources require."""
    body = msgspec.json.encode(protected_resource_metadata(admission, scopes))
    return Answer(200, (("Content-Type", "application/json"),), body)


def refusal(error: OAuthError, admission: Admission) -> Answer:
    """Return the answer to a refused request, with its challenge (RFC 6750 3)."""
    realm, metadata = admission.verifier.audience, document_url(admission)
    code = error.code or "missing_token"
    return _answer(
        error.status,
        code,
        error.description,
        ("WWW-Authenticate", challenge(error, realm=realm, resource_metadata=metadata)),
    )


def unavailable(error: Unavailable, request: str) -> Answer:
    """Return the answer to a request that cannot be judged, and log the reason; `request` names it."""
    if isinstance(error, ServerMisconfigured):  # logged once already, and no retry would help
        return _answer(error.status, error.code, error.description)
    log.error("cannot judge %s: %s", request, error)
    return _answer(error.status, error.code, error.description, ("Retry-After", "5"))


def _answer(status: int, code: str, description: str, *more: tuple[str, str]) -> Answer:
    body = msgspec.json.encode({"error": code, "error_description": description})
    # It depends on the certificate, so no shared cache may keep it.
    common = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Answer(status, (*common, *more), body)
