"""The limits of the embedded server can be set: by option, by environment, and for other applications."""

import socket
import ssl
from http.client import HTTPSConnection

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service import settings_from_environment
from tests.support.command_line import call, run, serving
from tests.support.ports import free_port
from tests.support.tls_servers import read_to_end

LIMITS = ["HANDSHAKE_SECONDS", "REQUEST_SECONDS", "IDLE_SECONDS", "BODY_BYTES", "CONNECTIONS"]


def connect(service, *, timeout=60):
    """Return a new TLS connection to the service."""
    context = ssl.create_default_context(cafile=service.data / "ca.pem")
    raw = socket.create_connection(("127.0.0.1", int(service.issuer.rpartition(":")[2])), timeout)
    return context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False)


def test_the_times_can_be_set(data):
    """`serve` cuts off a slow handshake, a slow request and an idle connection when it was told to."""
    short = ("--handshake-seconds", "1", "--idle-seconds", "1")
    with serving(data, *short, MACAROON_CBAT_REQUEST_SECONDS="1") as service:
        port = int(service.issuer.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 60) as silent:
            assert read_to_end(silent) == b""
        with connect(service) as half:
            half.sendall(b"POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx")
            assert half.recv(65536).startswith(b"HTTP/1.1 408 ")
        with connect(service) as idle:
            idle.sendall(b"GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert read_to_end(idle).endswith(b"}")


def test_an_idle_connection_can_be_kept_longer(data):
    """An option comes before the environment: the connection outlives what that says."""
    with (
        serving(data, "--idle-seconds", "60", MACAROON_CBAT_IDLE_SECONDS="1") as service,
        connect(service, timeout=3) as idle,
    ):
        idle.sendall(b"GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(65536).startswith(b"HTTP/1.1 200 ")
        with pytest.raises(TimeoutError):
            idle.recv(1)


def status_of(service, length: int) -> int:
    """Return the answer to a form of this length."""
    context = ssl.create_default_context(cafile=service.data / "ca.pem")
    port = int(service.issuer.rpartition(":")[2])
    connection = HTTPSConnection("localhost", port, context=context, timeout=60)
    begin = "grant_type=client_credentials&client_id=a&client_secret=b&scope="
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        connection.request("POST", "/oauth2/token", begin + "x" * (length - len(begin)), headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("options", "length"),
    [((), 1 << 16), (("--body-bytes", "16384"), 1 << 14), (("--body-bytes", "3000000"), 3_000_000)],
    ids=["by default", "less", "more than the server's own"],
)
def test_the_body_can_be_bounded(data, options, length):
    """A body of so many bytes is read, and refused for what it says; one byte more is 413."""
    with serving(data, *options) as service:
        assert status_of(service, length) == 401
        assert status_of(service, length + 1) == 413


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5", "1e3", "9" * 20, " 60"])
@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_that_is_none_is_refused(data, name, value):
    """A limit that is no number, or lets nothing pass, is refused by its name and range."""
    with pytest.raises(
        SettingsError, match=f"^MACAROON_CBAT_{name} must be a number of [a-z]+ from [0-9]+ to [0-9]+, not "
    ):
        settings_from_environment({"MACAROON_CBAT_DATA": str(data), f"MACAROON_CBAT_{name}": value})


def test_a_limit_that_is_none_stops_the_start_in_one_line(data):
    """The command says so in one line, with status 2."""
    done = run("serve", "--data", data, "--port", str(free_port()), MACAROON_CBAT_IDLE_SECONDS="none")
    assert (done.returncode, done.stdout) == (2, b"")
    [line] = done.stderr.decode().splitlines()
    assert "MACAROON_CBAT_IDLE_SECONDS must be a number of seconds from 1 to 3600, not 'none'" in line


@pytest.mark.parametrize("name", LIMITS)
def test_an_option_that_is_none_names_its_range(data, name):
    """An option outside its range is wrong usage, and the range is named."""
    option = "--" + name.lower().replace("_", "-")
    done = call("serve", "--data", data, option, "0")
    assert done.exit_code == 2
    assert f"Invalid value for '{option}': 0 is not in the range" in done.stderr
