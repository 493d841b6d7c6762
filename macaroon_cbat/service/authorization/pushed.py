"""Pushed authorization requests (RFC 9126): checked at once, referred to once, for a short time."""

import os
from typing import Final

import msgspec
from msgspec import Struct

from macaroon_cbat.errors.people import InvalidRequestUri
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.authorization.parameters import Parameters
from macaroon_cbat.stores import ExpiringStore
from macaroon_cbat.text.base64url import encode

PUSHED_SECONDS = 90
"""Seconds for which a reference is valid."""

PREFIX = "urn:ietf:params:oauth:request_uri:"
_KIND: Final = "pushed_request"
_BYTES = 32


class PushedRequest(Struct, frozen=True):
    """The parameters of a pushed request, of a client that was authenticated then."""

    client_id: str
    parameters: Parameters
    certificate: str | None = None
    """The thumbprint of the certificate over which a public client pushed it."""
    proof_key: str | None = None
    """The key of the DPoP proof with which it was pushed (RFC 9449 10.1)."""


class PushedRequests:
    """The pushed requests of all processes."""

    def __init__(self, expiring: ExpiringStore) -> None:
        """Keep them in this store."""
        self._expiring = expiring

    def keep(self, pushed: PushedRequest, now: EpochSeconds) -> str:
        """Return the request_uri of a request. Raises Unavailable."""
        name = PREFIX + encode(os.urandom(_BYTES))
        content = msgspec.json.encode(pushed)
        self._expiring.add(_KIND, name, content, expires_at=now + PUSHED_SECONDS, now=now)
        return name

    def take(self, request_uri: str, client_id: str | None, now: EpochSeconds) -> PushedRequest:
        """Return the request of this client, which no one gets again, or raise InvalidRequestUri.

        Another client does not use it up: browsers, proxies and logs see the reference.
        """
        content = self._expiring.find(_KIND, request_uri, now) if request_uri.startswith(PREFIX) else None
        pushed = None if content is None else msgspec.json.decode(content, type=PushedRequest)
        if (
            pushed is None
            or pushed.client_id != client_id
            or not self._expiring.take(_KIND, request_uri, now)
        ):
            raise InvalidRequestUri(
                "this request_uri is unknown, used or over, or of another client: push the request again"
            )
        return pushed
