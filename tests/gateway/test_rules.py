import pytest
from hypothesis import given
from hypothesis import strategies as st

from macaroon_cbat.errors import InvalidRequest, NoRule
from macaroon_cbat.gateway.rules import LONGEST_METHOD, Rule, Rules, method_of

RULES = Rules(
    [
        Rule(path="/invoices", methods=("GET", "HEAD"), scope="read"),
        Rule(path="/invoices", scope="write"),
        Rule(path="/invoices/open", exact=True, public=True),
        Rule(path="/invoices/open/secret", scope="admin"),
        Rule(path="/files/", scope="files"),
        Rule(path="/once", exact=True, methods=("GET",), scope="once"),
        Rule(path="/once", scope="below"),
        Rule(path="/only", methods=("GET",), scope="only"),
        Rule(path="/café", scope="coffee"),
    ]
)
WITH_ROOT = Rules([Rule(path="/", public=True), Rule(path="/admin", methods=("GET",), scope="admin")])

SECOND_TARGET = [
    *(
        "COPY",
        "MOVE",
        "BIND",
        "REBIND",
        "UNBIND",
        "LINK",
        "UNLINK",
        "SEARCH",
        "REPORT",
        "ORDERPATCH",
        "LABEL",
    ),
    *(
        "BASELINE-CONTROL",
        "CHECKIN",
        "CHECKOUT",
        "MERGE",
        "MKACTIVITY",
        "MKWORKSPACE",
        "UNCHECKOUT",
        "UPDATE",
    ),
    *("VERSION-CONTROL", "MKREDIRECTREF", "UPDATEREDIRECTREF"),
    *("BCOPY", "BDELETE", "BMOVE", "BPROPFIND", "BPROPPATCH"),
]


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/invoices", "read"),
        ("HEAD", "/invoices/7", "read"),
        ("POST", "/invoices/7", "write"),
        ("PURGE", "/invoices/7", "write"),
        ("GET", "/invoices/", "read"),
        ("GET", "/invoices/open", None),
        ("GET", "/invoices/open/secret/x", "admin"),
        ("GET", "/invoices/open/other", "read"),
        ("GET", "/files/", "files"),
        ("GET", "/files/a", "files"),
        ("GET", "/once", "once"),
        ("GET", "/once/more", "below"),
        ("GET", "/café/au/lait", "coffee"),
    ],
)
def test_the_longest_path_wins_then_the_method(method: str, path: str, scope: str | None):
    """Of all rules the one with the longest path counts, an exact one first, one with the method first."""
    assert RULES.rule_for(method, path).scope == scope


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/invoice"),
        ("GET", "/invoicesx"),
        ("GET", "/Invoices"),
        ("GET", "/files"),
        ("POST", "/once"),
        ("POST", "/only"),
        ("POST", "/only/x"),
    ],
)
def test_what_no_rule_opens_is_closed(method: str, path: str):
    """A request that no rule is about is refused, a neighbour of a rule's path included."""
    with pytest.raises(NoRule):
        RULES.rule_for(method, path)


def test_a_shorter_path_does_not_help_out():
    """A shorter, laxer path does not count where the longest one has no rule for the method."""
    assert WITH_ROOT.rule_for("POST", "/elsewhere").public
    with pytest.raises(NoRule):
        WITH_ROOT.rule_for("POST", "/admin/users")


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "TRACK"])
def test_a_tunnel_or_an_echo_needs_a_rule_that_names_it(method: str):
    """No rule for every method means CONNECT, TRACE or TRACK, a public one neither."""
    rules = [Rule(path="/", public=True), Rule(path="/proxy", methods=("GET", method), scope="proxy")]
    assert Rules(rules).rule_for(method, "/proxy/x").scope == "proxy"
    with pytest.raises(NoRule, match=method):
        Rules(rules).rule_for(method, "/elsewhere")


@pytest.mark.parametrize("method", SECOND_TARGET)
def test_a_method_with_a_second_target_needs_a_rule_that_names_it(method: str):
    """No rule for every method means one that acts on a resource which a header or the body names."""
    rules = [
        Rule(path="/", public=True),
        Rule(path="/dav", scope="write"),
        Rule(path="/dav/named", methods=(method,), scope="copy"),
    ]
    assert Rules(rules).rule_for(method, "/dav/named/x").scope == "copy"
    for path in ("/dav/x", "/elsewhere", "/dav"):
        with pytest.raises(NoRule, match=method):
            Rules(rules).rule_for(method, path)


