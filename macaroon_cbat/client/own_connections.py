"""The connections of one process, with the client certificate and the CAs that are in the files now."""

from dataclasses import dataclass

from macaroon_cbat.client.certificate import ClientCertificate, Credentials
from macaroon_cbat.client.https import Connections
from macaroon_cbat.client.sockets import Dial, connected
from macaroon_cbat.client.trust import ServerTrust, TrustedCas
from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.files.process_values import PerProcess, ProcessLock


@dataclass(frozen=True, slots=True)
class Own:
    """Connections, and the credentials that they present; None for no certificate."""

    connections: Connections
    credentials: Credentials | None


@dataclass(slots=True)
class _Made:
    own: Own | None = None
    cas: TrustedCas | None = None


class OwnConnections:
    """Finds the connections of this process, made anew in a forked child and when a file has changed."""

    def __init__(
        self, certificate: ClientCertificate | None, trust: ServerTrust, dial: Dial = connected
    ) -> None:
        """Connect with this certificate, if any; nothing is connected yet."""
        self.certificate = certificate
        self._trust = trust
        self._dial = dial
        self._lock = ProcessLock()
        self._made: PerProcess[_Made] = PerProcess(_Made)

    def current(self) -> Own:
        """Return the connections to use now, or raise Unavailable if the credentials cannot be loaded."""
        with self._lock.current():
            credentials = None if self.certificate is None else self.certificate.current()
            cas = self._trust.current()
            made = self._made.current()
            own = made.own
            if own is None or (own.credentials, made.cas) != (credentials, cas):
                own = Own(self._connections(credentials, cas), credentials)
                for before in (made, *self._made.inherited()):
                    if before.own is not None:
                        before.own.connections.end()  # an ancestor's: sends nothing
                made.own, made.cas = own, cas
            return own

    def _connections(self, credentials: Credentials | None, cas: TrustedCas) -> Connections:
        try:
            context = cas.context() if credentials is None else credentials.context_trusting(cas)
        except SettingsError as error:
            raise Unavailable(str(error)) from error
        return Connections(context, self._dial)
