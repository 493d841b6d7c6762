from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from macaroon_cbat.errors import (
    CaveatsNotMet,
    InvalidToken,
    MalformedMacaroon,
    NotCertificateBound,
    NotDischarged,
    Revoked,
    SignatureMismatch,
    Unavailable,
    UnknownKey,
)
from macaroon_cbat.macaroon.caveats import Access, Audience, Expiry, NotBefore, Scope, key_confirmation
from macaroon_cbat.macaroon.custom import CustomCaveat
from macaroon_cbat.macaroon.keys import AudienceKeys, KeySource, RootKey, audience_keys
from macaroon_cbat.macaroon.known_chains import LONGEST_KNOWN, KnownChains
from macaroon_cbat.macaroon.minting import (
    add_third_party_caveat,
    attenuate,
    bind_discharge,
    mint,
    mint_discharge,
)
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.macaroon.revocation import Revocation, Revocations
from macaroon_cbat.macaroon.verification import Principal, verify
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.forged_tokens import forged
from tests.support.strategies import accesses, few_caveats, grants
from tests.support.tokens import (
    ACCESS,
    API,
    BOUND,
    CERTIFICATE,
    GRANT,
    ISSUER,
    KEYS,
    NOW,
    OTHER_API,
    OTHER_CERTIFICATE,
    ROOT,
    access,
    appended,
    spell,
    to_binary,
    token,
)

NO_KEYS = AudienceKeys(ISSUER, API, {})
REPLACED = audience_keys(ISSUER, API, [RootKey(ROOT.kid, b"another secret of the same name.")])
JOINED = audience_keys(ISSUER, API, [RootKey("k0", bytes(32)), ROOT])
PROOF_KEYS = (KeyThumbprint("K" * 42 + "A"), KeyThumbprint("L" * 42 + "A"))
CHILD = token(BOUND, Expiry(NOW + 60), Scope("read"))


@dataclass(kw_only=True)
class Verifier:
    """A verifier with its memory."""

    known: KnownChains = field(default_factory=KnownChains)

    def __call__(
        self, text: str, facts: Access = ACCESS, keys: KeySource = KEYS, **further: Any
    ) -> Principal:
        """Verify the token as a guard does."""
        return verify(text, keys, facts, known=self.known, **further)

    def knowing(self, text: str, **further: Any) -> "Verifier":
        """Admit the token until it is known."""
        for _ in range(2):
            self(text, **further)
        assert len(self.known) == 1
        return self


@pytest.mark.parametrize("beginning", ["\udc80", "é", "A" * 9_000], ids=["surrogate", "letter", "long"])
def test_the_end_of_a_known_token_makes_no_other_text_one(beginning):
    """Text that ends as a known token is as malformed as if none were known."""
    with pytest.raises(MalformedMacaroon):
        Verifier().knowing(CHILD)(beginning + CHILD)


class Unreachable:
    """Keys that are out of reach."""

    def key_for(self, _grant: object) -> Any:
        """Tell that it cannot be told."""
        raise Unavailable("the service does not answer")


def test_a_known_token_gives_the_same_principal():
    """A token that comes again, and again, gives the principal of its first time."""
    first, *later = [Verifier().knowing(CHILD)(CHILD) for _ in range(3)]
    assert later == [first, first]
    assert first == verify(CHILD, KEYS, ACCESS)


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        pytest.param(access(now=NOW + 60), CaveatsNotMet, id="expired between two requests"),
        pytest.param(access(certificate=OTHER_CERTIFICATE), CaveatsNotMet, id="another certificate"),
        pytest.param(access(certificate=None), CaveatsNotMet, id="no certificate"),
        pytest.param(access(audience=OTHER_API), CaveatsNotMet, id="another audience"),
        pytest.param(access(audience=None), CaveatsNotMet, id="no audience"),
    ],
)
def test_each_request_of_a_known_token_is_judged(facts: Access, error: type[Exception]):
    """A known token is refused for a request that it does not allow, and admitted for one that it does."""
    verifier = Verifier().knowing(CHILD)
    with pytest.raises(error) as known:
        verifier(CHILD, facts)
    with pytest.raises(error) as fresh:
        verify(CHILD, KEYS, facts)
    assert str(known.value) == str(fresh.value)
    assert verifier(CHILD)


