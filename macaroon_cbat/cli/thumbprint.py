"""`macaroon-cbat thumbprint`."""

from pathlib import Path

import click

from macaroon_cbat.certificate.file import LONGEST_FILE, der_of
from macaroon_cbat.certificate.thumbprint import DerCertificate, Thumbprint, thumbprint_of
from macaroon_cbat.cli.options import FILE, read_file
from macaroon_cbat.errors import SettingsError


@click.command(short_help="Print the x5t#S256 thumbprint of a certificate.")
@click.argument("file", type=FILE)
def thumbprint(file: Path) -> None:
    """Print the x5t#S256 thumbprint of the certificate in FILE (PEM or DER; - is standard input)."""
    click.echo(thumbprint_in(file))


def thumbprint_in(file: Path) -> Thumbprint:
    """Return the thumbprint of the client certificate in a file, or raise SettingsError."""
    return thumbprint_of(certificate_in(file))


def certificate_in(file: Path) -> DerCertificate:
    """Return the client certificate in a PEM or DER file, or raise SettingsError that says what it holds."""
    name = "standard input" if str(file) == "-" else str(file)
    try:
        return der_of(read_file(file, LONGEST_FILE + 1), name)
    except ValueError as error:
        raise SettingsError(str(error)) from error
