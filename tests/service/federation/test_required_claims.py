import pytest

from macaroon_cbat.service.federation.claims import claim_at, fits

FITTING = [
    ("a", "a"),
    ("repo:org/shop:env:prod", "repo:org/*:env:prod"),
    ("repo:org/a-b_c.d~e+f:env:prod", "repo:org/*:env:*"),
    ("a/x/b", "*/x/*"),
    ("aXbXc", "*X*"),
    ("alice@example.com", "*@example.com"),
    (True, "true"),
    (False, "false"),
    (65, "65"),
    (["x", "y"], "y"),
    (["prod-1", "x"], "prod-*"),
]
OTHER = [
    ("A", "a"),
    ("a ", "a"),
    ("repo:org/:env:prod", "repo:org/*:env:prod"),
    ("repo:org/x:env:y:env:prod", "repo:org/*:env:prod"),
    ("repo:org/x/y:env:prod", "repo:org/*:env:*"),
    ("a:b/x/c", "*/x/*"),
    ("a/x/", "*/x/*"),
    ("/x/b", "*/x/*"),
    ("a/x", "*/x/*"),
    ("eve@evil.com@example.com", "*@example.com"),
    ("a\nb", "a*b"),
    ("ab", "a*b"),
    ("a\u00e9b", "a*b"),
    ("prod", "prod*prod"),
    (True, "True"),
    (True, "1"),
    (1, "true"),
    (1.0, "1"),
    (None, "null"),
    (None, "None"),
    ({"x": 1}, "x"),
    ([["x"]], "x"),
    ([], "x"),
    ("*", "a"),
]


@pytest.mark.parametrize(("value", "pattern"), FITTING)
def test_a_value_that_fits(value, pattern):
    """A claim fits its text, a list its member, and a star plain characters, one at least."""
    assert fits(value, pattern)


@pytest.mark.parametrize(("value", "pattern"), OTHER)
def test_any_other_value(value, pattern):
    """No separator, no other type and no other letter case fits."""
    assert not fits(value, pattern)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a", {"b/c": {"~d": 1}}),
        ("/a/b~1c/~0d", 1),
        ("/a/x", None),
        ("/a/b~1c/~0d/e", None),
        ("a/b~1c", None),
    ],
)
def test_a_claim_inside_another(name, found):
    """A name is a member, and a JSON Pointer leads inside (RFC 6901); what is not there is None."""
    assert claim_at({"a": {"b/c": {"~d": 1}}}, name) == found
