"""A login in a file: private, refreshed by one process at a time, and revoked before it is deleted."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace

from macaroon_cbat.client.logged_in import LoggedIn
from macaroon_cbat.client.login_file import LoginFile
from macaroon_cbat.errors import Refused, SettingsError, Unavailable
from tests.client.test_device import saved
from tests.support.client_files import Files, Pair, make_token
from tests.support.token_server import Server

NOW = 1_800_000_000.0


@pytest.fixture
def file(tmp_path: Path) -> LoginFile:
    return LoginFile(tmp_path / "logins" / "login.json")


def keep(file: LoginFile, server: Server, files: Files, temper: str, **changes: object) -> LoggedIn:
    """Keep a login whose access token has expired; return its tokens."""
    usual = {"access_token": make_token(number=7), "refresh_token": "refresh-0"}
    with file.locked():
        file.write(saved(server, files, temper, **(usual | changes)))
    return LoggedIn(file, timeout=30, clock=lambda: NOW)


def refreshes(server: Server, temper: str) -> list[str]:
    """Return the refresh tokens that the token endpoint was sent."""
    return [one["form"]["refresh_token"][0] for one in server.asked(temper) if one["endpoint"] == "token"]


def test_a_login_is_refreshed_once(server: Server, files: Files, file: LoginFile) -> None:
    """Of many that need a token at once, one refreshes; the new tokens are in the file for the others."""
    keep(file, server, files, "device.granted.granted")
    holders = [LoggedIn(LoginFile(file.file), timeout=30, clock=lambda: NOW) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        tokens = {*pool.map(lambda holder: holder(), holders)}
    assert len(tokens) == 1
    assert refreshes(server, "device.granted.granted") == ["refresh-0"]
    login = file.read()
    assert (login.refresh_token, login.renew_access_at) == ("refresh-1", int(NOW) + 570)


def test_what_is_written_can_be_read(server: Server, files: Files, file: LoginFile) -> None:
    """A login with the longest answer that a service can give is read, and so can be ended."""
    login = saved(server, files, "device.granted", refresh_token="x" * (64 << 10), scope="y" * 4000)
    with file.locked():
        file.write(login)
    assert file.read() == login


def test_a_token_is_renewed_before_it_expires(server: Server, files: Files, file: LoginFile) -> None:
    """An access token is given out until 30 seconds before its end, then renewed by the newest refresh."""
    tokens = keep(file, server, files, "device.granted.granted.granted")
    first = tokens()
    assert LoggedIn(file, clock=lambda: NOW + 569)() == first
    assert LoggedIn(file, timeout=30, clock=lambda: NOW + 570)() != first
    assert refreshes(server, "device.granted.granted.granted") == ["refresh-0", "refresh-1"]


def test_a_rejected_token_is_renewed(server: Server, files: Files, file: LoginFile) -> None:
    """A token that a resource server rejected is not given out again."""
    tokens = keep(file, server, files, "device.granted.granted")
    first = tokens()
    tokens.discard("another")
    assert tokens() == first
    tokens.discard(first)
    assert tokens() != first


def test_a_token_of_another_certificate_is_renewed(
    server: Server, files: Files, file: LoginFile, other_pair: Pair, pair: Pair
) -> None:
    """An access token that is bound to a replaced certificate is not given out."""
    from macaroon_cbat import confirmation

    bound = make_token(confirmation(pair.thumbprint), number=9)
    tokens = keep(file, server, files, "device.granted", access_token=bound, renew_access_at=int(NOW) + 60)
    assert tokens() == bound
    files.write(other_pair)
    assert tokens() != bound


def test_an_ended_login_says_so(server: Server, files: Files, file: LoginFile) -> None:
    """A login that the service ended is refused with the remedy, and the file is left to be looked at."""
    tokens = keep(file, server, files, "device.invalid_grant")
    with pytest.raises(Refused, match="log out and log in again, macaroon-cbat login --issuer https://"):
        tokens()
    assert file.exists()


def test_a_login_without_a_refresh_token_ends(server: Server, files: Files, file: LoginFile) -> None:
    """A login of a client without refresh tokens ends with its access token."""
    tokens = keep(file, server, files, "device.granted", refresh_token=None)
    with pytest.raises(Refused, match="the login has expired"):
        tokens()


def test_a_service_that_does_not_answer_ends_no_login(server: Server, files: Files, file: LoginFile) -> None:
    """A refresh without an answer changes nothing in the file."""
    tokens = keep(file, server, files, "device.broken.granted")
    before = file.read()
    with pytest.raises(Unavailable):
        tokens()
    assert file.read() == before
    assert tokens()


def test_a_logout_revokes_first(server: Server, files: Files, file: LoginFile) -> None:
    """The refresh token is revoked at the service, and then the file is deleted."""
    keep(file, server, files, "device.out").log_out()
    [asked] = server.asked("device.out")
    assert (asked["endpoint"], asked["form"]["token"]) == ("revocation", ["refresh-0"])
    assert not file.exists()


def test_a_logout_that_revokes_nothing_deletes_nothing(server: Server, files: Files, file: LoginFile) -> None:
    """A login whose tokens could not be revoked stays in its file."""
    tokens = keep(file, server, files, "device.broken")
    with pytest.raises(Unavailable):
        tokens.log_out()
    assert file.exists()


def test_a_certificate_made_for_the_login_ends_with_it(server: Server, files: Files, file: LoginFile) -> None:
    """A certificate that was made for the login is deleted with it, another one is not."""
    keep(file, server, files, "device.kept").log_out()
    assert files.certificate.exists()
    keep(file, server, files, "device.made", has_own_certificate=True).log_out()
    assert not files.certificate.exists()


def test_a_login_is_private(server: Server, files: Files, file: LoginFile) -> None:
    """File and folder are of their user alone, and a file that others could read is refused."""
    keep(file, server, files, "device.private")
    assert (file.file.stat().st_mode & 0o777, file.file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "refresh-0" not in repr(file.read())
    file.file.chmod(0o644)
    with pytest.raises(SettingsError, match="can be used by others"):
        file.read()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"issuer": 1}', b"\xff", b"x" * 70_000])
def test_another_file_is_no_login(file: LoginFile, content: bytes) -> None:
    """A file that holds no login is refused by name."""
    file.file.parent.mkdir()
    file.file.write_bytes(content)
    with pytest.raises(SettingsError, match="holds no login"):
        file.read()


def test_the_file_is_json(server: Server, files: Files, file: LoginFile) -> None:
    """The file is JSON that a person can read, and a login comes back as it was kept."""
    keep(file, server, files, "device.json")
    assert json.loads(file.file.read_text())["refresh_token"] == "refresh-0"
    login = replace(file.read(), scope="write")
    file.write(login)
    assert file.read() == login


def test_one_process_logs_in(file: LoginFile) -> None:
    """A second login to the same file is refused while the first one waits for its person."""
    with (
        file.locked(),
        pytest.raises(SettingsError, match="another process logs in"),
        file.locked(waits=False),
    ):
        pass
