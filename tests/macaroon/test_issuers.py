"""URLs that are issuers, and the place of their metadata (RFC 8414 2 and 3.1)."""

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.issuers import (
    is_same_issuer,
    issuer_mistake,
    issuer_origin,
    issuer_path,
    metadata_url,
    plain_issuer,
)

GOOD = {
    "https://as.example": "https://as.example/.well-known/oauth-authorization-server",
    "https://as.example:8443": "https://as.example:8443/.well-known/oauth-authorization-server",
    "https://as.example/auth": "https://as.example/.well-known/oauth-authorization-server/auth",
    "https://as.example/a/b-1.~_": "https://as.example/.well-known/oauth-authorization-server/a/b-1.~_",
    "https://auth_server:8443": "https://auth_server:8443/.well-known/oauth-authorization-server",
    "https://xn--bcher-kva.example": "https://xn--bcher-kva.example/.well-known/oauth-authorization-server",
    "https://[::1]:8443/x": "https://[::1]:8443/.well-known/oauth-authorization-server/x",
    "https://10.0.0.1": "https://10.0.0.1/.well-known/oauth-authorization-server",
}


@pytest.mark.parametrize(("issuer", "url"), GOOD.items(), ids=GOOD)
def test_the_metadata_stand_between_host_and_path(issuer: str, url: str):
    """An issuer with or without a path has its metadata before the path (RFC 8414 3.1)."""
    assert issuer_mistake(issuer) is None
    assert metadata_url(issuer) == url
    assert issuer_origin(issuer) + issuer_path(issuer) == issuer


@pytest.mark.parametrize("issuer", GOOD)
def test_one_slash_at_the_end_is_forgiven(issuer: str):
    """A slash that a person typed at the end of an issuer is left out, one alone."""
    assert plain_issuer(issuer + "/") == plain_issuer(issuer) == issuer
    assert is_same_issuer(issuer + "/", issuer)
    assert not is_same_issuer(issuer + "//", issuer)
    with pytest.raises(SettingsError):
        plain_issuer(issuer + "//")


def test_a_scheme_alone_lacks_a_host():
    """An issuer that ends in the slashes of its scheme lacks a host: it does begin with https://."""
    with pytest.raises(SettingsError, match="'https://' has no plain host: write https://HOST"):
        plain_issuer("https://")


BAD = {
    "as.example": "begin with https://",
    "http://as.example": "begin with https://",
    "HTTPS://as.example": "begin with https://",
    "https:as.example": "begin with https://",
    "https://": "host",
    "https:///x": "host",
    "https://as.example/a?x": "query or a fragment",
    "https://as.example#x": "query or a fragment",
    "https://user@as.example": "before the @",
    "https://as.example@evil.example/x": "before the @",
    "https://as.example:99999": "65535",
    "https://as.example:0": "65535",
    "https://as.example:": "65535",
    "https://as.example:x": "plain host",
    "https://as.example:" + "9" * 5000: "65535",
    "https://[::1": "plain host",
    "https://as example": "white space",
    "https://as.example\n": "white space",
    "https://b\u00fccher.example:8443/x": "xn--bcher-kva.example",
    "https://stra\u00dfe.example": "ASCII form",
    "https://\u0430s.example": "xn--s-7sb.example",
    'https://as"example': "plain host",
    "https://as\\example": "plain host",
    "https://as.example//x": "a path",
    "https://as.example/x//y": "a path",
    "https://as.example/x/": "a path",
    "https://as.example/../x": "a path",
    "https://as.example/x/.": "a path",
    "https://as.example/%61": "a path",
    "https://as.example/<x>": "a path",
    "https://as.example/a;b": "a path",
    "https://as.example/\u00e9": "a path",
}


@pytest.mark.parametrize(("issuer", "advice"), BAD.items(), ids=range(len(BAD)))
def test_each_mistake_has_its_own_message(issuer: str, advice: str):
    """A text that is no issuer is refused with the one thing that is wrong, and what to do about it."""
    mistake = issuer_mistake(issuer) or ""
    assert advice in mistake
    assert ":" in mistake
    assert "\n" not in mistake
    assert len(mistake) < 200
