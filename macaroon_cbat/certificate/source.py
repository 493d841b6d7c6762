"""Who is at the other end of a connection, as far as certificates tell, and which source may say so.

A source is asked about the connection that a request came over. `tls_connection` believes the TLS connection
itself and nothing else; `macaroon_cbat.forwarded` has the sources for servers behind a proxy.
"""

from typing import Protocol

from msgspec import Struct

from macaroon_cbat.certificate.thumbprint import DerCertificate, Thumbprint, thumbprint_of


class PresentedCertificate(Struct, frozen=True, kw_only=True):
    """The certificate of whoever sent a request; all None when none was presented."""

    thumbprint: Thumbprint | None = None
    certificate: DerCertificate | None = None
    """The certificate itself, not validated; None too where a proxy passed on its hash alone."""
    ignored: str | None = None
    """Why a certificate header that came was not believed."""
    hidden: str | None = None
    """Why no certificate could arrive, whatever the client presented, and what its operator must do."""
    is_from_proxy: bool = False
    """True if a trusted proxy sent the request: only then its word about the client's address is taken."""


NO_CERTIFICATE = PresentedCertificate()

IGNORED = "a certificate header is ignored: %s"
"""A line of the log: a header that was not believed is a spoof, or of a proxy that was not named."""


def with_ignored(reason: str, presented: PresentedCertificate) -> str:
    """Return the reason of a refusal, and why a certificate header was ignored if one was."""
    return reason if presented.ignored is None else f"{reason}; {IGNORED % presented.ignored}"


class RequestConnection(Protocol):
    """The connection that a request came over, as the server that read the request saw it."""

    def certificate(self) -> DerCertificate | None:
        """Return the certificate of this very TLS connection; None without TLS or without one."""

    def intermediates(self) -> tuple[DerCertificate, ...]:
        """Return what else the client sent beside its certificate, where the server shows that."""

    def why_hidden(self) -> str | None:
        """Return why no certificate can arrive over this connection, and the remedy; None where one could.

        Asked where `certificate` is None. Nothing that a client sends has a part in it.
        """

    def shows_address(self) -> bool:
        """Return True if `address` is the connection's own on this server, whatever headers say."""

    def address(self) -> str | None:
        """Return the connection's own IP address; None where it is unknown, or a Unix socket."""

    def is_unix_socket(self) -> bool:
        """Return True if the request came over a Unix socket; False where that is not known."""

    def merges_trailers(self) -> bool:
        """Return True if this server may show trailers, which no proxy overwrites, as headers."""

    def header(self, name: str) -> str | None:
        """Return the value of a header, or None when none came under this name in any spelling.

        Raises AmbiguousHeader when it came more than once, or under a name that some server would
        take for it (`_` or `.` for `-`), and ProxyMisconfigured where this server cannot tell.
        """


class CertificateSource(Protocol):
    """Finds the certificate of whoever sent the request that came over a connection."""

    def __call__(self, connection: RequestConnection, /) -> PresentedCertificate:
        """Return the peer; raise AmbiguousHeader or ProxyMisconfigured when nobody can tell."""


def intermediates_of(source: CertificateSource, connection: RequestConnection) -> tuple[DerCertificate, ...]:
    """Return the certificates that came with the peer's own: they may be intermediates, or anything.

    Raises AmbiguousHeader and ProxyMisconfigured as the source does.
    """
    if source is tls_connection:
        return connection.intermediates()
    found: tuple[DerCertificate, ...] = getattr(source, "intermediates", lambda _: ())(connection)
    return found


def client_address(
    connection: RequestConnection, presented: PresentedCertificate, shown: str | None
) -> str | None:
    """Return the client's address for `ip` caveats, or None where it is not known.

    It is the connection's own. What the server shows in its place, which a header may have written, is
    taken from a trusted proxy alone, and not where a client's trailer may stand beside the proxy's header.
    """
    own = connection.address()
    if shown == own or not presented.is_from_proxy or connection.merges_trailers():
        return own
    return shown


def tls_connection(connection: RequestConnection, /) -> PresentedCertificate:
    """Return the peer of the TLS connection that this very server process terminates.

    The handshake proved possession of the private key. Neither the issuer nor the validity
    period was checked (RFC 8705 6.2: a resource server need not).
    """
    if certificate := connection.certificate():
        return presented_certificate(certificate)
    why = connection.why_hidden()
    return NO_CERTIFICATE if why is None else PresentedCertificate(hidden=why)


def presented_certificate(certificate: DerCertificate | None) -> PresentedCertificate:
    """Return the peer that presented this certificate; no bytes are none, for their hash binds to nobody."""
    if not certificate:
        return NO_CERTIFICATE
    return PresentedCertificate(thumbprint=thumbprint_of(certificate), certificate=certificate)
