"""One authorization server as one client reaches it: endpoints (RFC 8414, RFC 8705 5) and exchanges."""

import time
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from macaroon_cbat.client.authentication import ClientAuthentication
from macaroon_cbat.client.clock import compare_clocks
from macaroon_cbat.client.https import HttpsAnswer, HttpsRequest
from macaroon_cbat.client.oauth_answers import HttpsUri, read_answer
from macaroon_cbat.client.own_connections import Own, OwnConnections
from macaroon_cbat.errors import Refused, Unavailable
from macaroon_cbat.macaroon.issuers import is_same_issuer, metadata_url, plain_issuer

_METADATA_BYTES = 64 * 1024

Endpoint = Literal[
    "token_endpoint",
    "device_authorization_endpoint",
    "revocation_endpoint",
    "audience_keys_endpoint",
    "revocation_feed_endpoint",
]


_REMEDIES = {
    "device_authorization_endpoint": "people cannot log in at this service, ask its operator for a secret",
}


class _Endpoints(Struct, frozen=True):
    token_endpoint: HttpsUri | None = None
    device_authorization_endpoint: HttpsUri | None = None
    revocation_endpoint: HttpsUri | None = None
    audience_keys_endpoint: HttpsUri | None = None
    revocation_feed_endpoint: HttpsUri | None = None


class _Metadata(Struct, frozen=True):
    """The members that are needed of RFC 8414 2 and RFC 8705 5."""

    issuer: str
    token_endpoint: HttpsUri
    device_authorization_endpoint: HttpsUri | None = None
    revocation_endpoint: HttpsUri | None = None
    audience_keys_endpoint: HttpsUri | None = None
    revocation_feed_endpoint: HttpsUri | None = None
    mtls_endpoint_aliases: _Endpoints = _Endpoints()


class Service:
    """An authorization server and the connections of one client to it. Thread-safe, and safe to fork."""

    def __init__(
        self,
        issuer: str,
        authentication: ClientAuthentication,
        own: OwnConnections,
        timeout: float,
        *,
        compares_clocks: bool,
    ) -> None:
        """Reach this issuer; nothing is sent yet. An exchange takes `timeout` seconds at most.

        `compares_clocks` logs a warning if the service's clock is far from this one.
        """
        self.issuer = plain_issuer(issuer)
        self.authentication = authentication
        self.timeout = timeout
        self._own = own
        self._compares_clocks = compares_clocks
        self._metadata: _Metadata | None = None

    def own(self) -> Own:
        """Return the connections to use now and their credentials, or raise Unavailable."""
        return self._own.current()

    def endpoint(self, name: Endpoint) -> str:
        """Return the URL of an endpoint: with a certificate, the one meant for mutual TLS if there is one.

        The metadata are fetched once. Raises Refused if they are not usable or name no such endpoint,
        Unavailable if they cannot be fetched.
        """
        metadata = self._metadata
        if metadata is None:
            metadata = self._metadata = self._discover()
        alias = None if self._own.certificate is None else getattr(metadata.mtls_endpoint_aliases, name)
        found: str | None = alias or getattr(metadata, name)
        if found is None:
            remedy = _REMEDIES.get(name, "give the issuer of a macaroon_cbat service")
            raise Refused(200, None, f"{metadata_url(self.issuer)} names no {name}: {remedy}")
        return found

    def forget_endpoints(self) -> None:
        """Fetch the metadata again before the next request."""
        self._metadata = None

    def exchange(self, request: HttpsRequest, own: Own | None = None) -> HttpsAnswer:
        """Return the answer over `own`, by default the connections to use now.

        Raises Unavailable if no whole answer comes, and for one of status 5xx. Redirects are not followed.
        """
        sent = time.time()
        try:
            answer = (own or self.own()).connections.exchange(request)
            if answer.status >= 500:
                raise Unavailable(f"{request.url} answered {answer.status}")
        except Unavailable:
            self.forget_endpoints()  # they may have moved
            raise
        if self._compares_clocks:
            compare_clocks(urlsplit(request.url).netloc, answer.date, answer.age, sent=sent)
        return answer

    def _discover(self) -> _Metadata:
        """Return the metadata that the issuer publishes (RFC 8414 3)."""
        url = metadata_url(self.issuer)
        request = HttpsRequest(method="GET", url=url, timeout=self.timeout, limit=_METADATA_BYTES)
        answer = self.exchange(request)
        if answer.status == 404:
            remedy = "give the issuer that the operator of the service named"
            raise Refused(404, None, f"{url} is missing, which every authorization server has: {remedy}")
        metadata = read_answer(answer.status, answer.body, _Metadata, url)
        if not is_same_issuer(metadata.issuer, self.issuer):
            named, remedy = repr(metadata.issuer[:200]), "give that one, if it is the service you mean"
            raise Refused(200, None, f"the issuer at {self.issuer} is {named}, another server: {remedy}")
        return metadata
