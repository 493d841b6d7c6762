"""Secrets that clients have already: as a text, from a file or the environment, or as their SHA-256."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from macaroon_cbat.cli.options import read_secret
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.stores.client_secrets import secret_hash

SHORTEST_SECRET = 22
"""Characters of a secret at least: so many have 128 random bits in base64url."""
SECRET_MEMBERS = ("secret_sha256", "secret_file", "secret_env")

_HASH = re.compile(r"[0-9a-f]{64}\Z")


def hash_of_secret(secret: object, name: str) -> str:
    """Return the SHA-256 of a secret in hexadecimal digits. Raises SettingsError for a weak one."""
    if not isinstance(secret, str) or not secret.isascii() or not secret.isprintable():
        raise SettingsError(f"{name} is no text of visible ASCII: give the secret as the client sends it")
    if len(secret) < SHORTEST_SECRET:
        raise SettingsError(
            f"{name} is shorter than {SHORTEST_SECRET} characters: it needs 128 random bits, so let the "
            "service make one"
        )
    return secret_hash(secret).hex()


def checked_hash(text: object, name: str) -> str:
    """Return a SHA-256 of a secret in hexadecimal digits, or raise SettingsError for another hash."""
    if not isinstance(text, str) or not _HASH.match(text):
        raise SettingsError(
            f"{name} is no SHA-256 in 64 lower-case hexadecimal digits: another hash cannot be used, so let "
            "the client have a new secret"
        )
    return text


def given_hash(members: Mapping[str, object], folder: Path, name: str) -> str | None:
    """Return the SHA-256 of the secret that one of SECRET_MEMBERS names, or None.

    Files are relative to the folder. Raises SettingsError for two of them, and for a secret that is missing.
    """
    given = [one for one in SECRET_MEMBERS if one in members]
    if not given:
        return None
    if len(given) > 1:
        raise SettingsError(f"{name}: {given[0]} and {given[1]} are both given: leave one of them out")
    [kind], value = given, members[given[0]]
    where = f"{name}: {kind}"
    if not isinstance(value, str) or not value:
        raise SettingsError(f"{where} is no text: write it in quotation marks")
    if kind == "secret_sha256":
        return checked_hash(value, where)
    if kind == "secret_file":
        return hash_of_secret(read_secret(folder / value), where)
    if value not in os.environ:
        raise SettingsError(f"{where}: the environment variable {value} is not set: set it to the secret")
    return hash_of_secret(os.environ[value], where)
