import pytest

from macaroon_cbat.errors import (
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    MissingToken,
    NotCertificateBound,
)
from macaroon_cbat.macaroon.bearer import challenge, read_credentials


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER  abc ", "abc"),
        ("Bearer a-b_c", "a-b_c"),
        ("Bearer a b", "a b"),
        ("Bearer ", ""),
        ("Bearer", ""),
        ("Bearer abc,def", "abc,def"),
    ],
)
def test_the_token_of_the_header(header, text):
    """The token is what follows the scheme Bearer, whose letter case is free (RFC 9110 11.1)."""
    assert read_credentials(header) == ("Bearer", text)


@pytest.mark.parametrize("header", ["DPoP abc", "dpop  abc ", "DPOP abc"])
def test_the_other_scheme_is_told_apart(header):
    """A token under the scheme DPoP, in any letter case, is never one under Bearer (RFC 9449 7.1)."""
    assert read_credentials(header) == ("DPoP", "abc")


@pytest.mark.parametrize(
    "header", [None, "", " ", "Basic YTpi", "Bearerabc", "Token abc", "DPoPabc", " Bearer abc"]
)
def test_other_schemes_are_no_token(header):
    """Without an Authorization header of the scheme Bearer or DPoP, no token came."""
    with pytest.raises(MissingToken):
        read_credentials(header)


@pytest.mark.parametrize(
    "header",
    ["Bearer abc, Bearer def", "Bearer abc,Bearer def", "Basic YTpi, Bearer abc", "Bearer abc, Basic YTpi"],
)
def test_two_headers_are_an_invalid_request(header):
    """Two Authorization headers, which servers join with a comma, are an invalid request."""
    with pytest.raises(InvalidRequest, match="more than one"):
        read_credentials(header)


def test_the_challenge_without_credentials_has_no_error_code():
    """The challenge to a request without credentials says neither error nor description (RFC 6750 3.1)."""
    assert challenge(MissingToken("x"), realm="api") == 'Bearer realm="api"'


def test_the_challenge_names_the_error():
    """A refused token is challenged with its code and its fixed description, never with the reason."""
    answer = challenge(InvalidToken("reason for the log"), realm="api")
    assert answer == 'Bearer realm="api", error="invalid_token", error_description="the token is not valid"'


def test_the_challenge_of_an_unbound_token_says_what_is_wanted():
    """An unbound token is told to append a cnf caveat."""
    assert "append a cnf caveat with the client certificate's x5t#S256" in challenge(
        NotCertificateBound("x"), realm="api"
    )


def test_the_challenge_names_the_missing_scope():
    """A challenge for insufficient scope names the scope that is required (RFC 6750 3)."""
    assert challenge(InsufficientScope("read write"), realm="api").endswith(', scope="read write"')


def test_the_challenge_names_the_metadata():
    """A challenge may point to the document that says how to get a token (RFC 9728 5.1)."""
    answer = challenge(MissingToken("x"), realm="api", resource_metadata="https://api.example/m")
    assert answer == 'Bearer realm="api", resource_metadata="https://api.example/m"'


def test_a_realm_cannot_end_its_own_quotes():
    """A realm with quotes or backslashes stays one parameter of the challenge."""
    value = challenge(InvalidToken("x"), realm='a", scope="\\')
    assert value.startswith(r'Bearer realm="a\", scope=\"\\", error="invalid_token"')
