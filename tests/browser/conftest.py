"""One browser for each module, and one service at which people sign in."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from macaroon_cbat.client import ClientCertificate
from macaroon_cbat.stores import open_stores, read_wrapping_key
from macaroon_cbat.stores.grant_types import DEVICE_CODE
from tests.support.browser import chromium
from tests.support.databases import NOW
from tests.support.devices import terminal_metadata
from tests.support.ports import free_port
from tests.support.service_process import Service, process
from tests.support.tls_servers import make_client

EVIL = "https://evil.example"
"""A site that the browser is given in place of the network."""
ATTACK = "<b onmouseover=alert(1)>Terminal</b><script>document.title='hacked'</script>"


@dataclass(frozen=True)
class Site:
    """A running service, and a terminal that asks it for codes."""

    service: Service
    terminal: ClientCertificate

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return self.service.issuer + path

    def begin(self, client_id: str = "terminal") -> Any:
        """Return new codes of the terminal."""
        return self._post("/oauth2/device_authorization", {"client_id": client_id, "scope": "read"}).json()

    def poll(self, device_code: str, client_id: str = "terminal") -> Any:
        """Return the answer to a poll."""
        form = {"grant_type": DEVICE_CODE, "client_id": client_id, "device_code": device_code}
        return self._post("/oauth2/token", form).json()

    def _post(self, path: str, form: dict[str, str]) -> httpx.Response:
        context = self.terminal.current().context(self.service.ca)
        with httpx.Client(verify=context, trust_env=False) as client:
            return client.post(self.url(path), data=form)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run a service with two clients for terminals, one of them named by an attacker."""
    folder = tmp_path_factory.mktemp("site")
    data = folder / "data"
    data.mkdir()
    service = Service(data, free_port())
    service.prepare()
    stores = open_stores(
        f"sqlite:///{data}/macaroon_cbat.sqlite3", read_wrapping_key(data / "wrapping.key"), NOW
    )
    for name, shown in (("terminal", "Accounts on the command line"), ("evil", ATTACK)):
        stores.clients.add(name, terminal_metadata(client_name=shown), secret=None, now=NOW)
    stores.database.close()
    command = ["tests.support.service_for_people", str(data), str(service.port)]
    with process(command, data, service.port, {}, is_killed=True):
        yield Site(service, ClientCertificate(make_client(folder, "terminal").file))


@pytest.fixture(scope="module")
def browser(site: Site) -> Iterator[Browser]:
    """Run a browser that trusts the service's key."""
    names = dict.fromkeys(("client.example", "other.example"), site.service.port)
    with chromium(site.service.data / "server.pem", names=names) as browser:
        yield browser
