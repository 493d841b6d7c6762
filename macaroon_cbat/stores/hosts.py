"""Several hosts in the URL of a PostgreSQL database: the one that answered last is tried first.

A host that has vanished is silent until a time limit ends. Were it tried first, each new connection would
wait for that.
"""

from collections.abc import Mapping
from threading import Lock
from typing import Any

from sqlalchemy import URL
from sqlalchemy.exc import ArgumentError

CONNECT_SECONDS = 3
"""The seconds that one of several hosts has to answer; all of them may be asked."""

Host = tuple[str, str]
"""The name of a host and its port, as the URL has them; an empty port is the usual one."""


class Hosts:
    """The hosts of one URL, in the order in which one process tries them."""

    def __init__(self, url: URL) -> None:
        """Begin with the order of the URL. Raises ArgumentError for hosts and ports that make no pairs."""
        options = url.get_dialect()().create_connect_args(url)[1]
        self.all = [] if "hostaddr" in options else _pairs(options)
        self.generation = 0
        """Grows whenever every connection made so far must be given up."""
        self._first = 0
        self._last: Host | None = None
        self._server: str | None = None
        self._lock = Lock()

    def in_order(self) -> list[dict[str, str]]:
        """Return the options of libpq that name each host, the preferred one in front."""
        turned = self.all[self._first :] + self.all[: self._first]
        return [{"host": host, **({"port": port} if port else {})} for host, port in turned]

    def join(self, host: str, port: int, server: str = "") -> tuple[Host | None, int]:
        """Prefer the host of a new connection; return it, and the generation of the connection.

        If another server answered before, every connection made so far must be given up: the two may be an
        old and a new primary, of which one lacks what is revoked at the other.
        """
        with self._lock:
            if self.is_other(host, port, server):
                self.generation += 1
            self._last, self._server = self.prefer(host, port), server
            return self._last, self.generation

    def is_other(self, host: str, port: int, server: str = "") -> bool:
        """Return True if the last connection was to another host than this one, or to another server there.

        One name may lead to the primary of the moment. `server` names what answered behind it.
        """
        is_elsewhere = self._last is not None and self._last != self._found(host, port)
        return is_elsewhere or self._server not in (None, server)

    def prefer(self, host: str, port: int) -> Host | None:
        """Try this host first from now on, which has just answered; return it."""
        found = self._found(host, port)
        if found is not None:
            self._first = self.all.index(found)
        return found

    def _found(self, host: str, port: int) -> Host | None:
        return next((one for one in self.all if one in ((host, str(port)), (host, ""))), None)

    def leave(self, host: Host | None) -> None:
        """Try the host after this one first from now on, unless another one is first already."""
        if host is not None and self.all[self._first] == host:
            self._first = (self._first + 1) % len(self.all)

    def give_up(self, host: Host | None, generation: int) -> None:
        """Leave this host, and give up every connection of this generation."""
        with self._lock:
            if generation == self.generation:
                self.generation += 1
                self.leave(host)


def _pairs(options: Mapping[str, Any]) -> list[Host]:
    """Return hosts and ports as libpq pairs them: one port is for all hosts. Raises ArgumentError."""
    hosts = str(options.get("host") or "").split(",")
    ports = str(options.get("port") or "").split(",")
    if len(ports) not in (1, len(hosts)):
        raise ArgumentError(f"{len(hosts)} hosts with {len(ports)} ports: name one port for each host")
    return list(zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=True))
