"""Lists of a hostile service that never end: a command ends all the same."""

import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import call, complaint
from tests.support.silent_services import Silent, silent_service

FAMILY = {
    "family": "AAECAwQFBgcICQoLDA0ODw",
    "client_id": "shop",
    "subject": "user:1",
    "scope": "x" * (3 << 20),
    "created_at": 1,
    "used_at": 1,
    "expires_at": 2,
}
Page = Callable[[int], dict[str, Any]]


def endless(page: Page) -> Callable[[Silent, ssl.SSLSocket], None]:
    """Return a service whose list of logins has these pages, by number."""

    def serve(service: Silent, connection: ssl.SSLSocket) -> None:
        while (request := service.read_whole(connection)).strip():
            members = {"issuer": service.url, "token_endpoint": f"{service.url}/oauth2/token"}
            if b" /.well-known/" not in request.split(b"\r\n")[0]:
                members = page(len(service.asked))
            data = json.dumps(members).encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(data), data))

    return serve


PAGES: dict[str, tuple[Page, int]] = {
    "empty": (lambda number: {"grants": [], "cursor": str(number)}, 1),
    "full": (lambda number: {"grants": [FAMILY], "cursor": str(number)}, 22),
}
"""Lists without end, and the number of pages after which a client has enough: one, or 64 MB."""


@pytest.mark.parametrize(("page", "most"), PAGES.values(), ids=PAGES)
def test_a_list_ends(page: Page, most: int, tmp_path: Path) -> None:
    """A list of logins that goes on and on is refused after few pages, in bounded memory."""
    (tmp_path / "secret").write_text("s" * 22)
    (tmp_path / "secret").chmod(0o600)
    options = ("--client-id", "shop", "--client-secret-file", tmp_path / "secret", "--json")
    with silent_service(tmp_path, endless(page)) as service:
        result = call("token", "list", "--issuer", service.url, "--cacert", service.ca, *options)
        assert "lists ever more" in complaint(result, 1)
        assert sum(b" /oauth2/grants" in one.split(b"\r\n")[0] for one in service.asked) == most