@pytest.mark.parametrize(
    "method", ["PROPFIND", "PROPPATCH", "MKCOL", "LOCK", "UNLOCK", "PUT", "DELETE", "ACL"]
)
def test_a_method_about_its_own_target_needs_no_name(method: str):
    """A method of WebDAV that acts on the target of the request alone is opened by any rule."""
    assert Rules([Rule(path="/dav", scope="write")]).rule_for(method, "/dav/x").scope == "write"


@pytest.mark.parametrize("method", ["GET", "PROPFIND", "M-SEARCH", "UPDATEREDIRECTREF", "A" * LONGEST_METHOD])
def test_a_method_in_capitals_is_one(method: str):
    """Every registered method, and each that is spelled like one, is taken as it is."""
    assert method_of(method) == method


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(" ", id="a blank"),
        pytest.param("get", id="small letters"),
        pytest.param("Delete", id="one capital"),
        pytest.param("DELETe", id="all but one"),
        pytest.param("GET, DELETE", id="a list"),
        pytest.param("GET DELETE", id="two"),
        pytest.param("GET\tDELETE", id="a tab"),
        pytest.param(" GET", id="a blank before"),
        pytest.param("GET ", id="a blank after"),
        pytest.param("GET\n", id="a line end"),
        pytest.param("GET\nINFO all is well", id="a second line"),
        pytest.param("GET\x00", id="a NUL"),
        pytest.param("-GET", id="a hyphen first"),
        pytest.param("GET_X", id="an underscore"),
        pytest.param("GET1", id="a digit"),
        pytest.param("*", id="a star"),
        pytest.param("G\xc9T", id="not ASCII"),
        pytest.param("\uff27\uff25\uff34", id="full width"),
        pytest.param("DELETE\u200b", id="an invisible character"),
        pytest.param("A" * (LONGEST_METHOD + 1), id="too long"),
    ],
)
def test_anything_else_is_no_method(text: str):
    """A method in other letters, a list of them, a long one or none at all is an InvalidRequest."""
    with pytest.raises(InvalidRequest, match="is no method"):
        method_of(text)


@given(
    st.lists(st.sampled_from(["invoices", "open", "x"]), max_size=5).map("/".join),
    st.sampled_from(["", "/"]),
    st.sampled_from(["GET", "PUT"]),
)
def test_the_lookup_agrees_with_the_definition(segments: str, slash: str, method: str):
    """The lookup finds what a search through all rules finds, on whatever path."""
    path = f"/{segments}{slash if segments else ''}"
    rules = [
        Rule(path="/", scope="0"),
        Rule(path="/invoices", methods=("GET",), scope="1"),
        Rule(path="/invoices/", scope="2"),
        Rule(path="/invoices/open", scope="3"),
        Rule(path="/x/x", exact=True, scope="4"),
    ]
    about = [
        rule
        for rule in rules
        if path == rule.path
        or (not rule.exact and (path.startswith(rule.path.rstrip("/") + "/") and path.startswith(rule.path)))
    ]
    best = max(about, key=lambda rule: (rule.exact, len(rule.path)))
    is_like_an_exact_one = path == "/x/x/"
    if is_like_an_exact_one or (best.methods is not None and method not in best.methods):
        with pytest.raises(NoRule):
            Rules(rules).rule_for(method, path)
    else:
        assert Rules(rules).rule_for(method, path) is best


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (Rule(path="/a"), "either a scope"),
        (Rule(path="/a", scope="read", public=True), "either a scope"),
        (Rule(path="/a/../b", scope="read"), "more than one way"),
        (Rule(path="/a//b", scope="read"), "more than one way"),
        (Rule(path="/a;b", scope="read"), "more than one way"),
        (Rule(path="/a%2fb", scope="read"), "more than one way"),
        (Rule(path="/a%3bb", scope="read"), "more than one way"),
    ],
)
def test_a_rule_that_says_too_little_is_a_mistake(rule: Rule, why: str):
    """A rule names a scope or is public, never both or neither, and its path has one reading."""
    assert why in str(rule.mistake())
    assert Rule(path="/a", scope="").mistake() is None


@pytest.mark.parametrize(
    "rules",
    [
        [Rule(path="/a", scope="x"), Rule(path="/a", public=True)],
        [Rule(path="/a", methods=("GET", "PUT"), scope="x"), Rule(path="/a", methods=("PUT",), scope="y")],
        [Rule(path="/a", exact=True, scope="x"), Rule(path="/a", exact=True, scope="x")],
        [Rule(path="/a", methods=("GET", "GET"), scope="x")],
    ],
)
def test_two_rules_about_the_same_are_an_error(rules: list[Rule]):
    """Two rules for the same requests are an error: which one counts is never left to their order."""
    with pytest.raises(ValueError, match="two rules cover"):
        Rules(rules)
