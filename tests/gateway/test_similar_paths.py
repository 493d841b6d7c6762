"""Paths that some server takes for a ruled one: never judged by a laxer rule for a shorter path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macaroon_cbat.errors import InvalidRequest, NoRule
from macaroon_cbat.gateway.rules import Rule, Rules, path_of

STRICT = Rules([Rule(path="/", public=True), Rule(path="/admin", scope="root")])
SPELLINGS = {
    "a format": "/admin.json",
    "a format of two parts": "/admin.tar.gz",
    "a dot": "/admin.",
    "several dots": "/admin...",
    "a blank": "/admin%20",
    "a blank before": "/%20admin",
    "a dot and a blank": "/admin.%20",
    "a blank and a format": "/admin%20.json",
    "a no-break space": "/admin%c2%a0",
    "an ideographic space": "/admin%e3%80%80",
    "a line separator": "/admin%e2%80%a8",
    "a capital": "/Admin",
    "capitals": "/ADMIN",
    "an escaped capital": "/%41dmin",
    "a capital and a format": "/ADMIN.JSON",
    "a dotless i": "/adm%c4%b1n",
    "an I with a dot": "/adm%c4%b0n",
    "an i and a dot": "/admi%cc%87n",
    "full width": "/%ef%bd%81dmin",
    "a mathematical capital": "/%f0%9d%90%80dmin",
    "circled": "/%e2%93%90dmin",
    "a full-width dot": "/admin%ef%bc%8ejson",
    "an ellipsis": "/admin%e2%80%a6",
    "a zero-width space": "/ad%e2%80%8bmin",
    "a byte order mark": "/%ef%bb%bfadmin",
    "a soft hyphen": "/ad%c2%admin",
    "a variation selector": "/admin%ef%b8%8f",
    "a thousand invisible ones": "/a" + "%e2%80%8b" * 1000 + "dmin",
    "a slash": "/admin/",
    "a slash after a capital": "/Admin/",
    "a blank segment": "/admin/%20",
    "a segment of dots": "/admin/...",
    "a blank segment above": "/%20/admin",
    "an invisible segment above": "/%e2%80%8b/admin",
    "a stream of Windows": "/admin::$DATA",
    "an index of Windows": "/admin:$I30:$INDEX_ALLOCATION",
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("below", ["", "/users", "/users.json"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_path_like_a_ruled_one_does_not_fall_through(spelling: str, below: str, method: str):
    """A path that servers may take for a ruled one is refused or judged by its rule, never by a laxer one."""
    path = path_of(spelling.removesuffix("/") + below if below else spelling)
    try:
        assert STRICT.rule_for(method, path).scope == "root"
    except NoRule as error:
        assert "'/admin'" in str(error)


@pytest.mark.parametrize("extra", [";x", "%3bx", "%09", "%00", "%2f", "%ef%bc%8fx", "/.", "//", "/%2e%2e/x"])
def test_what_has_two_readings_is_no_path(extra: str):
    """A parameter, a control, a slash in disguise or an empty segment is refused before any rule."""
    with pytest.raises(InvalidRequest):
        path_of("/admin" + extra)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1.2/x",
        "/file.json",
        "/Documents/Résumé.PDF",
        "/administrator",
        "/admins",
        "/admin-x.json",
        "/admin_.x",
        "/badmin",
        "/.admin",
        "/x/admin",
        "/x/Admin.json",
        "/users:admin",
        "/ädmin",
        "/\u306a\u306b\uff1f",
        "/a b",
    ],
)
def test_honest_paths_fall_to_the_root(path: str):
    """A path that no server takes for a ruled one is judged by the rule that it falls to."""
    assert STRICT.rule_for("GET", path).public


@pytest.mark.parametrize(
    "path", ["/admin", "/admin/x.json", "/admin/X", "/admin/users.", "/admin/a b", "/admin/.x"]
)
def test_below_a_ruled_path_every_spelling_is_its_own(path: str):
    """Below a rule, where no rule says more, letter case and formats change nothing."""
    assert STRICT.rule_for("GET", path).scope == "root"


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        pytest.param("/admin.json", "/admin.json", id="a format"),
        pytest.param("/Admin", "/Admin", id="a capital"),
        pytest.param("/Admin", "/Admin/x", id="below a capital"),
        pytest.param("/admin/", "/admin/", id="a slash"),
        pytest.param("/admin/", "/admin/x", id="below a slash"),
        pytest.param("/v1.2", "/v1.2/x", id="a version"),
    ],
)
def test_a_rule_of_its_own_decides(rule: str, path: str):
    """A path that a rule names is judged by that rule, whatever it looks like."""
    rules = [Rule(path="/", public=True), Rule(path="/admin", scope="root"), Rule(path=rule, scope="own")]
    assert Rules(rules).rule_for("GET", path).scope == "own"


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        pytest.param([Rule(path="/once", exact=True, scope="x")], "/once/", id="an exact one, with a slash"),
        pytest.param([Rule(path="/once", exact=True, scope="x")], "/ONCE", id="an exact one, in capitals"),
        pytest.param([Rule(path="/files/", scope="x")], "/files", id="a slash that is missing"),
        pytest.param([Rule(path="/Admin", scope="x")], "/admin", id="small letters for capitals"),
        pytest.param([Rule(path="/CAFÉ", scope="x")], "/cafe\u0301/x", id="decomposed, in small letters"),
        pytest.param([Rule(path="/straße", scope="x")], "/STRASSE", id="a sharp s"),
        pytest.param([Rule(path="/v1.2", scope="x")], "/v1.2.json", id="a version, with a format"),
        pytest.param([Rule(path="/a/b", scope="x")], "/A/b/c", id="a capital above"),
        pytest.param([Rule(path="/a.b/c", scope="x")], "/a.b.json/c", id="a format above"),
        pytest.param([Rule(path="/a", scope="y"), Rule(path="/a/b", scope="x")], "/a/B", id="below another"),
        pytest.param([Rule(path="/A", scope="y"), Rule(path="/a/b", scope="x")], "/A/b", id="a twin above"),
        pytest.param([Rule(path="/a/b", exact=True, scope="x")], "/a/b/ ", id="an exact one, with a blank"),
        pytest.param([Rule(path="/", exact=True, scope="x")], "/ ", id="the root, with a blank"),
        pytest.param(
            [Rule(path="/a", scope="y"), Rule(path="/a", exact=True, scope="x")], "/a/", id="beside exact"
        ),
    ],
)
def test_the_rule_that_says_more_is_never_passed_by(rules: list[Rule], path: str):
    """No other rule opens a path for which a rule of more segments, or an exact one, could be meant."""
    with pytest.raises(NoRule, match="could be taken for"):
        Rules([Rule(path="/", public=True), *rules]).rule_for("GET", path)


def test_an_exact_rule_says_nothing_below():
    """A path below one like an exact rule's is not that rule's."""
    rules = Rules([Rule(path="/", public=True), Rule(path="/once", exact=True, scope="x")])
    assert rules.rule_for("GET", "/ONCE/more").public


def test_without_a_laxer_rule_nothing_changes():
    """A path like a ruled one is refused as any other where no rule is about it at all."""
    with pytest.raises(NoRule, match="no rule is about"):
        Rules([Rule(path="/admin", scope="root")]).rule_for("GET", "/Admin")


SEGMENTS = st.lists(
    st.sampled_from(["admin", "ADMIN", "admin.json", "users", "Users.", " users", "x", "v1.2"]), max_size=4
)


@given(SEGMENTS, st.sampled_from(["", "/"]))
def test_no_server_reads_a_laxer_path(segments: list[str], slash: str):
    """However a server folds the path, the rule that decided is the one that the folded path has."""
    path = "/" + "/".join(segments) + (slash if segments else "")
    rules = Rules(
        [
            Rule(path="/", public=True),
            Rule(path="/admin", scope="root"),
            Rule(path="/admin/users", scope="users"),
            Rule(path="/x", exact=True, scope="x"),
        ]
    )
    folded = "/" + "/".join(segment.strip().lower().split(".")[0] for segment in segments)
    try:
        decided = rules.rule_for("GET", path)
    except NoRule:
        return
    assert decided == rules.rule_for("GET", folded)


def test_a_long_path_costs_little():
    """Of text that an attacker chose only a beginning is normalized, which takes quadratic time."""
    marks = "\u0316\u0301"
    assert STRICT.rule_for("GET", "/admin" + marks * 500_000).public


IGNORED = st.sampled_from(
    [" ", "\xa0", "\u2003", "\u3000", "\u200b", "\ufeff", "\xad", "\u034f", "\ufe0f", "\u3164"]
)
IGNORED_AT_THE_END = st.one_of(
    IGNORED, st.sampled_from([".", "\uff0e", "\u2026", "::$DATA", "\uff1a\uff1a\uff04DATA"])
)
PATHS_BELOW = st.sampled_from(["", "/x"])
RULED = {
    "the only one": ("/", "admin"),
    "below another": ("/invoices/", "admin"),
    "a number": ("/invoices/", "7"),
    "a letter": ("/", "a"),
}


@pytest.mark.parametrize(("above", "ruled"), RULED.values(), ids=RULED)
@given(
    st.lists(IGNORED),
    st.lists(IGNORED_AT_THE_END),
    st.integers(1, 300),
    st.sampled_from([0, 0xFEE0]),
    PATHS_BELOW,
)
def test_no_padding_of_what_is_ignored_opens_a_path(  # noqa: PLR0917 # drawn
    above: str, ruled: str, before: list[str], behind: list[str], times: int, shift: int, below: str
):
    """Padding that servers ignore, before or behind a ruled segment, however much, leads to no laxer rule."""
    rules = Rules(
        [
            Rule(path="/", public=True),
            Rule(path="/invoices", scope="read"),
            Rule(path=above + ruled, scope="x"),
        ]
    )
    segment = "".join(chr(ord(one) + shift) for one in ruled)  # in full width, or as it is
    padded = "".join(before) * times + segment + "".join(behind) * times
    try:
        scope = rules.rule_for("GET", above + padded + below).scope
    except NoRule:
        scope = "x"
    assert scope == "x"


@given(st.text(st.sampled_from(" \u200b.\u2026\xa0"), min_size=1), st.sampled_from(["x", "7", "é", "-"]))
def test_a_segment_of_which_something_is_left_is_one(padding: str, left: str):
    """Padding, however long, makes no segment disappear in which anything else stands."""
    rules = Rules([Rule(path="/", public=True), Rule(path=f"/{padding}{left}/b", scope="x")])
    with pytest.raises(NoRule, match="could be taken for"):
        rules.rule_for("GET", f"/{padding}{left}/B")


@pytest.mark.parametrize("blank", [" ", "\xa0", "\u200b", " \u200b"], ids=ascii)
@pytest.mark.parametrize("count", [1, 5, 6, 7, 21, 22, 23, 1000, 100_000])
def test_leading_blanks_open_nothing(blank: str, count: int):
    """Blanks before a ruled segment are ignored, be they more than its rule has characters."""
    with pytest.raises(NoRule, match="could be taken for '/admin'"):
        STRICT.rule_for("GET", f"/{blank * count}admin")
