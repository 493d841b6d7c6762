"""The form request of an OAuth endpoint, as Authlib and the rules of this package read it."""

from functools import lru_cache, partial

from authlib.oauth2.rfc6749 import OAuth2Payload, OAuth2Request
from flask import Request

from macaroon_cbat.certificate.source import client_address
from macaroon_cbat.certificate.wsgi_connection import WsgiConnection
from macaroon_cbat.errors import InvalidRequest, MalformedMacaroon
from macaroon_cbat.macaroon.caveats import Access
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.credential_headers import credentials_in_environ
from macaroon_cbat.macaroon.discharge_headers import read_discharge_headers
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.service.detail_types import NO_DETAIL_TYPES, DetailTypes
from macaroon_cbat.service.http.client_certificate import client_certificate, client_intermediates
from macaroon_cbat.service.http.request_input import Form, FormShape, fitted, read_form
from macaroon_cbat.service.oauth2.token_proofs import TokenProof
from macaroon_cbat.service.throttle.places import limited_address


class FormRequest(OAuth2Request):  # type: ignore[misc] # Authlib is untyped
    """One POST: its form, the client certificate of its connection, and the second at which it came."""

    def __init__(self, request: Request, form: Form, uri: str, now: EpochSeconds) -> None:
        """Find the client certificate, or raise AmbiguousHeader or ProxyMisconfigured."""
        self.__dict__.update(_blank(uri))  # what Authlib's own initializer sets
        self.headers = request.headers
        self.payload = _FormPayload(form.once)
        self.resources = form.several.get("resource", ())
        self.presented = client_certificate(request)
        self.intermediates = partial(client_intermediates, request)
        self.credentials = credentials_in_environ(request.environ)
        sent = WsgiConnection(request.environ), self.presented, request.environ.get("REMOTE_ADDR")
        self.address = partial(client_address, *sent)
        self.limited_address = partial(limited_address, *sent)
        self.proof: TokenProof | None = None
        """The verified DPoP proof, at endpoints that bind to its key (`AuthorizationServer.prove`)."""
        self.now = now
        self.detail_types: DetailTypes = NO_DETAIL_TYPES
        """The types of authorization details that the request may name: those of the token endpoint."""

    def access(self) -> Access:
        """Return the facts of this request by which the caveats of a presented macaroon are judged."""
        return Access(
            now=self.now,
            certificate=self.presented.thumbprint,
            address=self.address(),
            proof_key=self.proof_key,
        )

    @property
    def proof_key(self) -> KeyThumbprint | None:
        """Return the key of the request's DPoP proof; None without a proof."""
        return None if self.proof is None else self.proof.key

    @property
    def form(self) -> dict[str, str]:
        """Return the body's parameters."""
        form: dict[str, str] = self.payload.data
        return form

    def discharges_of(self, token: str) -> tuple[str, ...]:
        """Return the discharges that came in headers with this token.

        Raises InvalidRequest for headers that are not readable, or that name another token.
        """
        try:
            named, discharges = read_discharge_headers(self.credentials)
        except MalformedMacaroon as error:
            raise InvalidRequest(f"a discharge is not readable: {error}") from error
        if any(other != token for other in named):
            raise InvalidRequest(
                "Macaroons begins with another token than the parameter token: send one token"
            )
        return discharges

    def read(self, shape: type[FormShape]) -> FormShape:
        """Return the form as this shape, or raise InvalidRequest if a parameter is missing."""
        return fitted(self.form, shape)


def read_form_request(
    request: Request, uri: str, now: EpochSeconds, *, several: tuple[str, ...] = ()
) -> FormRequest:
    """Return the form request; `uri` is the endpoint's in the metadata, and never built from Host.

    Every token_type_hint is ignored (RFC 7009 2.1). Parameters in `several` may repeat. Raises InvalidRequest
    as `read_form` does.
    """
    form = read_form(request, ignored=("token_type_hint",), several=several)
    return FormRequest(request, form, uri, now)


@lru_cache(maxsize=16)
def _blank(uri: str) -> dict[str, object]:
    """Return what Authlib gives every request to this endpoint, whose scheme it judges once here."""
    return dict(vars(OAuth2Request("POST", uri)))


class _FormPayload(OAuth2Payload):  # type: ignore[misc] # Authlib is untyped
    def __init__(self, form: dict[str, str]) -> None:
        self._form = form

    @property
    def data(self) -> dict[str, str]:
        return self._form
