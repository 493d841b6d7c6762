"""Tokens of a login that is kept in a file: refreshed when they expire, by one process at a time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from macaroon_cbat.client.authentication import ClientAuthentication
from macaroon_cbat.client.certificate import ClientCertificate
from macaroon_cbat.client.device import Granted, granted, posted
from macaroon_cbat.client.login_file import LoginFile, SavedLogin
from macaroon_cbat.client.own_connections import OwnConnections
from macaroon_cbat.client.proxies import connected_through_proxy
from macaroon_cbat.client.secret import read_secret_file
from macaroon_cbat.client.service import Service
from macaroon_cbat.client.trust import ServerTrust
from macaroon_cbat.errors import Refused
from macaroon_cbat.macaroon.inspection import confirmations
from macaroon_cbat.macaroon.wire import read_macaroon

_LEEWAY = 30
"""Seconds before expiry at which an access token is renewed; half its lifetime at most."""


class _Revoked(Struct):
    """The answer to a revocation (RFC 7009 2.2): any object."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The tokens of one login; call it for an access token that is still valid.

    Threads and processes may share the file: each reads, refreshes and replaces it under its lock, so that no
    refresh token is used twice. `clock` gives seconds since 1970. A call raises SettingsError without a
    login, Refused if the service ended it, and Unavailable if the service does not answer.
    """

    file: LoginFile
    timeout: float = 10
    clock: Callable[[], float] = time.time

    def __call__(self) -> str:
        """Return an access token."""
        login = self.file.read()
        if self._is_good(login):
            return login.access_token
        with self.file.locked():
            login = self.file.read()  # another process may have refreshed it
            return (login if self._is_good(login) else self._refreshed(login)).access_token

    def discard(self, token: str) -> None:
        """Return another access token than this rejected one from now on."""
        with self.file.locked():
            login = self.file.read()
            if login.access_token == token:
                self.file.write(replace(login, renew_access_at=0))

    def log_out(self) -> None:
        """Revoke the tokens (RFC 7009), and then delete the file. Raises Refused or Unavailable."""
        with self.file.locked():
            login = self.file.read()
            service = service_of(login, self.timeout)
            token = login.refresh_token or login.access_token
            posted(service, "revocation_endpoint", {"token": token}, _Revoked)
            self.file.delete(login)

    def _is_good(self, login: SavedLogin) -> bool:
        return self.clock() < login.renew_access_at and is_bound_to_current(login)

    def _refreshed(self, login: SavedLogin) -> SavedLogin:
        """Return the login with new tokens, which are in the file before any of them is used."""
        if login.refresh_token is None:
            raise Refused(200, "invalid_grant", f"the login has expired: {_again(login)}")
        form = {"grant_type": "refresh_token", "refresh_token": login.refresh_token}
        asked_at = self.clock()
        try:
            answer = granted(service_of(login, self.timeout), form)
        except Refused as refusal:
            if refusal.code != "invalid_grant":
                raise
            told = f"{refusal.description}: {_again(login)}"
            raise Refused(refusal.status, refusal.code, told) from refusal
        renewed = with_tokens(login, answer, asked_at)
        self.file.write(renewed)
        return renewed


def with_tokens(login: SavedLogin, answer: Granted, asked_at: float) -> SavedLogin:
    """Return the login with the tokens of an answer, whose lifetime is counted from the request."""
    return replace(
        login,
        access_token=answer.access_token,
        renew_access_at=int(asked_at) + max(answer.expires_in - _LEEWAY, answer.expires_in // 2),
        refresh_token=answer.refresh_token or login.refresh_token,
    )


def certificate_of(login: SavedLogin) -> ClientCertificate:
    """Return the certificate of a login, or raise SettingsError."""
    passphrase = login.key_passphrase_file
    password = None if passphrase is None else read_secret_file(Path(passphrase))
    return ClientCertificate(login.certificate, login.key, password=password)


def is_bound_to_current(login: SavedLogin) -> bool:
    """Return True unless the access token is bound to another certificate than is in the file now."""
    bound_to = confirmations(read_macaroon(login.access_token))
    return bound_to <= {certificate_of(login).current().thumbprint}


def service_of(login: SavedLogin, timeout: float) -> Service:
    """Return the service of a login as its client reaches it, over connections with its certificate."""
    secret = None if login.client_secret_file is None else Path(login.client_secret_file)
    own = OwnConnections(certificate_of(login), ServerTrust(login.ca), connected_through_proxy)
    authentication = ClientAuthentication(login.client_id, secret)
    return Service(login.issuer, authentication, own, timeout, compares_clocks=True)


def _again(login: SavedLogin) -> str:
    return f"log out and log in again, macaroon-cbat login --issuer {login.issuer}"
