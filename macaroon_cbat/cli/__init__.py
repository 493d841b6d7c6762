"""The command `macaroon-cbat`: one file a command group."""

from macaroon_cbat.cli.commands import main as main
