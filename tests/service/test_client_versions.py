"""Changes of a client that name the version that their author has seen (RFC 9110 13.1.1, RFC 7396)."""

import pytest

from tests.support.administrator import CLIENTS, NEW, administrator, state
from tests.support.service import API, OTHER_API, refused

ORDERS = CLIENTS + "/orders"
CHANGES = {
    "PATCH": ("PATCH", ORDERS, {"scope": "write"}),
    "rotation": ("POST", ORDERS + "/secret", {}),
    "DELETE": ("DELETE", ORDERS, None),
}


@pytest.fixture
def ops(service, certificate):
    """Return what asks as an administrator; the client orders is registered."""
    ask = administrator(service, certificate)
    ask("POST", CLIENTS, json=NEW)
    return ask


def asked(ops, change, *versions):
    """Make a change if the client is of one of these versions."""
    method, path, members = change
    further = {"If-Match": ", ".join(versions)} if versions else {}
    body = {} if members is None else {"json": members}
    return ops(method, path, further=further, **body)


def version(ops):
    return ops("GET", ORDERS).headers["ETag"]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_a_changed_client_is_refused(ops, change):
    """A change that names a version from before another change is refused with 412 and does nothing."""
    seen = version(ops)
    ops("PATCH", ORDERS, json={"audiences": [API, OTHER_API]})
    before = state(ops.service)
    assert "changed meanwhile" in refused(asked(ops, change, seen), 412, "precondition_failed")
    assert state(ops.service) == before


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("form", ["{}", '"other", {}', "*", ""], ids=["one", "one of two", "any", "none"])
def test_a_change_of_what_was_seen_is_made(ops, change, form):
    """A change that names the present version, among others or as `*`, is made, and so is one without any."""
    versions = [form.format(version(ops))] if form else []
    assert asked(ops, change, *versions).status_code in (200, 204)


@pytest.mark.parametrize("spelled", ["W/{}", "unquoted", '"another"'])
def test_a_version_is_compared_strongly(ops, spelled):
    """A weak version, one without quotation marks and another one match nothing."""
    answer = asked(ops, CHANGES["PATCH"], spelled.format(version(ops)))
    refused(answer, 412, "precondition_failed")


def test_every_change_makes_a_new_version(ops):
    """Metadata and secret are part of the version, and each answer about the client has its version."""
    first = version(ops)
    changed = ops("PATCH", ORDERS, json={"scope": "read write"})
    assert first != changed.headers["ETag"] == version(ops)
    ops("POST", ORDERS + "/secret", json={"keep_old_seconds": 60})
    assert version(ops) not in (first, changed.headers["ETag"])
    assert ops("PATCH", ORDERS, json={}).headers["ETag"] == version(ops)


def test_a_merge_patch_may_be_called_one(ops):
    """The body of PATCH is a JSON merge patch, whichever of the two names its content type has."""
    answer = ops("PATCH", ORDERS, data='{"scope": "read write"}', content_type="application/merge-patch+json")
    assert (answer.status_code, answer.json["scope"]) == (200, "read write")
    other = ops("PATCH", ORDERS, data="[]", content_type="application/json-patch+json")
    refused(other, 415, "invalid_request")
    refused(
        ops("POST", CLIENTS, data="{}", content_type="application/merge-patch+json"), 415, "invalid_request"
    )


def test_objects_within_merge(ops):
    """A merge patch replaces the keys of a JWK set, and removes what is null in it (RFC 7396 2)."""
    key = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    method = {"token_endpoint_auth_method": "private_key_jwt"}
    ops("POST", CLIENTS, json={"client_id": "jwt", "scope": "read", "jwks": {"keys": [key]}, **method})
    patch = {"jwks": {"keys": [key, {**key, "kid": "2"}], "colour": None}}
    changed = ops("PATCH", CLIENTS + "/jwt", json=patch)
    assert changed.json["jwks"] == {"keys": [key, {**key, "kid": "2"}]}
