"""Text that is no macaroon is an error at the revocation endpoint: a live token may be in it."""

import json
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from urllib.parse import quote

import pytest

from macaroon_cbat.macaroon.caveats import Scope
from macaroon_cbat.macaroon.minting import attenuate
from tests.support.service import refused
from tests.support.token_spellings import padded, post, standard


def broken_at(token: str, text: str) -> str:
    return token[:64] + text + token[64:]


@pytest.mark.parametrize(
    "spelled",
    [
        pytest.param(lambda token: f'"{token}"', id="quoted"),
        pytest.param(lambda token: f"'{token}'", id="in single quotes"),
        pytest.param(lambda token: f"<{token}>", id="in angle brackets"),
        pytest.param(lambda token: json.dumps({"access_token": token}), id="in JSON"),
        pytest.param(lambda token: f"Bearer {token}", id="with its scheme"),
        pytest.param(lambda token: f"Authorization: Bearer {token}", id="with its header"),
        pytest.param(lambda token: f"DPoP {token}", id="with another scheme"),
        pytest.param(lambda token: broken_at(token, "\n  "), id="wrapped and indented"),
        pytest.param(lambda token: broken_at(token, "\x0b"), id="a vertical tab inside"),
        pytest.param(lambda token: broken_at(token, "\u200b"), id="a zero-width space inside"),
        pytest.param(lambda token: f"\ufeff{token}", id="a byte order mark before"),
        pytest.param(lambda token: f"{token};", id="a semicolon after"),
        pytest.param(lambda token: f"{token}.", id="a full stop after"),
        pytest.param(lambda token: f"{token}....", id="full stops after"),
        pytest.param(lambda token: f"{token},", id="a comma after"),
        pytest.param(lambda token: f"{token} {token}", id="two, a space between"),
        pytest.param(lambda token: f"{token}\n{token}", id="two, a line end between"),
        pytest.param(lambda token: urlsafe_b64decode(padded(token)).hex(), id="hex"),
        pytest.param(lambda token: b64encode(token.encode()).decode(), id="base64 of the text"),
        pytest.param(lambda token: urlsafe_b64encode(token.encode()).decode().rstrip("="), id="base64url"),
        pytest.param(lambda token: quote(padded(token), safe=""), id="encoded twice"),
        pytest.param(lambda token: token[:-1], id="cut off"),
        pytest.param(lambda token: token[1:], id="without its first letter"),
        pytest.param(lambda token: token.swapcase(), id="the case lost"),
        pytest.param(lambda token: f"{token}A", id="a letter after"),
        pytest.param(lambda token: f"{token}AAAA", id="four letters after"),
    ],
)  # fmt: skip
def test_what_is_no_token_is_an_error(service, spelled):
    """Text that may hold a live token and is none itself is an error that says so, never a 200."""
    token = service.token()
    child = attenuate(token, [Scope("read")])
    description = refused(service.revoke(spelled(child)), 400, "invalid_request")
    assert "send the bare token" in description
    assert child[:24] not in description
    assert service.introspect(token)["active"] is True


def test_standard_base64_that_lost_its_last_plus_is_an_error(service):
    """An unencoded + at the end is white space, which is no part of a token: an error."""
    token = next(one for one in iter(service.token, None) if standard(one).endswith("+"))
    refused(post(service, f"token={standard(token)}".encode()), 400, "invalid_request")
    assert service.introspect(token)["active"] is True
