"""The audit log of the service: one line for each thing that happened, whole, or the request fails."""

import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from macaroon_cbat.caveats import Method, Scope, confirmation
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.journal.file import journal_to
from macaroon_cbat.minting import attenuate
from macaroon_cbat.service import settings_from_environment
from macaroon_cbat.stores import ClientMetadata
from macaroon_cbat.stores.root_keys import GRACE_SECONDS
from macaroon_cbat.wire import read_macaroon
from tests.service.material import API, SECRETS, Service, grant_of, refused
from tests.service.test_secrets import ask_with_secrets, exercise, spellings
from tests.stores.material import NOW

AT = "2025-12-31T23:00:00Z"
COMMON = {"at": AT, "address": "127.0.0.1"}


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def audited(start, file):
    """Start a service whose audit log is a file."""
    yield start(audit_log=str(file))
    journal_to(None)


def events(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def one(file: Path) -> dict[str, object]:
    """Return the only line since the last look, and empty the file."""
    [found] = events(file)
    os.truncate(file, 0)
    return found


def test_a_minted_token_is_one_line(audited, file):
    """Minting says who got which token, for which audience and scope."""
    token = audited.token(scope="read")
    assert one(file) == COMMON | {
        "event": "token.minted",
        "who": "billing",
        "token_id": grant_of(token).jti,
        "audience": API,
        "scope": "read",
        "endpoint": "/oauth2/token",
        "status": 200,
    }


def test_a_bound_token_names_its_certificate(audited, file, certificate):
    """Minting a bound token says to which certificate."""
    bound = ClientMetadata(scope="read", tls_client_certificate_bound_access_tokens=True)
    audited.stores.clients.add("bound", bound, secret=SECRETS["billing"], now=NOW)
    form = {"grant_type": "client_credentials", "client_id": "bound", "client_secret": SECRETS["billing"]}
    assert audited.open("/oauth2/token", certificate, data=form).status_code == 200
    found = one(file)
    assert (found["who"], found["certificate"]) == ("bound", certificate.thumbprint)


def test_a_refused_token_is_one_line(audited, file, certificate):
    """A refusal says why, and over which certificate it came; who it is only where that was proved."""
    audited.ask_token("billing", certificate, scope="root")
    assert one(file) == COMMON | {
        "event": "token.refused",
        "who": "billing",
        "certificate": certificate.thumbprint,
        "endpoint": "/oauth2/token",
        "status": 400,
        "error": "invalid_scope",
        "reason": "the scope 'root' is not registered for this client",
    }
    form = {"grant_type": "client_credentials", "client_id": "billing", "client_secret": "wrong"}
    audited.open("/oauth2/token", data=form)
    found = one(file)
    assert (found["error"], found["status"], "who" in found) == ("invalid_client", 401, False)


def test_an_introspected_token_is_one_line(audited, file, certificate):
    """Introspection says who asked about which token and what the answer was."""
    token = audited.token()
    os.truncate(file, 0)
    audited.introspect(attenuate(token, [confirmation(certificate.thumbprint)]))
    expected = COMMON | {
        "event": "token.introspected",
        "who": "api",
        "client_id": "billing",
        "token_id": grant_of(token).jti,
        "endpoint": "/oauth2/introspect",
        "status": 200,
    }
    assert one(file) == expected | {"active": True, "certificate": certificate.thumbprint}
    audited.introspect(token, "other-api")
    reason = f"other-api serves none of {(API,)}"
    assert one(file) == expected | {"who": "other-api", "active": False, "reason": reason}


def test_a_token_that_is_not_authentic_has_no_name(audited, file):
    """A forged token's identifier is a stranger's text: it is not shown as a token's name."""
    token = audited.token()
    os.truncate(file, 0)
    audited.introspect(token[:-4] + "AAAA")
    found = one(file)
    assert (found["active"], "token_id" in found, "client_id" in found) == (False, False, False)


def test_a_revoked_token_is_one_line(audited, file):
    """Revoking says who took which token back; a refused revocation says why."""
    token = audited.token()
    os.truncate(file, 0)
    audited.revoke(token, "payroll")
    found = one(file)
    assert (found["event"], found["who"], found["error"]) == ("request.refused", "payroll", "invalid_grant")
    audited.revoke(token)
    assert one(file) == COMMON | {
        "event": "token.revoked",
        "who": "billing",
        "token_id": grant_of(token).jti,
        "audience": API,
        "endpoint": "/oauth2/revoke",
        "status": 200,
    }


def test_what_the_policy_does_to_keys_is_one_line(start, file):
    """A rotation that the service makes by itself, and a key that it retires, are one line each."""
    service = start(audit_log=str(file), key_rotation=86_400)
    service.now += 86_400
    [old] = [one.kid for one in service.stores.root_keys.records() if one.state == "current"]
    service.token()
    [new] = [one.kid for one in service.stores.root_keys.records() if one.state == "current"]
    service.now += 86_400 + GRACE_SECONDS
    service.token()
    journal_to(None)
    found = [(e["event"], e["who"], e["kid"]) for e in events(file) if e["who"] == "policy"]
    assert found[0] == ("key.rotated", "policy", new)
    assert ("key.retired", "policy", old) in found
    assert [kind for kind, _, _ in found] == ["key.rotated", "key.rotated", "key.retired"]


BAD = {
    "an unknown path": lambda s: s.open("/x/y", method="GET"),
    "another method": lambda s: s.open("/oauth2/token", method="PUT"),
    "a body too large": lambda s: s.open("/oauth2/token", data={"a": "x" * 70_000}),
    "another content type": lambda s: s.open("/oauth2/token", json={}),
    "no grant type": lambda s: s.open("/oauth2/token", data={"a": "b"}),
    "a repeated parameter": lambda s: s.open("/oauth2/token", data={"a\nb": ["1", "2"]}),
    "nobody": lambda s: s.open("/oauth2/introspect", data={"token": "x"}),
    "no JSON": lambda s: s.open("/macaroon/inspect", data=b"{", content_type="application/json"),
    "a forged client name": lambda s: s.open(
        "/oauth2/token",
        data={
            "grant_type": "client_credentials",
            "client_id": 'x\n{"event":"token.minted"}","who":"operator',
        },
    ),
    "a long client name": lambda s: s.open(
        "/oauth2/token", data={"grant_type": "client_credentials", "client_id": "\U0001f600" * 5000}
    ),
}


@pytest.mark.parametrize("ask", BAD.values(), ids=BAD)
def test_a_refused_request_is_one_line(audited, file, ask):
    """Whatever is refused leaves exactly one line, which nobody outside can forge, split or swell."""
    answer = ask(audited)
    assert answer.status_code >= 400
    [text] = file.read_text().splitlines()
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 8_000
    found = json.loads(text)
    assert found["event"] in ("token.refused", "request.refused")
    assert (found["status"], "who" in found) == (answer.status_code, False)


def test_nothing_secret_is_in_any_line(audited, file, certificate):
    """No line holds a token, a secret, a key or a signature, after good and bad requests of every kind."""
    audited.stores.root_keys.rotate(NOW)
    token = audited.token()
    exercise(audited, certificate, token)
    ask_with_secrets(audited)
    audited.open("/" + token, method="GET")
    log = file.read_text()
    assert {e["event"] for e in events(file)} >= {"token.minted", "token.refused", "token.revoked"}
    assert all(token[at : at + 24] not in log for at in range(100, len(token) - 24))
    keys = [*(key.secret for key in audited.stores.root_keys.all()), audited.settings.wrapping_key.secret]
    keys += [key.secret for key in audited.keys().keys.values()]
    child = attenuate(token, [Scope("read"), Method("GET")])
    for secret in [*keys, read_macaroon(token).signature, read_macaroon(child).signature]:
        assert not any(text in log for text in spellings(secret))
    assert not any(secret in log for secret in SECRETS.values())


def test_the_file_is_for_its_owner_and_only_grows(audited, file, start):
    """The file is made with mode 0600, and a service that starts again appends to it."""
    audited.token()
    assert file.stat().st_mode & 0o777 == 0o600
    start(audit_log=str(file)).token()
    assert len(events(file)) == 2


def test_a_rotated_file_is_made_anew(audited, file):
    """After logrotate has moved the file, or removed it, lines go to a new one."""
    audited.token()
    file.rename(file.with_suffix(".1"))
    audited.token()
    audited.token()
    assert (len(events(file.with_suffix(".1"))), len(events(file))) == (1, 2)
    file.unlink()
    audited.token()
    assert len(events(file)) == 1
    assert file.stat().st_mode & 0o777 == 0o600


def test_threads_write_whole_lines(audited, file):
    """Requests at once leave one whole line each."""
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda _: audited.token(), range(200)))
    assert sorted(str(e["token_id"]) for e in events(file)) == sorted(grant_of(t).jti for t in tokens)


