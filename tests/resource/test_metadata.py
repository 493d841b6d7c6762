import pytest
from flask import Flask

from macaroon_cbat.macaroon.keys import AudienceKeys, audience_keys
from macaroon_cbat.resource import Guard
from tests.support.guarded_app import WELL_KNOWN, bound, call, document, make_app, parameters
from tests.support.tokens import ISSUER, KEYS, ROOT, token


def keys_for(audience: str) -> AudienceKeys:
    return audience_keys(ISSUER, audience, [ROOT])


def test_the_metadata_say_what_is_enforced(app: Flask):
    """The document names resource, issuer, scopes, the header and certificate-bound tokens (RFC 9728 2)."""
    assert document(app) == {
        "resource": "https://api.example",
        "authorization_servers": ["https://as.example"],
        "scopes_supported": ["read", "root", "write"],
        "bearer_methods_supported": ["header"],
        "tls_client_certificate_bound_access_tokens": True,
    }


@pytest.mark.parametrize("is_required", [True, False], ids=["bound tokens only", "unbound tokens too"])
def test_the_flag_tells_the_truth(is_required: bool):  # noqa: FBT001
    """The flag about bound tokens is true exactly when an unbound token is refused."""
    app = make_app(require_certificate=is_required)
    assert document(app)["tls_client_certificate_bound_access_tokens"] is is_required
    assert call(app, token()).status_code == (401 if is_required else 200)
    assert call(app, bound()).status_code == 200


def test_the_types_of_details_are_those_that_are_judged():
    """The document names the types of details that the guard judges (RFC 9728 2), and no type without any."""
    app = make_app(caveats={"payment": lambda *_: None, "account": lambda *_: None})
    assert document(app)["authorization_details_types_supported"] == ["account", "payment"]
    assert "authorization_details_types_supported" not in document(make_app())


def test_a_guard_without_scopes_names_none():
    """A resource server whose views require no scope supports none by name."""
    app = Flask("resource")
    Guard(app, keys=KEYS)
    assert "scopes_supported" not in document(app)


def test_scopes_that_come_later_are_named():
    """A view that is added after init_app counts."""
    app = Flask("resource")
    guard = Guard(app, keys=KEYS)
    app.add_url_rule("/late", "late", guard.require("late")(lambda: ""))
    assert document(app)["scopes_supported"] == ["late"]


AUDIENCES = {
    "https://api.example": (WELL_KNOWN, "https://api.example" + WELL_KNOWN),
    "https://api.example/v1": (WELL_KNOWN + "/v1", "https://api.example" + WELL_KNOWN + "/v1"),
    "https://api.example/v1/": (WELL_KNOWN + "/v1/", "https://api.example" + WELL_KNOWN + "/v1/"),
    "https://api.example/?x": (WELL_KNOWN, "https://api.example" + WELL_KNOWN + "?x"),
    "https://api.example/v1?x": (WELL_KNOWN + "/v1", "https://api.example" + WELL_KNOWN + "/v1?x"),
    "https://[::1]:8443/v1": (WELL_KNOWN + "/v1", "https://[::1]:8443" + WELL_KNOWN + "/v1"),
    "urn:example:api": (WELL_KNOWN, None),
    "api": (WELL_KNOWN, None),
}


@pytest.mark.parametrize(("audience", "expected"), AUDIENCES.items(), ids=AUDIENCES)
def test_the_document_lives_where_rfc_9728_says(audience: str, expected: tuple[str, str | None]):
    """The well-known path stands before the audience's own, and the challenge points there (RFC 9728 3.1)."""
    path, url = expected
    app = make_app(keys=keys_for(audience))
    assert document(app, path)["resource"] == audience
    assert parameters(call(app)).get("resource_metadata") == url


def test_an_origin_of_its_own_says_where_the_document_is():
    """The challenge names the origin under which the resource is reached where its audience is another."""
    app = make_app(keys=keys_for("urn:example:api"), origin="https://API.example:443/")
    assert parameters(call(app))["resource_metadata"] == "https://api.example" + WELL_KNOWN


def test_the_host_header_is_not_believed(app: Flask):
    """Document and challenge are built from settings, never from Host (RFC 9728)."""
    headers = [("Host", "evil.example"), ("X-Forwarded-Host", "evil.example")]
    assert "evil" not in str(document(app, headers=headers))
    assert "evil" not in str(call(app, headers=headers).headers)
