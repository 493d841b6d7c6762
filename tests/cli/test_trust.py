import json

import pytest

from tests.support.command_line import API, call, complaint, members, out
from tests.support.federated import KEYS

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
