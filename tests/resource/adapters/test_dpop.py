"""DPoP through every adapter: what a guard admits by a proof, and what it refuses."""

import pytest

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.macaroon.caveats import Expiry, key_confirmation
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW
from macaroon_cbat.macaroon.custom import CustomCaveat
from macaroon_cbat.macaroon.dpop_nonces import DpopNonces
from macaroon_cbat.macaroon.dpop_proof import PROOF_SECONDS
from macaroon_cbat.macaroon.proof_keys import SIGNING_ALGORITHMS
from macaroon_cbat.resource.used_proofs import RememberedProofs
from tests.support.adapters import ADAPTERS
from tests.support.counters import counts, difference
from tests.support.dpop import URL, ath, jkt, key, proof
from tests.support.forks import in_children
from tests.support.guarded_app import CERTIFICATE, THIEF, WELL_KNOWN
from tests.support.log_lines import line_of
from tests.support.tokens import API, BOUND, NOW, token

JKT = jkt(key())
KEYED = token(key_confirmation(JKT))
BOTH = token(BOUND, key_confirmation(JKT))
SECRET = bytes(range(32))
DPOP_CHALLENGE = f'DPoP realm="{API}"'
ALGS = f'algs="{" ".join(SIGNING_ALGORITHMS)}"'


@pytest.fixture
def either(adapter):
    """Return the adapter's application, whose guard takes a certificate or a key."""
    return adapter.make(require="either")


def ask(adapter, app, text, *proofs, scheme="DPoP", certificate=None, **asked):
    """Present a token with the scheme DPoP, and these proofs."""
    headers = (("Authorization", f"{scheme} {text}"), *(("DPoP", one) for one in proofs))
    return adapter.call(app, headers=headers, certificate=certificate, **asked)


def test_a_proof_lets_in(adapter, either):
    """A key-bound token with a proof by its key is admitted without any certificate."""
    before = counts()
    reply = ask(adapter, either, KEYED, proof(KEYED))
    assert (reply.status, reply.json()["client"]) == (200, "billing")
    assert reply.header("Cache-Control") == "no-store"
    assert difference(before) == {("verified_total", "yes", "no"): 1}


@pytest.mark.parametrize("require", ["dpop", "certificate"])
def test_both_confirmations_are_needed_by_a_token_of_both(adapter, require):
    """A token that is bound to a certificate and a key needs both, whatever the guard requires."""
    app = adapter.make(require=require)
    assert ask(adapter, app, BOTH, proof(BOTH), certificate=CERTIFICATE).status == 200
    assert ask(adapter, app, BOTH, proof(BOTH)).status == 401
    assert ask(adapter, app, BOTH, proof(BOTH), certificate=THIEF).status == 401
    assert ask(adapter, app, BOTH, scheme="Bearer", certificate=CERTIFICATE).status == 401


def test_a_child_of_the_holder_is_bound_just_in_time(adapter, either):
    """The child that a holder binds to its own key is proved by the hash of the child's text, no other's."""
    child = token(Expiry(NOW + 60), key_confirmation(JKT))
    assert ask(adapter, either, child, proof(child)).status == 200
    assert ask(adapter, either, child, proof(token())).status == 401


THEFTS = {
    "no proof": lambda: (KEYED,),
    "two proofs": lambda: (KEYED, proof(KEYED), proof(KEYED)),
    "the same proof twice": lambda: (KEYED, *[proof(KEYED)] * 2),
    "an empty proof": lambda: (KEYED, ""),
    "another method's": lambda: (KEYED, proof(KEYED, htm="POST")),
    "another path's": lambda: (KEYED, proof(KEYED, htu=f"{API}/root")),
    "another server's": lambda: (KEYED, proof(KEYED, htu="https://evil.example/invoices")),
    "another token's": lambda: (KEYED, proof(BOTH)),
    "without ath": lambda: (KEYED, proof()),
    "old": lambda: (KEYED, proof(KEYED, iat=NOW - PROOF_SECONDS - 31)),
    "of the future": lambda: (KEYED, proof(KEYED, iat=NOW + 31)),
    "alg none": lambda: (KEYED, proof(KEYED, header={"alg": "none"})),
    "another typ": lambda: (KEYED, proof(KEYED, header={"typ": "JWT"})),
    "crit": lambda: (KEYED, proof(KEYED, header={"crit": ["x"], "x": 1})),
    "unsigned": lambda: (KEYED, proof(KEYED)[:-86]),
    "longer than a header": lambda: (KEYED, proof(KEYED, x="x" * 4096)),
}


