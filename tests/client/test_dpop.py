"""Holders without a certificate: each library proves its requests by a DPoP key, over real TLS."""

import time
from collections.abc import Iterator

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from macaroon_cbat.client.dpop_holder import DpopHolder, Proved
from macaroon_cbat.client.dpop_key import DpopKey
from macaroon_cbat.errors import NotDischarged, SettingsError
from macaroon_cbat.macaroon.caveats import Access, confirmation, key_confirmation
from macaroon_cbat.macaroon.dpop_proof import ProvedRequest, read_proof, verify_proof
from macaroon_cbat.macaroon.inspection import key_confirmations
from macaroon_cbat.macaroon.minting import mint_discharge
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.macaroon.target import parse_target
from macaroon_cbat.macaroon.verification import verify
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.discharging import NAME, SECRET, THERE, asking
from tests.support.dpop_world import ProvingServer, proving_server, proving_session
from tests.support.gateway_tokens import good
from tests.support.rsa_keys import rsa_key
from tests.support.sessions import LIBRARIES
from tests.support.tokens import API, CERTIFICATE, KEYS

KEY = DpopKey.generate()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProvingServer]:
    with proving_server(tmp_path_factory.mktemp("proving")) as world:
        yield world


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def send(server, library):
    server.seen.clear()
    with proving_session(library, good(None), KEY, server.ca) as send:
        yield send


def test_a_request_is_proved(server, send):
    """A request passes by a child that is bound to the key just in time, and the nonce is asked for once."""
    assert send("GET", f"{server.url}/invoices?page=2").json()["client"] == "billing"
    assert send("POST", f"{server.url}/invoices", data={"amount": "7"}).json()["body"] == "amount=7"
    assert len(server.seen) == 3
    children = [one["AUTHORIZATION"].removeprefix("DPoP ") for one in server.seen]
    assert {*map(key_confirmations, map(read_macaroon, children))} == {frozenset({KEY.thumbprint})}
    assert len({one["DPOP"] for one in server.seen}) == 3


def test_a_redirect_gets_a_proof_of_its_own(server, send):
    """A redirect within the origin is proved for where it leads."""
    assert send("GET", f"{server.url}/redirect").json()["client"] == "billing"


def test_no_other_origin_gets_token_or_proof(server, send):
    """A redirect to another origin brings it neither token nor proof."""
    send("GET", f"{server.url}/away")
    assert server.seen[-1] == {"AUTHORIZATION": None, "DPOP": None}


def test_a_body_that_cannot_be_sent_again_is_not():
    """A request whose body is a stream is not proved anew; its answer tells the nonce for the next."""
    holder, url = DpopHolder(good(None), KEY), "https://api.example/invoices"
    challenge = 'DPoP realm="x", error="use_dpop_nonce"'
    answer = (401, {"WWW-Authenticate": challenge, "DPoP-Nonce": "the-nonce"})
    assert holder.again(holder.prove("POST", url), *answer, is_replayable=False) is None
    again = holder.again(holder.prove("POST", url), *answer, is_replayable=True)
    assert again is not None
    assert read_proof((again.proof,)).claims["nonce"] == "the-nonce"
    assert holder.again(again, *answer, is_replayable=True) is None


class Source:
    """A source whose first token no server takes."""

    def __init__(self):
        self.tokens, self.discarded = [good(None, exp=int(time.time()) - 100), good(None)], []

    def __call__(self):
        """Return the first token that was not discarded."""
        return self.tokens[0]

    def discard(self, token):
        """Go on with the next token."""
        self.discarded.append(token)
        self.tokens.remove(token)


def test_a_rejected_token_is_replaced_once(server, library):
    """A token that the server rejects is replaced, beside the nonce that it wants."""
    source = Source()
    first = source.tokens[0]
    with proving_session(library, source, KEY, server.ca) as send:
        assert send("GET", f"{server.url}/invoices").status_code == 200
    assert source.discarded == [first]


def test_a_token_goes_over_https_alone(server, library):
    """A token is never sent in the clear."""
    with proving_session(library, good(None), KEY, server.ca) as send, pytest.raises(SettingsError):
        send("GET", server.url.replace("https", "http") + "/invoices")


def test_another_ca_is_not_trusted(server, library, tmp_path):
    """A server is verified against the CA that the session was given, and no token is sent to others."""
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    server.seen.clear()
    with (
        proving_session(library, good(None), KEY, tmp_path / "other.pem") as send,
        pytest.raises(Exception, match=r"(?i)certificate"),
    ):
        send("GET", f"{server.url}/invoices")
    assert server.seen == []


