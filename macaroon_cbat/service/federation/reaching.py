"""Documents of other issuers, fetched from the places that the operator named and from nowhere else.

An exchange ends in time and in size, follows no redirect, and goes to public addresses only, unless the
operator allows others. No proxy of the environment is used: it would choose the address. No text of a token
ever becomes a part of a URL.
"""

import ssl
from typing import Any

from msgspec import Struct

from macaroon_cbat.client.https import Connections, HttpsRequest
from macaroon_cbat.errors import Unavailable
from macaroon_cbat.macaroon.issuers import OPENID_CONFIGURATION, metadata_url
from macaroon_cbat.service.federation.addresses import dial_to
from macaroon_cbat.stores.trust import https_mistake, origin_of
from macaroon_cbat.text.json_text import UnusableJson, read_members
from macaroon_cbat.text.printable import quoted

WAIT_SECONDS, LONGEST_SECONDS = 3.0, 5.0
"""Seconds to wait for each part of an answer, and for the whole exchange."""
LARGEST_DOCUMENT = 256 * 1024
"""Bytes of a key set or of metadata. Those of Entra ID have about 10,000."""

_CA_REMEDY = (
    "name the PEM file of an issuer's CA with --issuer-ca, and let a client publish its keys under a "
    "certificate that the CAs of this machine vouch for"
)


class Place(Struct, frozen=True):
    """A place of keys that the operator named: an issuer with metadata, or the URL of a key set.

    `ca` is the PEM text of the CAs that its certificate may be of; None for those of the system.
    """

    issuer: str
    jwks_uri: str | None = None
    ca: str | None = None
    private_addresses: bool = False


def fetched_key_set(place: Place, seconds: float = LONGEST_SECONDS) -> dict[str, Any]:
    """Return the key set at this place, or raise Unavailable, which says what failed.

    Each of its exchanges, three at most, takes so many `seconds` at most.
    """
    uri = place.jwks_uri or _discovered(place, seconds)
    return fetched(uri, place, seconds)


def fetched(url: str, place: Place, seconds: float = LONGEST_SECONDS) -> dict[str, Any]:
    """Return the JSON object at a URL, or raise Unavailable."""
    status, body = _got(url, place, seconds)
    if status != 200:
        raise Unavailable(f"{url} answered {status}, where a JSON document should be: correct the URL")
    return _object(url, body)


def _discovered(place: Place, seconds: float) -> str:
    """Return the `jwks_uri` of the issuer's metadata (OpenID Connect Discovery 4, RFC 8414 3).

    The metadata may name no other origin than the issuer's own: who can write them must not choose the host
    that this service connects to.
    """
    url = place.issuer.removesuffix("/") + OPENID_CONFIGURATION
    status, body = _got(url, place, seconds)
    if status != 200:
        url = metadata_url(place.issuer)
        status, body = _got(url, place, seconds)
    if status != 200:
        raise Unavailable(f"{url} answered {status}: name the URL of the keys with --jwks-uri")
    metadata = _object(url, body)
    named, uri = metadata.get("issuer"), metadata.get("jwks_uri")
    if named != place.issuer:
        raise Unavailable(f"the metadata at {url} are of the issuer {quoted(named)}, not of {place.issuer}")
    if not isinstance(uri, str) or https_mistake(uri):
        raise Unavailable(f"the metadata at {url} name no usable jwks_uri: {quoted(uri)}")
    if origin_of(uri) != origin_of(place.issuer):
        raise Unavailable(
            f"the keys of {place.issuer} are at another host: name them by --jwks-uri {quoted(uri)}"
        )
    return uri


def _got(url: str, place: Place, seconds: float) -> tuple[int, bytes]:
    dial = dial_to(allows_private=place.private_addresses)
    connections = Connections(_context(place.ca), dial, _CA_REMEDY)
    request = HttpsRequest(
        method="GET",
        url=url,
        timeout=min(WAIT_SECONDS, seconds),
        longest=seconds,
        limit=LARGEST_DOCUMENT,
    )
    try:
        answer = connections.exchange(request)
    finally:
        connections.end()
    return answer.status, answer.body


def _context(ca: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=ca)
    except (ssl.SSLError, TypeError, ValueError) as error:
        raise Unavailable(f"the CA of the issuer cannot be used ({error}): give a PEM certificate") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _object(url: str, body: bytes) -> dict[str, Any]:
    try:
        return read_members(body)
    except UnusableJson as error:
        raise Unavailable(f"{url} is no usable JSON document: {error}") from error