def test_a_clock_that_goes_back_is_believed():
    """A known token is refused before its `nbf`, and admitted after it, in whichever order the times come."""
    text = token(BOUND, NotBefore(NOW + 10))
    verifier = Verifier().knowing(text, facts=access(now=NOW + 10))
    with pytest.raises(CaveatsNotMet, match="nbf"):
        verifier(text, access(now=NOW + 9))
    assert verifier(text, access(now=NOW + 599))
    assert verifier(text, access(now=NOW + 10))


def test_the_clock_skew_is_that_of_the_request():
    """A known token is admitted after its end by a verifier that allows for the skew, and by no other."""
    verifier = Verifier().knowing(CHILD)
    assert verifier(CHILD, access(now=NOW + 65, clock_skew=30))
    with pytest.raises(CaveatsNotMet):
        verifier(CHILD, access(now=NOW + 65, clock_skew=5))


def test_a_bound_token_may_be_required_later():
    """An unbound token that is known is refused as soon as a certificate is required."""
    text = token(Scope("read"))
    verifier = Verifier().knowing(text, require_certificate=False)
    with pytest.raises(NotCertificateBound):
        verifier(text)


def altered() -> Iterator[Any]:
    """Yield the known token with one letter changed, each in turn of its last 60, and its first ones."""
    for position in (*range(12), *range(len(CHILD) - 60, len(CHILD))):
        letter = "A" if CHILD[position] != "A" else "E"
        yield pytest.param(CHILD[:position] + letter + CHILD[position + 1 :], id=f"letter {position}")


@pytest.mark.parametrize("text", [*altered(), pytest.param(forged(CHILD), id="one bit of the signature")])
def test_an_altered_token_is_not_the_known_one(text: str):
    """A known token with another letter is judged as an unknown one, wherever the letter stands."""
    verifier = Verifier().knowing(CHILD)
    assert outcome(verifier, text) == outcome(verify, text, KEYS, ACCESS)
    assert len(verifier.known) == 1


def test_the_signature_of_a_known_token_does_not_carry_other_rights():
    """A text with the signature of a known token, by which that one is looked up, is a forgery."""
    verifier = Verifier().knowing(CHILD)
    signature = read_macaroon(CHILD).signature
    wider = [read_macaroon(token(BOUND, location="a" * length)) for length in range(3)]
    stolen = [spell(replace(one, signature=signature)) for one in wider]
    (looked_up,) = [text for text in stolen if text[-22:] == CHILD[-22:]]
    with pytest.raises(SignatureMismatch):
        verifier(looked_up)


def test_a_child_of_a_known_token_is_another_token():
    """A child is judged by its own caveats: the parent being known admits nothing."""
    verifier = Verifier().knowing(CHILD)
    with pytest.raises(CaveatsNotMet):
        verifier(appended(CHILD, b'{"exp":%d}' % NOW))
    with pytest.raises(CaveatsNotMet, match="unknown caveat"):
        verifier(appended(CHILD, b'{"role":"clerk"}'))


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        pytest.param(NO_KEYS, UnknownKey, id="retired"),
        pytest.param(REPLACED, SignatureMismatch, id="replaced under the same name"),
        pytest.param(audience_keys(ISSUER, OTHER_API, [ROOT]), UnknownKey, id="of another audience"),
        pytest.param(Unreachable(), Unavailable, id="out of reach"),
    ],
)
def test_a_known_token_needs_its_key(keys: KeySource, error: type[Exception]):
    """A known token is refused at once when its key is gone, replaced or out of reach."""
    verifier = Verifier().knowing(CHILD)
    with pytest.raises(error):
        verifier(CHILD, keys=keys)
    assert verifier(CHILD)


def test_a_key_that_was_read_again_is_the_same_key():
    """A known token stays known when its key file is replaced by one that has more keys."""
    verifier = Verifier().knowing(CHILD)
    assert verifier.known.find(CHILD, JOINED) is not None
    assert verifier(CHILD, keys=JOINED)


def test_a_chain_of_a_retired_key_is_dropped():
    """A token that comes after its key has gone leaves the memory."""
    verifier = Verifier().knowing(CHILD)
    with pytest.raises(UnknownKey):
        verifier(CHILD, keys=NO_KEYS)
    assert len(verifier.known) == 0


def revoked(**changes: Any) -> Revocations:
    decision = {"kind": "token", "value": GRANT.jti, "revoked_at": NOW, "expires_at": NOW + 600}
    return Revocations([Revocation(**{**decision, **changes})])


