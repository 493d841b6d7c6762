"""Third-party caveats on the command line: what is written, and what is refused before any request."""

from base64 import b64encode

import pytest

from macaroon_cbat.macaroon.sealed_caveats import opened_caveat, public_key_of
from tests.support.bakery_caveats import caveat_of
from tests.support.command_line import call, complaint, out
from tests.support.tokens import token

PRIVATE = bytes(range(32))
KEY = b64encode(public_key_of(PRIVATE)).decode()
BY = ("--discharge-by", "https://third.example", "--discharger-key", KEY)


def test_a_third_party_is_required_offline():
    """With the public key at hand no request is sent, and the discharger reads the condition."""
    child = out(
        "token", "attenuate", *BY, "--condition", "is-member-of a b", "--scope", "read", stdin=token()
    )
    caveat = caveat_of(child.strip())
    assert caveat.location == b"https://third.example"
    assert opened_caveat(caveat.identifier, PRIVATE).condition == "is-member-of a b"
    assert "third party https://third.example" in out("token", "inspect", stdin=child)


WRONG = {
    "no condition": (BY, "go together"),
    "no discharger": (("--condition", "x"), "go together"),
    "a key alone": (("--discharger-key", KEY), "go together"),
    "an empty condition": ((*BY, "--condition", " "), "the condition is empty"),
    "a long condition": ((*BY, "--condition", "x" * 5000), "the condition is too long"),
    "no https": (
        ("--discharge-by", "http://x.example", "--condition", "x", "--discharger-key", KEY),
        "no plain https",
    ),
    "no https to ask": (("--discharge-by", "http://x.example", "--condition", "x"), "no plain https"),
    "a short key": (
        ("--discharge-by", "https://x.example", "--condition", "x", "--discharger-key", "AAAA"),
        "32 bytes",
    ),
    "a weak key": ((*BY[:3], b64encode(bytes(32)).decode(), "--condition", "x"), "not one of Curve25519"),
}


@pytest.mark.parametrize(("options", "reason"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_refused(options, reason):
    """A third party that cannot be is refused, before any request, in words that say what to do."""
    result = call("token", "attenuate", *options, stdin=token())
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr.splitlines()[-1]


def test_no_other_discharger_is_asked():
    """A discharger that --from does not name is not asked, and none for a token that needs none."""
    child = out("token", "attenuate", *BY, "--condition", "x", stdin=token())
    said = complaint(call("token", "discharge", "--from", "https://other.example", stdin=child), 2)
    assert "not among the dischargers that are trusted" in said
    assert out("token", "discharge", "--from", "https://other.example", stdin=token()) == "\n"
