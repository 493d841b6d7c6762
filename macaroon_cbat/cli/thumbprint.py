"""`macaroon-cbat thumbprint`."""

from pathlib import Path

import click

from macaroon_cbat.cli.options import FILE, read_file
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.thumbprint import Thumbprint, der_of, thumbprint_of


@click.command()
@click.argument("file", type=FILE)
def thumbprint(file: Path) -> None:
    """Print the x5t#S256 thumbprint of the certificate in FILE (PEM or DER; - is standard input)."""
    click.echo(thumbprint_in(file))


def thumbprint_in(file: Path) -> Thumbprint:
    """Return the thumbprint of a file's first certificate, or raise SettingsError."""
    try:
        return thumbprint_of(der_of(read_file(file)))
    except ValueError as error:
        raise SettingsError(f"{file}: {error}") from error