@pytest.mark.parametrize(
    "decisions",
    [
        pytest.param(revoked(), id="token"),
        pytest.param(revoked(kind="client", value=GRANT.client_id), id="client"),
        pytest.param(revoked(kind="key", value=GRANT.kid), id="key"),
        pytest.param(revoked(kind="certificate", value=CERTIFICATE), id="certificate"),
    ],
)
def test_a_revocation_applies_to_a_known_token_at_once(decisions: Revocations):
    """A known token is refused by the first request after a revocation, and leaves the memory."""
    verifier = Verifier().knowing(CHILD, revocations=Revocations())
    with pytest.raises(Revoked):
        verifier(CHILD, revocations=decisions)
    assert len(verifier.known) == 0


def test_a_known_token_takes_no_discharge():
    """A discharge that a known token does not ask for is refused as it is for an unknown one."""
    verifier = Verifier().knowing(CHILD)
    left_over = bind_discharge(CHILD, mint_discharge("there", b"k" * 32, b"x"))
    with pytest.raises(NotDischarged):
        verifier(CHILD, discharges=[left_over])
    with pytest.raises(InvalidToken):
        verifier(CHILD, discharges=["AgE"])


def test_a_token_with_discharges_is_never_known():
    """A token that needs a discharge needs it each time, and not within its own text."""
    asking = add_third_party_caveat(CHILD, "https://there.example", b"k" * 32, b"x")
    discharge = bind_discharge(asking, mint_discharge("there", b"k" * 32, b"x"))
    verifier = Verifier()
    for _ in range(3):
        verifier(asking, discharges=[discharge])
    assert len(verifier.known) == 0
    for text in (asking, f"{asking},{discharge}"):
        with pytest.raises(InvalidToken):
            verifier(text)


def test_a_proof_key_is_compared_each_time():
    """A token that is bound to a DPoP key is refused with the proof of another key, or without one."""
    text = token(key_confirmation(PROOF_KEYS[0]))
    verifier = Verifier().knowing(text, facts=access(proof_key=PROOF_KEYS[0]), require_certificate=False)
    for proof_key in (PROOF_KEYS[1], None):
        with pytest.raises(CaveatsNotMet):
            verifier(text, access(proof_key=proof_key), require_certificate=False)
    found = verifier(text, access(proof_key=PROOF_KEYS[0]), require_certificate=False)
    assert found.proof_key == PROOF_KEYS[0]


def test_a_judge_is_asked_each_time():
    """A custom caveat of a known token is judged at each request, by the judge of that request."""
    text = token(BOUND, CustomCaveat("payment", {"most": 3}))
    answers = iter([None, None, None, "too much"])
    judges = {"payment": lambda _value, _access: next(answers)}
    verifier = Verifier().knowing(text, custom=judges)
    assert verifier(text, custom=judges).custom == (CustomCaveat("payment", {"most": 3}),)
    with pytest.raises(CaveatsNotMet, match="too much"):
        verifier(text, custom=judges)
    with pytest.raises(CaveatsNotMet, match="unknown caveat"):
        verifier(text)


def test_a_judge_cannot_spoil_a_known_token():
    """A judge that changes the value of its caveat changes it for its own request alone."""
    text = token(BOUND, CustomCaveat("payment", {"most": 3}))

    def spoil(value: dict[str, int], _access: Access) -> str | None:
        value["most"] += 1
        return None if value == {"most": 4} else "spoilt"

    verifier = Verifier().knowing(text, custom={"payment": spoil})
    assert verifier(text, custom={"payment": spoil})


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(forged(CHILD), id="forged"),
        pytest.param(token(Scope("read")), id="unbound"),
        pytest.param(token(BOUND, Expiry(NOW)), id="expired"),
        pytest.param(token(BOUND, Audience(OTHER_API)), id="of another audience"),
        pytest.param(appended(CHILD, b'{"role":"clerk"}'), id="with an unknown caveat"),
        pytest.param(appended(CHILD, b'{"scope":"read %b"}' % (b"a" * LONGEST_KNOWN)), id="too long"),
    ],
)
def test_no_other_token_enters(text: str):
    """A token that is refused takes no place, however often it comes, nor does a very long one."""
    verifier = Verifier()
    for _ in range(5):
        outcome(verifier, text)
    assert len(verifier.known) == 0


