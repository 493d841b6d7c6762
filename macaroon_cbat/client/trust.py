"""The certificate authorities (CAs) that servers are verified with, followed when their file is replaced."""

import itertools
import logging
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from macaroon_cbat.client.openssl_reasons import openssl_reason
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.followed import Followed
from macaroon_cbat.files.in_memory import as_path

log = logging.getLogger("macaroon_cbat.client")

_generations = itertools.count()
_LARGEST_FILE = 16 << 20


@dataclass(frozen=True, slots=True, eq=False)
class TrustedCas:
    """The CAs in the file at one moment, or the system's. A greater `generation` was loaded later."""

    _pem: bytes | None = field(default=None, repr=False)
    generation: int = field(default_factory=lambda: next(_generations))

    def context(self) -> ssl.SSLContext:
        """Return a new client context that verifies the server's certificate and name, TLS 1.2 or newer.

        Raises ssl.SSLError if the file held no CA, and SettingsError if OpenSSL cannot be shown it.
        """
        if self._pem is None:
            context = ssl.create_default_context()
        else:
            with as_path(self._pem) as path:
                context = ssl.create_default_context(cafile=path)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


class ServerTrust:
    """The CAs in a PEM file as they are now, or the system's. Thread-safe, and safe to fork."""

    def __init__(self, ca: Path | str | None) -> None:
        """Read the file once, or raise SettingsError."""
        self._followed: Followed[TrustedCas] | None = None
        self._known = TrustedCas()
        if ca is not None:
            file = Path(ca)
            self._followed = Followed(
                "CA certificates", [file], lambda: self._read(file), log, is_prompt=True, look_seconds=0
            )

    def current(self) -> TrustedCas:
        """Return the CAs, the same object until the file's content changes."""
        return self._known if self._followed is None else self._followed.current()

    def _read(self, file: Path) -> TrustedCas:
        try:
            with file.open("rb") as stream:
                content = stream.read(_LARGEST_FILE)
            if content != self._known._pem:  # noqa: SLF001 # made here, of such content
                read = TrustedCas(content)
                read.context()
                self._known = read
        except OSError as error:
            reason = f"cannot load CA certificates from {file} ({openssl_reason(error)})"
            raise SettingsError(f"{reason}: name a PEM file with the CA of the server") from error
        return self._known


def server_trust(ca: Path | str | None) -> ssl.SSLContext:
    """Return a new client context that trusts the CAs in the PEM file `ca`, or else the system's.

    Raises SettingsError if the file holds none. The server's certificate and name are verified.
    """
    return ServerTrust(ca).current().context()
