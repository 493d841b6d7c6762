"""The audit log as a file: whole lines for its owner, or the request fails."""

import json
import logging
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service import settings_from_environment
from tests.support.audit_events import events, one
from tests.support.file_limits import files_limited_to
from tests.support.service import Service, grant_of, refused


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
    write_log_to("/dev/full")
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
    write_log_to("/dev/full")
    unavailable(audited.revoke(token))
    write_log_to(str(file))
    os.truncate(file, 0)
    assert audited.revoke(token).status_code == 200
    assert one(file)["event"] == "token.revoked"
    assert audited.introspect(token) == {"active": False}


def test_a_full_disk_stops_nothing_else(audited, caplog):
    """Introspection and refusals go on without an audit log; their lines stand in the ordinary log."""
    token = audited.token()
    write_log_to("/dev/full")
    assert audited.introspect(token)["active"] is True
    refused(audited.ask_token(scope="root"), 400, "invalid_scope")
    lines = [r.getMessage() for r in caplog.records if r.name == "macaroon_cbat.audit_log"]
    assert ["token.introspected" in lines[0], "invalid_scope" in lines[1], len(lines)] == [True, True, 2]


def test_half_a_line_is_taken_back(audited, file):
    """A line cut short by a full disk leaves nothing that could spoil the next one."""
    audited.token()
    whole = file.read_bytes()
    with files_limited_to(len(whole) + 50):
        answer = audited.post("/macaroon/inspect", {})
    refused(answer, 415, "invalid_request")
    assert file.read_bytes() == whole
    audited.token()
    assert len(events(file)) == 2


def test_a_disk_that_fills_up_gives_no_token_without_its_line(audited, file):
    """Of requests at once on a disk that fills up, exactly those get a token whose lines are in the file."""
    audited.token()
    room = file.stat().st_size
    with files_limited_to(9 * room + room // 2), ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: audited.ask_token(), range(24)))
    tokens = [answer.json["access_token"] for answer in answers if answer.status_code == 200]
    assert Counter(answer.status_code for answer in answers) == {200: 8, 503: 16}
    assert sorted(str(e["token_id"]) for e in events(file)[1:]) == sorted(grant_of(t).jti for t in tokens)


def test_without_a_file_the_ordinary_log_has_the_lines(service, caplog):
    """Unless a file is named, audit lines are ordinary log lines of the logger macaroon_cbat.audit.event."""
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
    write_log_to(None)
    assert "No such file or directory" in str(caught.value)


def test_a_pipe_without_a_reader_is_waited_for_by_none(audited, start, file, tmp_path):
    """A pipe that no process reads stops the start, and a request after a rotation, in place of a wait."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    pipe.rename(file)
    unavailable(audited.ask_token())
    with pytest.raises(SettingsError, match="no process reads this pipe"):
        start(audit_log=str(file))
    write_log_to(None)


def test_the_setting_names_the_file(tmp_path):
    """MACAROON_CBAT_AUDIT_LOG names the file."""
    environment = {"MACAROON_CBAT_DATA": str(tmp_path), "MACAROON_CBAT_AUDIT_LOG": "/var/log/audit.log"}
    assert settings_from_environment(environment).audit_log == "/var/log/audit.log"
