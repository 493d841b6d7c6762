"""DPoP keys on the command line: bind, prove, verify."""

import time

import pytest

from macaroon_cbat.client.dpop_key import DpopKey
from macaroon_cbat.macaroon.caveats import confirmation
from macaroon_cbat.macaroon.dpop_proof import ProvedRequest, read_proof, verify_proof
from macaroon_cbat.macaroon.inspection import key_confirmations
from macaroon_cbat.macaroon.target import parse_target
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.certificates import certified
from tests.support.command_line import API, call, out, token

URL = f"{API}/invoices"


@pytest.fixture
def key(tmp_path):
    return written(tmp_path / "dpop.key")


def written(file):
    file.write_bytes(DpopKey.generate().pem())
    file.chmod(0o600)
    return file


def test_a_token_is_bound_and_proved(key):
    """`attenuate --dpop-key` binds a token, and `prove` prints the two headers of one request."""
    bound = out("token", "attenuate", "--dpop-key", key, stdin=token()).strip()
    assert key_confirmations(read_macaroon(bound)) == {DpopKey.load(key).thumbprint}
    printed = out("token", "prove", "--dpop-key", key, "--url", f"{URL}?a=b", "--nonce", "n", stdin=bound)
    first, second = printed.splitlines()
    assert first == f"Authorization: DPoP {bound}"
    proof = read_proof((second.removeprefix("DPoP: "),))
    targets = (parse_target(URL),)
    now = int(time.time())
    verify_proof(proof, ProvedRequest(now=now, clock_skew=30, method="GET", targets=targets, token=bound))
    assert proof.claims["nonce"] == "n"


def test_verify_takes_the_key_of_a_proof(key, keys, tmp_path):
    """`verify --dpop-key` accepts a token that is bound to this key, and no other one."""
    bound = out("token", "attenuate", "--dpop-key", key, stdin=token()).strip()
    options = ("token", "verify", "--keys", keys, "--audience", API)
    assert call(*options, "--dpop-key", key, stdin=bound).exit_code == 0
    assert call(*options, "--dpop-key", written(tmp_path / "other.key"), stdin=bound).exit_code == 1
    assert call(*options, stdin=bound).exit_code == 1
    unbound = call(*options, "--dpop-key", key, stdin=token())
    assert (unbound.exit_code, unbound.stdout.startswith("refused: invalid_token")) == (1, True)
    other = token(confirmation(certified().thumbprint))
    assert call(*options, "--dpop-key", key, stdin=other).exit_code == 1


MISTAKES = {
    "no URL": (["--url", "nonsense"], token, "--url"),
    "no token": (["--url", URL], lambda: "rubbish", "it is no macaroon"),
}


@pytest.mark.parametrize(("options", "text", "reason"), MISTAKES.values(), ids=MISTAKES)
def test_what_cannot_be_proved_is_named(key, options, text, reason):
    """A URL that is none and a text that is no token are refused in words."""
    done = call("token", "prove", "--dpop-key", key, *options, stdin=text())
    assert done.exit_code != 0
    assert reason in done.stderr
