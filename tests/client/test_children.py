import pymacaroons
import pytest

from macaroon_cbat import (
    Access,
    Audience,
    EpochSeconds,
    Expiry,
    MalformedMacaroon,
    Method,
    Scope,
    TargetUri,
    audience_keys,
    confirmation,
    verify,
)
from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.client import ChildTerms, attenuate, bind_to_certificate, request_child
from macaroon_cbat.client.children import LastParent
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.target import parse_target
from tests.support.client_files import AUDIENCE, ISSUER, NOW, ROOT, Pair, added, make_token
from tests.support.tokens import appended

TERMS = ChildTerms()
URI = "https://api.example/invoices?page=2#top"


def child(token: str, pair: Pair, terms: ChildTerms = TERMS) -> str:
    return request_child(token, pair.thumbprint, terms, "GET", URI, now=EpochSeconds(NOW))


@pytest.mark.parametrize("spelling", ["thumbprint", "der", "certificate"])
def test_bound_by_thumbprint_or_certificate(pair: Pair, spelling: str) -> None:
    """A token is bound by a thumbprint, a DER certificate or a PEM file alike."""
    token = make_token()
    assert added(bind_to_certificate(token, getattr(pair, spelling)), token) == [
        confirmation(pair.thumbprint)
    ]


def test_bound_twice_is_bound_once(pair: Pair) -> None:
    """Binding to the same certificate again changes nothing."""
    bound = bind_to_certificate(make_token(), pair.thumbprint)
    assert bind_to_certificate(bound, pair.der) == bound


@pytest.mark.parametrize(
    "spelled",
    [
        '{{"cnf": {{"x5t#S256": "{}"}}}}',
        '{{"scope":"read","cnf":{{"x5t#S256":"{}"}}}}',
        '{{"\\u0063nf":{{"x5t#S256":"{}"}}}}\n',
    ],
    ids=["spaces", "among several members", "an escape and a line end"],
)
def test_a_binding_is_known_in_any_spelling(pair: Pair, other_pair: Pair, spelled: str) -> None:
    """A token that another library bound, in its spelling, is bound: no cnf is added, and none of another."""
    bound = appended(make_token(), spelled.format(pair.thumbprint).encode())
    assert bind_to_certificate(bound, pair.der) == bound
    assert added(child(bound, pair), bound) == [Expiry(NOW + 60), Audience(AUDIENCE)]
    with pytest.raises(SettingsError, match=f"bound to certificate {pair.thumbprint}"):
        bind_to_certificate(bound, other_pair.der)


def test_bound_elsewhere_is_an_error(pair: Pair, other_pair: Pair) -> None:
    """A token bound to another certificate is an error here, not at the resource server."""
    bound = bind_to_certificate(make_token(), other_pair.thumbprint)
    with pytest.raises(
        SettingsError, match=f"bound to certificate {other_pair.thumbprint}, but {pair.thumbprint}"
    ):
        bind_to_certificate(bound, pair.thumbprint)
    with pytest.raises(SettingsError):
        child(bound, pair)


@pytest.mark.parametrize("nonsense", ["ab" * 32, b"no certificate", ""])
def test_only_certificates_bind(nonsense: str | bytes) -> None:
    """A value that is neither a thumbprint nor a certificate binds nothing."""
    with pytest.raises(ValueError, match=r"thumbprint|certificate"):
        bind_to_certificate(make_token(), nonsense if isinstance(nonsense, bytes) else Thumbprint(nonsense))


def test_child_names_certificate_expiry_audience(pair: Pair) -> None:
    """A child names the certificate, expires in 60 s and is for the token's own audience."""
    token = make_token()
    expected = [confirmation(pair.thumbprint), Expiry(NOW + 60), Audience(AUDIENCE)]
    assert added(child(token, pair), token) == expected


def test_child_of_a_bound_token_repeats_nothing(pair: Pair) -> None:
    """The child of a token that is already bound to this certificate carries one cnf."""
    token = make_token(confirmation(pair.thumbprint))
    assert added(child(token, pair), token) == [Expiry(NOW + 60), Audience(AUDIENCE)]


@pytest.mark.parametrize(
    ("audience", "given", "expected"),
    [
        (None, None, []),
        (None, AUDIENCE, [Audience(AUDIENCE)]),
        (("https://one.example",), None, [Audience("https://one.example")]),
        (("https://one.example", "https://two.example"), None, []),
        (
            ("https://one.example", "https://two.example"),
            "https://two.example",
            [Audience("https://two.example")],
        ),
    ],
)
def test_audience_is_the_only_one_or_given(
    pair: Pair, audience: tuple[str, ...] | None, given: str | None, expected: list[Audience]
) -> None:
    """A child is for the one audience of its token, or for the one that the holder names."""
    token = make_token(audience=audience)
    assert added(child(token, pair, ChildTerms(audience=given)), token)[2:] == expected


def test_bound_request_names_method_and_target(pair: Pair) -> None:
    """On request a child names method and target, the latter without query and fragment."""
    token = make_token()
    caveats = added(child(token, pair, ChildTerms(lifetime=5, bind_request=True)), token)
    assert caveats[1] == Expiry(NOW + 5)
    assert caveats[3:] == [Method("GET"), TargetUri("https://api.example/invoices")]


def test_child_is_good_for_its_connection_only(pair: Pair, other_pair: Pair) -> None:
    """A resource server accepts the child over the connection that it names."""
    access = Access(
        now=EpochSeconds(NOW),
        audience=AUDIENCE,
        certificate=pair.thumbprint,
        method="GET",
        target=parse_target("https://api.example/invoices"),
    )
    keys = audience_keys(ISSUER, AUDIENCE, [ROOT])
    text = child(make_token(Scope("read")), pair, ChildTerms(bind_request=True))
    assert verify(text, keys, access).certificate == pair.thumbprint


def test_caveats_of_others_are_left_alone(pair: Pair) -> None:
    """A caveat that the holder does not understand is no reason to refuse to bind."""
    foreign = pymacaroons.Macaroon(identifier="theirs", key="k" * 32, version=2)
    foreign.add_first_party_caveat("user = alice")
    token = foreign.serialize()
    assert added(child(token, pair), token) == [confirmation(pair.thumbprint), Expiry(NOW + 60)]


def test_malformed_token_stays_malformed(pair: Pair) -> None:
    """Text that is no macaroon is MalformedMacaroon."""
    with pytest.raises(MalformedMacaroon):
        bind_to_certificate("no macaroon", pair.thumbprint)


def test_lifetime_is_positive() -> None:
    """A child that is expired when it is made is a setting that cannot work."""
    with pytest.raises(SettingsError, match="greater lifetime"):
        ChildTerms(lifetime=0)


def test_attenuate_is_the_core_s() -> None:
    """The holder narrows a token by any caveat."""
    token = make_token()
    assert added(attenuate(token, [Scope("read")]), token) == [Scope("read")]


def test_a_holder_reads_a_token_once():
    """Children of the same token have the same parent, which prints no token; another token has its own."""
    parents, first, second = LastParent(), make_token(), appended(make_token(), b'{"exp":1}')
    kept = parents.of(first)
    assert parents.of(first) is kept
    assert (parents.of(second).token, parents.of(first).token) == (second, first)
    assert first not in repr(kept)
