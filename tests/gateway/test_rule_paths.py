"""The path of a request target: one reading, or none."""

import sys
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macaroon_cbat.errors import InvalidRequest
from macaroon_cbat.gateway.rules import Rule, path_of


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/", "/"),
        ("/invoices/7", "/invoices/7"),
        ("/invoices/7?x=/../y", "/invoices/7"),
        ("/caf%C3%A9", "/café"),
        ("/a%20b", "/a b"),
        ("/a//b", None),
        ("//a", None),
        ("/a/./b", None),
        ("/a/../b", None),
        ("/a/%2e%2e/b", None),
        ("/a/%2E%2e/b", None),
        ("/a/.%2e/b", None),
        ("/a/..;x/b", None),
        ("/a;x/b", None),
        ("/a%3Bx/b", None),
        ("/a%2fb", None),
        ("/a%2Fb", None),
        ("/a%5cb", None),
        ("/a\\b", None),
        ("/a%252fb", None),
        ("/a%252e%252e/b", None),
        ("/a%253bx", None),
        ("/a%00", None),
        ("/a%0a", None),
        ("/a%7f", None),
        ("/a%250a", None),
        ("/%2541dmin", None),
        ("/a%2520", None),
        ("/%25C3%25A9", None),
        ("/%25u0041", None),
        ("/%ef%bc%8541dmin", None),
        ("/100%25", "/100%"),
        ("/a%25zz", "/a%zz"),
        ("/a?x=%2541%u0041", "/a"),
        ("/a?", "/a"),
        ("/a?x=[y]|{z}", "/a"),
        ("/a?x y", None),
        ("/a? HTTP/1.1", None),
        ("/a?x\ty", None),
        ("/a?x\r\nX: y", None),
        ("/a?x\n", None),
        ("/a?\x00", None),
        ("/a?\x7f", None),
        ("/a?\x85", None),
        ("/a?caf\xe9", None),
        ("/a?\u2028", None),
        ("/a\nb", None),
        ("/a\n", None),
        ("/a b", None),
        ("/a#b", None),
        ("/a%23b", None),
        ("/a%3fb", None),
        ("/a%zz", None),
        ("/a%4", None),
        ("/a%ff", None),
        ("/a%c0%af", None),
        ("/caf\xe9", None),
        ("/a%ef%bc%8fb", None),
        ("/a%ef%bc%bcb", None),
        ("/a%cd%bex", None),
        ("/a/%e2%80%a5/b", None),
        ("/a/%ef%bc%8e%ef%bc%8e", None),
        ("/a/.%e2%80%a4/b", None),
        ("/a/%ef%bc%8e%ef%bc%8e%ef%bc%8e", "/a/\uff0e\uff0e\uff0e"),
        ("/a/%ef%bc%8ex", "/a/\uff0ex"),
        ("/%e3%81%aa%e3%81%ab%ef%bc%9f", "/\u306a\u306b\uff1f"),
        ("http://api.example/a", None),
        ("*", None),
        ("", None),
        ("?x", None),
        ("a", None),
    ],
)
def test_a_path_has_one_reading_or_is_refused(uri: str, path: str | None):
    """A path is percent-decoded once and never normalized: what servers read differently is refused."""
    if path is None:
        with pytest.raises(InvalidRequest):
            path_of(uri)
    else:
        assert path_of(uri) == path


@pytest.mark.parametrize("separator", ["/", "\\"])
def test_no_character_becomes_a_separator(separator: str):
    """Every character of which a Unicode normal form has a slash or a backslash is refused in a path."""
    others = [chr(code) for code in range(0x80, sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]
    becoming = [other for other in others if separator in normalize("NFKC", other)]
    assert becoming
    assert [other for other in becoming if Rule(path=f"/a{other}b", scope="").mistake() is None] == []


@given(st.text())
def test_no_other_exception_comes_from_a_path(text: str):
    """Any text as a request target is a plain path or an InvalidRequest."""
    try:
        path = path_of("/" + text)
    except InvalidRequest:
        return
    *above, last = path.removeprefix("/").split("/")
    assert not {"..", ".", ""} & set(above)
    assert last not in ("..", ".")
