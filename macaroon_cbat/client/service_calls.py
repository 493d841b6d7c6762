"""Calls to the service itself, such as administration: bound macaroons whose audience is the issuer."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import msgspec

from macaroon_cbat.client.children import ChildTerms
from macaroon_cbat.client.holder import Bound, bind, is_rejected
from macaroon_cbat.client.https import HttpsAnswer, HttpsRequest
from macaroon_cbat.client.oauth_answers import read_refusal
from macaroon_cbat.client.own_connections import Own
from macaroon_cbat.client.tokens import TokenClient
from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.text.json_text import UnusableJson, read_json_text

_TOKEN_PATH = "/oauth2/token"
_ANSWER_BYTES = 8 << 20
_WAIT_SECONDS = 30.0
_NO_FIELDS: Mapping[str, str] = MappingProxyType({})
_TERMS = ChildTerms(bind_request=True)


def base_of(token_endpoint: str) -> str:
    """Return the part before every path of the service, given its token endpoint."""
    if token_endpoint.endswith(_TOKEN_PATH):
        return token_endpoint.removesuffix(_TOKEN_PATH)
    parts = urlsplit(token_endpoint)
    return f"{parts.scheme}://{parts.netloc}"


class ServiceCalls:
    """Calls of one client, over connections with its certificate."""

    def __init__(self, tokens: TokenClient) -> None:
        """Call with tokens of this client, whose resource is the issuer, and with its certificate."""
        self._tokens = tokens

    def call(
        self, method: str, path: str, members: object = None, further: Mapping[str, str] = _NO_FIELDS
    ) -> Any:
        """Return the answer's JSON, None for none; raise Refused or Unavailable.

        `further` are header fields of the request, such as If-Match.
        """
        url = base_of(self._tokens.service.endpoint("token_endpoint")) + path
        body = None if members is None else msgspec.json.encode(members)
        answer = self._ask(method, url, body, further)
        if answer.status in (200, 201):
            try:
                return read_json_text(answer.body, object)
            except UnusableJson as error:
                raise Unavailable(f"no usable answer from {url}: {error}") from error
        if answer.status != 204:
            raise read_refusal(answer.status, answer.body, url)
        return None

    def _ask(self, method: str, url: str, body: bytes | None, further: Mapping[str, str]) -> HttpsAnswer:
        """Return the answer; a token that the service rejects is replaced once."""
        own, bound = self._bind(method, url)
        answer = self._send(own, bound, body, further)
        if is_rejected(answer.status, answer.challenge):
            self._tokens.discard(bound.token)
            own, anew = self._bind(method, url)
            if anew.token != bound.token:
                return self._send(own, anew, body, further)
        return answer

    def _bind(self, method: str, url: str) -> tuple[Own, Bound]:
        """Return connections, and a child that is bound to the certificate that they present."""
        token, own = self._tokens(), self._tokens.service.own()
        if own.credentials is None:
            raise SettingsError("calls to the service need a client certificate: give the TokenClient one")
        return own, bind(token, own.credentials, _TERMS, method, url)

    def _send(self, own: Own, bound: Bound, body: bytes | None, further: Mapping[str, str]) -> HttpsAnswer:
        request = HttpsRequest(
            method=bound.method,
            url=bound.uri,
            timeout=_WAIT_SECONDS,
            limit=_ANSWER_BYTES,
            json=body,
            authorization=bound.authorization,
            further=further,
            is_repeatable=bound.method == "GET",
        )
        return self._tokens.service.exchange(request, own)
