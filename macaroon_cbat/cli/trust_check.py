"""`macaroon-cbat trust check`: fetch the keys of a trusted issuer, and judge a JWT as the service does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from macaroon_cbat.cli.administration import Verbs, administration_options
from macaroon_cbat.cli.client_lines import usage_of_unknown_names
from macaroon_cbat.cli.clock import moment
from macaroon_cbat.cli.options import FILE, now, read_file, say
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service.admin.shapes import TrustedIssuerRecord
from macaroon_cbat.service.federation.jose import PublicKeys, usable_keys
from macaroon_cbat.service.federation.judging import fitting, issuer_of, place_of, signed_by
from macaroon_cbat.service.federation.jwt import MAX_JWT, read_jwt
from macaroon_cbat.service.federation.published_keys import PublishedKeys
from macaroon_cbat.stores import TrustedIssuer, TrustRecord
from macaroon_cbat.text.plain_text import text_of


@click.command(short_help="Fetch the keys of NAME, and judge a JWT.")
@click.argument("name")
@click.argument("jwt", type=FILE, metavar="[FILE]", required=False)
@administration_options
def check(name: str, jwt: Path | None, *, verbs: Verbs) -> None:
    """Fetch the keys of the trusted issuer NAME from this machine, and judge the JWT in FILE; - is stdin.

    The JWT is judged as the service does, but is not used up. Exit status 1 says that it would be refused.
    """
    with usage_of_unknown_names():
        record = _record(verbs.trust.one(name))
    published = PublishedKeys()
    given = record.trusted.jwks
    found = published.key_set(place_of(record.trusted)) if given is None else given
    for key in _keys_in(found, name).keys:
        say(f"key {key.key_id or '-'}  {key.key.key_type}  {key.algorithm or 'any fitting algorithm'}")
    if jwt is not None:
        _judge(text_of(read_file(jwt, MAX_JWT + 1), str(jwt)).strip(), record, published)


def _judge(text: str, record: TrustRecord, published: PublishedKeys) -> None:
    """Say whose the JWT is. Raises UnacceptableJwt, with the whole reason."""
    jwt = read_jwt(text)
    named, expected = issuer_of(jwt), record.trusted.issuer
    if named != expected:
        raise SettingsError(f"the issuer of the JWT is {named!r}, and {record.name} trusts {expected!r}")
    accepted = fitting(jwt, signed_by(jwt, [record], published), now())
    whose = f"client {record.trusted.client}" if accepted.subject is None else f"subject {accepted.subject}"
    say(f"accepted as {whose}, until {moment(accepted.expires_at)}")


def _keys_in(found: Mapping[str, Any], name: str) -> PublicKeys:
    try:
        return usable_keys(dict(found))
    except ValueError as error:
        raise SettingsError(f"the key set of {name} is of no use: {error}") from error


def _record(shown: TrustedIssuerRecord) -> TrustRecord:
    members = {name: getattr(shown, name) for name in TrustedIssuer.__struct_fields__}
    return TrustRecord(shown.name, TrustedIssuer(**members), shown.created_at)
