"""The command group, and how its errors look: one line that says what to do."""

from typing import Any

import click

from macaroon_cbat.cli.client import client
from macaroon_cbat.cli.key import key
from macaroon_cbat.cli.serve import serve_command
from macaroon_cbat.cli.thumbprint import thumbprint
from macaroon_cbat.cli.token import token
from macaroon_cbat.errors import MacaroonError, SettingsError


class _Refusal(click.ClickException):
    exit_code = 1


class _Misuse(click.ClickException):
    exit_code = 2


class _Commands(click.Group):
    """Turns what this package raises on purpose into one line and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise _Misuse(_one_line(error)) from error
        except MacaroonError as error:
            raise _Refusal(_one_line(error)) from error


def _one_line(error: MacaroonError) -> str:
    return " ".join(str(error).split())


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="macaroon_cbat")
def main() -> None:
    """Certificate-bound macaroons: run the service, register clients, mint, bind and verify tokens.

    Exit status: 0 done or accepted, 1 refused, 2 wrong usage or settings.
    """


for command in (serve_command, client, key, token, thumbprint):
    main.add_command(command)
