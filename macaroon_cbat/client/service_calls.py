"""Calls to the service itself, such as administration: bound macaroons whose audience is the issuer."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from macaroon_cbat.client.certificate import ClientCertificate
from macaroon_cbat.client.https import no_answer
from macaroon_cbat.client.requests import MacaroonAuth, certificate_session
from macaroon_cbat.client.tokens import TokenClient, read_refusal
from macaroon_cbat.errors import Unavailable
from macaroon_cbat.errors.extras import extra
from macaroon_cbat.text.json_text import read_json_text

with extra("requests"):
    import requests

_TOKEN_PATH = "/oauth2/token"


def _base_of(token_endpoint: str) -> str:
    """Return what stands before every path of the service, where this is its token endpoint."""
    if token_endpoint.endswith(_TOKEN_PATH):
        return token_endpoint.removesuffix(_TOKEN_PATH)
    parts = urlsplit(token_endpoint)
    return f"{parts.scheme}://{parts.netloc}"


class ServiceCalls:
    """Asks the service as one client, over connections with its certificate. `timeout` counts seconds."""

    def __init__(
        self, tokens: TokenClient, certificate: ClientCertificate, ca: Path | None, *, timeout: float = 30
    ) -> None:
        """Ask with tokens of this source, whose resource is the issuer."""
        self._tokens = tokens
        self._timeout = timeout
        self._session = certificate_session(MacaroonAuth(tokens, certificate, bind_request=True), ca)

    def call(self, method: str, path: str, members: object = None) -> Any:
        """Return the answer's JSON, None for none; raise Refused or Unavailable."""
        url = _base_of(self._tokens.endpoint()) + path
        try:
            answer = self._session.request(
                method, url, json=members, timeout=self._timeout, allow_redirects=False
            )
            if answer.status_code in (200, 201):
                return read_json_text(answer.content, object)
        except (requests.RequestException, ValueError) as error:
            raise no_answer(url, error) from error
        if answer.status_code >= 500:
            raise Unavailable(f"{url} answered {answer.status_code}")
        if answer.status_code != 204:
            raise read_refusal(answer.status_code, answer.content, url)
        return None