BOUND = {
    "to another key": key_confirmation(KeyThumbprint("A" * 43)),
    "to a certificate": confirmation(CERTIFICATE),
}


@pytest.mark.parametrize("caveat", BOUND.values(), ids=BOUND)
def test_a_token_that_is_bound_otherwise_is_refused_here(caveat):
    """A token that is bound to another key, or to a certificate, is no use with this key: nothing is sent."""
    holder = DpopHolder(good(None, caveat), KEY)
    with pytest.raises(SettingsError, match="this token is bound to"):
        holder.prove("GET", "https://api.example/invoices")


def test_a_token_that_is_bound_to_the_key_already_is_used():
    """A token that the service bound to the key gets no second confirmation."""
    token = good(None, key_confirmation(KEY.thumbprint))
    child = DpopHolder(token, KEY).prove("GET", "https://api.example/invoices").child
    assert len(read_macaroon(child).caveats) == len(read_macaroon(token).caveats) + 2


def test_a_nonce_stays_with_its_origin():
    """A nonce of one server is never shown to another, and one that is none is not kept."""
    holder = DpopHolder(good(None), KEY)
    holder.remember("https://one.example/a", "nonce-of-one")
    holder.remember("https://two.example/a", 'no"nonce')
    nonces = {
        host: read_proof((holder.prove("GET", f"https://{host}/b").proof,)).claims.get("nonce")
        for host in ("one.example", "two.example", "one.example:8443")
    }
    assert nonces == {"one.example": "nonce-of-one", "two.example": None, "one.example:8443": None}


def test_discharges_are_bound_to_the_child():
    """The discharges of a token come in a header of their own, each bound to the child that is proved."""
    token = asking(good(None))
    url = "https://api.example/invoices"
    child = DpopHolder(token, KEY).prove("GET", url).child
    unbound = mint_discharge(THERE, SECRET, NAME)
    proved = Proved(child, KEY.proof("GET", url, token=child), token, "GET", url, discharges=(unbound,))
    access = Access(now=int(time.time()), audience=API, proof_key=KEY.thumbprint)
    discharges = [proved.headers["X-Discharge-Macaroon"]]
    assert verify(child, KEYS, access, require_certificate=False, discharges=discharges).proof_key
    with pytest.raises(NotDischarged):
        verify(child, KEYS, access, require_certificate=False)


KINDS = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "RSA": rsa_key,
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_every_kind_of_key_proves(make, tmp_path):
    """A proof by each kind of key verifies, also once the key was written to a file and read."""
    file = tmp_path / "dpop.key"
    file.write_bytes(DpopKey(make()).pem())
    file.chmod(0o600)
    key = DpopKey.load(file)
    text = key.proof("GET", "https://api.example/a?b#c", token="t", nonce="n")
    proof = read_proof((text,))
    request = ProvedRequest(
        now=int(time.time()),
        clock_skew=30,
        method="GET",
        targets=(parse_target("https://api.example/a"),),
        token="t",
    )
    verify_proof(proof, request)
    assert (proof.proof_key, proof.claims["nonce"]) == (key.thumbprint, "n")
    assert repr(key) == f"<DpopKey {key.thumbprint}>"


WEAK = {
    "another curve": lambda: ec.generate_private_key(ec.SECP256K1()),
    "DSA": lambda: dsa.generate_private_key(1024),
    "short RSA": lambda: rsa.generate_private_key(65537, 1024),
}


@pytest.mark.parametrize("make", WEAK.values(), ids=WEAK)
def test_another_key_is_refused(make):
    """A key that no server accepts is refused where it is loaded."""
    with pytest.raises(SettingsError, match="make one of these"):
        DpopKey(make())


FILES = {"missing": None, "no key": b"rubbish", "empty": b""}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_a_file_without_a_key_is_refused(content, tmp_path):
    """A file that holds no private key is named, with the command that makes one."""
    file = tmp_path / "dpop.key"
    if content is not None:
        file.write_bytes(content)
        file.chmod(0o600)
    with pytest.raises(SettingsError, match=r"dpop\.key"):
        DpopKey.load(file)


def test_a_key_that_others_can_read_is_refused(tmp_path):
    """A private key in a file of mode 0644 is refused."""
    file = tmp_path / "dpop.key"
    file.write_bytes(KEY.pem())
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="can be used by others"):
        DpopKey.load(file)
