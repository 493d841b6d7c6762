"""Header names and sockets as WSGI servers show them: WsgiConnection relies on it."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers.running import Server, running
from tests.support.servers.uwsgi_protocol import REQUEST, packet

SERVERS = {
    "waitress": ("waitress", {}),
    "gunicorn": ("gunicorn", {}),
    "gunicorn with threads": ("gunicorn", {"worker_class": "gthread"}),
    "gunicorn with gevent": ("gunicorn", {"worker_class": "gevent"}),
    "gevent": ("gevent", {}),
    "werkzeug": ("werkzeug", {}),
    "the embedded server": ("embedded", {}),
}
"""Servers that drop names which others take for another one."""

ASKED = "/?X-Client-Cert&Clientcert"
AMBIGUOUS, MISCONFIGURED = {"error": "AmbiguousHeader"}, {"error": "ProxyMisconfigured"}


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run one of the servers on a port."""
    name, options = SERVERS[request.param]
    with running(name, "tcp", tmp_path_factory.mktemp("server"), **options) as one:
        yield one


@pytest.fixture(scope="module", params=[name for name in SERVERS if name != "the embedded server"])
def at_a_socket(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run one of the servers at a Unix socket."""
    name, options = SERVERS[request.param]
    folder = tmp_path_factory.mktemp("s")
    with running(name, f"unix:{folder}/s", folder, **options) as one:
        yield one


def headers(server: Server, *lines: str) -> dict[str, object]:
    status, body = server.send(ASKED, *lines)
    assert status == 200, body
    found: dict[str, object] = body["headers"]
    return found


SPOOFS = {
    "only an underscore": (["X_Client_Cert: evil"], None),
    "the underscore last": (["X-Client-Cert: good", "X_Client_Cert: evil"], "good"),
    "the underscore first": (["X_Client_Cert: evil", "X-Client-Cert: good"], "good"),
    "another case": (["x-client-cert: good"], "good"),
}


@pytest.mark.parametrize(("lines", "value"), SPOOFS.values(), ids=SPOOFS)
def test_an_underscore_never_counts(server: Server, lines: list[str], value: str | None):
    """These servers drop names with an underscore: the connection sees the proxy's header or none."""
    assert headers(server, *lines)["X-Client-Cert"] == value


@pytest.mark.parametrize("name", ["X-Client-Cert", "Clientcert"])
@pytest.mark.parametrize("other", ["same", "lower", "upper"])
def test_a_second_header_shows(server: Server, name: str, other: str):
    """Two headers of one name, in any case, never look like one of them."""
    again = {"same": name, "lower": name.lower(), "upper": name.upper()}[other]
    seen = headers(server, f"{name}: good", f"{again}: evil")[name]
    assert seen not in ("good", "evil")
    assert {word.strip() for word in str(seen).split(",")} == {"good", "evil"}


def test_a_dot_is_ambiguous(server: Server):
    """A name with a dot, which other servers fold, is refused beside the header and without it."""
    for lines in (["X.Client.Cert: evil"], ["X-Client-Cert: good", "X.Client.Cert: evil"]):
        assert headers(server, *lines)["X-Client-Cert"] in (AMBIGUOUS, None, "good")
        assert headers(server, *lines)["X-Client-Cert"] != "evil"


def test_a_network_peer_is_one(server: Server):
    """The address over TCP is the connection's, and no header's, and there is no Unix socket."""
    for word in ("localhost", "10.0.0.7", ""):
        _, body = server.send("/", f"X-Forwarded-For: {word}", f"Forwarded: for={word}", f"X-Real-IP: {word}")
        assert (body["shows_address"], body["address"], body["is_unix"]) == (True, "127.0.0.1", False)


def test_a_unix_socket_is_one(at_a_socket: Server):
    """A connection over a Unix socket has no address, and no header makes one."""
    _, body = at_a_socket.send("/", "X-Forwarded-For: 10.0.0.7", "Forwarded: for=10.0.0.7")
    assert (body["address"], body["is_unix"]) == (None, True)


def test_trailers_are_no_headers(server: Server):
    """Trailers of a chunked body stand apart from the headers that the connection shows."""
    trailers = ["X-Client-Cert: evil", "Clientcert: evil", "X-Forwarded-For: 10.0.0.7"]
    status, body = server.send_with_trailers(ASKED, ["Clientcert: good"], trailers)
    if status == 200:
        assert body["headers"] == {"X-Client-Cert": None, "Clientcert": "good"}
        assert "evil" not in str(body["keys"])
        assert (body["merges_trailers"], body["address"]) == (False, "127.0.0.1")
    else:
        assert (status, "evil" in str(body)) in {(400, False), (500, False)}


def test_the_client_s_name_of_a_unix_socket_is_no_address(
    at_a_socket: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A client that binds its end to a file named like an address is still a Unix socket."""
    monkeypatch.chdir(tmp_path)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(60)
    client.bind("10.0.0.7")
    client.connect(at_a_socket.bind[5:])
    _, body = at_a_socket.send("/", connection=client)
    assert (body["address"], body["is_unix"]) == (None, True)


WORDS = ("localhost", "localhost:None", '"localhost"', "<local>", '""', "10.0.0.7", "10.0.0.7:None", "unix")


@pytest.mark.parametrize("line", ["X-Forwarded-For: {}", "Forwarded: for={}"])
def test_waitress_that_believes_a_header(tmp_path: Path, line: str):
    """A waitress told to take addresses from a header shows the connection none of them."""
    options = {"trusted_proxy": "*", "trusted_proxy_headers": [line.partition(":")[0].lower()]}
    with running("waitress", "tcp", tmp_path, **options) as server:
        changed = set()
        for word in WORDS:
            status, body = server.send("/", line.format(word))
            if status == 200:
                changed.add(body["remote"])
                assert (body["address"], body["is_unix"]) == ("127.0.0.1", False), word
        assert {"localhost", "10.0.0.7"} <= changed


def test_gunicorn_that_believes_the_proxy_protocol(tmp_path: Path):
    """A gunicorn told to take addresses from the PROXY protocol shows the connection the proxy's own."""
    options = {"proxy_protocol": True, "proxy_allow_ips": "*"}
    with running("gunicorn", "tcp", tmp_path, **options) as server:
        line = b"PROXY TCP4 10.0.0.7 127.0.0.1 4711 80\r\n"
        _, body = server.send("/", before=line)
        assert body["remote"] == "10.0.0.7"
        assert (body["address"], body["is_unix"]) == ("127.0.0.1", False)


def test_gunicorn_that_speaks_uwsgi_s_protocol(tmp_path: Path):
    """Behind uWSGI's protocol, which writes any key as text, gunicorn shows the sender's own address."""
    with running("gunicorn", "tcp", tmp_path, protocol="uwsgi", uwsgi_allow_ips="*") as server:
        fields = {**REQUEST, "REMOTE_ADDR": "10.0.0.7", "gunicorn.socket": "x", "HTTP_CLIENTCERT": "good"}
        status, body = server.exchange(packet(fields))
        assert (status, body["headers"]["Clientcert"]) == (200, "good")
        assert (body["address"], body["is_unix"]) == ("127.0.0.1", False)


def test_wsgiref_takes_an_underscore_for_a_hyphen(tmp_path: Path):
    """A name with hyphens is not safe everywhere: under wsgiref the connection refuses to read it."""
    with running("wsgiref", "tcp", tmp_path) as server:
        _, body = server.send(ASKED, "X_Client_Cert: evil", "Clientcert: good")
        assert body["keys"]["HTTP_X_CLIENT_CERT"] == "evil"
        assert body["headers"] == {"X-Client-Cert": MISCONFIGURED, "Clientcert": "good"}
        assert headers(server, "Clientcert: good", "clientcert: evil")["Clientcert"] == "good,evil"
        assert not server.send("/")[1]["is_unix"]


def test_cheroot_hides_the_first_of_two_headers(tmp_path: Path):
    """Cheroot shows the last of two headers alone: there the connection refuses to read any."""
    with running("cheroot", "tcp", tmp_path) as server:
        _, body = server.send(ASKED, "Clientcert: good", "Clientcert: evil", "X_Client_Cert: evil")
        assert body["keys"]["HTTP_CLIENTCERT"] == body["keys"]["HTTP_X_CLIENT_CERT"] == "evil"
        assert body["headers"] == {"X-Client-Cert": MISCONFIGURED, "Clientcert": MISCONFIGURED}
        assert (body["shows_address"], body["address"]) == (False, None)
    with running("cheroot", f"unix:{tmp_path}/s", tmp_path) as server:
        assert server.send("/")[1]["is_unix"] is False
