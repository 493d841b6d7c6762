"""The bad tokens of the issue: each is 401 invalid_token, one log line that names the reason, never a 500."""

import pytest
from flask import Flask

from tests.support.guarded_app import bound, call, parameters
from tests.support.tokens import CERTIFICATE, GRANT, packet, signed, to_binary, to_text

HONEST = bound()
CLIENT = next(name for name in ("a", "ab", "abc") if len(bound(client_id=name)) % 4 == 3)
CONFIRMING = b'{"cnf":{"x5t#S256":"%s"}}' % CERTIFICATE.encode()
HEX = bytes.fromhex("00" * 32).hex().encode()


def confirming(value: bytes) -> bytes:
    return b'{"cnf":{"x5t#S256":%s}}' % value


WIRE = {
    "empty": ("", "truncated"),
    "truncated by a character": (HONEST[:-1], "truncated"),
    "truncated by four": (HONEST[:-4], "signature of 32 bytes"),
    "half of it": (HONEST[: len(HONEST) // 2 // 4 * 4], "truncated"),
    "its first four characters": (HONEST[:4], "truncated"),
    "trailing bytes": (to_text(to_binary(HONEST) + b"\0"), "signature of 32 bytes"),
    "twice": (to_text(to_binary(HONEST) * 2), "signature of 32 bytes"),
    "padding": (HONEST + "=" * (-len(HONEST) % 4 or 4), "base64"),
    "spare bits": (bound(client_id=CLIENT)[:-1] + "_", "spare bits"),
    "a space in it": (HONEST[:40] + " " + HONEST[40:], "base64"),
    "a stray character": (HONEST[:40] + "!" + HONEST[41:], "base64"),
    "standard base64": (to_text(b"\2" + packet(2, b"\xfb\xff") + b"\0\0").replace("_", "/"), "base64"),
    "beyond ASCII": (HONEST[:40] + "\xe9" + HONEST[41:], "base64"),
    "9,000 characters": ("A" * 9_000, "9000 characters"),
    "8,001 characters": ("A" * 8_001, "8001 characters"),
    "101 caveats": (signed(CONFIRMING, *[b'{"exp":1}'] * 100), "more than 100 caveats"),
    "version 1": (to_text(b"0018location here\n"), "not a version 2 macaroon"),
    "JSON": ('{"v":2,"i":"x","s64":"x"}', "base64"),
    "a JWT": ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "base64"),
    "another issuer's identifier": (signed(CONFIRMING, identifier=b"we used our secret key"), "identifier"),
    "an identifier of bytes": (signed(CONFIRMING, identifier=bytes(range(256))), "identifier"),
    "an identifier nested deeply": (signed(CONFIRMING, identifier=b"[" * 3000), "identifier"),
}
CAVEATS = {
    "not JSON": (b"time < 2026", "malformed caveat"),
    "an empty text": (b"", "malformed caveat"),
    "a JSON array": b'["exp"]',
    "not UTF-8": b'{"scope":"\xff"}',
    "a second member unknown": (b'{"exp":1767225600,"x":1}', "unknown caveat 'x'"),
    "a repeated key": b'{"exp":1767225600,"exp":1767225600}',
    "an unknown name": (b'{"account":7}', "unknown caveat"),
    "a name in other letters": (b'{"EXP":1767225600}', "unknown caveat"),
    "a trailing comma": (b'{"exp":1767225600,}', "trailing comma"),
    "the same key, escaped": (b'{"exp":1767225600,"\\u0065xp":1767225600}', "repeats the key 'exp'"),
    "text for a number": b'{"exp":"1767225600"}',
    "a fraction": b'{"exp":1767225600.5}',
    "a negative number": b'{"exp":-1}',
    "a number beyond all": b'{"exp":' + b"9" * 400 + b"}",
    "null": b'{"scope":null}',
    "an empty scope": b'{"scope":""}',
    "an array for a scope": b'{"scope":["read"]}',
    "nested deeply": b'{"cnf":' + b"[" * 2000,
    "cnf without a thumbprint": b'{"cnf":{}}',
    "cnf that is text": confirming(b'"x"')[:7] + b'"x"}',
    "cnf with a second member": b'{"cnf":{"x5t#S256":"%s","jkt":"x"}}' % CERTIFICATE.encode(),
    "cnf of another kind": b'{"cnf":{"kid":"%s"}}' % CERTIFICATE.encode(),
    "a thumbprint in hex": confirming(b'"%s"' % HEX),
    "a thumbprint with padding": confirming(b'"%s="' % CERTIFICATE.encode()),
    "a thumbprint too short": confirming(b'"%s"' % CERTIFICATE[:-1].encode()),
    "a thumbprint with spare bits": confirming(b'"%s"' % (CERTIFICATE[:-1] + "9").encode()),
    "a thumbprint that is null": confirming(b"null"),
    "a line break in a name": b'{"cnf":{"x\\nrefused GET":"x"}}',
    "terminal control in a name": b'{"cnf":{"x\\u001b[2J\\u202e":"x"}}',
}


def judge(app: Flask, log: pytest.LogCaptureFixture, text: str, reason: str) -> None:
    """Present the token over the honest connection; it must be refused, and logged, as the issue says."""
    response = call(app, text.encode().decode("latin-1") if not text.isascii() else text)
    assert response.status_code == 401
    assert response.json is not None
    assert response.json["error"] == parameters(response)["error"] == "invalid_token"
    lines = [record.getMessage() for record in log.records]
    assert len(lines) == 1
    assert reason in lines[0]
    assert lines[0].isprintable()
    signature = text[-43:]
    assert len(signature) < 43 or signature not in log.text + response.text
    assert len(text) < 60 or text[:60] not in log.text + response.text


@pytest.mark.parametrize(("text", "reason"), WIRE.values(), ids=WIRE)
def test_text_that_is_no_token(app: Flask, log: pytest.LogCaptureFixture, text: str, reason: str):
    """Text that is not the one spelling of a macaroon is 401, and the log names the reason."""
    judge(app, log, text, reason)


@pytest.mark.parametrize("case", CAVEATS.values(), ids=CAVEATS)
def test_a_caveat_that_is_none(app: Flask, log: pytest.LogCaptureFixture, case: bytes | tuple[bytes, str]):
    """An authentic macaroon with one caveat that is none is 401, though everything else in it is met."""
    text, reason = case if isinstance(case, tuple) else (case, "caveat")
    judge(app, log, signed(CONFIRMING, text), reason)


def test_a_thumbprint_in_the_other_case(app: Flask, log: pytest.LogCaptureFixture):
    """A thumbprint with one letter in the other case is another thumbprint."""
    at = next(i for i, c in enumerate(CERTIFICATE) if c.isalpha())
    changed = CERTIFICATE[:at] + CERTIFICATE[at].swapcase() + CERTIFICATE[at + 1 :]
    judge(app, log, signed(confirming(b'"%s"' % changed.encode())), "bound to certificate")


def test_a_hundred_caveats_are_not_too_many(app: Flask):
    """The limit is 100 caveats, not 99."""
    assert call(app, signed(CONFIRMING, *[b'{"exp":%d}' % GRANT.exp] * 99)).status_code == 200


def test_a_line_break_in_an_identifier_is_one_log_line(app: Flask, log: pytest.LogCaptureFixture):
    """An attacker who has no token at all cannot write a log line of his own either."""
    judge(app, log, signed(identifier=b'{"x\\n2026 refused none":1}'), "identifier")


def test_a_third_party_caveat_needs_its_discharge(app: Flask, log: pytest.LogCaptureFixture):
    """A third-party caveat without a discharge is refused."""
    data = to_binary(HONEST)
    caveat = packet(1, b"https://third.example") + packet(2, b"id") + packet(4, bytes(72)) + b"\0"
    third = data[:-35] + caveat + data[-35:]
    judge(app, log, to_text(third), "does not follow")


@pytest.mark.parametrize("path", ["/invoices\r2026 refused none", "/invoices\x1b[2J", "/invoices\u2028"])
def test_a_strange_path_is_one_log_line(app: Flask, log: pytest.LogCaptureFixture, path: str):
    """A path with control characters is shown escaped."""
    app.add_url_rule("/<path:any>", "any", app.view_functions["files"])
    call(app, "rubbish", path="/", environ={"PATH_INFO": path.encode().decode("latin-1")})
    assert [record.getMessage().isprintable() for record in log.records] == [True]
