import resource
from dataclasses import fields
from pathlib import Path

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.server.limits import Limits
from macaroon_cbat.tls.server import serve
from tests.support.tls_servers import SECONDS, Server, end, running, start

FILES = {"certificate": Path("server.pem"), "key": Path("server.key")}


def refusal(**settings: object) -> str:
    """Return the one line with which serve refuses to start."""
    with pytest.raises(SettingsError) as caught:
        serve(lambda: None, **settings)  # type: ignore[arg-type, return-value]  # it never gets that far
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_port_in_use_is_refused(server: Server) -> None:
    """A port that is in use is refused, and the line says what to do."""
    files = {name: server.folder / file for name, file in FILES.items()}
    expected = (
        f"port {server.port} on 127.0.0.1 is in use: "
        "stop the other server or choose another with --port (port= in Python)"
    )
    assert refusal(port=server.port, **files) == expected


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"host": "no-such-host.invalid"}, "--host"),
        ({"host": "192.0.2.1"}, "--host"),
        ({"port": 70_000}, "no port 70000"),
        ({"workers": 0}, "at least one"),
        ({"threads": 0}, "at least one"),
    ],
)
def test_useless_settings_are_refused(server: Server, settings: dict[str, object], said: str) -> None:
    """Addresses and numbers that cannot work are refused, and the line says what to change."""
    files = {name: server.folder / file for name, file in FILES.items()}
    assert said in refusal(**{"port": 0, **files, **settings})


@pytest.mark.parametrize("name", ["certificate", "key"])
@pytest.mark.parametrize("content", [None, b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END"])
def test_unusable_files_are_named(server: Server, tmp_path: Path, name: str, content: bytes | None) -> None:
    """A certificate or key that is missing or unreadable is refused in a line that names the file."""
    files = {each: server.folder / file for each, file in FILES.items()}
    files[name] = tmp_path / "unusable"
    if content is not None:
        files[name].write_bytes(content)
    assert str(files[name]) in refusal(port=0, **files)


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_a_limit_that_lets_nothing_pass_is_refused(name: str, value: float) -> None:
    """A limit of nothing, or none at all, is refused by its name."""
    with pytest.raises(SettingsError, match=f"^the limit {name} is "):
        Limits(**{name: value})  # type: ignore[arg-type]


def test_limits_have_sane_defaults() -> None:
    """The limits that are promised are those in force."""
    limits = Limits()
    assert (limits.handshake_seconds, limits.request_seconds, limits.idle_seconds) == (5, 10, 15)
    assert (limits.connections, limits.body_bytes, limits.header_bytes) == (4096, 1 << 20, 1 << 16)


def test_too_few_open_files_are_refused(tmp_path: Path) -> None:
    """More connections than the hard limit of open files has room for are refused, with the number."""
    process, line = start(tmp_path, limits={"connections": 5000}, open_files=(200, 5000))
    end(process)
    assert line == (
        "settings the limit of open files is 5000, and 5000 connections need 5128: "
        "raise it with LimitNOFILE= or ulimit -n, or set fewer connections"
    )


def test_the_soft_limit_of_open_files_is_raised(tmp_path: Path) -> None:
    """The server takes as many open files as its connections need, where the hard limit allows it."""
    with running(tmp_path, limits={"connections": 5000}, open_files=(200, 5128)) as server:
        soft, _ = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    assert soft == 5128


def test_workers_that_cannot_live_end_the_server(tmp_path: Path) -> None:
    """Workers that die at once again and again are given up with one line."""
    process, line = start(tmp_path, workers=2, make_app="dies")
    try:
        assert line == "settings the workers end as soon as they start (exit status 9): the log says why"
        assert process.wait(SECONDS) == 2
    finally:
        end(process)


@pytest.mark.parametrize("workers", [1, 2])
def test_settings_that_the_application_refuses_end_the_server(tmp_path: Path, workers: int) -> None:
    """A SettingsError of make_app comes out of serve, also from a worker."""
    process, line = start(tmp_path, workers=workers, make_app="refuses")
    try:
        assert line == "settings the database is not there"
        assert process.wait(SECONDS) == 2
    finally:
        end(process)
