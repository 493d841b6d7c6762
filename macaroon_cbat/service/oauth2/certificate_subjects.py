"""The name in a certificate that authenticates a registered client (RFC 8705 2.1.2)."""

import logging
from collections.abc import Callable, Iterable
from functools import lru_cache

from cryptography import x509

from macaroon_cbat.stores import ClientMetadata
from macaroon_cbat.stores.certificate_names import address_named, host_key, mailbox_key, uri_key
from macaroon_cbat.stores.distinguished_names import (
    DistinguishedName,
    distinguished_name,
    parse_distinguished_name,
)

log = logging.getLogger("macaroon_cbat.service")


def is_named_by(certificate: x509.Certificate, metadata: ClientMetadata) -> bool:
    """Return True if the certificate has the one name that the client registered.

    A name that cannot be read, such as Latin-1 in a T61String, authenticates no client.
    """
    try:
        if metadata.tls_client_auth_subject_dn is not None:
            registered = _registered(metadata.tls_client_auth_subject_dn)
            return registered is not None and _subject(certificate) == registered
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return _has_alternative_name(names, metadata)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return False


def _has_alternative_name(names: x509.SubjectAlternativeName, metadata: ClientMetadata) -> bool:
    """Return True if the registered name is among the alternative names of its kind."""
    if (dns := metadata.tls_client_auth_san_dns) is not None:
        return _is_among(dns, names.get_values_for_type(x509.DNSName), host_key)
    if (uri := metadata.tls_client_auth_san_uri) is not None:
        return _is_among(uri, names.get_values_for_type(x509.UniformResourceIdentifier), uri_key)
    if (ip := metadata.tls_client_auth_san_ip) is not None:
        address = address_named(ip)
        return address is not None and address in names.get_values_for_type(x509.IPAddress)
    if (email := metadata.tls_client_auth_san_email) is not None:
        return _is_among(email, names.get_values_for_type(x509.RFC822Name), mailbox_key)
    return False


def _is_among(registered: str, found: Iterable[str], key: Callable[[str], str | None]) -> bool:
    """Return True if one of these names equals the registered one; text without a key is not a name."""
    wanted = key(registered)
    return wanted is not None and wanted in map(key, found)


def _subject(certificate: x509.Certificate) -> DistinguishedName:
    """Return the subject in comparable form, or raise ValueError."""
    return distinguished_name(
        [(one.oid.dotted_string, _text(one.value)) for one in relative]
        for relative in certificate.subject.rdns
    )


def _text(value: str | bytes) -> str:
    if isinstance(value, bytes):
        raise ValueError("a bit string in a subject is not comparable")  # noqa: TRY004
    return value


@lru_cache(maxsize=1024)
def _registered(text: str) -> DistinguishedName | None:
    """Return a registered subject DN; None, with a warning, for one that was registered unchecked."""
    try:
        return parse_distinguished_name(text)
    except ValueError as error:
        log.warning(
            "the subject DN %r of a client cannot be read, and matches no certificate: %s: change the client",
            text,
            error,
        )
        return None
