"""Refusals of tokens that were not minted for this resource server and this moment."""

from macaroon_cbat import Expiry, RootKey, Scope, attenuate, audience_key
from macaroon_cbat.macaroon.caveats import Audience
from macaroon_cbat.macaroon.wire import Macaroon, read_macaroon
from tests.support.refusals import assert_passes, assert_refused
from tests.support.target import Target
from tests.support.tls_servers import ask
from tests.support.tokens import API, NOW, OTHER_API, ROOT, spell

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def test_every_character_counts(target: Target):
    """A token with any one character changed is refused."""
    text = target.bound(Scope("read"))
    with target.server.connect(target.server.context(target.holder)) as connection:
        assert_passes(ask(connection, "/invoices", headers={"Authorization": f"Bearer {text}"}))
        # The location at the start is no part of what is signed: its characters may change.
        for at in range(40, len(text), 3):
            other = ALPHABET[(ALPHABET.index(text[at]) + 17) % 64]
            changed = text[:at] + other + text[at + 1 :]
            assert_refused(ask(connection, "/invoices", headers={"Authorization": f"Bearer {changed}"}))


def changed(text: str, *caveats: bytes) -> str:
    """Return the macaroon with other caveats and the old signature."""
    macaroon = read_macaroon(text)
    return spell(Macaroon(macaroon.location, macaroon.identifier, caveats, macaroon.signature))


def test_a_tampered_caveat(target: Target):
    """A caveat that was widened, replaced, taken away or added without the chain is refused."""
    text = target.bound(Scope("read"))
    confirming, scope = read_macaroon(text).caveats
    assert isinstance(confirming, bytes)
    assert isinstance(scope, bytes)
    thief = b'{"cnf":{"x5t#S256":"%s"}}' % target.thumbprint(target.thief).encode()
    for caveats in (
        (confirming, b'{"scope":"read write"}'),
        (confirming,),
        (scope,),
        (scope, confirming),
        (confirming, scope, scope),
    ):
        assert_refused(target.call(changed(text, *caveats), target.holder))
    assert_refused(target.call(changed(text, thief, scope), target.thief))


def test_an_expired_token(target: Target):
    """A token past its end is refused, and so is a child past its own; the parent is not."""
    assert_refused(target.call(target.bound(exp=NOW + 1), target.holder))
    text = target.bound()
    assert_refused(target.call(attenuate(text, [Expiry(NOW + 1)]), target.holder))
    assert_passes(target.call(text, target.holder))


def test_a_caveat_cannot_prolong(target: Target):
    """A later exp appended to an expired token does not bring it back."""
    assert_refused(target.call(attenuate(target.bound(exp=NOW + 1), [Expiry(4_102_444_800)]), target.holder))


def test_a_caveat_cannot_widen(target: Target):
    """A scope appended to a narrower one adds nothing."""
    text = attenuate(target.bound(scope="read"), [Scope("read admin")])
    assert_passes(target.call(text, target.holder))
    assert target.call(text, target.holder, "/admin").status == 403


def test_another_audience_s_token(target: Target):
    """A token for another resource server is refused, signed by any server with any of its keys."""
    other = audience_key(ROOT, OTHER_API)
    assert_refused(target.call(target.bound(aud=OTHER_API, key=other), target.holder))
    assert_refused(target.call(target.bound(aud=API, key=other), target.holder))
    assert_refused(target.call(target.bound(aud=(API, OTHER_API), key=other), target.holder))
    assert_refused(target.call(target.bound(Audience(OTHER_API)), target.holder))


def test_another_issuer_s_token(target: Target):
    """A token made with an attacker's own root key is refused, also under the name of ours."""
    for kid in ("k1", "mine"):
        key = audience_key(RootKey(kid, bytes(32)), API)
        assert_refused(target.call(target.bound(kid=kid, key=key), target.holder))


def test_a_refresh_token(target: Target):
    """A token that was keyed for another use never verifies as an access token."""
    for use in ("refresh", "discharge"):
        assert_refused(target.call(target.bound(key=audience_key(ROOT, API, use)), target.holder))  # type: ignore[arg-type]
