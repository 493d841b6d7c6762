"""The law about requests that may arrive behind a proxy, for all that an attacker sends."""

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from tests.support.proxies.deployment import SECRET, Stand
from tests.support.proxies.judgements import PRINCIPAL
from tests.support.proxies.wire import Raw

EVIL = "spoofed"
"""In every value that an attacker makes up."""

Arrival = dict[str, Any]
_LINE = re.compile(r"[A-Z][A-Z-]* (/\S*) HTTP/1\.[01]")
_PUBLIC = "/health"
_Attack = TypeVar("_Attack")


@contextmanager
def arrivals(stand: Stand) -> Iterator[list[Arrival]]:
    """Give the requests that arrive behind the proxy while the block runs."""
    since = len(stand.world.upstream.arrivals)
    seen: list[Arrival] = []
    yield seen
    seen += stand.world.upstream.arrivals[since:]


def at_once(send: Callable[[_Attack], Raw], attacks: Iterable[_Attack]) -> list[Raw]:
    """Return what comes of each attack; all run beside each other: Envoy takes a second to close."""
    with ThreadPoolExecutor(32) as pool:
        return list(pool.map(send, attacks))


def assert_harmless(stand: Stand, seen: list[Arrival], *, allows: str = "") -> None:
    """Fail where something arrived past the proxy, or in an attacker's words.

    `allows`: a header that an attacker may write.
    """
    for each in seen:
        assert not each["is_tunnel"], f"a tunnel past the proxy: {each}"
        assert each["trailers"] == [], f"trailers: {each}"
        line = _LINE.fullmatch(each["line"])
        assert line is not None, f"this is no plain request: {each['line']!r}"
        assert len(arrived(each, "Host")) == 1, each
        assert arrived(each, "Upgrade") + arrived(each, "HTTP2-Settings") == [], f"an upgrade: {each}"
        kept = [(name, value) for name, value in each["headers"] if name.lower() != allows.lower()]
        assert EVIL not in str(kept), f"an attacker's words: {each}"
        _assert_judged(stand, each, line[1])


def _assert_judged(stand: Stand, each: Arrival, target: str) -> None:
    """Fail where the proxy did not see this request as one: it then lacks what the proxy writes."""
    if stand.row.is_guarded:
        assert arrived(each, "Proxysecret") == [SECRET], f"past the proxy: {each}"
        return
    assert target.partition("?")[0] == _PUBLIC, f"judged as another path: {each}"
    for name in PRINCIPAL:
        assert arrived(each, name) in ([], [""]), f"another principal: {each}"


def arrived(each: Arrival, name: str) -> list[str]:
    """Return the values of a header, under any spelling that some server takes for it."""
    return [value for key, value in each["headers"] if _folded(key) == _folded(name)]


def _folded(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
