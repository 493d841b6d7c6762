"""Registration of a client by a command. The client exists only once its secret has been written."""

from dataclasses import dataclass
from pathlib import Path

import click

from macaroon_cbat.certificate.thumbprint import Thumbprint, thumbprint_of
from macaroon_cbat.cli.administration import Verbs
from macaroon_cbat.cli.client_lines import metadata_of
from macaroon_cbat.cli.options import (
    is_standard_output,
    lost_standard_output,
    output_to,
    print_json,
    require_standard_output,
    say,
)
from macaroon_cbat.cli.thumbprint import certificate_in
from macaroon_cbat.errors import MacaroonError, Refused, SettingsError
from macaroon_cbat.service.admin.shapes import ClientRecord, NewClient
from macaroon_cbat.service.oauth2.key_strength import weakness_of
from macaroon_cbat.service.reserved_scopes import RESERVED_SCOPES
from macaroon_cbat.service.served_audiences import FEED_SCOPES
from macaroon_cbat.stores.clients import SECRET_METHODS


@dataclass(frozen=True, slots=True)
class SecretOutput:
    """The output of a new client's secret: the file of --secret-file, or else standard output."""

    file: Path | None
    force: bool
    as_json: bool


def register(verbs: Verbs, members: dict[str, object], output: SecretOutput) -> None:
    """Register the client and write its secret. Raises SettingsError, without a client, if that fails."""
    has_secret = members["token_endpoint_auth_method"] in SECRET_METHODS
    if output.file is not None and has_secret:
        added = _registered_into(output.file, verbs, members, force=output.force)
        _say_notes(added)
        _show(added, None, as_json=output.as_json, err=is_standard_output(output.file))
        return
    if output.file is not None:
        click.echo(f"note: this client has no secret, and {output.file} is not written", err=True)
    if has_secret:
        require_standard_output()
    added = verbs.add_client(members)
    _say_notes(added)
    try:
        _show(added, added.client_secret, as_json=output.as_json)
    except OSError as error:
        if added.client_secret is not None:
            _remove(verbs, added, lost_standard_output(error))
        raise
    if added.client_secret is not None and not output.as_json:
        click.echo("The secret is not shown again.", err=True)


def _registered_into(file: Path, verbs: Verbs, members: dict[str, object], *, force: bool) -> NewClient:
    added: NewClient | None = None
    try:
        with output_to(file, "secret file", may_replace=force) as stream:
            added = verbs.add_client(members)
            if added.client_secret is None:
                raise Refused(200, None, f"client {added.client_id} got no secret")
            stream.write(added.client_secret.encode() + b"\n")
    except SettingsError as error:
        if added is not None:
            _remove(verbs, added, error)
        raise
    return added


def _remove(verbs: Verbs, added: NewClient, error: SettingsError) -> None:
    """Remove a client whose secret is lost. Raises SettingsError always, which says so."""
    try:
        verbs.remove_client(added.client_id)
    except MacaroonError as second:
        raise SettingsError(
            f"{error}; the secret of client {added.client_id} is lost, and the client may still be "
            f"registered ({second}): look with client list, and remove it"
        ) from error
    raise SettingsError(f"{error}; client {added.client_id} is not added") from error


def _say_notes(added: NewClient) -> None:
    if not added.allowed_grants and added.scope is not None:
        click.echo("note: without --grant, a public client gets no token", err=True)
    if _may_ask(added) and not added.audiences:
        click.echo(
            "note: without --audience, every introspecting resource server accepts its tokens", err=True
        )
    if not added.serves and added.scopes & FEED_SCOPES:
        click.echo("note: without --serves, it gets no keys and no revocations", err=True)


def _may_ask(one: ClientRecord) -> bool:
    """Return True if the client may get tokens for resource servers, not for the service itself alone."""
    return bool(one.scopes - set(RESERVED_SCOPES))


def _show(added: NewClient, secret: str | None, *, as_json: bool, err: bool = False) -> None:
    if as_json:
        shown = {} if secret is None else {"client_secret": secret}
        print_json({"client_id": added.client_id, **shown, **metadata_of(added)})
        return
    say(f"client_id:     {added.client_id}", err=err)
    if secret is not None:
        click.echo(f"client_secret: {secret}")


def strong_thumbprint_in(file: Path) -> Thumbprint:
    """Return the thumbprint of the certificate in a file, or raise SettingsError if its key is weak."""
    certificate = certificate_in(file)
    if weakness := weakness_of(certificate):
        remedy = "make a new key, such as P-256, Ed25519 or RSA of 2,048 bits"
        raise SettingsError(f"{file} has {weakness}: {remedy}")
    return thumbprint_of(certificate)
