"""The X-Forwarded-Client-Cert header (XFCC) as Envoy writes it: its nearest element, and the certificate."""

import re

from macaroon_cbat.certificate.source import PresentedCertificate
from macaroon_cbat.certificate.spelling import (
    ESCAPED,
    LONGEST_TEXT,
    certificate_of_pem,
    thumbprint_of_hex,
)
from macaroon_cbat.certificate.thumbprint import thumbprint_of
from macaroon_cbat.errors import AmbiguousHeader

Element = dict[str, str]
"""The pairs of an element that are read here, by their keys."""

_PAIR = re.compile(
    r"""(?P<key>[A-Za-z][A-Za-z0-9_-]{0,63})=
        (?: (?P<plain>[^",;\s]*) | "(?P<quoted>[^"\\]*(?:\\.[^"\\]*)*)" )
        (?P<after>[;,]|\Z)""",
    re.VERBOSE,
)
_HASH_ALONE = re.compile(r"Hash=([0-9a-f]{64})\Z")
"""The element that Envoy writes by default, matched at once: this is the hot path."""
_PLAIN = ("By", "Hash", "URI", "DNS")
_QUOTED = ("Cert", "Chain", "Subject", "Issuer")
_KNOWN = {key.lower(): key for key in (*_PLAIN, *_QUOTED)}
_ONCE = ("Hash", *_QUOTED)
_UNQUOTED = ("URI", "DNS")
"""Keys whose values Envoy does not quote, although the owner of a certificate chooses them."""
_BEFORE_UNQUOTED = ("By", "Hash", "Cert", "Chain", "Subject")
"""Keys that Envoy writes before those: after one of them, the owner of the certificate could have."""


def read_forwarded_client_cert(text: str) -> PresentedCertificate:
    """Return the certificate of the last element, which is that of the nearest connection.

    Its Hash must be there, and agree with its Cert where that is there too. A key that is not known is
    skipped if its value is quoted, for then nothing in it can pass for another key. Raises
    AmbiguousHeader for anything else, for several elements of which one has a URI or DNS (a certificate
    could have an element written into its names), and for a key that is repeated, or not Envoy's.
    """
    if alone := _HASH_ALONE.match(text):
        return PresentedCertificate(thumbprint=thumbprint_of_hex(alone[1]))
    nearest = _nearest(text)
    if "Hash" not in nearest:
        raise AmbiguousHeader("the nearest XFCC element has no Hash")
    thumbprint = thumbprint_of_hex(nearest["Hash"])
    if "Cert" not in nearest:
        return PresentedCertificate(thumbprint=thumbprint)
    certificate = certificate_of_pem(nearest["Cert"], ESCAPED)
    if thumbprint_of(certificate) != thumbprint:
        raise AmbiguousHeader("Hash and Cert of the nearest XFCC element are of two certificates")
    return PresentedCertificate(thumbprint=thumbprint, certificate=certificate)


def chain_of_forwarded_client_cert(text: str) -> str | None:
    """Return the Chain of the nearest element, the client's own certificate first, or None without one.

    Raises AmbiguousHeader as `read_forwarded_client_cert` does.
    """
    return _nearest(text).get("Chain")


def _nearest(text: str) -> Element:
    """Return the last element. Raises AmbiguousHeader."""
    if len(text) > LONGEST_TEXT:
        raise AmbiguousHeader("this XFCC header is longer than any certificate")
    if text.startswith(("[", "{")):
        raise AmbiguousHeader(
            "this XFCC header is in Envoy's JSON form: leave out format: JSON in "
            "set_current_client_cert_details, or write format: TEXT"
        )
    elements = _elements(text)
    if len(elements) > 1 and any(key in element for element in elements for key in _UNQUOTED):
        raise AmbiguousHeader(
            "several XFCC elements, one with names of a certificate, which could have made them up: turn "
            "off uri and dns in set_current_client_cert_details, or use SANITIZE_SET"
        )
    return elements[-1]


def _elements(text: str) -> list[Element]:
    """Return the pairs of each element; quoted values keep their escapes."""
    elements: list[Element] = [{}]
    position, after = 0, ";"
    while after:
        pair = _PAIR.match(text, position)
        if pair is None:
            raise AmbiguousHeader("this is not an X-Forwarded-Client-Cert header as Envoy writes it")
        _take(elements[-1], pair)
        after, position = pair["after"], pair.end()
        if after == ",":
            elements.append({})
    return elements


def _take(element: Element, pair: re.Match[str]) -> None:
    """Add a pair to its element, unless it is one to skip. Raises AmbiguousHeader."""
    key, quoted = pair["key"], pair["quoted"]
    if key not in (_PLAIN if quoted is None else _QUOTED):
        if key.lower() in _KNOWN:
            wanted = _KNOWN[key.lower()]
            how = "in quotes" if wanted in _QUOTED else "without quotes"
            raise AmbiguousHeader(f"an XFCC element has {key}, which Envoy writes as {wanted}, {how}")
        if quoted is None:
            raise AmbiguousHeader(
                f"an XFCC element has the key {key}, which is not known, and its value is not quoted: the "
                "owner of a certificate could have written it"
            )
        return
    if key in _ONCE and key in element:
        raise AmbiguousHeader(f"an XFCC element has {key} twice")
    if key in _BEFORE_UNQUOTED and any(name in element for name in _UNQUOTED):
        raise AmbiguousHeader(
            f"an XFCC element has {key} after names of a certificate, which could have made it up"
        )
    element[key] = pair["plain"] if quoted is None else quoted
