"""The cases can fail: spoil the line that a configuration says is the one that matters, and a thief is in."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.proxies.certificates import World
from tests.support.proxies.deployment import make_stand
from tests.support.proxies.rows import ROWS, Row
from tests.support.proxies.spoofs import exact, spoof

GATEWAY = {
    "nginx": [("nginx.conf", r" *auth_request /.*\n", "")],
    "envoy": [("envoy.yaml", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY")],
    "grpc": [
        (
            "envoy.yaml",
            r"- name: envoy\.filters\.http\.ext_authz.*?(?=- name: envoy\.filters\.http\.router)",
            "",
        )
    ],
    "haproxy": [("haproxy.cfg", r".*(lua\.ask_gateway|http-request deny deny_status 503).*\n", "")],
    "caddy": [("Caddyfile", r"forward_auth [^\n]*\{.*?\n\t\t\}\n", "")],
    "traefik": [("dynamic.yml", "gateway, leave", "leave")],
}
GUARDED = {
    "nginx": [("nginx.conf", r" *proxy_set_header Clientcert .*\n", "")],
    "envoy": GATEWAY["envoy"],
    "haproxy": [("haproxy.cfg", r".*http-request (del-header \^\(|set-header Client-?[Cc]ert).*\n", "")],
    "apache": [
        ("httpd.conf", r" *RequestHeader (set|unset) Clientcert .*\n", ""),
        ("refuse.lua", '"clientcert", ', ""),
    ],
    "caddy": [("Caddyfile", r"\t*request_header -?[Cc]lient-?[Cc]ert.*\n", "")],
    "traefik": [
        ("dynamic.yml", ", certificate", ""),
        # Traefik distrusts X-Forwarded-* of strangers as well.
        ("traefik.yml", 'address: "127', 'forwardedHeaders: { insecure: true }\n    address: "127'),
    ],
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_spoiled(row: Row, world: World) -> None:
    """A configuration without the line that matters lets a spoofed certificate header through."""
    with (
        make_stand(row, world, _edit(row)) as stand,
        pytest.raises(AssertionError, match="reached the server"),
    ):
        spoof(exact)(stand)


def _edit(row: Row) -> Callable[[Path], None]:
    edits = (GUARDED if row.is_guarded else GATEWAY)[row.proxy if row.protocol == "http" else row.protocol]

    def edit(folder: Path) -> None:
        for name, old, new in edits:
            text = (folder / name).read_text()
            spoiled = re.sub(old, new, text, flags=re.DOTALL if ".*?" in old else 0)
            assert spoiled != text
            (folder / name).write_text(spoiled)

    return edit