@pytest.mark.parametrize("presented", THEFTS.values(), ids=THEFTS)
def test_a_token_without_its_proof_is_worthless(adapter, either, log, presented):
    """A key-bound token without one fresh proof for this request is 401, with one audit line."""
    reply = ask(adapter, either, *presented())
    assert (reply.status, reply.json()["error"]) == (401, "invalid_dpop_proof")
    challenge = reply.header("WWW-Authenticate")
    assert challenge.startswith(f'{DPOP_CHALLENGE}, error="invalid_dpop_proof", error_description="the DPoP ')
    assert ALGS in challenge
    assert f', Bearer realm="{API}"' in challenge
    assert challenge.count("error=") == 1
    assert (line_of(log)["error"], line_of(log)["status"]) == ("invalid_dpop_proof", 401)


def test_the_path_that_the_server_routes_is_for_its_log(adapter, log):
    """A proof for another URL is answered with the origin alone: a proxy may have rewritten the path."""
    app = adapter.make(require="dpop", root_path="/inner")
    used = proof(KEYED, htu=f"{API}/outer")
    answer = ask(adapter, app, KEYED, used, root="/inner")
    told = answer.json()["error_description"]
    assert told.endswith(f"htu is '{API}/outer': write the URL of the request, at {API}")
    assert "inner" not in told + answer.header("WWW-Authenticate")
    assert f"{API}/inner/invoices" in line_of(log)["reason"]


def test_another_key_is_refused(adapter, either):
    """A thief's proof by the thief's own key does not confirm the token."""
    reply = ask(adapter, either, KEYED, proof(KEYED, private=key("ES256", "thief")))
    assert (reply.status, reply.json()["error"]) == (401, "invalid_token")
    assert "another key than the one of the DPoP proof" in reply.json()["error_description"]


def test_a_claimed_key_is_not_a_proved_key(adapter, either):
    """A proof with the victim's public key and the thief's signature is refused."""
    reply = ask(
        adapter, either, KEYED, proof(KEYED)[:-86] + proof(KEYED, private=key("ES256", "thief"))[-86:]
    )
    assert (reply.status, reply.json()["error"]) == (401, "invalid_dpop_proof")


def test_no_downgrade_to_bearer(adapter, either):
    """A key-bound token sent as Bearer is refused, with a proof beside it or without (RFC 9449 7.2)."""
    for proofs in ((), (proof(KEYED),)):
        reply = ask(adapter, either, KEYED, *proofs, scheme="Bearer")
        assert (reply.status, reply.json()["error"]) == (401, "invalid_token")
        assert reply.header("WWW-Authenticate").startswith(f'Bearer realm="{API}", error="invalid_token"')


def test_no_proof_fits_a_method_that_a_header_overrides(adapter, either):
    """No proof holds if a header names another method, and the answer says what to leave out."""
    override = (("Authorization", f"DPoP {KEYED}"), ("DPoP", proof(KEYED)), ("X-HTTP-Method-Override", "PUT"))
    reply = adapter.call(either, headers=override)
    assert (reply.status, reply.json()["error"]) == (401, "invalid_dpop_proof")
    assert "send no header that may override it" in reply.json()["error_description"]


@pytest.mark.parametrize(
    ("text", "remedy"),
    [(token(BOUND), "send it as Authorization: Bearer"), (token(), "append a cnf caveat")],
    ids=["bound to a certificate", "unbound"],
)
def test_dpop_is_for_key_bound_tokens_alone(adapter, either, text, remedy):
    """A token that no key confirms is refused with the scheme DPoP, whatever proof comes with it."""
    reply = ask(adapter, either, text, proof(text), certificate=CERTIFICATE)
    assert (reply.status, reply.json()["error"]) == (401, "invalid_token")
    assert remedy in reply.json()["error_description"]
    assert reply.header("WWW-Authenticate").startswith(DPOP_CHALLENGE)


def test_a_certificate_bound_token_stays_bearer(adapter, either):
    """A certificate-bound token passes as Bearer, and a proof beside it means nothing."""
    assert ask(adapter, either, token(BOUND), scheme="Bearer", certificate=CERTIFICATE).status == 200
    assert ask(adapter, either, token(BOUND), "x", scheme="Bearer", certificate=CERTIFICATE).status == 200


def test_a_proof_is_good_for_one_request(adapter, either, log):
    """A proof is refused when it comes again, also with another signature, until it is too old anyway."""
    used = proof(KEYED)
    assert ask(adapter, either, KEYED, used).status == 200
    log.clear()
    again = ask(adapter, either, KEYED, used)
    assert (again.status, again.json()["error"]) == (401, "invalid_dpop_proof")
    assert "used before" in line_of(log)["reason"]


def test_a_refused_request_uses_no_proof_up(adapter, either):
    """A proof that came with another token, which was refused, is still good for its own."""
    mine = proof(KEYED)
    assert ask(adapter, either, token(key_confirmation(JKT), sub="eve"), mine).status == 401
    assert ask(adapter, either, KEYED, mine).status == 200