def unavailable(answer) -> None:
    assert refused(answer, 503, "temporarily_unavailable")
    assert answer.headers["Retry-After"] == "5"


@pytest.fixture
def full(audited) -> Service:
    """Let the disk be full from here on."""
    journal_to("/dev/full")
    return audited


def test_a_full_disk_stops_minting(full, caplog):
    """No token is handed out that the audit log does not have: 503, and the ordinary log says why."""
    answer = full.ask_token()
    unavailable(answer)
    assert "access_token" not in answer.text
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "No space left on device" in record.getMessage()


def test_a_full_disk_stops_revoking(audited, file):
    """A revocation is not acknowledged before it is audited: 503; it holds, and asking again audits it."""
    token = audited.token()
    journal_to("/dev/full")
    unavailable(audited.revoke(token))
    journal_to(str(file))
    os.truncate(file, 0)
    assert audited.revoke(token).status_code == 200
    assert one(file)["event"] == "token.revoked"
    assert audited.introspect(token) == {"active": False}


def test_a_full_disk_stops_nothing_else(audited, caplog):
    """Introspection and refusals go on without an audit log; their lines stand in the ordinary log."""
    token = audited.token()
    journal_to("/dev/full")
    assert audited.introspect(token)["active"] is True
    refused(audited.ask_token(scope="root"), 400, "invalid_scope")
    lines = [r.getMessage() for r in caplog.records if r.name == "macaroon_cbat.journal"]
    assert ["token.introspected" in lines[0], "invalid_scope" in lines[1], len(lines)] == [True, True, 2]


