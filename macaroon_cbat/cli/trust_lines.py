"""Trusted issuers as the command line names and shows them."""

from pathlib import Path
from typing import Any

import click
import msgspec

from macaroon_cbat.cli.options import read_file
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service.admin.shapes import TrustedIssuerRecord
from macaroon_cbat.text.json_text import UnusableJson, read_members
from macaroon_cbat.text.plain_text import text_of

_MOST_BYTES = 1 << 16


def claims_in(options: tuple[str, ...]) -> dict[str, str]:
    """Return the claims that --claim names. Raises UsageError for one without a value, or named twice."""
    claims: dict[str, str] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name or not value:
            raise click.UsageError(f"--claim {option!r} has no name or no value: write NAME=VALUE")
        if name in claims:
            raise click.UsageError(f"--claim {name} is given twice: give one value, or trust under two names")
        claims[name] = value
    return claims


def key_set_in(file: Path) -> dict[str, Any]:
    """Return the JWK Set in a file, whose keys are checked later. Raises SettingsError."""
    try:
        return read_members(_content_of(file))
    except UnusableJson as error:
        raise SettingsError(f"{file} is no JWK Set: {error}") from error


def text_in(file: Path) -> str:
    """Return the text of a small file. Raises SettingsError."""
    return text_of(_content_of(file), str(file))


def members_of(one: TrustedIssuerRecord) -> dict[str, object]:
    """Return the members of a trusted issuer, for JSON."""
    members: dict[str, object] = msgspec.to_builtins(one)
    return {name: value for name, value in members.items() if name != "created_at"}


def line_of(one: TrustedIssuerRecord) -> str:
    """Return the line of a trusted issuer in a list."""
    client = "" if one.client is None else f"  client {one.client}"
    subject = "" if one.subject is None else f"  subject {one.name}:{{{one.subject}}}"
    return (
        f"{one.name}  {one.issuer}{client}{subject}  "
        f'"{one.scope or ""}"  {" ".join(one.resources) or "-"}  for {" ".join(one.uses)}'
    )


def _content_of(file: Path) -> bytes:
    content = read_file(file, _MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise SettingsError(f"{file} is larger than {_MOST_BYTES:,} bytes: write what is needed alone")
    return content
