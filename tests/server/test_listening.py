"""Listening sockets: several hosts, both families, and Unix sockets with mode, group and stale files."""

import grp
import os
import socket
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.server.listener import SocketFile, listening, place_of
from macaroon_cbat.server.unix_listener import is_answered, unix_listener
from tests.support.another_user import ANOTHER_USER, as_user

EVERY = "::"


def reached(host: str, port: int) -> bool:
    """Return True if a client can connect."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        return sock.connect_ex((host, port)) == 0


@pytest.mark.parametrize(
    ("hosts", "is_ipv6_only", "expected"),
    [
        pytest.param(["127.0.0.1"], False, [True, False], id="IPv4"),
        pytest.param(["::1"], False, [False, True], id="IPv6"),
        pytest.param(["127.0.0.1", "::1"], False, [True, True], id="two addresses"),
        pytest.param([EVERY], False, [True, True], id="both families by one"),
        pytest.param([EVERY], True, [False, True], id="IPv6 alone"),
        pytest.param([EVERY, "0.0.0.0"], False, [True, True], id="both families by two"),
        pytest.param([EVERY, "127.0.0.1"], False, [True, True], id="IPv6 and one of IPv4"),
        pytest.param(["127.0.0.1", "127.0.0.1"], False, [True, False], id="one twice"),
    ],
)
def test_hosts_are_reached_as_they_are_named(hosts, is_ipv6_only, expected):
    """Each named host is reached at the same port, and no other family is."""
    with listening(hosts, 0, is_ipv6_only=is_ipv6_only) as sockets:
        [port] = {place_of(sock).port for sock in sockets}
        assert [reached("127.0.0.1", port), reached("::1", port)] == expected


def test_nothing_is_left_open_if_one_host_fails(tmp_path: Path):
    """If one place cannot be listened at, none is: the first is free again, and its file gone."""
    path = tmp_path / "first.sock"
    with (
        pytest.raises(SettingsError, match="no address of this machine"),
        listening([f"unix:{path}", "192.0.2.1"], 0),
    ):
        pass
    assert not path.exists()


def test_a_unix_socket_is_for_owner_and_group(tmp_path: Path):
    """The file has mode 0660, whatever the umask; another mode and group may be named; it goes at the end."""
    path = tmp_path / "service.sock"
    group = grp.getgrgid(os.getgid()).gr_name
    for file, mode in ((SocketFile(), 0o660), (SocketFile(mode=0o600, group=group), 0o600)):
        before = os.umask(0)
        try:
            with listening([f"unix:{path}"], 0, file=file) as sockets:
                assert path.stat().st_mode & 0o777 == mode
                assert path.stat().st_gid == os.getgid()
                assert [sock.family for sock in sockets] == [socket.AF_UNIX]
        finally:
            os.umask(before)
        assert list(tmp_path.iterdir()) == []


def test_a_stale_file_is_replaced_and_a_live_one_is_not(tmp_path: Path):
    """The file of a process that was killed is replaced; one at which a process listens is refused."""
    path = tmp_path / "service.sock"
    with closing(socket.socket(socket.AF_UNIX)) as killed:
        killed.bind(os.fspath(path))
    with listening([f"unix:{path}"], 0) as [sock]:
        with closing(socket.socket(socket.AF_UNIX)) as client:
            client.connect(os.fspath(path))
            sock.accept()[0].close()
        with pytest.raises(SettingsError, match="is in use"), listening([f"unix:{path}"], 0):
            pass
    assert not path.exists()


def test_a_server_that_accepts_no_client_holds_up_no_start(tmp_path: Path):
    """A process whose queue is full listens, and is not waited for: the name is in use."""
    path = tmp_path / "service.sock"
    with closing(socket.socket(socket.AF_UNIX)) as hanging, ExitStack() as stack:
        hanging.bind(os.fspath(path))
        hanging.listen(0)
        with pytest.raises(BlockingIOError):
            for _ in range(100):
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.connect(os.fspath(path))
        with pytest.raises(SettingsError, match="is in use"), listening([f"unix:{path}"], 0):
            pass


@pytest.mark.parametrize(
    ("name", "file", "reason"),
    [
        pytest.param("taken", SocketFile(), "is no socket", id="another file"),
        pytest.param("missing/service.sock", SocketFile(), "cannot be listened on", id="no folder"),
        pytest.param("x" * 120, SocketFile(), "is too long", id="too long"),
        pytest.param("s", SocketFile(group="no-such-group"), "there is no group", id="no group"),
    ],
)
def test_an_unusable_name_is_one_line(tmp_path: Path, name, file, reason):
    """A name that cannot be a socket's, and an unknown group, are refused; nothing is made or removed."""
    (tmp_path / "taken").write_text("precious")
    with (
        pytest.raises(SettingsError, match=reason) as error,
        listening([f"unix:{tmp_path / name}"], 0, file=file),
    ):
        pass
    assert "\n" not in str(error.value)
    assert [one.name for one in tmp_path.iterdir()] == ["taken"]


def test_the_file_of_a_successor_stays(tmp_path: Path):
    """A server that ends leaves the file that another one has put in the place of its own."""
    path = tmp_path / "service.sock"
    with listening([f"unix:{path}"], 0):
        path.unlink()
        successor = socket.socket(socket.AF_UNIX)
        successor.bind(os.fspath(path))
    assert path.is_socket()
    successor.close()


def test_a_draft_of_another_server_stays(tmp_path: Path):
    """Process 1 of each container on a volume has the same number, and takes no socket from the other."""
    other = tmp_path / f".{os.getpid()}.sock"
    with socket.socket(socket.AF_UNIX) as draft:
        draft.bind(str(other))
        draft.listen()
        with listening([f"unix:{tmp_path / 'own.sock'}"], 0):
            assert is_answered(other)


def test_a_folder_of_another_user_is_one_line(tmp_path: Path):
    """A name in a folder that the service may not look into is refused in one line."""
    tmp_path.chmod(0o700)
    said = as_user(ANOTHER_USER, ANOTHER_USER, lambda: str(unix_listener(tmp_path / "service.sock")))
    assert said.endswith("(Permission denied): check its mode and that of its folder, or listen elsewhere")
