"""`macaroon-cbat login` and `logout`: a person's login from a terminal, kept in a private file."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from macaroon_cbat.cli.options import FILE, json_option, now, passphrase_option, print_json, say
from macaroon_cbat.errors import Refused, SettingsError
from macaroon_cbat.macaroon.issuers import plain_issuer

if TYPE_CHECKING:
    from macaroon_cbat.client.device import DeviceCode
    from macaroon_cbat.client.login_file import LoginFile, SavedLogin

_TOLD = {
    "access_denied": "the login was denied in the browser",
    "expired_token": "the code expired before it was approved: log in again",
}


def login_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --login, the file of a login."""
    return click.option(
        "--login",
        "file",
        type=FILE,
        metavar="FILE",
        help="File of the login. [default: ~/.local/state/macaroon-cbat/login.json]",
    )(command)


def login_file(file: Path | None) -> "LoginFile":
    """Return the file of the login that the option names, else the default one."""
    from macaroon_cbat.client.login_file import LoginFile, default_login_file

    return LoginFile(default_login_file() if file is None else file.absolute())


@click.command(short_help="Log in to a service from a terminal, by a browser anywhere.")
@click.option("--issuer", required=True, metavar="URL", help="The service, such as https://localhost:8443.")
@click.option(
    "--cacert", type=FILE, metavar="FILE", help="CA of the service's certificate. [default: the system's]"
)
@click.option("--client-id", required=True, metavar="ID", help="The client that the operator named to you.")
@click.option("--client-secret-file", type=FILE, metavar="FILE", help="File with its secret, if it has one.")
@click.option("--resource", metavar="URL", help="The audience that the tokens are for.")
@click.option("--scope", help="Scopes to ask for. [default: all that are registered]")
@click.option(
    "--cert", type=FILE, metavar="FILE",
    help="Certificate to which the tokens are bound, PEM. [default: a new one, made beside the login]",
)  # fmt: skip
@click.option("--key", type=FILE, metavar="FILE", help="Its private key, PEM. [default: in the same file]")
@passphrase_option
@login_option
def login(
    issuer: str,
    cacert: Path | None,
    client_id: str,
    client_secret_file: Path | None,
    resource: str | None,
    scope: str | None,
    cert: Path | None,
    key: Path | None,
    passphrase_file: Path | None,
    file: Path | None,
) -> None:
    """Log in to a service from a terminal, and keep the login in a private file.

    A URL and a code are printed: open the URL in any browser, enter the code, and approve. Then `token get`
    prints access tokens, and `logout` ends the login.
    """
    from macaroon_cbat.client.login_file import SavedLogin

    place = login_file(file)
    if cert is None and (key is not None or passphrase_file is not None):
        raise click.UsageError("--key and --key-passphrase-file go with --cert")
    wanted = SavedLogin(
        issuer=plain_issuer(issuer, "--issuer"),
        client_id=client_id,
        access_token="",
        renew_access_at=0,
        certificate=_absolute(cert) or str(place.own_certificate),
        has_own_certificate=cert is None,
        key=_absolute(key),
        key_passphrase_file=_absolute(passphrase_file),
        ca=_absolute(cacert),
        client_secret_file=_absolute(client_secret_file),
        scope=scope,
        resource=resource,
    )
    with place.locked(waits=False):
        _log_in(place, wanted)
    say(f"logged in by {client_id}; the login is in {place.file}")


def _log_in(place: "LoginFile", wanted: "SavedLogin") -> None:
    """Keep a new login, or leave nothing behind. Raises Refused, Unavailable or SettingsError."""
    if place.exists():
        raise SettingsError(
            f"there is a login in {place.file}: end it with macaroon-cbat logout, or name another file with "
            "--login"
        )
    if wanted.has_own_certificate:
        _make_certificate(Path(wanted.certificate), wanted.client_id)
    try:
        place.write(_logged_in(wanted))
    except BaseException:
        place.delete(wanted)
        raise


def _logged_in(wanted: "SavedLogin") -> "SavedLogin":
    """Return the login once the person has approved it, or raise Refused or Unavailable."""
    from macaroon_cbat.client.device import DeviceFlow
    from macaroon_cbat.client.logged_in import service_of, with_tokens

    flow = DeviceFlow(service_of(wanted, 10), scope=wanted.scope, resource=wanted.resource)
    code = flow.begin()
    _show(code)
    try:
        answer = flow.wait(code)
    except Refused as refusal:
        if refusal.code not in _TOLD:
            raise
        raise Refused(200, refusal.code, _TOLD[refusal.code]) from refusal
    return with_tokens(wanted, answer, time.time() - 1)


def _show(code: "DeviceCode") -> None:
    say("To log in, open this URL in a browser, on any machine:")
    say(f"  {code.verification_uri}")
    say("and enter the code:")
    say(f"  {code.user_code}")
    if code.verification_uri_complete is not None:
        say("This URL has the code in it:")
        say(f"  {code.verification_uri_complete}")
    say(f"Waiting for your approval, {max(1, code.expires_in // 60)} minutes at most ...")


@click.command(short_help="Revoke the tokens of a login, and delete its file.")
@click.option("--local", is_flag=True, help="Delete the file alone: the service goes on to know the login.")
@login_option
def logout(file: Path | None, *, local: bool) -> None:
    """Revoke the tokens of the login (RFC 7009), and then delete its file."""
    from macaroon_cbat.client.logged_in import LoggedIn

    place = login_file(file)
    if local:
        with place.locked():  # another process may be about to write the login anew
            place.delete(place.read())
        say(f"deleted the login {place.file}: its tokens are valid until they expire")
        return
    LoggedIn(place).log_out()
    say(f"logged out: the tokens are revoked, and the login {place.file} is deleted")


@click.command(short_help="Print an access token of the login, renewed as needed.")
@login_option
@json_option
def get(file: Path | None, *, as_json: bool) -> None:
    """Print an access token of the login, which is renewed as needed."""
    from macaroon_cbat.client.logged_in import LoggedIn
    from macaroon_cbat.macaroon.identifier import read_identifier
    from macaroon_cbat.macaroon.wire import read_macaroon

    text = LoggedIn(login_file(file))()
    grant = read_identifier(read_macaroon(text).identifier)
    if not as_json:
        click.echo(text)
        return
    members = {"access_token": text, "token_type": "Bearer", "expires_at": grant.exp, "scope": grant.scope}
    print_json(members)


def _absolute(file: Path | None) -> str | None:
    return None if file is None else str(file.absolute())


def _make_certificate(file: Path, client_id: str) -> None:
    """Make a certificate and its key in a private file, or raise SettingsError."""
    from macaroon_cbat.client.own_certificate import own_certificate
    from macaroon_cbat.files import replace_file

    try:
        replace_file(file, [own_certificate(f"{client_id} login", now())], what="certificate of the login")
    except OSError as error:
        raise SettingsError(f"the certificate {file} cannot be written: {error.strerror}") from error
