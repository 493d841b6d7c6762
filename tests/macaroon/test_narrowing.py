import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from macaroon_cbat.errors import InvalidToken
from macaroon_cbat.macaroon.caveats import Access, Caveat, caveat_text, confirmation
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.narrowing import narrowed_by
from macaroon_cbat.macaroon.principal import Principal
from macaroon_cbat.macaroon.signature import AuthenticCaveats
from macaroon_cbat.macaroon.verification import judge
from tests.support.strategies import accesses, few_caveats, grants
from tests.support.tokens import ACCESS, API, BOUND, CERTIFICATE, NOW, OTHER_CERTIFICATE, access, grant

THIEFS = confirmation(OTHER_CERTIFICATE)
ODD_TEXTS = st.sampled_from(
    [
        b"",
        b"{}",
        b'{"exp":%d}' % (NOW + 60),
        b'{"exp":0}',
        b'{"exp":00%d}' % (NOW + 60),
        b'{"exp":%d.0}' % (NOW + 60),
        b'{"exp": %d}' % (NOW + 60),
        b'{"exp":9007199254740992}',
        b'{"exp":%d,"nbf":0}' % (NOW + 60),
        b'{"exp":%d}\n' % (NOW + 60),
        b'{"cnf":{"x5t#S256":"%b"}}' % CERTIFICATE.encode(),
        b'{"cnf":{"x5t#S256":"%b="}}' % CERTIFICATE.encode(),
        b'{"cnf":{"x5t#S256":"%b"}}' % (CERTIFICATE[:-1] + "z").encode(),
        b'{"cnf":{"x5t#S256":"%b"} }' % CERTIFICATE.encode(),
        b'{"cnf":{}}',
        b'{"scope":"read"}',
        b'{"scope":"read  write"}',
        b'{"scope":" "}',
        b'{"aud":"https://api.example"}',
        b'{"aud":"https:\\/\\/api.example"}',
        b'{"aud":"HTTPS://api.example/"}',
        b'{"aud":["https://api.example"]}',
        b'{"role":"clerk"}',
    ]
)


def quickly(granted: Grant, texts: AuthenticCaveats, facts: Access) -> Principal | None:
    """Return the principal that the narrowed grant gives an access, or None where it says nothing."""
    narrowed = narrowed_by(granted, texts)
    return narrowed.rights if narrowed is not None and narrowed.allows(facts) else None


def one_by_one(granted: Grant, texts: AuthenticCaveats, facts: Access) -> Principal | None:
    try:
        return judge(granted, texts, facts, require_certificate=False)
    except InvalidToken:
        return None


@given(
    grants | st.builds(grant, aud=st.sampled_from([(API,), ("https://api.example/", "https://b")])),
    few_caveats.map(lambda found: [caveat_text(one) for one in found]),
    st.lists(ODD_TEXTS, max_size=3),
    accesses,
)
def test_a_narrowed_grant_allows_no_more(granted, texts, odd, facts):
    """An access that the narrowed grant allows is allowed by each caveat, with the same principal."""
    authentic = AuthenticCaveats((*texts, *odd))
    found = quickly(granted, authentic, facts)
    event("allowed" if found else "not said")
    assert found is None or found == one_by_one(granted, authentic, facts)


@given(grants, few_caveats, accesses)
def test_a_narrowed_grant_of_one_audience_allows_no_less(granted, caveats: list[Caveat], facts):
    """The narrowed grant, if there is one, allows each access that every caveat allows."""
    texts = AuthenticCaveats(tuple(caveat_text(one) for one in caveats))
    assume(narrowed_by(granted, texts) is not None)
    assert quickly(granted, texts, facts) == one_by_one(granted, texts, facts)


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(access(now=NOW + 600), id="expired"),
        pytest.param(access(certificate=OTHER_CERTIFICATE), id="another certificate"),
        pytest.param(access(certificate=None), id="no certificate"),
        pytest.param(access(audience=None), id="no audience"),
        pytest.param(access(audience="https://other.example"), id="another audience"),
    ],
)
def test_a_fact_that_is_missing_is_never_allowed(facts: Access):
    """An unknown or other fact is not allowed by a grant that was allowed with the right one."""
    narrowed = narrowed_by(grant(), AuthenticCaveats((caveat_text(BOUND),)))
    assert narrowed is not None
    assert (narrowed.allows(ACCESS), narrowed.allows(facts)) == (True, False)


def test_a_grant_without_one_audience_is_not_narrowed():
    """A token that is keyed for the issuer is judged caveat by caveat: an access without audience is none."""
    assert narrowed_by(grant(aud=(API,)), AuthenticCaveats(())) is None


@pytest.mark.parametrize("others", [(BOUND, THIEFS), (THIEFS, BOUND), (BOUND, THIEFS, BOUND)], ids=str)
@pytest.mark.parametrize("certificate", [CERTIFICATE, OTHER_CERTIFICATE])
def test_two_certificates_are_never_allowed(others: tuple[Caveat, ...], certificate):
    """A token that names two certificates is allowed with neither, in whichever order they stand."""
    texts = AuthenticCaveats(tuple(map(caveat_text, others)))
    assert quickly(grant(), texts, access(certificate=certificate)) is None
