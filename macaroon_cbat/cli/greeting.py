"""The lines that `serve` prints once it answers: addresses, files, and the next commands to type."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from urllib.parse import urlsplit

import click

from macaroon_cbat.certificate.address import plain_address
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service.data_places import data_folder

_NEXT = """
Next, in another terminal:
  {command} client add trial --scope "read write" --audience https://api.example{option}
  {command} token mint --issuer {issuer} --cacert {trust} \\
      --client-id trial --client-secret SECRET --resource https://api.example --scope read > token
  {command} token inspect < token"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """The lines that a running service prints. `ca` is the development CA, None in production."""

    issuer: str
    workers: int
    threads: int
    places: list[str]
    data: Path
    certificate: Path
    ca: Path | None

    def say(self, management: str | None) -> None:
        """Print the lines. They name no commands to try in production, where these would add a client."""
        lines = [f"macaroon-cbat serves {self.issuer}", *self._facts(management)]
        if self.ca is not None and is_of_this_machine(self.issuer):
            lines.append(self._next(self.ca))
        click.echo("\n".join(lines))
        sys.stdout.flush()

    def _facts(self, management: str | None) -> list[str]:
        facts = {
            "listens on": ", ".join(self.places),
            "workers": f"{self.workers}, with {self.threads} threads each",
            "management": management,
            "data folder": str(self.data),
            "certificate": quote(str(self.certificate)) if self.ca is None else None,
            "server trusted": quote(str(self.ca)) if self.ca is not None else None,
        }
        return [f"  {name:<16}{fact}" for name, fact in facts.items() if fact is not None]

    def _next(self, ca: Path) -> str:
        """Return commands that work as they stand in a terminal without exported variables."""
        option = "" if self.data == _default_folder() else f" --data {quote(str(self.data))}"
        return _NEXT.format(command=_own_name(), issuer=self.issuer, trust=quote(str(ca)), option=option)


def is_of_this_machine(issuer: str) -> bool:
    """Return True for an issuer that only this machine can reach: `localhost` or a loopback address."""
    host = (urlsplit(issuer).hostname or "").removesuffix(".")
    address = plain_address(host)
    return address.is_loopback if address else host == "localhost" or host.endswith(".localhost")


def _default_folder() -> Path | None:
    """Return the default data folder; a user without a home, as in a container, has none."""
    try:
        return data_folder(_without_data(os.environ))
    except SettingsError:
        return None


def _own_name() -> str:
    """Return the words that run this command here: its name if it is on the PATH, else its path."""
    if shutil.which("macaroon-cbat"):
        return "macaroon-cbat"
    script = Path(sys.argv[0])
    if script.name == "__main__.py":
        return f"{quote(sys.executable)} -m macaroon_cbat"
    return quote(str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script))


def _without_data(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name != "MACAROON_CBAT_DATA"}
