"""The discharges that a token needs: collected from the dischargers that the holder trusts, and remembered.

discharges = DischargeClient(["https://idp.example"], certificate=certificate)
auth = MacaroonAuth(tokens, certificate, discharges=discharges)
"""

import time
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from macaroon_cbat.client.authentication import ClientAuthentication
from macaroon_cbat.client.certificate import ClientCertificate
from macaroon_cbat.client.dischargers import Discharger, Visit, checked_location
from macaroon_cbat.client.own_connections import OwnConnections
from macaroon_cbat.client.proxies import connected_through_proxy
from macaroon_cbat.client.shared_failures import SharedFailure
from macaroon_cbat.client.trust import ServerTrust
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.process_values import ProcessLock
from macaroon_cbat.macaroon.caveats import Expiry, read_caveats
from macaroon_cbat.macaroon.conditions import read_condition
from macaroon_cbat.macaroon.discharges import third_party_caveats
from macaroon_cbat.macaroon.token_forms import mended
from macaroon_cbat.macaroon.wire import MAX_DISCHARGES, Macaroon, ThirdPartyCaveat, read_macaroon
from macaroon_cbat.text.printable import quoted

MAX_DEPTH = 4
"""A discharge may need a discharge, and so on: so deep at most."""

LEEWAY_SECONDS = 10
"""Seconds before its end from which on a discharge is collected anew."""

_MOST_TOKENS = 100


class _Turns:
    """The turns of the threads that need the discharges of one token."""

    def __init__(self) -> None:
        self.lock, self.failure = ProcessLock(), SharedFailure()


class _Collected(Struct, frozen=True):
    discharges: tuple[str, ...]
    ends_at: float
    is_by_person: bool
    collected_at: float


class DischargeClient:
    """Collects the discharges of tokens. Thread-safe, and safe to fork.

    Only the dischargers at `locations` are asked, over https: any holder of a token can write another
    location into it. At most 16 discharges are collected for a token, at most 4 deep.
    """

    def __init__(  # noqa: PLR0913 # one keyword a setting
        self,
        locations: Iterable[str],
        *,
        client_id: str | None = None,
        client_secret: str | Path | None = None,
        certificate: ClientCertificate | None = None,
        ca: Path | str | None = None,
        visit: Visit | None = None,
        timeout: float = 10,
        patience: float = 300,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Trust the dischargers at these https URLs. Raises SettingsError for unusable settings.

        A discharger that is to know its caller gets `client_id`, with the secret or the certificate. `ca` is
        the PEM file that dischargers are verified with, by default the system's CAs. `visit` leads a person
        to a page where a discharger needs a decision, for `patience` seconds at most; without it such a
        discharge is Refused. For as long after a decision, no rejection leads the person there again.
        """
        if client_secret is not None and client_id is None:
            raise SettingsError("client_secret is set without client_id: give both, or neither")
        authentication = None if client_id is None else ClientAuthentication(client_id, client_secret)
        own = OwnConnections(certificate, ServerTrust(ca), connected_through_proxy)
        self._dischargers = {
            location: Discharger(location, own, authentication, timeout, patience, visit)
            for location in map(checked_location, locations)
        }
        if client_secret is not None and len(self._dischargers) > 1:
            raise SettingsError(
                "client_secret would go to several dischargers: use a certificate in its place"
            )
        self._clock, self._patience = clock, patience
        self._turns: dict[bytes, _Turns] = {}
        self._collected: dict[bytes, _Collected] = {}

    def __repr__(self) -> str:
        """Show the locations."""
        return f"<DischargeClient of {' '.join(self._dischargers)}>"

    def collect(self, token: str) -> tuple[str, ...]:
        """Return every discharge that the token needs, not bound yet; none for a token that needs none.

        Discharges are remembered until shortly before they end. Raises SettingsError for a location that is
        not trusted and for too many discharges, Refused and Unavailable.
        """
        root = read_macaroon(mended(token))
        if next(third_party_caveats(root), None) is None:
            return ()
        name, waiting_since = sha256(token.encode()).digest(), time.monotonic()
        if len(self._turns) >= _MOST_TOKENS:
            self._turns.clear()
        turns = self._turns.setdefault(name, _Turns())
        # A person is led to one page, not to one for each thread; other tokens need not wait for that.
        with turns.lock.current():
            known = self._collected.get(name)
            if known is None or known.ends_at <= self._clock():
                with turns.failure.of(waiting_since):
                    known = self._collect(root)
                if len(self._collected) >= _MOST_TOKENS:
                    self._collected.clear()
                self._collected[name] = known
        return known.discharges

    def discard(self, token: str) -> bool:
        """Forget the discharges of a token that a resource server rejected, and return True.

        Return False, and keep them, if a person has just decided about them: a resource server that rejects
        every token would else lead the person to a page each time.
        """
        name = sha256(token.encode()).digest()
        known = self._collected.get(name)
        if known is not None and known.is_by_person and self._clock() - known.collected_at < self._patience:
            return False
        self._collected.pop(name, None)
        return True

    def _collect(self, root: Macaroon) -> _Collected:
        texts: list[str] = []
        ends: list[float] = []
        is_by_person = False
        waiting: list[tuple[ThirdPartyCaveat, bytes | None, int]] = [
            (caveat, None, 1) for _, caveat in third_party_caveats(root)
        ]
        while waiting:
            caveat, payload, depth = waiting.pop()
            if len(texts) == MAX_DISCHARGES or depth > MAX_DEPTH:
                raise SettingsError(
                    f"the token needs more than {MAX_DISCHARGES} discharges, or deeper than {MAX_DEPTH}: "
                    "get another token"
                )
            given = self._discharger_at(caveat.location).discharge(caveat, payload)
            macaroon = read_macaroon(given.text)
            texts.append(given.text)
            ends.append(_end_of(macaroon))
            is_by_person = is_by_person or given.is_by_person
            waiting += [
                (inner, given.payloads.get(inner.identifier), depth + 1)
                for _, inner in third_party_caveats(macaroon)
            ]
        return _Collected(tuple(texts), min(ends) - LEEWAY_SECONDS, is_by_person, self._clock())

    def _discharger_at(self, location: bytes | None) -> Discharger:
        """Return the discharger, or raise SettingsError if the holder does not trust this location."""
        try:
            return self._dischargers[(location or b"").decode().rstrip("/")]
        except (KeyError, UnicodeDecodeError):
            raise SettingsError(
                f"the token needs a discharge of {quoted(location or b'')}, which is not among the "
                "dischargers that are trusted here: add it to locations only if it is yours"
            ) from None


def _end_of(discharge: Macaroon) -> float:
    """Return the second from which on a discharge is expired, as far as it says one."""
    ends = [float("inf")]
    for text in discharge.caveats:
        if isinstance(text, bytes):
            ends += [caveat.exp for caveat in _caveats(text) if isinstance(caveat, Expiry)]
    return min(ends)


def _caveats(text: bytes) -> Iterable[object]:
    try:
        return read_caveats(text)
    except ValueError:
        pass
    try:
        return (read_condition(text),)
    except ValueError:
        return ()
