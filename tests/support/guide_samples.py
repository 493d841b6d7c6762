"""The refusals that the chapter `401` shows: each is really produced here.

`.venv/bin/python -m tests.support.guide_samples` writes them into the chapters anew.
"""

import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from werkzeug.test import TestResponse

from macaroon_cbat import thumbprint_of
from macaroon_cbat.audit import log as audit_log
from macaroon_cbat.audit.loggers import forget_floods
from macaroon_cbat.macaroon.keys import write_key_file
from tests.support.command_line import call as command
from tests.support.guarded_app import call, make_app
from tests.support.guide import CHAPTERS
from tests.support.guide_refusals import (
    ADDRESS,
    BOUND,
    CERTIFICATE,
    OTHER_PEM,
    PEM,
    REFUSALS,
    THIEF,
    Refusal,
    bound,
    later,
)
from tests.support.service import Service, basic, make_database, settings_in
from tests.support.tokens import API, GRANT, KEYS, NOW, came_from


def samples() -> dict[str, str]:
    """Return the text of each generated block, by its name."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        made = {f"401:{kind}": _refused(refusal, folder) for kind, refusal in REFUSALS.items()}
        return made | {
            "401:plain": _in_plain_words(),
            "401:hidden": _hidden(),
            **_of_the_service(folder),
        }


def generated(document: str, made: Mapping[str, str]) -> str:
    """Return the text of a document with each generated block as it must be."""
    return re.sub(
        r"^```(\S+) (\S+)\n.*?^```$",
        lambda fence: f"```{fence[1]} {fence[2]}\n{made[fence[2]]}```",
        document,
        flags=re.DOTALL | re.MULTILINE,
    )


@contextmanager
def _lines(name: str, level: int = logging.INFO) -> Iterator[list[str]]:
    """Collect what a logger says, as its own handler gets it."""
    found: list[str] = []
    log, handler = logging.getLogger(name), logging.Handler()
    handler.emit = lambda record: found.append(f"{_level(record)}{record.getMessage()}")  # type: ignore[method-assign]
    before, propagates = log.level, log.propagate
    audit_log.forget_refusals()
    forget_floods()
    log.addHandler(handler)
    log.setLevel(level)
    log.propagate = False
    try:
        yield found
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
        log.propagate = propagates


def _level(record: logging.LogRecord) -> str:
    return "" if record.name == "macaroon_cbat.audit" else f"{record.levelname} {record.name}: "


def _refused(refusal: Refusal, folder: Path) -> str:
    app = make_app(**refusal.settings)
    with _lines("macaroon_cbat.audit") as audit, _lines("macaroon_cbat.resource") as ordinary:
        asked = {"certificate": CERTIFICATE, **refusal.asked}
        answer = call(app, refusal.text(NOW), **asked)
    lines = audit or ordinary
    return _shown(answer, lines, None if refusal.options is None else _verified(refusal, folder))


def _verified(refusal: Refusal, folder: Path) -> str:
    """Return what `token verify` says of the same token, made for this moment."""
    (folder / "holder.pem").write_text(PEM)
    (folder / "other.pem").write_text(OTHER_PEM)
    (folder / "keys.json").write_bytes(write_key_file(KEYS))
    (folder / "keys.json").chmod(0o600)
    assert refusal.options is not None
    options = [str(folder / word) if word.endswith(".pem") else word for word in refusal.options]
    text = refusal.text(int(time.time()))
    known = ("--keys", folder / "keys.json", "--audience", API)
    done = command("token", "verify", *known, *options, stdin=str(text))
    assert done.exit_code == 1, done.output
    # It was verified at this very moment: show the moments of the other lines.
    said = re.sub(r"\b3[56]\d\d s\b", "3600 s", done.stdout.strip())
    return re.sub(r"\bat \d{10}\b", f"at {NOW - 3600}", said)


def _shown(answer: TestResponse, lines: list[str], verified: str | None) -> str:
    body = answer.json
    assert body is not None
    rows = [f"client: {answer.status_code} {body['error']}: {body['error_description']}"]
    rows += [f"log:    {line}" for line in lines]
    rows += [] if verified is None else [f"verify: {verified}"]
    return "\n".join(rows) + "\n"


def _in_plain_words() -> str:
    """Return the warning of a guard in an application that keeps no audit lines."""
    log = logging.getLogger("macaroon_cbat.audit")
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        with _lines("macaroon_cbat.resource", logging.WARNING) as lines:
            call(make_app(), later(NOW), certificate=CERTIFICATE)
    finally:
        log.setLevel(before)
    return "\n".join(lines) + "\n"


def _hidden() -> str:
    """Return what a server that shows no certificates says: waitress, which speaks plain HTTP."""
    with _lines("macaroon_cbat.resource") as lines:
        headers = {"Authorization": f"Bearer {bound()(NOW)}"}
        client = make_app().test_client()
        answer = client.get("/invoices", headers=headers, environ_overrides=came_from(ADDRESS))
    return _shown(answer, lines, None)


def _of_the_service(folder: Path) -> dict[str, str]:
    settings = settings_in(folder)
    make_database(settings.database_url)
    service = Service(folder, settings)
    form = {"grant_type": "client_credentials", "scope": "read"}
    asked: dict[str, Callable[[], Any]] = {
        "401:unknown-client": lambda: service.open(
            "/oauth2/token", data=form, headers={"Authorization": basic("nonsuch", "x" * 20)}
        ),
        "401:wrong-secret": lambda: service.open(
            "/oauth2/token", data=form, headers={"Authorization": basic("billing", "x" * 20)}
        ),
        "401:inactive": lambda: service.introspect(
            service.minted(BOUND, jti=GRANT.jti), client_certificate=thumbprint_of(THIEF)
        ),
    }
    made = {}
    for name, ask in asked.items():
        with _lines("macaroon_cbat.audit") as lines:
            answer = ask()
        rows = [f"log:    {line}" for line in lines if "introspected" in line or "refused" in line]
        if not isinstance(answer, dict):
            rows = _shown(answer, [], None).splitlines() + rows
        made[name] = "\n".join(rows) + "\n"
    with _lines("macaroon_cbat.audit") as lines:
        service.token("billing", resource=API, scope="read")
    [line] = [line for line in lines if "token.minted" in line]
    made["audit:minted"] = re.sub(r'("token_id":")[^"]+', rf"\g<1>{GRANT.jti}", line) + "\n"
    service.close()
    shown = r"\g<1>0123456789abcdef"  # each request has another one
    return {name: re.sub(r'("request_id":")[^"]+', shown, text) for name, text in made.items()}


def main() -> None:
    """Write every generated block of the guide anew."""
    made = samples()
    for chapter in CHAPTERS:
        before = chapter.read_text()
        after = generated(before, made)
        if after != before:
            chapter.write_text(after)
            sys.stdout.write(f"{chapter.name} is written anew\n")


if __name__ == "__main__":
    main()
