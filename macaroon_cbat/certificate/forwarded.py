"""The certificate source for servers behind a proxy, and the proxies that it trusts."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hmac import compare_digest
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Protocol

from macaroon_cbat.certificate.address import plain_address
from macaroon_cbat.certificate.header_source import SECRET_HEADER, HeaderSource
from macaroon_cbat.certificate.source import NO_CERTIFICATE, PresentedCertificate, RequestConnection
from macaroon_cbat.certificate.thumbprint import DerCertificate, Thumbprint, parse_thumbprint, thumbprint_of
from macaroon_cbat.errors import AmbiguousHeader, ProxyMisconfigured, SettingsError

_SECRET = re.compile(r"[!-~]{16,256}\Z")
_THUMBPRINT_PREFIX = "x5t#S256="
_UNIX, _BY_SECRET = "unix", "secret"
_WAYS = (
    f"unix, secret, a network such as 10.0.0.0/8, or {_THUMBPRINT_PREFIX} and the proxy's certificate "
    "thumbprint"
)

Network = IPv4Network | IPv6Network


class Trust(Protocol):
    """A rule for the senders that may tell a client's certificate, such as TrustedProxies."""

    def distrust(self, connection: RequestConnection, /) -> str | None:
        """Return the reason for which the sender of a request is not trusted; None if it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedProxies:
    """The proxies that may tell a client's certificate: any of these, with the secret if there is one."""

    is_unix_trusted: bool = False
    is_secret_enough: bool = False
    networks: tuple[Network, ...] = ()
    certificates: frozenset[Thumbprint] = frozenset()
    secret: bytes | None = field(default=None, repr=False)

    def distrust(self, connection: RequestConnection) -> str | None:
        """Return the reason for which the sender of a request is none of these proxies; None if it is one.

        Raises ProxyMisconfigured, for every request alike, if networks are named and the server is not
        measured to show the connection's own address.
        """
        if not self._is_among(connection):
            return f"it came from {_name(connection)}, which is not a trusted proxy"
        if self.secret is not None and not self._shows_secret(connection):
            return f"it came from {_name(connection)} without the proxy's secret"
        return None

    def _is_among(self, connection: RequestConnection) -> bool:
        if self.is_secret_enough or (self.is_unix_trusted and connection.is_unix_socket()):
            return True
        if self.networks and self._is_in_network(connection):
            return True
        certificate = connection.certificate() if self.certificates else None
        return certificate is not None and thumbprint_of(certificate) in self.certificates

    def _is_in_network(self, connection: RequestConnection) -> bool:
        if not (connection.shows_address() or connection.is_unix_socket()):
            raise ProxyMisconfigured(
                "trust by network is not possible on this server, where a header, a PROXY line or a protocol "
                "field may write the connection's address: trust the proxy by a Unix socket (unix), its "
                f"secret (secret) or its certificate ({_THUMBPRINT_PREFIX}...), or serve with gunicorn, "
                "waitress or macaroon_cbat.tls"
            )
        address = plain_address(connection.address() or "")
        return address is not None and any(address in network for network in self.networks)

    def _shows_secret(self, connection: RequestConnection) -> bool:
        assert self.secret is not None
        try:
            shown = connection.header(SECRET_HEADER) or ""
        except AmbiguousHeader:
            return False
        return compare_digest(shown.encode(errors="replace"), self.secret)


def trusted_proxies(texts: Iterable[str], *, secret: str | None = None) -> TrustedProxies:
    """Return the proxies that the texts name. Raises SettingsError that says what to do.

    Each is `unix` (any sender over a Unix socket), an IP network, `x5t#S256=` and the thumbprint of the
    certificate that the proxy presents to us, or `secret` (any sender that knows the secret). A proxy must
    always send the secret, if there is one, as `Proxysecret`.
    """
    named = [text.strip() for text in texts]
    if not any(named):
        raise SettingsError(f"no trusted proxy is named: name {_WAYS}")
    if secret is not None and not _SECRET.match(secret):
        raise SettingsError(
            "the proxy's secret is too short, too long or not plain: use 16 to 256 visible ASCII characters"
        )
    if secret is None and _BY_SECRET in named:
        raise SettingsError("the proxy is trusted by its secret, and the secret is missing: set it")
    certificates = [text for text in named if text.startswith(_THUMBPRINT_PREFIX)]
    others = (_UNIX, _BY_SECRET, *certificates)
    return TrustedProxies(
        is_unix_trusted=_UNIX in named,
        is_secret_enough=_BY_SECRET in named,
        networks=tuple(_network(text) for text in named if text not in others),
        certificates=frozenset(_certificate(text) for text in certificates),
        secret=None if secret is None else secret.encode(),
    )


class Forwarded:
    """The certificate source of a server behind a proxy: a header, believed from trusted proxies alone."""

    __slots__ = ("_source", "trust")

    def __init__(
        self,
        format: str,  # noqa: A002
        *,
        trust: Trust,
        header: str | None = None,
        companion: str | None = None,
    ) -> None:
        """Believe a format of FORMATS from these proxies, in its own headers unless others are named.

        `companion` names the header that says whether the client presented a certificate. Raises
        SettingsError for an unknown format and for names that are no header names.
        """
        self._source = HeaderSource(format, header=header, companion=companion)
        self.trust = trust

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers in which the proxy tells the certificate, and what came with it."""
        return self._source.headers

    def __call__(self, connection: RequestConnection, /) -> PresentedCertificate:
        """Return the certificate that a trusted proxy says the client presented.

        A certificate header of any other sender is ignored, and `ignored` says why. Raises AmbiguousHeader if
        a trusted proxy's header can be read in two ways. Raises ProxyMisconfigured if the proxy does not say
        whether there was a certificate, and for every request where format or trust is unsafe on this server.
        """
        self._source.check_server(connection)
        distrust = self.trust.distrust(connection)
        if distrust is not None:
            header = self._source.header
            return (
                PresentedCertificate(ignored=f"{header}: {distrust}")
                if _came(connection, header)
                else NO_CERTIFICATE
            )
        presented = self._source.read(connection)
        return PresentedCertificate(
            thumbprint=presented.thumbprint, certificate=presented.certificate, is_from_proxy=True
        )

    def intermediates(self, connection: RequestConnection, /) -> tuple[DerCertificate, ...]:
        """Return the certificates that a trusted proxy forwards beside the client's own, if it does.

        Raises AmbiguousHeader for text that the product does not write, and ProxyMisconfigured as above.
        """
        if not self._source.has_chain or self.trust.distrust(connection) is not None:
            return ()
        return self._source.intermediates(connection)


def _came(connection: RequestConnection, header: str) -> bool:
    try:
        return connection.header(header) is not None
    except AmbiguousHeader:
        return True


def _network(text: str) -> Network:
    try:
        network = ip_network(text)
    except ValueError:
        raise SettingsError(f"{text!r} is no trusted proxy: name {_WAYS}") from None
    if network.prefixlen == 0:
        raise SettingsError(f"{text} is every network: name the network of the proxy alone")
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise SettingsError(f"{text} is an IPv4-mapped network: write it as an IPv4 network")
    return network


def _certificate(text: str) -> Thumbprint:
    try:
        return parse_thumbprint(text.removeprefix(_THUMBPRINT_PREFIX))
    except ValueError as error:
        raise SettingsError(f"{text!r} is no trusted proxy: {error}") from error


def _name(connection: RequestConnection) -> str:
    """Return the sender of a request as the log names it."""
    return "a Unix socket" if connection.is_unix_socket() else connection.address() or "an unknown address"
