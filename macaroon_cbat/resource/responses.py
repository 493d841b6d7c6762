"""The HTTP answers of a guard, as values that each adapter sends in its own way."""

import logging

import msgspec
from msgspec import Struct

from macaroon_cbat.errors import MissingToken, OAuthError, ServerMisconfigured, Unavailable, UseDpopNonce
from macaroon_cbat.macaroon.bearer import Scheme, challenge
from macaroon_cbat.macaroon.verification import Requirement
from macaroon_cbat.resource.admission import Admission
from macaroon_cbat.resource.metadata import document_url, protected_resource_metadata
from macaroon_cbat.resource.request import PresentedRequest

log = logging.getLogger("macaroon_cbat.resource")

_SCHEMES: dict[Requirement, tuple[Scheme, ...]] = {
    "certificate": ("Bearer",),
    "dpop": ("DPoP",),
    "either": ("Bearer", "DPoP"),
}
"""The schemes that a guard asks for, by the confirmation that it requires."""


_WANTED: dict[Requirement, str] = {
    "certificate": MissingToken.fixed_description,
    "dpop": "send a macaroon that is bound to a DPoP key as Authorization: DPoP, and a proof as DPoP",
    "either": "send a certificate-bound macaroon as Authorization: Bearer, or one that is bound to a DPoP "
    "key as Authorization: DPoP, and a proof as DPoP",
}
"""The remedy of a request without a token, by the confirmation that the guard requires."""


class Answer(Struct, frozen=True):
    """A whole HTTP answer: status, header fields in their order, JSON body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def answer_to(error: OAuthError | Unavailable, admission: Admission, request: PresentedRequest) -> Answer:
    """Return the answer to a request that the guard refuses or cannot judge."""
    if isinstance(error, OAuthError):
        return refusal(error, admission, request)
    return unavailable(error, f"{request.method} {request.path!r}")


def metadata_answer(admission: Admission, scopes: set[str]) -> Answer:
    """Return the metadata document (RFC 9728). `scopes` are those that resources require."""
    body = msgspec.json.encode(protected_resource_metadata(admission, scopes))
    return Answer(200, (("Content-Type", "application/json"),), body)


def refusal(error: OAuthError, admission: Admission, request: PresentedRequest) -> Answer:
    """Return the answer to a refused request, with its challenge (RFC 6750 3, RFC 9449 7.1)."""
    value = challenge(
        error,
        realm=admission.verifier.audience,
        resource_metadata=document_url(admission),
        schemes=_SCHEMES[admission.require],
        authorization=request.authorization,
    )
    headers = [("WWW-Authenticate", value)]
    description = error.description
    if isinstance(error, MissingToken) and error.told is None:
        description = _WANTED[admission.require]
    if isinstance(error, UseDpopNonce):
        headers.append(("DPoP-Nonce", error.nonce))
    return _answer(error.status, error.code or "missing_token", description, *headers)


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
