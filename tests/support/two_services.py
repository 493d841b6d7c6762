"""Two services on one database, behind one address."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.support.followed_service import Realm
from tests.support.ports import free_port
from tests.support.service_process import API, Service
from tests.support.tls_relay import Gate
from tests.support.tls_servers import Server


class Twins(Realm):
    """The realm of two services, `service` and `other`, that the gate leads to."""

    def __init__(self, folder: Path, database: Mapping[str, str], door: Gate) -> None:
        """Register everybody; nothing runs yet."""
        super().__init__(folder, database, door.port)
        self.gate = door
        self.other = Service(self.service.data, free_port(), database, door.port)
        self.introspecting = self.service.add("api", "--serves", API, "--understands-caveats")
        self.servers: dict[int, Server] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run both until the block ends."""
        with ExitStack() as stack:
            for one in (self.service, self.other):
                self.servers[one.port] = stack.enter_context(one.running())
            self.gate.target = self.service.port
            yield
            for server in self.servers.values():
                server.process.kill()  # one that is told to stop lets its followers finish waiting

    @contextmanager
    def at(self, one: Service) -> Iterator[None]:
        """Lead every new connection to this one until the block ends."""
        before, self.gate.target = self.gate.target, one.port
        try:
            yield
        finally:
            self.gate.target = before

    def administer(self, one: Service, method: str, path: str, **content: Any) -> requests.Response:
        """Ask this one as the operator."""
        with self.at(one), self.operator() as session:
            return session.request(method, self.service.issuer + path, timeout=60, **content)

    def is_active(self, one: Service, token: str) -> bool:
        """Introspect at this one."""
        with self.at(one):
            answer = self._post("introspect", "api", self.introspecting, token)
        return bool(answer.json()["active"])

    def take_back(self, one: Service, token: str) -> None:
        """Revoke a token at this one, as its holder."""
        with self.at(one):
            assert self._post("revoke", "billing", self.billing, token).status_code == 200

    def _post(self, endpoint: str, client: str, secret: str, token: str) -> requests.Response:
        form = {"token": token, "client_id": client, "client_secret": secret}
        url = f"{self.service.issuer}/oauth2/{endpoint}"
        return requests.post(url, data=form, verify=str(self.service.ca), timeout=60)
