"""The law of every certificate format, for Hypothesis and for scripts/fuzz.

A format answers with one of our two errors, with no certificate, or with the one certificate that the value
spells, in the product's spelling and no other. The spelling is written here a second time, the slow way.
"""

import base64
import hashlib
import re

from macaroon_cbat.certificate.formats import FORMATS
from macaroon_cbat.certificate.source import NO_CERTIFICATE, PresentedCertificate
from macaroon_cbat.errors import AmbiguousHeader, ProxyMisconfigured
from tests.support.certificate_spellings import HASH_ONLY, SPELLINGS, escaped_pem

Values = tuple[str | None, ...]

_NO = {
    "google": "false",
    "google-sha256": "false",
    "cloudflare": "false",
    "cloudflare-sha256": "false",
    "cloudfront": "0",
    "nginx": "NONE",
    "ingress-nginx": "NONE",
}
_NGINX = re.compile(r"SUCCESS|FAILED:[^,]+")
_YES = {
    "cloudfront": re.compile("1"),
    "nginx": _NGINX,
    "ingress-nginx": _NGINX,
    "openshift": re.compile("0"),
}
_NOTHING: dict[str, set[str | None]] = {
    "rfc9440": {"", "::"},
    "haproxy": {"none"},
    "openshift": {"", '""'},
    "haproxy-sha256": {"none"},
    "apache": {"(null)"},
    "caddy": {""},
    "caddy-sha256": {hashlib.sha256(b"").hexdigest()},
    "aws-alb": set(),
}
_BASE64_CHAIN = re.compile(r"(?:[A-Za-z0-9+/=%]+,)*[A-Za-z0-9+/=%]+")
_PEM_CHAIN = re.compile(
    r"(?:-----BEGIN%20CERTIFICATE-----%0A(?:[A-Za-z0-9+/=]|%2B|%2F|%3D|%0A)+%0A-----END%20CERTIFICATE-----%0A)+"
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def judge(name: str, values: Values) -> PresentedCertificate | None:
    """Return whom a format reads out of these values, None where it refuses; assert every law."""
    try:
        peer = FORMATS[name].read(*values)
    except (AmbiguousHeader, ProxyMisconfigured) as error:
        assert len(str(error)) < 500
        return None
    assert peer.ignored is None
    if peer.thumbprint is None:
        assert peer == NO_CERTIFICATE
        assert _says_nothing(name, values), (name, values)
        return peer
    digest = base64.urlsafe_b64decode(peer.thumbprint + "=")
    assert len(digest) == 32
    assert digest != hashlib.sha256(b"").digest()
    if peer.certificate is not None:
        assert hashlib.sha256(peer.certificate).digest() == digest
        assert is_one_sequence(peer.certificate)
    assert (peer.certificate is None) == (name in HASH_ONLY) or name == "envoy"
    value, *companions = values
    assert value is not None
    assert _is_spelled(name, value, peer, digest), (name, values)
    if companions:
        assert _YES.get(name, re.compile("true")).fullmatch(companions[0] or ""), (name, values)
    return peer


def is_one_sequence(der: bytes) -> bool:
    """Tell whether these bytes are one SEQUENCE in DER: its length is written here, not read."""
    for octets in range(5):
        start = 2 + octets
        length = len(der) - start
        if length < 0:
            return False
        head = bytes([length]) if octets == 0 and length < 128 else None
        if octets and length >= max(128, 256 ** (octets - 1)) and length < 256**octets:
            head = bytes([128 + octets]) + length.to_bytes(octets, "big")
        if head is not None and der[:start] == b"\x30" + head:
            return True
    return False


def _says_nothing(name: str, values: Values) -> bool:
    value, *companions = values
    if name == "openshift" and companions != ["0"]:
        return False
    if name in _NO:
        return not value and companions == [_NO[name]]
    return value in _NOTHING.get(name, {None})


def _is_spelled(name: str, value: str, peer: PresentedCertificate, digest: bytes) -> bool:
    if name == "envoy":
        return _is_in_last_element(value, peer, digest)
    if peer.certificate is None:
        plain = base64.b64encode(digest).decode()
        texts = {
            "haproxy-sha256": {peer.thumbprint},
            "google-sha256": {plain, plain.rstrip("=")},
        }
        return value in texts.get(name, {digest.hex()})
    [spelled, *_] = SPELLINGS[name](peer.certificate)
    if name in ("traefik", "traefik2"):
        return (value + ",").startswith(spelled + ",") and _BASE64_CHAIN.fullmatch(value) is not None
    if name == "openshift":
        return value in (spelled, f'"{spelled}"')
    if name in ("aws-alb-passthrough", "kong"):
        is_first = value.startswith((spelled, escaped_pem(peer.certificate)))
        return is_first and _PEM_CHAIN.fullmatch(value) is not None
    if name == "aws-alb":
        return value in (spelled, escaped_pem(peer.certificate))
    return value == spelled


def _is_in_last_element(value: str, peer: PresentedCertificate, digest: bytes) -> bool:
    """Tell whether the element after the last comma outside of quotes has this hash and certificate.

    Beside other elements nothing may stand without quotes that the owner of a certificate chose.
    """
    quoted = _QUOTED.findall(value)
    *others, last = _QUOTED.sub('"', value).split(",")
    pairs = last.split(";")
    if others and any(
        pair.startswith(("URI=", "DNS=")) for one in (*others, last) for pair in one.split(";")
    ):
        return False
    if pairs.count(f"Hash={digest.hex()}") != 1 or sum(pair.startswith("Hash=") for pair in pairs) != 1:
        return False
    if peer.certificate is None:
        return 'Cert="' not in pairs
    return f'"{escaped_pem(peer.certificate)}"' in quoted
