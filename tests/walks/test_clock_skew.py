"""The clock of the service is ahead of the resource server's, or behind it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from macaroon_cbat.errors import Unavailable
from tests.support.followed_service import Realm, caller, jti_of, passes
from tests.support.holders import House
from tests.support.service_process import API, process, resource_server
from tests.support.tls_servers import Server, wait_until


@pytest.fixture
def realm(tmp_path: Path) -> Realm:
    """Give a realm whose clients were registered long ago: the command line has the right time."""
    realm = Realm(tmp_path, {})
    with closing(sqlite3.connect(realm.service.data / "macaroon_cbat.sqlite3")) as connection, connection:
        connection.execute("UPDATE clients SET created_at = created_at - 3600")
    return realm


@contextmanager
def skewed(realm: Realm, ahead: int) -> Iterator[None]:
    """Run the service with a clock that is so many seconds ahead."""
    data, port = realm.service.data, realm.service.port
    with process(
        ["tests.support.skewed_service", str(data), str(port), str(ahead)], data, port, {}, is_killed=True
    ):
        yield


def status_of(api: Server, token: str, house: House) -> int:
    """Return the status of one request with this token."""
    with caller(api, token, house) as call:
        status: int = call()
    return status


@pytest.mark.parametrize("ahead", [-30, 30])
def test_half_a_minute_is_harmless(realm: Realm, house: House, ahead: int):
    """With 30 seconds either way keys come, tokens pass, and tokens and clients are taken back as ever."""
    with skewed(realm, ahead), resource_server(realm.folder / "api", following=realm.following) as api:
        for kind in ("token", "client"):
            token = realm.token()
            with caller(api, token, house) as call:
                passes(call)
                wanted = {"kind": kind, "value": jti_of(token) if kind == "token" else "billing"}
                with realm.operator() as session:
                    url = realm.service.issuer + "/admin/revocations"
                    assert session.post(url, json=wanted, timeout=60).status_code == 201
                wait_until(lambda call=call: call() == 401)
        # Tokens of the same second are revoked, too.
        wait_until(lambda: status_of(api, realm.token(), house) == 200)


@pytest.mark.parametrize(("ahead", "words"), [(-120, "behind"), (120, "ahead of")])
def test_two_minutes_are_said(realm: Realm, house: House, ahead: int, words: str):
    """With more, a resource server follows nothing, answers 503, and its log says what is wrong."""
    with skewed(realm, ahead):
        with pytest.raises(Unavailable, match=rf"1[12]\d s {words} this one.*set both clocks"):
            realm.connection().keys(API)
        with (
            resource_server(realm.folder / "api", following=realm.following) as api,
            caller(api, realm.token(), house) as call,
        ):
            assert call() == 503
    assert f"s {words} this one" in (realm.folder / "api" / "log").read_text()
