"""The certificate source that reads headers and judges no trust: its caller has to have done that."""

import re
from functools import lru_cache

from macaroon_cbat.certificate.chains import CHAINS
from macaroon_cbat.certificate.formats import FORMATS, CertificateFormat
from macaroon_cbat.certificate.source import PresentedCertificate, RequestConnection
from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.errors import ProxyMisconfigured, SettingsError

SECRET_HEADER = "Proxysecret"
"""The header in which a proxy shows its secret."""

_MOST_REMEMBERED = 1024
_LONGEST_REMEMBERED = 4096
"""Characters of the longest value that is remembered, a certificate of 3 KB: so the memory is bounded."""

_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*\Z")


class HeaderSource:
    """A certificate source that believes the headers of every sender.

    It does not check who sent them. It is for callers that have judged the sender of a request already, as
    the gateway does; every other one needs `Forwarded`.
    """

    __slots__ = ("_chain", "_companions", "_format", "_names", "header", "remembered")

    def __init__(
        self,
        format: str,  # noqa: A002
        *,
        header: str | None = None,
        companion: str | None = None,
    ) -> None:
        """Read a format of FORMATS, in its own headers unless others are named.

        `companion` names the header that says whether the client presented a certificate. Raises
        SettingsError for an unknown format and for names that are no header names.
        """
        if format not in FORMATS:
            raise SettingsError(f"unknown certificate format {format!r}: known are {', '.join(FORMATS)}")
        self._format = FORMATS[format]
        self._chain = CHAINS.get(format)
        self._companions = _named_companions(self._format, companion)
        self.header = _checked_name(header or self._format.header, self._companions)
        self._names = (self.header, *self._companions)
        # A pure function of these texts: trust in their sender is judged for each request, elsewhere.
        self.remembered = lru_cache(maxsize=_MOST_REMEMBERED)(self._format.read)

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers in which the proxy tells the certificate, and what came with it."""
        beside = () if self._chain is None or self._chain.header is None else (self._chain.header,)
        return (*self._names, *beside)

    @property
    def has_chain(self) -> bool:
        """Whether the product forwards further certificates beside the client's own."""
        return self._chain is not None

    def __call__(self, connection: RequestConnection, /) -> PresentedCertificate:
        """Return the certificate that the sender says the client presented.

        Raises AmbiguousHeader or ProxyMisconfigured if the headers do not tell it as the format has it.
        """
        self.check_server(connection)
        return self.read(connection)

    def check_server(self, connection: RequestConnection) -> None:
        """Raise ProxyMisconfigured, for every request alike, if the format is not safe on this server."""
        if self._format.may_be_silent and connection.merges_trailers():
            raise ProxyMisconfigured(
                f"{self._format.name} is not safe on this server, which may show a client's trailers as "
                f"headers, where a proxy may send no {self.header}: start uvicorn with --http h11, or serve "
                "with gunicorn, waitress or macaroon_cbat.tls"
            )

    def read(self, connection: RequestConnection) -> PresentedCertificate:
        """Return what `__call__` returns, on a server that was checked."""
        values = tuple(map(connection.header, self._names))
        for value in values:
            if value is not None and len(value) > _LONGEST_REMEMBERED:
                return self._format.read(*values)
        return self.remembered(*values)

    def intermediates(self, connection: RequestConnection, /) -> tuple[DerCertificate, ...]:
        """Return the certificates beside the client's own; raises AmbiguousHeader for malformed ones."""
        if self._chain is None:
            return ()
        value = connection.header(self._chain.header or self.header)
        return () if value is None else tuple(self._chain.read(value))


def _named_companions(form: CertificateFormat, companion: str | None) -> tuple[str, ...]:
    """Return the names of the headers beside the certificate's, or raise SettingsError."""
    if companion is None:
        return form.companions
    if not form.companions:
        raise SettingsError(
            f"{form.name} has no companion, a header beside the certificate's: leave out {companion!r}"
        )
    return (_checked_name(companion, ()),)


def _checked_name(header: str, companions: tuple[str, ...]) -> str:
    if not _HEADER_NAME.match(header):
        raise SettingsError(f"{header!r} is no name for a certificate header: use letters, digits, hyphens")
    if header.lower() in {name.lower() for name in (*companions, SECRET_HEADER)}:
        raise SettingsError(f"{header} is the name of another header that the proxy sends")
    return header
