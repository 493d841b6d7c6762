"""The refusals that the chapter `401` shows: each is really produced here.

`.venv/bin/python -m tests.support.guide_samples` writes them into the chapters anew.
"""

import logging
import re
import sys
import time
import tomllib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from werkzeug.test import TestResponse

from macaroon_cbat import Forwarded, thumbprint_of, trusted_proxies
from macaroon_cbat.audit import log as audit_log
from macaroon_cbat.audit.loggers import forget_floods
from macaroon_cbat.certificate.file import der_of
from macaroon_cbat.macaroon.caveats import (
    Access,
    Audience,
    ClientAddress,
    Expiry,
    Method,
    NotBefore,
    PathPrefix,
    Scope,
    TargetUri,
    confirmation,
)
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.keys import RootKey, audience_key, write_key_file
from macaroon_cbat.macaroon.minting import add_third_party_caveat
from macaroon_cbat.macaroon.revocation import Revocations
from macaroon_cbat.macaroon.verification import Principal, verify
from tests.support.command_line import call as command
from tests.support.guarded_app import call, make_app
from tests.support.guide import CHAPTERS
from tests.support.service import Service, basic, make_database, settings_in
from tests.support.tokens import (
    API,
    GRANT,
    ISSUER,
    KEYS,
    NOW,
    OTHER_API,
    ROOT,
    appended,
    came_from,
    token,
    token_revocation,
)

VECTORS = Path(__file__).parents[1] / "vectors"
PEM = tomllib.loads((VECTORS / "published-rfc8705-appendix-a.toml").read_text())["pem"]
CERTIFICATE = der_of(PEM.encode())
BOUND = confirmation(thumbprint_of(CERTIFICATE))
OTHER_PEM = tomllib.loads((VECTORS / "certificates/published-rfc9440-appendix-a.toml").read_text())["pem"]
THIEF = der_of(OTHER_PEM.encode())
ADDRESS = "192.0.2.7"

Text = Callable[[int], str | None]
"""Makes the token that a client presents at this second."""


def bound(*caveats: Any, **changes: Any) -> Text:
    """Return an honest token that is bound to CERTIFICATE, minted at the second that it is made for."""
    return lambda now: token(BOUND, *caveats, **{"iat": now, "exp": now + 600, **changes})


def later(now: int) -> str:
    return token(BOUND, Expiry(EpochSeconds(now - 3600)), iat=now - 4000, exp=now + 600)


def early(now: int) -> str:
    return token(BOUND, NotBefore(EpochSeconds(now + 3600)), iat=now, exp=now + 600)


class RevokingVerifier:
    """A verifier of a deployer's own that knows the one token of these samples to be revoked."""

    issuer, audience = ISSUER, API

    def verify(self, text: str, access: Access, *, require_certificate: bool) -> Principal:
        """Return the principal, or raise InvalidToken."""
        revoked = Revocations([token_revocation(GRANT.jti)])
        return verify(text, KEYS, access, require_certificate=require_certificate, revocations=revoked)


@dataclass(frozen=True)
class Refusal:
    """One request that a guard refuses, and the options by which `token verify` says the same."""

    text: Text
    asked: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] | None = ("--cert", "holder.pem")
    """None where `token verify` cannot show it."""


ROTATED = audience_key(RootKey("k2", bytes(32)), API)
ELSEWHERE = audience_key(ROOT, OTHER_API)
BEHIND = {"certificate_source": Forwarded("nginx", trust=trusted_proxies([ADDRESS]))}
SHOWN = b64encode(CERTIFICATE).decode()

REFUSALS = {
    "missing": Refusal(lambda _: None, options=None),
    "malformed": Refusal(lambda now: f"{bound()(now)}="),
    "another-audience": Refusal(lambda now: token(BOUND, key=ELSEWHERE, iat=now, aud=OTHER_API)),
    "unknown-key": Refusal(lambda now: token(BOUND, key=ROTATED, iat=now, kid="k2")),
    "signature": Refusal(lambda now: f"{str(bound()(now))[:-4]}AAAA"),
    "revoked": Refusal(bound(), settings={"verifier": RevokingVerifier()}, options=None),
    "expired": Refusal(later),
    "not-yet": Refusal(early),
    "no-certificate": Refusal(bound(), {"certificate": None}, options=()),
    "another-certificate": Refusal(bound(), {"certificate": THIEF}, options=("--cert", "other.pem")),
    "unbound": Refusal(lambda now: token(iat=now, exp=now + 600)),
    "aud": Refusal(bound(Audience(OTHER_API))),
    "htm": Refusal(bound(Method("POST")), options=("--cert", "holder.pem", "--method", "GET")),
    "htu": Refusal(
        bound(TargetUri(f"{API}/orders")), options=("--cert", "holder.pem", "--url", f"{API}/invoices")
    ),
    "path": Refusal(
        bound(PathPrefix("/orders")), options=("--cert", "holder.pem", "--url", f"{API}/invoices")
    ),
    "ip": Refusal(bound(ClientAddress("10.0.0.0/8")), options=("--cert", "holder.pem", "--address", ADDRESS)),
    "scope-empty": Refusal(bound(Scope("write"), Scope("read"))),
    "scope-missing": Refusal(bound(Scope("write")), options=("--cert", "holder.pem", "--scope", "read")),
    "unknown-caveat": Refusal(lambda now: appended(str(bound()(now)), b'{"color":"blue"}')),
    "discharge": Refusal(
        lambda now: add_third_party_caveat(
            str(bound()(now)), "https://login.example", b"its discharge key, 32 bytes long", "ask-it"
        )
    ),
    "two-headers": Refusal(bound(), {"headers": [("Authorization", "Bearer another")]}, options=None),
    "ambiguous": Refusal(
        bound(),
        {"headers": [("Clientcert", "a"), ("Clientcertverify", "NONE")]},
        BEHIND,
        options=None,
    ),
    "ignored": Refusal(
        bound(),
        {"certificate": None, "headers": [("Clientcert", SHOWN), ("Clientcertverify", "SUCCESS")]},
        {"certificate_source": Forwarded("nginx", trust=trusted_proxies(["10.0.0.7"]))},
        options=None,
    ),
    "proxy-silent": Refusal(bound(), settings=BEHIND, options=None),
}


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
    return made


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
