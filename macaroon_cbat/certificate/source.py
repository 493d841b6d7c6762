"""The certificate that a client presented for a request, and the sources that find it.

A source is called with the connection of a request. `tls_connection` believes the TLS connection itself and
nothing else; `forwarded` has the source for servers behind a proxy.
"""

from typing import Protocol

from msgspec import Struct

from macaroon_cbat.certificate.thumbprint import DerCertificate, Thumbprint, thumbprint_of
from macaroon_cbat.text.short_memory import remembering


class PresentedCertificate(Struct, frozen=True, kw_only=True):
    """The certificate that the client of a request presented; without one all members are unset."""

    thumbprint: Thumbprint | None = None
    certificate: DerCertificate | None = None
    """The certificate itself, not validated; None, too, if a proxy forwarded its hash alone."""
    ignored: str | None = None
    """The reason for which a certificate header was ignored."""
    hidden: str | None = None
    """The reason for which no certificate can reach this server, and the remedy for its operator."""
    is_from_proxy: bool = False
    """True if a trusted proxy sent the request: the client's address is taken from no other sender."""


NO_CERTIFICATE = PresentedCertificate()

IGNORED = "a certificate header is ignored: %s"
"""A line of the log: a header that was not believed is a spoof, or of a proxy that was not named."""


def with_ignored(reason: str, presented: PresentedCertificate) -> str:
    """Return the reason of a refusal, and why a certificate header was ignored if one was."""
    return reason if presented.ignored is None else f"{reason}; {IGNORED % presented.ignored}"


class RequestConnection(Protocol):
    """The connection of a request, as the server that read the request saw it."""

    def certificate(self) -> DerCertificate | None:
        """Return the certificate of this very TLS connection; None without TLS or without a certificate."""

    def intermediates(self) -> tuple[DerCertificate, ...]:
        """Return the certificates that the client sent beside its own, if the server shows them."""

    def why_hidden(self) -> str | None:
        """Return the reason for which no certificate can arrive here, and the remedy; None if one could.

        It is called if `certificate` is None, and depends on nothing that a client sends.
        """

    def shows_address(self) -> bool:
        """Return True if `address` is the connection's own on this server, and never a header's."""

    def address(self) -> str | None:
        """Return the connection's own IP address; None if it is unknown, or a Unix socket."""

    def is_unix_socket(self) -> bool:
        """Return True if the request came over a Unix socket; False if that is unknown."""

    def merges_trailers(self) -> bool:
        """Return True if this server may show trailers, which no proxy overwrites, as headers."""

    def header(self, name: str) -> str | None:
        """Return the value of a header; None if none came under this name in any spelling.

        Raises AmbiguousHeader if it came more than once, or under a name that some server would take for it
        (`_` or `.` for `-`), and ProxyMisconfigured if this server cannot tell.
        """


class CertificateSource(Protocol):
    """A function that finds the certificate that the client of a request presented."""

    def __call__(self, connection: RequestConnection, /) -> PresentedCertificate:
        """Return the certificate. Raises AmbiguousHeader or ProxyMisconfigured if that cannot be told."""


def intermediates_of(source: CertificateSource, connection: RequestConnection) -> tuple[DerCertificate, ...]:
    """Return the certificates that came beside the client's own: intermediates, or any others.

    Raises AmbiguousHeader and ProxyMisconfigured as the source does.
    """
    if source is tls_connection:
        return connection.intermediates()
    found: tuple[DerCertificate, ...] = getattr(source, "intermediates", lambda _: ())(connection)
    return found


def client_address(
    connection: RequestConnection, presented: PresentedCertificate, shown: str | None
) -> str | None:
    """Return the client's address for `ip` caveats, or None if it is unknown.

    It is the connection's own. The server may show another one, which a header may have written: that is
    taken from a trusted proxy alone, and not if a client's trailer may stand beside the proxy's header.
    """
    own = connection.address()
    if shown == own or not presented.is_from_proxy or connection.merges_trailers():
        return own
    return shown


def tls_connection(connection: RequestConnection, /) -> PresentedCertificate:
    """Return the certificate of the TLS connection that this very server process terminates.

    The handshake proved possession of the private key. Neither the issuer nor the validity
    period was checked (RFC 8705 6.2: a resource server need not).
    """
    if certificate := connection.certificate():
        return presented_certificate(certificate)
    why = connection.why_hidden()
    return NO_CERTIFICATE if why is None else PresentedCertificate(hidden=why)


def presented_certificate(certificate: DerCertificate | None) -> PresentedCertificate:
    """Return the certificate as presented; none for no bytes, whose hash any client could claim."""
    if not certificate:
        return NO_CERTIFICATE
    return remembered_presented(certificate)


@remembering(1024, longest=4096)
def remembered_presented(certificate: bytes) -> PresentedCertificate:
    """Return these bytes with their hash. Remembered: a connection's certificate comes with each request."""
    der = DerCertificate(certificate)
    return PresentedCertificate(thumbprint=thumbprint_of(der), certificate=der)
