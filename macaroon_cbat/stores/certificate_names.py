"""The names of certificates that a client can register for tls_client_auth (RFC 8705 2.1.2)."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from macaroon_cbat.stores.distinguished_names import parse_distinguished_name

_HOST_NAME = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_-]{0,62}\.)*[A-Za-z0-9_][A-Za-z0-9_-]{0,62}\Z")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!\"$-~]+\Z")
_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'+/=?^_`{|}~-]{1,64}@")
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://[^/?#@]*(?=[/?#]|\Z))?")


def refuse_unreadable_subject(subject_dn: str) -> None:
    """Raise ValueError for a subject DN that is malformed, or that could match a look-alike."""
    try:
        parse_distinguished_name(subject_dn)
    except ValueError as error:
        problem = "" if isinstance(error, UnicodeError) else f" ({error})"
        raise ValueError(
            f"the subject DN must be spelled as RFC 4514 says, as CN=a,O=b{problem}: write what openssl x509 "
            "-in FILE -noout -subject -nameopt RFC2253 prints after subject="
        ) from error


def refuse_unmatchable_names(
    san_dns: str | None, san_uri: str | None, san_ip: str | None, san_email: str | None
) -> None:
    """Raise ValueError for names that match no certificate, or another certificate than they seem to.

    Each is compared as a whole with the names that a CA signed: `*` is not a wildcard.
    """
    if san_dns is not None and not _HOST_NAME.match(san_dns):
        raise ValueError(
            "a SAN DNS name is compared as a whole: write letters, digits and hyphens between dots, no "
            "wildcard and no last dot, and other scripts as xn--..."
        )
    if san_uri is not None and not _URI.match(san_uri):
        raise ValueError("a SAN URI is compared as a whole: write an absolute one without a fragment")
    if san_ip is not None and address_named(san_ip) is None:
        raise ValueError("a SAN IP is one IPv4 or IPv6 address: write it as 192.0.2.7 or 2001:db8::7")
    if san_email is not None and not _is_mailbox(san_email):
        raise ValueError("a SAN e-mail is one address: write it as name@host.example, without a display name")


def host_key(name: str) -> str | None:
    """Return the form in which DNS names are compared (RFC 5280 7.2); None for one that is not ASCII."""
    return name.lower() if name.isascii() else None


def uri_key(uri: str) -> str | None:
    """Return the form in which URIs are compared: case of scheme and host is ignored (RFC 5280 7.4)."""
    if not uri.isascii():
        return None
    found = _AUTHORITY.match(uri)
    return uri if found is None else found[0].lower() + uri[found.end() :]


def mailbox_key(address: str) -> str | None:
    """Return the form in which mailboxes are compared: case of the host is ignored (RFC 5280 7.5)."""
    local, at, host = address.rpartition("@")
    return f"{local}{at}{host.lower()}" if address.isascii() and at else None


def address_named(text: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address in this text, or None if it is no address or has a zone."""
    try:
        return ip_address(text) if "%" not in text else None
    except ValueError:
        return None


def _is_mailbox(address: str) -> bool:
    local = _MAILBOX.match(address)
    return local is not None and _HOST_NAME.match(address, local.end()) is not None