REQUIRED = {
    "a certificate": ("certificate", token(key_confirmation(JKT)), "NotCertificateBound"),
    "a key, and a certificate-bound token": ("dpop", token(BOUND), "NotKeyBound"),
    "a key, and an unbound token": ("dpop", token(), "NotKeyBound"),
    "either, and an unbound token": ("either", token(), "NotBound"),
}


@pytest.mark.parametrize(("require", "text", "reason"), REQUIRED.values(), ids=REQUIRED)
def test_what_a_guard_requires(adapter, require, text, reason):
    """A token that is bound otherwise than the guard requires is refused by name."""
    app, is_keyed = adapter.make(require=require), reason == "NotCertificateBound"
    before = counts()
    proofs, scheme = ((proof(text),), "DPoP") if is_keyed else ((), "Bearer")
    reply = ask(adapter, app, text, *proofs, scheme=scheme, certificate=CERTIFICATE)
    assert (reply.status, reply.json()["error"]) == (401, "invalid_token")
    assert difference(before) == {("refused_total", reason): 1}


CHALLENGES = {
    "certificate": [f'Bearer realm="{API}"'],
    "dpop": [DPOP_CHALLENGE, ALGS],
    "either": [f'Bearer realm="{API}"', f", {DPOP_CHALLENGE}", ALGS],
}


@pytest.mark.parametrize(("require", "parts"), CHALLENGES.items(), ids=CHALLENGES)
def test_the_challenge_offers_what_is_required(adapter, require, parts):
    """A request without a token is told the schemes that the guard asks for, without an error."""
    challenge = adapter.call(adapter.make(require=require)).header("WWW-Authenticate")
    assert challenge.startswith(parts[0])
    assert all(part in challenge for part in parts)
    assert ("DPoP" in challenge) == (require != "certificate")
    assert "error" not in challenge


WANTED = {"dpop": ("DPoP",), "either": ("Bearer", "DPoP"), "certificate": ("Bearer",)}


@pytest.mark.parametrize("require", WANTED)
def test_a_request_without_a_token_learns_what_to_send(adapter, require):
    """The answer to a request without a token names each scheme that the guard takes, and no other."""
    told = adapter.call(adapter.make(require=require)).json()["error_description"]
    named = [scheme for scheme in ("Bearer", "DPoP") if f"Authorization: {scheme}" in told]
    assert named == list(WANTED[require])


class Redis:
    """A memory that returns what its database does."""

    def __init__(self, returned):
        self.returned = returned

    def add(self, _name, _until, _now):
        """Return it, or raise it."""
        if isinstance(self.returned, Exception):
            raise self.returned
        return self.returned


class Later:
    """A memory for an event loop."""

    async def add(self, _name, _until, _now):
        """Return True, later."""
        return True


@pytest.mark.parametrize("returned", [None, "OK", 1, [True], ConnectionResetError()], ids=repr)
def test_a_memory_that_answers_something_else_is_503(adapter, returned):
    """An error, or an answer that is neither True nor False, does not say that a proof is new."""
    app = adapter.make(require="dpop", used_proofs=Redis(returned))
    assert ask(adapter, app, KEYED, proof(KEYED)).status == 503


def test_the_document_says_what_is_required(adapter):
    """The metadata document says which proofs are taken, and whether a key is required (RFC 9728)."""
    document = adapter.call(adapter.make(require="dpop"), path=WELL_KNOWN).json()
    assert document["dpop_bound_access_tokens_required"] is True
    assert document["dpop_signing_alg_values_supported"] == list(SIGNING_ALGORITHMS)
    assert document["tls_client_certificate_bound_access_tokens"] is False
    either = adapter.call(adapter.make(require="either"), path=WELL_KNOWN).json()
    assert "dpop_bound_access_tokens_required" not in either
    assert either["tls_client_certificate_bound_access_tokens"] is False
    assert either["dpop_signing_alg_values_supported"] == list(SIGNING_ALGORITHMS)


def test_a_nonce_is_given_and_required(adapter):
    """A guard that requires nonces tells the next to a proof without one, and takes a proof with it."""
    app = adapter.make(require="dpop", dpop_nonces=DpopNonces(SECRET))
    reply = ask(adapter, app, KEYED, proof(KEYED))
    assert (reply.status, reply.json()["error"]) == (401, "use_dpop_nonce")
    assert reply.header("WWW-Authenticate").startswith(f'{DPOP_CHALLENGE}, error="use_dpop_nonce"')
    nonce = reply.header("DPoP-Nonce")
    assert ask(adapter, app, KEYED, proof(KEYED, nonce=nonce)).status == 200
    assert ask(adapter, app, KEYED, proof(KEYED, nonce="made-up")).json()["error"] == "use_dpop_nonce"


