"""Verify: exit status 0 accepted, 1 refused, 2 wrong usage."""

import json

import pytest

from macaroon_cbat.macaroon.caveats import Scope, confirmation
from macaroon_cbat.macaroon.minting import add_third_party_caveat, attenuate
from tests.support.certificates import certified
from tests.support.command_line import API, call, complaint, out, token
from tests.support.forged_tokens import forged
from tests.support.pingam import PINGAM


@pytest.fixture
def verify(keys):
    """Run `token verify` for the one audience."""
    return lambda text, *options: call(
        "token", "verify", "--keys", keys, "--audience", API, *options, stdin=text
    )


def test_a_good_token_is_accepted(verify, certificate, identity):
    """A token that is bound to the certificate of the connection is accepted, with status 0."""
    bound = token(confirmation(identity.thumbprint), Scope("read"))
    accepted = verify(bound, "--cert", certificate, "--scope", "read", "--json")
    assert accepted.exit_code == 0
    principal = json.loads(accepted.stdout)["principal"]
    assert (principal["client_id"], principal["scope"]) == ("billing", "read")
    assert principal["certificate"] == identity.thumbprint
    assert verify(bound, "--cert", certificate).stdout.startswith("accepted: billing\n")


@pytest.mark.parametrize(
    ("options", "status"),
    [
        pytest.param("--method GET --url https://api.example/a/b --address 10.1.2.3", 0, id="as allowed"),
        pytest.param("--method POST --url https://api.example/a/b --address 10.1.2.3", 1, id="method"),
        pytest.param("--method GET --url https://api.example/b --address 10.1.2.3", 1, id="path"),
        pytest.param("--method GET --url https://api.example/a/b --address 11.1.2.3", 1, id="address"),
        pytest.param("", 1, id="nothing known"),
        pytest.param("--method GET --url https://api.example/a --address here", 2, id="no address"),
        pytest.param("--method GET --url nonsense --address 10.1.2.3", 2, id="no URL"),
    ],
)
def test_the_request_is_judged(verify, options, status):
    """Caveats about the request are judged by what the options say of it."""
    restricted = out(
        "token", "attenuate", "--method", "GET", "--path", "/a", "--ip", "10.0.0.0/8", stdin=token()
    )
    assert verify(restricted, "--allow-unbound", *options.split()).exit_code == status


def test_a_bad_token_is_refused(verify, certificate, identity, tmp_path):
    """A bad token of any kind is refused with status 1 and one line that says why."""
    thief = tmp_path / "thief.pem"
    thief.write_bytes(certified("CN=thief").pem)
    bound = token(confirmation(identity.thumbprint))
    cases = [
        (bound, ("--cert", thief), "bound to certificate"),
        (bound, (), "presented none"),
        (token(), ("--cert", certificate), "no cnf caveat"),
        (token(exp=-31), ("--allow-unbound",), "expired"),
        (forged(token()), ("--allow-unbound",), "signature"),
        (attenuate(token(), [Scope("none")]), ("--allow-unbound",), "nothing of the granted scope"),
        (token(), ("--allow-unbound", "--scope", "admin"), "insufficient_scope"),
        (PINGAM, ("--allow-unbound",), "identifier"),
        ("\xff", ("--allow-unbound",), "base64url"),
        (token() + "=" * (-len(token()) % 4 or 4), ("--allow-unbound",), "it has padding"),
        ("Bearer " + token(), ("--allow-unbound",), "it begins with a scheme"),
        (
            add_third_party_caveat(token(), "https://idp.example", bytes(range(32)), b"who"),
            ("--allow-unbound",),
            "third-party caveat 1 at 'https://idp.example' has no discharge of its own",
        ),
    ]
    for text, options, reason in cases:
        result = verify(text, *options)
        assert result.exit_code == 1
        [line] = result.output.splitlines()
        assert line.startswith("refused: ")
        assert reason in line
        answer = json.loads(verify(text, *options, "--json").stdout)
        assert (answer["accepted"], set(answer)) == (False, {"accepted", "error", "reason"})


def test_wrong_keys_are_wrong_usage(verify, tmp_path, keys):
    """Keys that are missing, broken or for another audience are a mistake of the user: status 2."""
    for content in (None, b"", b"{}", b"\xff"):
        file = tmp_path / "other.json"
        if content is not None:
            file.write_bytes(content)
        result = call("token", "verify", "--keys", file, "--audience", API, stdin=token())
        assert str(file) in complaint(result, 2)
    result = call("token", "verify", "--keys", keys, "--audience", "https://other", stdin=token())
    assert "is for audience https://api.example" in complaint(result, 2)
