"""The attacks byte by byte can succeed: each is tried at a configuration that lacks the lines against it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.proxies.certificates import World
from tests.support.proxies.channels import extended_connect, trailers, upgrade
from tests.support.proxies.deployment import Stand, make_stand
from tests.support.proxies.gateway_requests import document
from tests.support.proxies.requests import (
    connect_and_trace,
    framings,
    headers,
    hosts,
    methods,
    of_an_expired_certificate,
    targets,
)
from tests.support.proxies.rows import ASKED_ROWS, WEBSOCKET_ROWS, WIRE_ROWS
from tests.support.proxies.websockets import other_tunnels, websocket

Attack = Callable[[Stand], list[str]]
FILES = {
    "nginx": "nginx.conf",
    "envoy": "envoy.yaml",
    "haproxy": "haproxy.cfg",
    "apache": "httpd.conf",
    "caddy": "Caddyfile",
    "traefik": "dynamic.yml",
}
WIRE: tuple[tuple[str, Attack, str, str], ...] = (
    ("haproxy", upgrade, r".*del-header upgrade.*\n", ""),
    ("haproxy", extended_connect, r".*(del-header upgrade|an extended CONNECT).*\n", ""),
    ("haproxy", trailers, r".*set-header Content-Length.*\n", ""),
    ("haproxy", targets, r".*(url_beg|url -m reg).*\n", ""),
    ("haproxy", methods, r".*method -m reg.*\n", ""),
    ("haproxy", connect_and_trace, r".*METH_TRACE.*\n", ""),
    ("haproxy", hosts, r".*fhdr_cnt\(host\).*\n", ""),
    ("haproxy", framings, r".*req\.ver -m str 1\.0 1\.1.*\n", ""),
    ("haproxy", headers, r".*del-header \^\(.*\n", ""),
    ("haproxy", headers, r".*del-header \^\(principal.*\n", ""),
    ("haproxy", headers, r".*del-header \[.*\n", ""),
    ("nginx", methods, r".*is_odd\) .*\n", ""),
    ("nginx", hosts, r".*is_odd\) .*\n", ""),
    ("nginx", headers, r'.*proxy_set_header X-Original-Url "";\n', ""),
    ("nginx", headers, r"underscores_in_headers off", "underscores_in_headers on"),
    ("envoy", headers, r".*remove: x-rewrite-url\n", ""),
    ("envoy", headers, r".*key_matcher: \{ prefix:.*\n", ""),
    ("envoy", headers, r"\[\^:a-z0-9-\]\.\*\|", ""),
    ("envoy", headers, r".*# X\.Y, which.*\n", ""),
    ("envoy", hosts, r' *- match: .*":authority".*\n.*\n', ""),
    ("envoy", connect_and_trace, r" *- match: .*CONNECT\|TRACE.*\n.*\n", ""),
    ("caddy", upgrade, r".*request_header -(Upgrade|Connection)\n", ""),
    ("caddy", headers, r".*request_header -X-Rewrite-Url\n", ""),
    ("caddy", headers, r".*request_header -[a-z0-9-]+\*\n", ""),
    ("caddy", headers, r'.*request_header "-\*[$~]\*"\n', ""),
    ("caddy", methods, r".*respond @odd.*\n", ""),
    ("caddy", targets, r".*respond @odd.*\n", ""),
    ("caddy", connect_and_trace, r".*respond @echo.*\n", ""),
    ("traefik", upgrade, r'.*Upgrade: ""\n', '          X-Nothing: ""\n'),
    ("traefik", headers, r'.*X-Original-Url: ""\n', ""),
    ("traefik", targets, r"plain-target, ", ""),
    ("traefik", methods, r"&& \(Method.*\)", ""),
    ("apache", headers, r".*unset X-Rewrite-Url early\n", ""),
    ("apache", headers, r".*LuaHook.*\n", ""),
    ("apache", methods, r".*LuaHook.*\n", ""),
    ("apache", connect_and_trace, r".*TraceEnable.*\n", ""),
)
WEBSOCKETS: tuple[tuple[str, Attack, str, str], ...] = (
    ("nginx", other_tunnels, r"\(/socket\)", "/[a-z]*"),
    ("envoy", other_tunnels, r"path: /socket,", "prefix: /,"),
    ("haproxy", other_tunnels, r"\{ req\.fhdr\(upgrade\) -i -m str websocket \}", ""),
    ("haproxy", other_tunnels, r"acl is_websocket path /socket", "acl is_websocket path_beg /"),
    ("apache", other_tunnels, r"\(/socket\)|\^/socket\$", "/.*"),
    ("apache", websocket, r"\$1 upgrade", "/ upgrade"),
    ("caddy", other_tunnels, r"\{path\} in \['/socket'\]", "true"),
    ("traefik", other_tunnels, r"Path\(`/socket`\)", "PathPrefix(`/`)"),
)
ASKED: tuple[tuple[str, Attack, str, str], ...] = (
    ("nginx", document, r".*return 405.*\n", ""),
    ("haproxy", document, r".*(set-uri|del-header \.).*\n", ""),
    ("caddy", document, r".*(respond @with_body 400|request_header -\*)\n", ""),
    ("envoy", document, r'.*\{ name: ":path", string_match: \{ exact.*\n', ""),
    ("traefik", document, r"no-query, no-body, enter", "enter"),
)


Spoils = tuple[tuple[str, Attack, str, str], ...]


def _ids(spoils: Spoils) -> list[str]:
    return [f"{number} {proxy} {attack.__name__}" for number, (proxy, attack, *_) in enumerate(spoils)]


@pytest.mark.parametrize(("proxy", "attack", "old", "new"), WIRE, ids=_ids(WIRE))
def test_the_wire_spoiled(proxy: str, attack: Attack, old: str, new: str, world: World) -> None:
    """A configuration that lacks a line against an attack lets it through."""
    row = next(row for row in WIRE_ROWS if row.is_shown and row.proxy == proxy)
    with make_stand(row, world, _edit(proxy, old, new)) as stand, pytest.raises(AssertionError):
        attack(stand)


@pytest.mark.parametrize(("proxy", "attack", "old", "new"), WEBSOCKETS, ids=_ids(WEBSOCKETS))
def test_websockets_spoiled(proxy: str, attack: Attack, old: str, new: str, world: World) -> None:
    """A configuration that is lax about what a WebSocket is opens other tunnels."""
    row = next(row for row in WEBSOCKET_ROWS if row.is_shown and row.proxy == proxy)
    with make_stand(row, world, _edit(proxy, old, new)) as stand, pytest.raises(AssertionError):
        attack(stand)


@pytest.mark.parametrize(("proxy", "attack", "old", "new"), ASKED, ids=_ids(ASKED))
def test_asking_spoiled(proxy: str, attack: Attack, old: str, new: str, world: World) -> None:
    """A configuration that is lax about the document lets a client speak to the gateway."""
    row = next(row for row in ASKED_ROWS if row.proxy == proxy)
    with make_stand(row, world, _edit(proxy, old, new)) as stand, pytest.raises(AssertionError):
        attack(stand)


def test_a_check_that_an_expired_certificate_jumps(world: World) -> None:
    """In nginx a check before the location does not hold for a certificate that error 495 is about."""

    def edit(folder: Path) -> None:
        file = folder / "nginx.conf"
        check = "        if ($macaroon_cbat_is_odd) { return 400; }"
        head, mark, rest = file.read_text().partition(check)
        assert mark == check
        rest = rest.partition("\n")[2]
        listen = "    ssl_session_tickets off;\n"
        file.write_text((head + rest).replace(listen, listen + check + "\n"))

    row = next(row for row in WIRE_ROWS if row.is_shown and row.proxy == "nginx")
    with make_stand(row, world, edit) as stand:
        methods(stand)
        with pytest.raises(AssertionError):
            of_an_expired_certificate(stand)


def _edit(proxy: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        file = folder / FILES[proxy]
        text = file.read_text()
        spoiled = re.sub(old, new, text)
        assert spoiled != text
        file.write_text(spoiled)

    return edit
