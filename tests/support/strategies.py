"""Strategies of Hypothesis: macaroons of any shape, and honest ones from a world small enough to collide."""

from hypothesis import strategies as st
from msgspec import UNSET

from macaroon_cbat.macaroon.caveats import (
    Access,
    Audience,
    Caveat,
    ClientAddress,
    Expiry,
    Method,
    NotBefore,
    PathPrefix,
    Scope,
    TargetUri,
    confirmation,
    key_confirmation,
)
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.target import Target
from macaroon_cbat.macaroon.wire import Macaroon, ThirdPartyCaveat
from tests.support.tokens import API, CERTIFICATE, NOW, OTHER_API, OTHER_CERTIFICATE, access, grant


def one_or_more(values: list[str]) -> st.SearchStrategy[str | tuple[str, ...]]:
    several = st.lists(st.sampled_from(values), min_size=1, max_size=3).map(tuple)
    return st.one_of(st.just(values[0]), st.sampled_from(values), several)


scopes = st.lists(st.sampled_from(["read", "write", "admin"]), min_size=1, max_size=3).map(" ".join)
instants = st.integers(NOW - 2, NOW + 2) | st.just(NOW + 60) | st.integers(0, (1 << 53) - 1)
certificates = st.sampled_from([CERTIFICATE, CERTIFICATE, CERTIFICATE, OTHER_CERTIFICATE])
paths = st.sampled_from(["/", "/a", "/a/", "/a/b", "/b"])

caveats: st.SearchStrategy[Caveat] = st.one_of(
    scopes.map(Scope),
    st.one_of(st.just(NOW + 60), instants).map(Expiry),
    st.one_of(st.just(NOW), instants).map(NotBefore),
    one_or_more([API, OTHER_API]).map(Audience),
    certificates.map(confirmation),
    certificates.map(key_confirmation),
    one_or_more(["GET", "POST"]).map(Method),
    paths.map("https://api.example".__add__).map(TargetUri),
    paths.map(PathPrefix),
    one_or_more(["192.0.2.0/24", "192.0.2.7", "::/0"]).map(ClientAddress),
)
few_caveats = st.lists(caveats, max_size=4)

grants: st.SearchStrategy[Grant] = st.builds(
    grant,
    scope=scopes,
    exp=st.sampled_from([NOW, NOW + 1, NOW + 600]),
    sub=st.text(min_size=1, max_size=9),
    fam=st.sampled_from([UNSET, "f1"]),
)


def unknown_or(values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(values, values, values, st.none())


accesses: st.SearchStrategy[Access] = st.builds(
    access,
    now=st.integers(NOW - 1, NOW + 1),
    audience=unknown_or(st.just(API)),
    certificate=unknown_or(certificates),
    method=unknown_or(st.sampled_from(["GET", "POST"])),
    target=unknown_or(st.builds(Target, st.just("https://api.example"), paths)),
    address=unknown_or(st.sampled_from(["192.0.2.7", "::1", "::ffff:192.0.2.7", "unix:"])),
)

locations = st.none() | st.text(max_size=20).map(str.encode)
third_party_caveats = st.builds(ThirdPartyCaveat, locations, st.binary(max_size=200), st.binary(max_size=90))
macaroons: st.SearchStrategy[Macaroon] = st.builds(
    Macaroon,
    location=locations,
    identifier=st.binary(max_size=200),
    caveats=st.lists(st.binary(max_size=300) | third_party_caveats, max_size=6).map(tuple),
    signature=st.binary(min_size=32, max_size=32),
)
"""Macaroons that are well-formed and nothing else: noise in every field."""

BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
texts = st.one_of(st.text(), st.text(BASE64URL), st.text(BASE64URL + "+/=\n é"))
