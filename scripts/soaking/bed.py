"""The bed of the soak: a primary and its standby, two services behind one address, a resource server."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

from tests.support.replicated import Pair, replicated
from tests.support.service_process import API, Service, on_a_server, resource_server
from tests.support.tls_relay import Gate
from tests.support.tls_servers import Server
from tests.support.two_services import Twins

STALENESS = 60
"""Seconds for which the resource server goes on with the revocations that it has."""


class Balance(Gate):
    """A gate that leads connections to the services in turn, and past one that is away."""

    def __init__(self) -> None:
        self._ports: Iterator[int] = cycle([0])
        self._count = 0
        super().__init__()

    def lead_to(self, *ports: int) -> None:
        """Lead to these from now on."""
        self._ports, self._count = cycle(ports), len(ports)

    @property
    def target(self) -> int:
        """The next service that listens; the last one tried if none does."""
        port = 0
        for _ in range(self._count):
            port = next(self._ports)
            with socket.socket() as asking:
                asking.settimeout(1)
                if asking.connect_ex(("127.0.0.1", port)) == 0:
                    break
        return port

    @target.setter
    def target(self, port: int) -> None:
        """Leave out what one test sets: all services are led to."""


class Bed:
    """Servers that run, and the ways in which they are broken."""

    def __init__(self, folder: Path, pair: Pair, gate: Balance, ends: ExitStack) -> None:
        """Register the clients and start all servers."""
        self.pair, self.gate, self._ends = pair, gate, ends
        database = on_a_server(pair.new_database())
        self.twins = Twins(folder, database, gate)
        ends.callback(self.close)
        self.services: dict[int, tuple[ExitStack, Server]] = {}
        """The running services by their ports."""
        for each in (self.twins.service, self.twins.other):
            self._start(each)
        gate.lead_to(*self.services)
        following = {**self.twins.following, "max_staleness": STALENESS}
        self.api = ends.enter_context(resource_server(folder / "api", following=following))

    def _start(self, service: Service) -> None:
        ends = ExitStack()
        self.services[service.port] = ends, ends.enter_context(service.running())

    def pid(self, service: Service) -> int:
        """Return the process of a service now."""
        return self.services[service.port][1].process.pid

    def kill(self, service: Service) -> None:
        """Kill a service as it stands, and start it again."""
        ends, server = self.services[service.port]
        server.process.kill()
        ends.close()
        self._start(service)

    def fail_over(self, is_noted: Callable[[str], None]) -> None:
        """Kill the primary, promote the standby, and make the old primary the new standby."""
        self.pair.primary.kill()
        self.pair.promote()
        is_noted("the standby is promoted")
        self.pair.heal()
        is_noted("the old primary follows")

    def close(self) -> None:
        """End the services."""
        for ends, server in self.services.values():
            server.process.kill()
            ends.close()


@contextmanager
def bed(folder: Path) -> Iterator[Bed]:
    """Run all of it until the block ends."""
    gate = Balance()
    with ExitStack() as ends:
        ends.callback(gate.close)
        yield Bed(folder, ends.enter_context(replicated()), gate, ends)


def in_background(work: Callable[..., None], *arguments: Any) -> threading.Thread:
    """Run a loop of the soak in a thread of its own."""
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


__all__ = ["API", "Bed", "bed", "in_background"]
