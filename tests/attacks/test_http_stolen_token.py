"""A stolen token is worth nothing without the certificate's key."""

import pytest

from macaroon_cbat import DerCertificate, attenuate, confirmation, thumbprint_of
from tests.support.refusals import assert_passes, assert_refused
from tests.support.target import Target


def test_the_holder_is_let_in(target: Target):
    """The same token over the holder's connection passes, so that the refusals say something."""
    assert_passes(target.call(target.bound(), target.holder))


def test_without_a_certificate(target: Target):
    """A stolen token is refused over a connection without a certificate."""
    assert_refused(target.call(target.bound(), None))


def test_with_another_certificate(target: Target):
    """A stolen token is refused over a connection with the thief's certificate."""
    assert_refused(target.call(target.bound(), target.thief))


@pytest.mark.parametrize("order", [1, -1], ids=["the thief's last", "the thief's first"])
def test_a_second_confirmation(target: Target, order: int):
    """A second, conflicting cnf makes a token of no use to any holder, in either order."""
    both = [confirmation(target.thumbprint(client)) for client in (target.holder, target.thief)][::order]
    text = target.token(*both)
    for client in (target.holder, target.thief, None):
        assert_refused(target.call(text, client))


def test_the_thief_s_own_confirmation(target: Target):
    """A thief who appends his own certificate to a token bound to the holder's gains nothing."""
    text = attenuate(target.bound(), [confirmation(target.thumbprint(target.thief))])
    assert_refused(target.call(text, target.thief))


def test_the_same_confirmation_twice_is_harmless(target: Target):
    """The holder's own certificate, appended again, changes nothing."""
    text = attenuate(target.bound(), [confirmation(target.thumbprint(target.holder))])
    assert_passes(target.call(text, target.holder))


def test_minted_for_another_client_s_certificate(target: Target):
    """A token that was minted bound to one client's certificate is refused over another client's."""
    text = target.token(confirmation(target.thumbprint(target.thief)), client_id="other", sub="other")
    assert_passes(target.call(text, target.thief))
    assert_refused(target.call(text, target.holder))


def test_bound_to_nothing(target: Target):
    """A token bound to the hash of no bytes is refused over a connection without a certificate."""
    text = target.token(confirmation(thumbprint_of(DerCertificate(b""))))
    assert_refused(target.call(text, None))


def test_an_unbound_token(target: Target):
    """An unbound token is refused, whatever certificate the connection has, and says what is wanted."""
    for client in (target.holder, target.thief, None):
        answer = target.call(target.token(), client)
        assert_refused(answer)
        assert "append a cnf caveat" in answer.headers["www-authenticate"]