def test_a_full_memory_is_503(adapter):
    """A full memory of proofs answers 503 to new ones and forgets none: a used one stays refused."""
    app = adapter.make(require="dpop", used_proofs=RememberedProofs(most=1))
    used = proof(KEYED)
    assert ask(adapter, app, KEYED, used).status == 200
    assert ask(adapter, app, KEYED, proof(KEYED)).status == 503
    assert ask(adapter, app, KEYED, used).status == 401


class Shared:
    """A memory that the operator shares among processes."""

    def __init__(self, *, is_down=False):
        self.names, self.is_down = set(), is_down

    def __len__(self):
        """Count the names: a memory without any is false."""
        return len(self.names)

    def add(self, name, until, now):
        """Tell whether the name is new, or raise Unavailable."""
        if self.is_down:
            raise Unavailable("the shared memory is down")
        assert (
            now + PROOF_SECONDS + LONGEST_CLOCK_SKEW < until <= now + PROOF_SECONDS + 2 * LONGEST_CLOCK_SKEW
        )
        is_new = name not in self.names
        self.names.add(name)
        return is_new


def test_a_shared_memory_covers_several_guards(adapter):
    """Guards with one shared memory accept a proof once in all; while it is down they answer 503."""
    shared, used = Shared(), proof(KEYED)
    one, other = (adapter.make(require="dpop", used_proofs=shared) for _ in range(2))
    assert ask(adapter, one, KEYED, used).status == 200
    assert ask(adapter, other, KEYED, used).status == 401
    down = adapter.make(require="dpop", used_proofs=Shared(is_down=True))
    assert ask(adapter, down, KEYED, proof(KEYED)).status == 503


WRONG = {
    "another word": ({"require": "mtls"}, "require is 'mtls'"),
    "an async memory": ({"require": "dpop", "used_proofs": Later()}, "async add"),
    "a bare secret": ({"require": "dpop", "dpop_nonces": SECRET}, "write DpopNonces"),
    "a contradiction": ({"require": "either", "require_certificate": False}, "contradict"),
}


@pytest.mark.parametrize(("settings", "reason"), WRONG.values(), ids=WRONG)
def test_settings_that_contradict_each_other(settings, reason):
    """A requirement that contradicts another, and a setting of another kind, is a SettingsError."""
    with pytest.raises(SettingsError, match=reason):
        ADAPTERS["WSGI"].make(**settings)


def test_no_judge_is_asked_before_the_proof_holds(adapter):
    """A judge may count what it allows: no forged, old, used or nonceless proof makes a guard ask it."""
    asked: list[object] = []
    payment = token(key_confirmation(JKT), CustomCaveat("payment", 7))
    app = adapter.make(
        require="dpop",
        dpop_nonces=DpopNonces(SECRET),
        caveats={"payment": lambda value, _: asked.append(value)},
    )
    nonce = ask(adapter, app, payment, proof(payment)).header("DPoP-Nonce")
    forged = proof(payment, nonce=nonce)[:-86] + proof(private=key("ES256", "thief"))[-86:]
    for refused in (forged, proof(payment, nonce=nonce, htm="POST"), proof(payment, nonce=nonce, iat=0)):
        assert ask(adapter, app, payment, refused).json()["error"] == "invalid_dpop_proof"
    assert asked == []
    honest = proof(payment, nonce=nonce)
    assert ask(adapter, app, payment, honest).status == 200
    assert ask(adapter, app, payment, honest).status == 401
    assert asked == [7]


SHARING = {"a certificate": {}, "nothing": {"require_certificate": False}, "a key": {"require": "dpop"}}


@pytest.mark.parametrize("settings", SHARING.values(), ids=SHARING)
def test_forked_workers_share_the_memory_of_every_guard(settings):
    """A proof that one forked worker of a guard has seen used is used in all, whatever the guard requires."""
    wsgi, used = ADAPTERS["WSGI"], proof(BOTH)
    app = wsgi.make(**settings)

    def status_is(status):
        return lambda _: ask(wsgi, app, BOTH, used, certificate=CERTIFICATE).status == status

    assert in_children(1, status_is(200)) == [0]
    assert in_children(1, status_is(401)) == [0]


def test_unbound_tokens_may_pass_beside_bound_ones(adapter):
    """With require_certificate=False an unbound token passes, and one that is bound still needs its key."""
    app = adapter.make(require_certificate=False)
    assert ask(adapter, app, token(), scheme="Bearer").status == 200
    assert ask(adapter, app, KEYED, proof(KEYED)).status == 200
    assert ask(adapter, app, KEYED, scheme="Bearer").status == 401


def test_ath_is_of_the_text_as_sent(adapter, either):
    """The hash covers the whole text of the child that came, not that of its parent."""
    reply = ask(adapter, either, KEYED, proof(ath=ath(token()), htu=URL))
    assert reply.json()["error"] == "invalid_dpop_proof"
