"""The table of servers in the chapter on resource servers, beside the servers that tests really run."""

import pytest

from tests.support.guide import FOLDER, section
from tests.support.servers.commands import HIDING, SHOWING, Command

TITLE = "Servers, and which of them show client certificates"
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in section(FOLDER / "resource-servers.md", TITLE).splitlines()
    if line.startswith("| ")
]
CALLED = {
    "gunicorn for ASGI": "gunicorn's ASGI worker",
    "the embedded server": "embedded, `macaroon_cbat.tls`",
    "flask run": "`flask run`",
    "gevent": "waitress, gevent, cheroot",
    "cheroot": "waitress, gevent, cheroot",
}
"""The servers that the table calls otherwise than by their first word."""

OVER_TLS = {name: command for name, command in HIDING.items() if command.is_tls}


def shown_to_the_guard(name: str, command: Command) -> str:
    """Return what the table says of this server, with or without the option that makes gunicorn ask."""
    server = CALLED.get(name, name.partition(" ")[0])
    asks = name.startswith("gunicorn") and "--cert-reqs" in command.words
    [said] = [who for row, words, who in ROWS if row == server and ("--cert-reqs" in words) == asks]
    return said


@pytest.mark.parametrize(("name", "command"), OVER_TLS.items(), ids=OVER_TLS)
def test_a_server_that_hides_certificates(name: str, command: Command) -> None:
    """The table says of each server that was run without seeing certificates that the guard sees none."""
    assert shown_to_the_guard(name, command).startswith("the guard sees none")


@pytest.mark.parametrize(("name", "command"), SHOWING.items(), ids=SHOWING)
def test_a_server_that_shows_certificates(name: str, command: Command) -> None:
    """The table says of each server that was run and showed certificates which ones the guard sees."""
    assert shown_to_the_guard(name, command).startswith(("the guard sees any", "the guard sees those"))
