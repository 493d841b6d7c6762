"""Malformed input of administration: it is refused, and changes nothing."""

import pytest

from tests.support.administrator import CLIENTS, NEW, REVOCATIONS, administrator, state
from tests.support.service import refused


@pytest.fixture
def ops(service, certificate):
    """Return what asks as an administrator."""
    return administrator(service, certificate)


HEX = "a" * 64
THUMBPRINT = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(HEX, id="hex"),
        pytest.param(HEX.upper(), id="hex in capitals"),
        pytest.param(":".join([HEX[:2]] * 32), id="hex with colons"),
        pytest.param(THUMBPRINT.upper(), id="capitals"),
        pytest.param(THUMBPRINT.lower(), id="small letters"),
        pytest.param(THUMBPRINT + "=", id="padded"),
        pytest.param(THUMBPRINT[:-1] + "1", id="spare bits set"),
        pytest.param("+/" + THUMBPRINT[2:], id="the other base64"),
        pytest.param(" " + THUMBPRINT, id="space"),
        pytest.param(THUMBPRINT + "\n", id="line end"),
    ],
)
def test_a_thumbprint_has_one_spelling(ops, value):
    """A thumbprint in any but its canonical spelling is refused, and revokes nothing."""
    before = state(ops.service)
    answer = ops("POST", REVOCATIONS, json={"kind": "certificate", "value": value})
    assert "thumbprint" in refused(answer, 400, "invalid_request")
    assert state(ops.service) == before


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(THUMBPRINT.upper(), id="capitals"),
        pytest.param(THUMBPRINT.lower(), id="small letters"),
        pytest.param(THUMBPRINT[:-1].lower() + "z", id="small letters, the last one of no thumbprint"),
    ],
)
def test_a_thumbprint_that_lost_its_case_is_told(ops, value):
    """An operator whose thumbprint lost its letter case learns that, and not that it is malformed."""
    answer = ops("POST", REVOCATIONS, json={"kind": "certificate", "value": value})
    assert "has lost its letter case" in refused(answer, 400, "invalid_request")


def test_a_token_is_named_by_its_id(ops):
    """The text of a token never gets into the revocations: a token is named by its jti."""
    before = state(ops.service)
    for value in (ops.service.token()[:255], "short", "x" * 23):
        answer = ops("POST", REVOCATIONS, json={"kind": "token", "value": value})
        assert "jti" in refused(answer, 400, "invalid_request")
    assert state(ops.service) == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"kind": "client"}',
        b'{"kind": "client", "value": ""}',
        b'{"kind": "client", "value": 7}',
        b'{"kind": "client", "value": "a\\u0000b"}',
        b'{"kind": "client", "value": "' + b"x" * 256 + b'"}',
        b'{"kind": "everything", "value": "x"}',
        b'{"kind": "client", "value": "billing", "colour": "blue"}',
        b'{"kind": "client", "kind": "subject", "value": "billing"}',
        b'{"kind": "client", "value": "billing"} {}',
    ],
    ids=repr,
)
def test_a_revocation_is_read_strictly(ops, body):
    """A body that is not exactly one revocation is refused, and nothing is revoked."""
    before = state(ops.service)
    refused(ops("POST", REVOCATIONS, data=body, content_type="application/json"), 400, "invalid_request")
    assert state(ops.service) == before


@pytest.mark.parametrize(
    ("changes", "status", "code", "reason"),
    [
        ({"client_id": "billing"}, 409, "invalid_client_metadata", "exists"),
        ({"client_id": ""}, 400, "invalid_client_metadata", "1 to 64 letters"),
        ({"client_id": "a/b"}, 400, "invalid_client_metadata", "1 to 64 letters"),
        ({"client_id": 7}, 400, "invalid_client_metadata", "client_id"),
        ({"scope": ""}, 400, "invalid_client_metadata", "scope"),
        ({"scope": None}, 400, "invalid_client_metadata", "scope"),
        ({"audiences": "https://api.example"}, 400, "invalid_client_metadata", "audiences"),
        ({"audiences": ["api"]}, 400, "invalid_client_metadata", "absolute URI"),
        ({"colour": "blue"}, 400, "invalid_client_metadata", "colour"),
        ({"client_secret": "mine"}, 400, "invalid_client_metadata", "client_secret"),
        ({"token_endpoint_auth_method": "password"}, 400, "invalid_client_metadata", "password"),
        ({"certificates": [THUMBPRINT]}, 400, "invalid_client_metadata", "self_signed"),
        (
            {"tls_client_certificate_bound_access_tokens": "no"},
            400,
            "invalid_client_metadata",
            "is text: write true or false",
        ),
    ],
)
def test_metadata_is_read_strictly(ops, changes, status, code, reason):
    """A client that cannot be registered like this is refused with the reason (RFC 7591 3.2.2)."""
    before = state(ops.service)
    assert reason in refused(ops("POST", CLIENTS, json=NEW | changes), status, code)
    assert state(ops.service) == before


@pytest.mark.parametrize("path", [CLIENTS, REVOCATIONS])
def test_bodies_have_one_type_and_an_end(ops, path):
    """Another content type is 415 and more than 64 KiB is 413."""
    before = state(ops.service)
    refused(ops("POST", path, data="scope=read"), 415, "invalid_request")
    refused(ops("POST", path, data=b"{}", content_type="text/json"), 415, "invalid_request")
    large = b'{"scope": "' + b"x" * 65536 + b'"}'
    refused(ops("POST", path, data=large, content_type="application/json"), 413, "request_too_large")
    twice = b'{"scope": "read", "scope": "admin"}'
    refused(ops("POST", path, data=twice, content_type="application/json"), 400, "invalid_request")
    assert state(ops.service) == before
