"""What a guard answers to a request that may not pass: one value, which every adapter sends its own way."""

import logging

import msgspec
from msgspec import Struct

from macaroon_cbat.errors import OAuthError, ServerMisconfigured, Unavailable
from macaroon_cbat.macaroon.bearer import challenge
from macaroon_cbat.resource.admission import Admission
from macaroon_cbat.resource.metadata import metadata_url, protected_resource_metadata
from macaroon_cbat.resource.request import PresentedRequest

log = logging.getLogger("macaroon_cbat.resource")


class Answer(Struct, frozen=True):
    """A whole HTTP answer: status, header fields in order, JSON body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def answer_to(error: OAuthError | Unavailable, admission: Admission, request: PresentedRequest) -> Answer:
    """Return the answer to a request that may not pass."""
    if isinstance(error, OAuthError):
        return refusal(error, admission)
    return unavailable(error, f"{request.method} {request.path!r}")


def metadata_answer(admission: Admission, scopes: set[str]) -> Answer:
    """Return the metadata document (RFC 9728). `scopes` are those that some resource requires."""
    body = msgspec.json.encode(protected_resource_metadata(admission, scopes))
    return Answer(200, (("Content-Type", "application/json"),), body)


def refusal(error: OAuthError, admission: Admission) -> Answer:
    """Return the answer to a request that is refused, with the challenge of RFC 6750 3."""
    realm, metadata = admission.verifier.audience, metadata_url(admission)
    code = error.code or "missing_token"
    return _answer(
        error.status,
        code,
        error.description,
        ("WWW-Authenticate", challenge(error, realm=realm, resource_metadata=metadata)),
    )


def unavailable(error: Unavailable, request: str) -> Answer:
    """Return the answer to a request that nobody can judge, and log why; `request` names it."""
    if isinstance(error, ServerMisconfigured):  # said once, and trying again is of no use
        return _answer(error.status, error.code, error.description)
    log.error("cannot judge %s: %s", request, error)
    return _answer(error.status, error.code, error.description, ("Retry-After", "5"))


def _answer(status: int, code: str, description: str, *more: tuple[str, str]) -> Answer:
    body = msgspec.json.encode({"error": code, "error_description": description})
    # The answer depends on the certificate: out of shared caches.
    common = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Answer(status, (*common, *more), body)
