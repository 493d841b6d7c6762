"""Every answer of the revocation endpoint that says 200 has taken effect, or the token was inactive."""

from base64 import b64decode, b64encode

import pytest
from pymacaroons import Macaroon as TheirMacaroon

from macaroon_cbat.macaroon.caveats import Expiry, Scope, confirmation
from macaroon_cbat.macaroon.minting import attenuate
from tests.support.databases import NOW
from tests.support.service import (
    refused,
)
from tests.support.token_spellings import padded, post, standard

INACTIVE = {"active": False}
MULTIPART = '--b\r\nContent-Disposition: form-data; name="token"\r\n\r\n{}\r\n--b--\r\n'
HINTS = ("macaroon", "pop_token", "id_token", "access_token refresh_token", "0", "é", "x" * 2000)


def accepted(answer) -> None:
    assert (answer.status_code, answer.json) == (200, {}), answer.text


def third_party(token: str) -> str:
    """Return the child with a caveat that another service would have to discharge."""
    macaroon = TheirMacaroon.deserialize(token)
    macaroon.add_third_party_caveat("https://other.example", "k" * 32, "who is it?")
    return macaroon.serialize().rstrip("=")


@pytest.mark.parametrize("hint", HINTS, ids=lambda hint: hint[:20])
def test_any_hint_is_ignored(service, hint):
    """A hint of any kind is ignored: the token is taken back (RFC 7009 2.1, 2.2)."""
    token = service.token()
    accepted(service.revoke(token, token_type_hint=hint))
    assert service.introspect(token) == INACTIVE


@pytest.mark.parametrize("endpoint", ["revoke", "introspect"])
@pytest.mark.parametrize(
    "hints", ["a=1&", "token_type_hint=&", "token_type_hint=macaroon&token_type_hint=x&"]
)
def test_several_hints_are_ignored(service, endpoint, hints):
    """Hints that repeat, and unknown parameters, keep no token from its revocation or its answer."""
    token = service.token()
    answer = post(service, f"{hints}token={token}".encode(), f"/oauth2/{endpoint}")
    assert answer.status_code == 200
    assert service.introspect(token) == ({"active": False} if endpoint == "revoke" else answer.json)


@pytest.mark.parametrize(
    "spelled",
    [
        pytest.param(lambda token: f" {token}", id="a space before"),
        pytest.param(lambda token: f"{token}\n", id="the newline of a file"),
        pytest.param(lambda token: f"\t{token} \r\n", id="white space around"),
        pytest.param(lambda token: f"{token[:64]}\r\n{token[64:]}", id="wrapped"),
        pytest.param(padded, id="padded"),
        pytest.param(standard, id="standard base64"),
    ],
)
def test_another_spelling_of_a_token_takes_it_back(service, spelled):
    """A token that was spelled, wrapped or encoded otherwise on its way is taken back all the same."""
    token = service.token()
    child = attenuate(token, [Scope("read")])
    assert len(child) % 4, "padding would add nothing"
    accepted(service.revoke(spelled(child)))
    assert service.introspect(token) == INACTIVE


def test_standard_base64_whose_plus_became_a_space_takes_the_token_back(service):
    """A form turns an unencoded + into a space: the token is taken back, unless the space is at its end."""
    tokens = iter(service.token, None)
    token = next(one for one in tokens if "+" in standard(one) and not standard(one).endswith("+"))
    accepted(post(service, f"token={standard(token)}".encode()))
    assert service.introspect(token) == INACTIVE


@pytest.mark.parametrize("caveat", ["own", "bound", "expired", "unreadable"])
def test_a_child_with_any_caveat_takes_the_token_back(service, certificate, caveat):
    """A child revokes its token, whatever was appended to it: caveats are not judged here."""
    token = service.token()
    children = {
        "own": third_party(token),
        "bound": attenuate(token, [confirmation(certificate.thumbprint)]),
        "expired": attenuate(token, [Expiry(NOW - 1)]),
        "unreadable": b64_appended(token),
    }
    accepted(service.revoke(children[caveat]))
    assert service.introspect(token) == INACTIVE


