"""The command group, and how its errors look: one line that says what to do."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pkgutil import resolve_name
from typing import Any

import click

from macaroon_cbat import __version__
from macaroon_cbat.cli.groups import Group
from macaroon_cbat.errors import MacaroonError, SettingsError
from macaroon_cbat.errors.extras import MissingExtra, extra
from macaroon_cbat.text.printable import printable


class _Refusal(click.ClickException):
    exit_code = 1


class _Misuse(click.ClickException):
    exit_code = 2


_COMMANDS = {
    "backup": ("macaroon_cbat.cli.backup:backup", "service"),
    "client": ("macaroon_cbat.cli.client:client", "service"),
    "database": ("macaroon_cbat.cli.database:database", "service"),
    "deploy-config": ("macaroon_cbat.cli.deploy_config:deploy_config", "service"),
    "gateway": ("macaroon_cbat.cli.gateway:gateway", None),
    "grant": ("macaroon_cbat.cli.grant:grant", "service"),
    "guide": ("macaroon_cbat.cli.guide:guide", None),
    "key": ("macaroon_cbat.cli.key:key", "service"),
    "login": ("macaroon_cbat.cli.login:login", None),
    "logout": ("macaroon_cbat.cli.login:logout", None),
    "restore": ("macaroon_cbat.cli.backup:restore", "service"),
    "revocation": ("macaroon_cbat.cli.revocation:revocation", "service"),
    "proxy-config": ("macaroon_cbat.cli.proxy_config:proxy_config", "gateway"),
    "revoke": ("macaroon_cbat.cli.revocation:revoke", "service"),
    "serve": ("macaroon_cbat.cli.serve:serve_command", "service"),
    "thumbprint": ("macaroon_cbat.cli.thumbprint:thumbprint", None),
    "token": ("macaroon_cbat.cli.token:token", None),
    "trust": ("macaroon_cbat.cli.trust:trust", "service"),
}
"""The place of each command, and the extra without which it cannot be imported.

A command is imported when it is called: a pipe of `token attenuate` must not wait for a database library.
"""

_SERVERS = {"gateway", "serve"}


@contextmanager
def _surviving_hangups() -> Iterator[None]:
    """Let SIGHUP end nothing, from before a server's slow imports on; what it demands is about to be done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGHUP, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL if before is None else before)


class _NotInstalled(click.Command):
    """A command whose extra is not installed: help lists it, and any use of it raises MissingExtra."""

    def __init__(self, name: str, error: MissingExtra) -> None:
        super().__init__(name, short_help=f"Not installed: {error.remedy}", add_help_option=False)
        self._error = error

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:  # noqa: ARG002
        raise self._error


class _Commands(Group):
    """The commands; an error of this package becomes one line and an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 # click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        place, needed = _COMMANDS[cmd_name]
        try:
            with nullcontext() if needed is None else extra(needed):
                command: click.Command = resolve_name(place)
        except MissingExtra as error:
            return _NotInstalled(cmd_name, error)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if not _SERVERS.isdisjoint(args[:1]):
            ctx.with_resource(_surviving_hangups())
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise _Misuse(printable(str(error))) from error
        except MacaroonError as error:
            raise _Refusal(printable(str(error))) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Certificate-bound macaroons: run the service, register clients, mint, bind and verify tokens.

    `macaroon-cbat guide` prints the manual, chapter by chapter.

    Exit status: 0 done or accepted, 1 refused, 2 wrong usage or settings.
    """
