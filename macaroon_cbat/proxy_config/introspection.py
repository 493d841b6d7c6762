"""The settings of a proxy that introspects tokens itself, and needs no gateway."""

import re
from dataclasses import dataclass

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.issuers import issuer_mistake

LONGEST_CACHING = 30
"""Seconds for which a proxy may accept a token that was revoked or has expired."""

INTROSPECTION_PATH = "/oauth2/introspect"
_CLIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,63}")
PLAIN_SECRET = re.compile(r"[A-Za-z0-9_-]{16,256}")
"""A secret without any character that is syntax to a proxy."""
_SCOPE = re.compile(r"[A-Za-z0-9:._/-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyIntrospection:
    """The service that a proxy introspects tokens at, its credentials there, and the scopes that it requires.

    Templates insert each value as it stands, so each has an alphabet without syntax of Apache, of its
    expressions and of a form. Raises SettingsError for a value that has not.
    """

    issuer: str
    client_id: str
    client_secret: str
    scope: str
    cache_seconds: int = 0

    def __post_init__(self) -> None:
        """Raise SettingsError for a value that a template could not insert as it stands."""
        if mistake := issuer_mistake(self.issuer):
            raise SettingsError(f"--issuer {self.issuer!r} {mistake}")
        if not _CLIENT_ID.fullmatch(self.client_id):
            raise SettingsError(
                f"--client-id {self.client_id!r} is not a client id: give the registered name"
            )
        if not PLAIN_SECRET.fullmatch(self.client_secret):
            raise SettingsError(
                "--client-secret-file holds no secret of the service: give 16 to 256 letters, digits, - and _"
            )
        if not self.scope.split():
            raise SettingsError(
                "--scope is empty, which would accept a token for anything: name one scope at least"
            )
        for scope in self.scope.split():
            if not _SCOPE.fullmatch(scope):
                raise SettingsError(f"--scope {scope!r} is not usable: name one of letters, digits and :._/-")
        if not 0 <= self.cache_seconds <= LONGEST_CACHING:
            raise SettingsError(
                f"--cache-seconds {self.cache_seconds} is out of bounds: give 0 to {LONGEST_CACHING}"
            )

    def __repr__(self) -> str:
        """Return issuer and client id, and no secret."""
        return f"<ProxyIntrospection at {self.issuer} as {self.client_id}>"

    @property
    def endpoint(self) -> str:
        """The URL of the introspection endpoint."""
        return self.issuer + INTROSPECTION_PATH

    @property
    def scopes(self) -> list[str]:
        """The scopes that a token must have, each once."""
        return sorted(set(self.scope.split()))

    @property
    def scope_patterns(self) -> list[str]:
        """Regular expressions for a scope claim that has one of these, each without a backslash."""
        return [f"(^| ){scope.replace('.', '[.]')}( |$)" for scope in self.scopes]