def b64_appended(token: str) -> str:
    macaroon = TheirMacaroon.deserialize(token)
    macaroon.add_first_party_caveat("nothing that a verifier knows")
    return macaroon.serialize().rstrip("=")


def test_a_third_party_caveat_in_the_middle_takes_the_token_back(service):
    """A chain with a third-party caveat is followed to its end."""
    token = service.token()
    accepted(service.revoke(attenuate(third_party(token), [Expiry(NOW + 60)])))
    assert service.introspect(token) == INACTIVE


def test_a_broken_chain_with_a_third_party_caveat_revokes_nothing(service):
    """A signature that does not follow revokes nothing, with a third-party caveat as without."""
    token = service.token()
    raw = bytearray(b64decode(standard(third_party(token))))
    raw[-1] ^= 1
    accepted(service.revoke(b64encode(raw).decode()))
    assert service.introspect(token)["active"] is True


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", '{{"token":"{}"}}'),
        ("text/plain", "token={}"),
        ("multipart/form-data; boundary=b", MULTIPART),
        ("", "token={}"),
    ],
    ids=["JSON", "text", "multipart", "no type"],
)  # fmt: skip
def test_another_kind_of_body_is_refused(service, content_type, body):
    """A body that is no form is an error, never a 200 that did nothing."""
    token = service.token()
    refused(post(service, body.format(token).encode(), content_type=content_type), 400, "invalid_request")
    assert service.introspect(token)["active"] is True


@pytest.mark.parametrize(
    ("method", "query", "body", "status"),
    [
        ("GET", "?token={}", "", 405),
        ("DELETE", "?token={}", "", 405),
        ("PUT", "", "token={}", 405),
        ("POST", "?token={}", "", 400),
        ("POST", "?x=1", "token={}", 400),
        ("POST", "", "token=", 400),
        ("POST", "", "", 400),
        ("POST", "", "Token={}", 400),
        ("POST", "", "access_token={}", 400),
        ("POST", "", "token={0}&token={0}", 400),
    ],
)
def test_a_token_in_another_place_is_an_error(service, method, query, body, status):
    """A request whose token is not where RFC 7009 2.1 has it is an error, never a 200 that did nothing."""
    token = service.token()
    path = "/oauth2/revoke" + query.format(token)
    answer = post(service, body.format(token).encode(), path, method=method)
    assert answer.status_code == status, answer.text
    assert service.introspect(token)["active"] is True


def test_a_token_with_its_discharges_is_taken_back(service):
    """A token that is sent with its discharges, as some holders keep it, is taken back."""
    token, discharge = service.token(), service.minted(use="discharge")
    accepted(service.revoke(f"{third_party(token)},{discharge}"))
    assert service.introspect(token) == INACTIVE


def test_of_several_tokens_all_are_taken_back_or_none(service):
    """Tokens in a list are all taken back; with another client's among them none is."""
    one, other, another_s = service.token(), service.token(), service.token("payroll")
    refused(service.revoke(f"{one},{another_s}"), 400, "invalid_grant")
    assert service.introspect(one)["active"] is True
    accepted(service.revoke(f"{one}, {other}"))
    assert [service.introspect(token) for token in (one, other)] == [INACTIVE] * 2


@pytest.mark.parametrize(("others", "status"), [(16, 200), (17, 400), (30, 400)])
def test_a_long_list_is_refused_or_taken_back(service, others, status):
    """A list that is too long is an error, never a 200 that left its end alive."""
    token = service.token()
    discharge = service.minted(use="discharge")
    answer = service.revoke(",".join([discharge] * others + [token]))
    assert answer.status_code == status
    assert service.introspect(token)["active"] is (status == 400)


@pytest.mark.parametrize("client", ["payroll", "api", "knowing-api", "reporting"])
def test_another_s_token_is_not_said_to_be_revoked(service, client):
    """A client or resource server that does not own the token is told so; the token lives (RFC 7009 2.1)."""
    token = service.token()
    refused(service.revoke(third_party(token), client), 400, "invalid_grant")
    refused(service.revoke(f"{token}\n", client), 400, "invalid_grant")
    assert service.introspect(token)["active"] is True
