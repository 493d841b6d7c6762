"""The X-Forwarded-Client-Cert header (XFCC) as Envoy writes it: which element counts, and what it says."""

import re

from macaroon_cbat.certificate_text import (
    ESCAPED,
    LONGEST_TEXT,
    certificate_of_pem,
    thumbprint_of_hex,
)
from macaroon_cbat.errors import AmbiguousCertificate
from macaroon_cbat.peer import Peer
from macaroon_cbat.thumbprint import thumbprint_of

_PAIR = re.compile(
    r"""(?: (?P<key>By|Hash|URI|DNS)=(?P<plain>[^",;\s]*)
          | (?P<quoted_key>Cert|Chain|Subject)="(?P<quoted>[^"\\]*(?:\\.[^"\\]*)*)" )
        (?P<after>[;,]|\Z)""",
    re.VERBOSE,
)
_ONCE = ("Hash", "Cert", "Chain", "Subject")
_UNQUOTED = ("URI", "DNS")
"""Keys whose values Envoy does not quote, although the owner of a certificate chooses them."""


def read_forwarded_client_cert(text: str) -> Peer:
    """Return the peer that the last element names, which is that of the hop nearest to us.

    Its Hash must be there, and agree with its Cert where that is there too. Raises AmbiguousCertificate
    for anything else, for several elements of which one has a URI or DNS (a certificate could have an
    element written into its names), and for any key that is repeated or not Envoy's.
    """
    elements = _elements(text)
    if len(elements) > 1 and any(key in element for element in elements for key in _UNQUOTED):
        raise AmbiguousCertificate(
            "several XFCC elements, one with names of a certificate, which could have made them up: turn "
            "off uri and dns in set_current_client_cert_details, or use SANITIZE_SET"
        )
    nearest = elements[-1]
    if "Hash" not in nearest:
        raise AmbiguousCertificate("the nearest XFCC element has no Hash")
    thumbprint = thumbprint_of_hex(nearest["Hash"])
    if "Cert" not in nearest:
        return Peer(thumbprint=thumbprint)
    certificate = certificate_of_pem(nearest["Cert"], ESCAPED)
    if thumbprint_of(certificate) != thumbprint:
        raise AmbiguousCertificate("Hash and Cert of the nearest XFCC element are of two certificates")
    return Peer(thumbprint=thumbprint, certificate=certificate)


def _elements(text: str) -> list[dict[str, str]]:
    """Return the pairs of each element; what is in quotes keeps its escapes."""
    if len(text) > LONGEST_TEXT:
        raise AmbiguousCertificate("this XFCC header is longer than any certificate")
    elements: list[dict[str, str]] = [{}]
    position, after = 0, ";"
    while after:
        pair = _PAIR.match(text, position)
        if pair is None:
            raise AmbiguousCertificate("this is not an X-Forwarded-Client-Cert header as Envoy writes it")
        key, after, position = pair["key"] or pair["quoted_key"], pair["after"], pair.end()
        if key in _ONCE and key in elements[-1]:
            raise AmbiguousCertificate(f"an XFCC element has {key} twice")
        elements[-1][key] = pair["plain"] if pair["quoted"] is None else pair["quoted"]
        if after == ",":
            elements.append({})
    return elements
