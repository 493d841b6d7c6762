"""The file of `client apply`: every client as it should be, in TOML."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from macaroon_cbat.cli.durations import seconds_of
from macaroon_cbat.cli.given_secrets import SECRET_MEMBERS, given_hash
from macaroon_cbat.cli.options import read_file
from macaroon_cbat.errors import OAuthError, SettingsError
from macaroon_cbat.stores import ClientMetadata
from macaroon_cbat.stores.client_secrets import LONGEST_OVERLAP
from macaroon_cbat.stores.clients import SECRET_METHODS, metadata_from
from macaroon_cbat.text.plain_text import text_of

_LARGEST = 16 << 20
_ASIDE = (*SECRET_MEMBERS, "keep_old")


@dataclass(frozen=True, slots=True)
class WantedClient:
    """A client as it should be. Without `secret_sha256`, a registered client keeps the secret that it has."""

    client_id: str
    metadata: ClientMetadata
    secret_sha256: str | None
    keep_old: int
    """Seconds for which another secret before this one stays valid."""


def read_clients(file: Path) -> list[WantedClient]:
    """Return the clients in the file, by name. Raises SettingsError, which names the client and member."""
    try:
        members = tomllib.loads(text_of(read_file(file, _LARGEST), str(file)))
    except (ValueError, RecursionError) as error:  # beside TOMLDecodeError, of a number of 5,000 digits
        raise SettingsError(f"{file} is no TOML: {error}") from error
    clients = members.pop("clients", {})
    if members or not isinstance(clients, dict):
        unknown = next(iter(members), "clients")
        raise SettingsError(f"{file}: {unknown} is no table of clients: write [clients.NAME] for each")
    return [_wanted(name, clients[name], file) for name in sorted(clients)]


def _wanted(client_id: str, members: object, file: Path) -> WantedClient:
    name = f"{file}: client {client_id}"
    if not isinstance(members, dict):
        raise SettingsError(f"{name} is no table: write [clients.{client_id}]")
    try:
        metadata = metadata_from({key: value for key, value in members.items() if key not in _ASIDE})
    except OAuthError as error:
        raise SettingsError(f"{name}: {error}") from error
    hashed = given_hash(members, file.parent, name)
    if hashed is not None and metadata.token_endpoint_auth_method not in SECRET_METHODS:
        raise SettingsError(
            f"{name} authenticates by {metadata.token_endpoint_auth_method}: leave the secret out"
        )
    return WantedClient(client_id, metadata, hashed, _overlap(members.get("keep_old", "0"), name))


def _overlap(text: object, name: str) -> int:
    try:
        seconds = seconds_of(str(text))
    except ValueError as error:
        raise SettingsError(f"{name}: keep_old: {error}") from error
    if seconds > LONGEST_OVERLAP:
        raise SettingsError(f"{name}: keep_old is too long: write {LONGEST_OVERLAP // 86_400}d at most")
    return seconds