def test_half_a_line_is_taken_back(audited, file):
    """When the disk is full in the middle of a line, nothing of it stays to spoil the next one."""
    import resource
    import signal

    audited.token()
    whole = file.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 50, before[1]))
        answer = audited.post("/macaroon/inspect", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    refused(answer, 415, "invalid_request")
    assert file.read_bytes() == whole
    audited.token()
    assert len(events(file)) == 2


def test_without_a_file_the_ordinary_log_has_the_lines(service, caplog):
    """Unless a file is named, audit lines are ordinary log lines of the logger macaroon_cbat.audit."""
    with caplog.at_level("INFO", "macaroon_cbat"):
        service.token()
    [record] = caplog.records
    assert (record.name, record.levelname) == ("macaroon_cbat.audit", "INFO")
    assert json.loads(record.getMessage())["event"] == "token.minted"


def test_the_deployer_may_route_the_logger(service):
    """Any handler on the logger gets each line."""
    seen: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    logger, handler = logging.getLogger("macaroon_cbat.audit"), Collector()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        service.token()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert [json.loads(line)["event"] for line in seen] == ["token.minted"]


def test_a_file_that_cannot_be_opened_stops_the_start(start, tmp_path):
    """An audit log that cannot be opened is one line at start-up that names the setting."""
    with pytest.raises(SettingsError, match="MACAROON_CBAT_AUDIT_LOG") as caught:
        start(audit_log=str(tmp_path / "missing" / "audit.log"))
    journal_to(None)
    assert "No such file or directory" in str(caught.value)


def test_the_setting_names_the_file(tmp_path):
    """MACAROON_CBAT_AUDIT_LOG names the file."""
    environment = {"MACAROON_CBAT_DATA": str(tmp_path), "MACAROON_CBAT_AUDIT_LOG": "/var/log/audit.log"}
    assert settings_from_environment(environment).audit_log == "/var/log/audit.log"
