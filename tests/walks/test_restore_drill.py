"""The drill: a service is killed and restored from an older backup, and a resource server follows it."""

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from macaroon_cbat.errors import MacaroonError
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant, read_identifier
from macaroon_cbat.macaroon.keys import read_key_file
from macaroon_cbat.macaroon.minting import mint
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.followed_service import Realm, caller, jti_of, passes
from tests.support.holders import House
from tests.support.service_process import API, resource_server
from tests.support.tls_servers import Server, wait_until


class Drill(Realm):
    """A realm whose audit log is a file, and whose service is lost and restored."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "audit.log"
        super().__init__(folder, {"MACAROON_CBAT_AUDIT_LOG": str(self.log)})
        self.gone = self.service.add("gone", "--scope", "read", "--audience", API)
        self.leaked = self.service.add("leaked", "--scope", "read", "--audience", API)

    def token_of(self, name: str, secret: str) -> str:
        """Return a new token of a client."""
        return self.service.client(name, secret, resource=API)()

    def token_of_a_younger_key(self, backup: Path) -> str:
        """Return a token whose root key is not in the backup: a service knows it within a second."""
        known = [json.loads(line)[0] for line in (backup / "root_keys.jsonl").read_text().splitlines()]
        self.service.command("key", "rotate")
        self.service.command("key", "rotate")
        wait_until(lambda: kid_of(self.token()) not in known, pause=0.1)
        return self.token()

    def is_let_in(self, name: str, secret: str) -> bool:
        """Return True if the service gives this client a token."""
        with suppress(MacaroonError):
            return bool(self.token_of(name, secret))
        return False

    def lose(self) -> None:
        """Lose the database; certificates and the wrapping key are kept elsewhere."""
        for file in self.service.data.glob("macaroon_cbat.sqlite3*"):
            file.unlink()

    def restore(self, backup: Path, *, has_log: bool = True) -> None:
        """Restore the backup, with the audit log or without it."""
        log = ("--audit-log", self.log) if has_log else ("--without-audit-log",)
        self.service.command("restore", backup, *log)


def kid_of(token: str) -> str:
    return read_identifier(read_macaroon(token).identifier).kid


@pytest.fixture
def drill(tmp_path: Path) -> Drill:
    return Drill(tmp_path)


def statuses(api: Server, tokens: Sequence[str], house: House) -> set[int]:
    """Return what the resource server answers to these tokens."""
    with ExitStack() as stack:
        return {stack.enter_context(caller(api, token, house))() for token in tokens}


def test_nothing_that_was_revoked_is_let_in(drill: Drill, house: House, tmp_path: Path) -> None:
    """After kill and restore no earlier token opens anything, whatever its key, and new ones do."""
    backup = tmp_path / "backup"
    with resource_server(tmp_path / "api", following=drill.following) as api:
        with drill.service.running():
            valid, early, late = drill.token(), drill.token(), drill.token()
            drill.revoke("token", jti_of(early))
            drill.service.command("backup", backup)
            unknown = drill.token_of_a_younger_key(backup)
            secret = drill.service.add("young", "--scope", "read", "--audience", API)
            young = drill.token_of("young", secret)
            with caller(api, unknown, house) as call:
                passes(call)
            revoked = (early, late, young, unknown)
            for token in revoked:
                drill.revoke("token", jti_of(token))
            drill.service.command("client", "remove", "gone")
            drill.service.command("client", "rotate-secret", "leaked", "--keep-old", "1h")
            wait_until(lambda: statuses(api, revoked, house) == {401})
            assert statuses(api, [valid], house) == {200}
        drill.lose()
        drill.restore(backup)
        assert 200 not in statuses(api, revoked, house)
        with drill.service.running():
            # The resource server still has the keys of all of them: only the feed can tell it.
            seen: set[int] = set()
            wait_until(
                lambda: seen.update(statuses(api, revoked, house)) or statuses(api, [valid], house) == {401}
            )
            assert seen == {401}
            assert statuses(api, revoked, house) == {401}
            # It fetches the key of the restored service within moments of the first token that has it.
            wait_until(lambda: statuses(api, [drill.token()], house) == {200})
            assert not drill.is_let_in("gone", drill.gone)
            assert not drill.is_let_in("leaked", drill.leaked)


def forged(stolen: Path, kid: str, number: int) -> str:
    """Return a token of this moment that a thief of an audience's keys mints."""
    now = EpochSeconds(int(time.time()))
    grant = Grant(
        aud=API, client_id="billing", exp=EpochSeconds(now + 600), iat=now, jti=f"{number:022}", kid=kid,
        scope="read", sub="billing",
    )  # fmt: skip
    keys = read_key_file(stolen.read_bytes())
    return mint(keys.keys[kid], keys.issuer, grant)


@pytest.mark.parametrize("has_log", [True, False])
def test_a_retired_key_that_was_stolen_forges_nothing(
    drill: Drill, house: House, tmp_path: Path, *, has_log: bool
) -> None:
    """A key that was made and retired since the backup stays retired for a resource server that has it.

    Without the audit log the restored service knows nothing of it, and the resource server still does.
    """
    backup, stolen = tmp_path / "backup", tmp_path / "keys.json"
    with resource_server(tmp_path / "api", following=drill.following) as api:
        with drill.service.running():
            drill.service.command("backup", backup)
            young = drill.token_of_a_younger_key(backup)
            kid = kid_of(young)
            drill.service.export(stolen)
            wait_until(lambda: statuses(api, [young, forged(stolen, kid, 1)], house) == {200})
            drill.service.command("key", "rotate")
            drill.service.command("key", "retire", kid)
            wait_until(lambda: statuses(api, [forged(stolen, kid, 2)], house) == {401})
        drill.lose()
        drill.restore(backup, has_log=has_log)
        with drill.service.running():
            wait_until(lambda: statuses(api, [young], house) == {401})
            time.sleep(3)  # the tokens up to the margin of the restore's own second are revoked
            assert statuses(api, [forged(stolen, kid, 3)], house) == {401}
