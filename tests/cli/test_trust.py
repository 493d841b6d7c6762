import json
import time

import pytest

from tests.support.command_line import API, call, complaint, members, out
from tests.support.federated import DEPLOYER, KEYS, a_jwt

ISSUER = "https://idp.example"
WORKLOAD = ("--client", "deployer", "--claim", "sub=repo:octo-org/octo-repo:ref:refs/heads/main")
RIGHTS = ("--audience", "https://as.example", "--scope", "read", "--resource", API)


@pytest.fixture
def here(data):
    """Return the options of a database that has a client for JWTs."""
    grants = ("--grant", "jwt-bearer", "--grant", "token-exchange", "--auth", "private_key_jwt")
    out("client", "add", "deployer", "--scope", "read", "--audience", API, *grants, "--data", data)
    return ("--data", data)


@pytest.fixture
def jwks(tmp_path):
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(KEYS))
    return file


def test_an_issuer_is_trusted_shown_and_removed(here):
    """`trust add`, `list`, `show` and `remove` say the same of one issuer."""
    line = f'github  {ISSUER}  client deployer  "read"  {API}  for jwt-bearer token-exchange\n'
    assert out("trust", "add", "github", ISSUER, *WORKLOAD, *RIGHTS, *here) == line
    assert out("trust", "list", *here) == line
    shown = out("trust", "show", "github", *here)
    assert shown == f"{line}  claim sub is repo:octo-org/octo-repo:ref:refs/heads/main\n"
    assert out("trust", "remove", "github", *here) == "removed github\n"
    assert out("trust", "list", *here) == ""


def test_every_option_has_its_member(here, jwks, tmp_path):
    """Each option of `trust add` becomes the member of its name."""
    options = (
        "--subject",
        "sub",
        "--for",
        "token-exchange",
        "--token-type",
        "id_token",
        "--token-type",
        "jwt",
    )
    more = ("--algorithm", "ES256", "--reusable", "--jwks", jwks)
    added = members("trust", "add", "people", ISSUER, *options, *more, *RIGHTS, *here)
    assert added == {
        "name": "people",
        "issuer": ISSUER,
        "audiences": ["https://as.example"],
        "subject": "sub",
        "scope": "read",
        "resources": [API],
        "uses": ["token-exchange"],
        "token_types": ["id_token", "jwt"],
        "algorithms": ["ES256"],
        "reusable": True,
        "jwks": KEYS,
    }


def test_the_place_of_the_keys(here, data):
    """The URL of the keys, its CA and private addresses are the operator's to name."""
    options = ("--jwks-uri", "https://keys.example/jwks", "--private-addresses")
    added = members("trust", "add", "k", "spiffe://prod.example", *options, *WORKLOAD, *RIGHTS, *here)
    assert (added["jwks_uri"], added["private_addresses"]) == ("https://keys.example/jwks", True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--claim", "sub"), "NAME=VALUE"),
        (("--claim", "=x"), "NAME=VALUE"),
        (("--claim", "a=1", "--claim", "a=2"), "given twice"),
    ],
    ids=["no-value", "no-name", "twice"],
)
def test_a_claim_that_is_none(here, options, words):
    """A claim without a name or value, or named twice, is wrong usage."""
    result = call("trust", "add", "x", ISSUER, "--client", "deployer", *options, *RIGHTS, *here)
    assert (result.exit_code, words in result.stderr) == (2, True)


@pytest.mark.parametrize("content", [b"x", b"[]", b" " * 70_000], ids=["text", "list", "huge"])
def test_a_file_that_is_no_key_set(here, jwks, content):
    """A file that holds no JWK Set is named."""
    jwks.write_bytes(content)
    assert str(jwks) in complaint(
        call("trust", "add", "x", ISSUER, "--jwks", jwks, *WORKLOAD, *RIGHTS, *here), 2
    )


def test_an_unknown_name(here):
    """A name that no trusted issuer has is wrong usage."""
    for verb in ("show", "remove"):
        result = call("trust", verb, "nosuch", *here)
        assert (result.exit_code, "no trusted issuer 'nosuch'" in result.stderr) == (2, True)


@pytest.fixture
def checked(here, jwks):
    """Return the options of a database that trusts an issuer by the keys in a file."""
    trusted = ("--jwks", jwks, "--client", "deployer", "--claim", f"sub={DEPLOYER}")
    out("trust", "add", "idp", ISSUER, *trusted, *RIGHTS, *here)
    return here


def judged(tmp_path, options, **claims):
    """Return what `trust check` says of a JWT that is valid now but for these claims."""
    soon = int(time.time()) + 60
    file = tmp_path / "jwt"
    file.write_text(a_jwt(**({"exp": soon, "iat": soon - 60} | claims)) + "\n")
    return call("trust", "check", "idp", file, *options)


def test_the_keys_of_an_issuer_are_shown(checked):
    """`trust check` shows the keys that would verify a JWT."""
    assert out("trust", "check", "idp", *checked) == "key k1  EC  any fitting algorithm\n"


def test_a_jwt_is_judged(checked, tmp_path):
    """`trust check` says whose a JWT is, and leaves it usable."""
    for _ in range(2):
        result = judged(tmp_path, checked, jti="one")
        assert (result.exit_code, "accepted as client deployer, until" in result.stdout) == (0, True)


@pytest.mark.parametrize(
    ("claims", "words", "status"),
    [({"sub": "x"}, "claim sub", 1), ({"exp": 1}, "expired", 1), ({"iss": "https://x.example"}, "trusts", 2)],
    ids=["claim", "expired", "issuer"],
)
def test_a_jwt_is_refused_with_the_whole_reason(checked, tmp_path, claims, words, status):
    """`trust check` tells the operator what the service tells no caller."""
    result = judged(tmp_path, checked, **claims)
    assert (result.exit_code, words in result.stderr) == (status, True), result.stderr


def test_keys_that_cannot_be_had(here):
    """`trust check` says why the keys of an issuer cannot be fetched."""
    place = ("--jwks-uri", "https://localhost:1/jwks")
    out("trust", "add", "away", ISSUER, *place, *WORKLOAD, *RIGHTS, *here)
    assert "not public" in complaint(call("trust", "check", "away", *here), 1)
