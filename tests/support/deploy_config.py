"""Generated files of a deployment."""

from pathlib import Path

from click.testing import CliRunner, Result

from macaroon_cbat.cli import main

ISSUER = ("--issuer", "https://auth.example")


def deploy(kind: str, folder: Path, *options: object) -> Result:
    """Run the command that writes this kind of files into the folder."""
    arguments = ["deploy-config", kind, *map(str, options), "--output", str(folder)]
    return CliRunner().invoke(main, arguments)


def written(kind: str, folder: Path, *options: object) -> Path:
    """Return the folder, with the files in it."""
    done = deploy(kind, folder, *options)
    assert done.exit_code == 0, done.output
    return folder