def test_children_of_single_requests_displace_none():
    """A holder that sends more children than there are places, each once, displaces no known token."""
    verifier = Verifier(known=KnownChains(4)).knowing(CHILD)
    for number in range(80):
        verifier(attenuate(CHILD, [Expiry(NOW + 1 + number)]))
    assert len(verifier.known) == 1


def test_a_token_that_is_in_use_stays():
    """A known token that comes once while others fill the places stays; the number of places is bounded."""
    verifier = Verifier(known=KnownChains(4)).knowing(CHILD)
    for number in range(40):
        child = attenuate(CHILD, [Expiry(NOW + 1 + number)])
        verifier(child), verifier(child)
        verifier(CHILD)
    assert verifier.known.find(CHILD, KEYS) is not None
    assert len(verifier.known) <= 8


def kept_in(thing: object) -> Iterator[object]:
    """Yield everything that an object holds, and what that holds."""
    yield thing
    inner: Sequence[object] = ()
    if isinstance(thing, Struct):
        inner = [getattr(thing, name) for name in thing.__struct_fields__]
    elif isinstance(thing, dict):
        inner = [*thing.keys(), *thing.values()]
    elif isinstance(thing, tuple | list | frozenset):
        inner = [*thing]
    elif hasattr(type(thing), "__slots__") and type(thing).__module__.startswith("macaroon_cbat"):
        inner = [getattr(thing, name) for name in type(thing).__slots__]
    for one in inner:
        yield from kept_in(one)


def test_no_token_is_kept():
    """The memory holds neither a token, nor a signature, nor a key: who reads it can present nothing."""
    known = Verifier().knowing(CHILD).known
    signature = read_macaroon(CHILD).signature
    secrets = [signature, KEYS.keys[ROOT.kid].secret, KEYS.keys[ROOT.kid].macaroon_key, to_binary(CHILD)]
    kept = list(kept_in(known))
    assert sum(isinstance(one, bytes) for one in kept) > 4
    assert not [one for one in kept if isinstance(one, bytes) and any(secret in one for secret in secrets)]
    assert not [one for one in kept if isinstance(one, str) and CHILD[-22:] in one]
    assert repr(known) == "<KnownChains: 1>"


def test_threads_share_a_small_memory():
    """Threads that fill a memory of few places at once get each its own verdict."""
    verifier = Verifier(known=KnownChains(2))
    texts = [attenuate(CHILD, [Expiry(NOW - 3 + number)]) for number in range(8)]
    expected = [outcome(verify, text, KEYS, ACCESS) for text in texts]
    wrong: list[object] = []

    def ask(first: int) -> None:
        for number in range(first, first + 400):
            index = number * 5 % len(texts)
            if (found := outcome(verifier, texts[index])) != expected[index]:
                wrong.append(found)

    threads = [Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(verifier.known) <= 4 + len(threads)


def outcome(ask: Callable[..., Principal], *facts: Any, **further: Any) -> tuple[object, object]:
    """Return the principal, or the error with its words."""
    try:
        return "admitted", ask(*facts, **further)
    except (InvalidToken, Unavailable) as error:
        return type(error), str(error)


TEXTS = st.builds(mint, st.just(KEYS.keys[ROOT.kid]), st.just(ISSUER), grants, few_caveats)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),
        accesses,
        st.sampled_from([KEYS, KEYS, KEYS, JOINED, NO_KEYS, REPLACED, Unreachable()]),
        st.sampled_from([Revocations(), Revocations(), None, revoked()]),
        st.booleans(),
        st.sampled_from(["as it is", "as it is", "as it is", "forged", "with a discharge"]),
    ),
    min_size=1,
    max_size=30,
)


@given(st.lists(TEXTS, min_size=4, max_size=4), STEPS)
def test_known_or_not_the_verdict_is_the_same(texts, steps):
    """A memory changes no answer, in any order of tokens, requests, keys and revocations."""
    known = KnownChains(2)
    for index, facts, keys, revocations, required, form in [step for step in steps for _ in range(2)]:
        text = forged(texts[index]) if form == "forged" else texts[index]
        further = {"require_certificate": required, "revocations": revocations}
        if form == "with a discharge":
            further["discharges"] = [bind_discharge(text, mint_discharge("there", b"k" * 32, b"x"))]
        fresh = outcome(verify, text, keys, facts, **further)
        assert outcome(verify, text, keys, facts, known=known, **further) == fresh
        event(str(fresh[0]))
    event(f"{len(known)} known")
