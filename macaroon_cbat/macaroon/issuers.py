"""Issuers: the URLs that name an authorization server, and the place of its metadata (RFC 8414 2 and 3.1).

Issuers are compared letter by letter, so none is normalized; only a slash at the end is ignored.
"""

import re
from urllib.parse import urlsplit

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.audiences import ascii_host_example

WELL_KNOWN = "/.well-known/oauth-authorization-server"
OPENID_CONFIGURATION = "/.well-known/openid-configuration"
"""The place of metadata below the issuer and its path (OpenID Connect Discovery 4)."""


def plain_issuer(url: str, what: str = "the issuer") -> str:
    """Return the URL without a slash at its end. Raises SettingsError that says what is wrong."""
    plain = url.removesuffix("/") if url != "https://" else url
    if mistake := issuer_mistake(plain):
        raise SettingsError(f"{what} {url!r} {mistake}")
    return plain


def issuer_mistake(url: str) -> str | None:
    """Return why a URL is no issuer, as a predicate that says what to do; None for an issuer."""
    if not url.startswith("https://"):
        return f"does not begin with https://: write {_FORM}"
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        return "has white space in it: leave that out"
    place, slash, path = url.removeprefix("https://").partition("/")
    if "?" in url or "#" in url:
        return "has a query or a fragment, which no issuer has (RFC 8414 2): leave it out"
    if mistake := _place_mistake(place):
        return mistake
    if slash and not _PATH.match(path):
        return (
            "has a path that proxies could read differently: make it of letters, digits and ._~- with single "
            "slashes between, and none at its end"
        )
    return None


def is_root_path(path: str) -> bool:
    """Return True for an empty path, or one that an issuer could have, such as `/auth`."""
    return not path or (path.startswith("/") and _PATH.match(path[1:]) is not None)


def _place_mistake(place: str) -> str | None:
    """Return what is wrong with host and port."""
    if "@" in place:
        return "names a user: leave out what stands before the @"
    if not place.isascii():
        return f"has a host that is not ASCII: write it in its ASCII form{ascii_host_example(_host(place))}"
    parts = _PLACE.match(place)
    if parts is None:
        return f"has no plain host: write {_FORM}, HOST being a name, an IPv4 address or [IPv6]"
    if parts["port"] is not None and not _is_port(parts["port"]):
        return "has no port from 1 to 65535: correct it, or leave it out for 443"
    return None


def issuer_path(issuer: str) -> str:
    """Return the path of an issuer, such as `/auth`; empty without one."""
    return urlsplit(issuer).path


def issuer_origin(issuer: str) -> str:
    """Return an issuer without its path."""
    return issuer.removesuffix(issuer_path(issuer)) if issuer_path(issuer) else issuer


def metadata_url(issuer: str) -> str:
    """Return the URL of an issuer's metadata, which go between its host and its path (RFC 8414 3.1)."""
    parts = urlsplit(issuer)
    return f"https://{parts.netloc}{WELL_KNOWN}{parts.path.rstrip('/')}"


def is_same_issuer(one: str, other: str) -> bool:
    """Return True if two issuers differ in a slash at the end at most: their metadata have the same URL."""
    return one.removesuffix("/") == other.removesuffix("/")


def _host(place: str) -> str:
    return place.partition(":")[0]


def _is_port(text: str) -> bool:
    return 0 < len(text) < 6 and 0 < int(text) < 1 << 16


_FORM = "https://HOST[:PORT][/PATH]"
_PLACE = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+])(?::(?P<port>[0-9]*))?\Z")
_PATH = re.compile(r"(?!\.\.?(?:/|\Z))[A-Za-z0-9._~-]+(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9._~-]+)*\Z")
