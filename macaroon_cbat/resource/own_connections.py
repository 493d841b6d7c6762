"""The connections of one process to the service, with the client certificate that is in the files now."""

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.files.followed import Stamp, stamp_of
from macaroon_cbat.files.in_memory import as_path
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.files.process_values import PerProcess, ProcessLock
from macaroon_cbat.resource.https import Connections

log = logging.getLogger("macaroon_cbat.resource")


@dataclass(slots=True)
class _Made:
    stamp: Stamp = ()
    connections: Connections | None = None
    said: str | None = None


class OwnConnections:
    """Finds the connections of this process, made anew in a forked child and when a file has changed."""

    def __init__(
        self, ca: Path | str | None, certificate: tuple[Path | str, Path | str] | None, asker: str
    ) -> None:
        """Load the files once, or raise SettingsError: nothing is connected yet.

        `certificate` is the certificate file and the key file; `asker` names in messages what asks.
        """
        self._ca = None if ca is None else Path(ca)
        self._certificate = None if certificate is None else (Path(certificate[0]), Path(certificate[1]))
        self._asker = asker
        self._lock = ProcessLock()
        self._made: PerProcess[_Made] = PerProcess(_Made)
        self._load()

    def current(self) -> Connections:
        """Return the connections to use now. While a rotation of the files is half done, the old ones go on.

        Raises Unavailable when there are none and the files cannot be loaded.
        """
        with self._lock.current():
            made, stamp = self._made.current(), self._stamp()
            if made.connections is not None and stamp in ((), made.stamp):
                if not stamp and self._files():
                    self._warn(made, f"{self._named()}: a file is missing")
                return made.connections
            try:
                connections = Connections(self._load())
            except SettingsError as error:
                if made.connections is not None:
                    self._warn(made, str(error))
                    return made.connections
                raise Unavailable(str(error)) from error
            for before in (made, *self._made.inherited()):
                if before.connections is not None:
                    before.connections.end()  # an ancestor's: closes the copies here, and sends nothing
            made.stamp, made.connections, made.said = stamp, connections, None
            return connections

    def _warn(self, made: _Made, reason: str) -> None:
        """Say once why the files in use are the old ones."""
        if reason != made.said:
            made.said = reason
            log.warning("keeping the certificate and CA read before: %s", reason)

    def _load(self) -> ssl.SSLContext:
        """Return a context with the certificate, if any, that trusts `ca` (None: the system's CAs)."""
        try:
            context = ssl.create_default_context(cafile=self._ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.set_alpn_protocols(["http/1.1"])
            if self._certificate is not None:
                certificate, key = self._certificate
                with open_private(key, "private key") as stream:
                    content = stream.read()
                if b"ENCRYPTED" in content:
                    raise SettingsError(f"the key in {key} is encrypted: name a key without a passphrase")
                with as_path(content) as checked:
                    context.load_cert_chain(checked if certificate == key else certificate, checked, "")
        except OSError as error:
            raise SettingsError(
                f"{self._asker} cannot load {self._named()} ({error.strerror or error}): name PEM files"
            ) from error
        return context

    def _stamp(self) -> Stamp:
        """Return what tells two states of the files apart; nothing while one is missing."""
        return stamp_of(self._files())

    def _named(self) -> str:
        return " and ".join(map(str, self._files()))

    def _files(self) -> list[Path]:
        return [file for file in (self._ca, *(self._certificate or ())) if file is not None]
