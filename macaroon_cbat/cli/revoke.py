"""`macaroon-cbat revoke ...`: take tokens back, by what they have in common."""

from pathlib import Path
from typing import get_args

import click

from macaroon_cbat.cli.auditing import audit
from macaroon_cbat.cli.options import data_option, now, stores_in
from macaroon_cbat.cli.thumbprint import thumbprint_in
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.revocation import RevocationKind
from macaroon_cbat.service.revoking import expiry_of
from macaroon_cbat.thumbprint import parse_thumbprint

_MEMBERS: dict[RevocationKind, str] = {
    "token": "token_id",
    "client": "client_id",
    "subject": "subject",
    "family": "family",
    "key": "kid",
    "certificate": "certificate",
}
"""Which member of an audit event names what was taken back."""


@click.command()
@click.argument("kind", type=click.Choice(get_args(RevocationKind)))
@click.argument("value")
@data_option
def revoke(kind: RevocationKind, value: str, data: Path | None) -> None:
    """Take back a token (its id), the tokens so far of a client or subject, a family, a key, a certificate.

    A certificate is named by its thumbprint or its file; from then on no token, bound or not, is
    accepted over a connection made with it.
    """
    stores = stores_in(data)[1]
    if kind == "certificate":
        value = _thumbprint(value)
    moment = now()
    if kind == "key":
        stores.root_keys.retire(value, moment, revoked_until=expiry_of(kind, moment))
    else:
        stores.revocations.revoke(kind, value, now=moment, expires_at=expiry_of(kind, moment))
    audit("revoked", **{_MEMBERS[kind]: value})
    click.echo(f"revoked {kind} {value}")


def _thumbprint(value: str) -> str:
    if Path(value).is_file():
        return thumbprint_in(Path(value))
    try:
        return parse_thumbprint(value)
    except ValueError as error:
        raise SettingsError(f"{value!r} is no file, and {error}") from error
