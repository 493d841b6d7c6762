import pytest

from macaroon_cbat.macaroon.target import Target, is_plain_path, parse_target


@pytest.mark.parametrize(
    ("uri", "origin", "path"),
    [
        ("https://api.example/a/b", "https://api.example", "/a/b"),
        ("https://api.example", "https://api.example", "/"),
        ("HTTPS://API.Example/A", "https://api.example", "/A"),
        ("https://api.example:443/", "https://api.example", "/"),
        ("https://api.example:8443/", "https://api.example:8443", "/"),
        ("http://api.example:80/", "http://api.example", "/"),
        ("http://api.example:443/", "http://api.example:443", "/"),
        ("https://[2001:DB8::1]/", "https://[2001:db8::1]", "/"),
        ("https://api.example/%7Ealice/%C3%A9", "https://api.example", "/~alice/é"),
    ],
)
def test_uris_are_normalized(uri, origin, path):
    """Scheme and host are lower case, the default port is dropped, the path is decoded (RFC 3986 6.2)."""
    assert parse_target(uri) == Target(origin, path)


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("", id="empty"),
        pytest.param("/invoices", id="relative"),
        pytest.param("ftp://api.example/", id="another scheme"),
        pytest.param("//api.example/", id="no scheme"),
        pytest.param("https:///invoices", id="no host"),
        pytest.param("https://alice@api.example/", id="a user"),
        pytest.param("https://@api.example/", id="an empty user"),
        pytest.param("https://api.example/?q=1", id="a query"),
        pytest.param("https://api.example/?", id="an empty query"),
        pytest.param("https://api.example/#top", id="a fragment"),
        pytest.param("https://api.example/#", id="an empty fragment"),
        pytest.param("https://api.example/a b", id="a space"),
        pytest.param("https://api.example/\ta", id="a tab that urlsplit would drop"),
        pytest.param("https://api.example/a\n", id="a newline that urlsplit would drop"),
        pytest.param(" https://api.example/", id="leading white space"),
        pytest.param("https://api.example:port/", id="a port that is no number"),
        pytest.param("https://api.example:65536/", id="a port out of range"),
        pytest.param("https://[::1/", id="half an IPv6 address"),
        pytest.param("https://bücher.example/", id="not ASCII"),
        pytest.param("https://api.example/%FF", id="a path that is not UTF-8"),
    ],
)
def test_only_origin_and_path_are_a_target(uri):
    """Anything but an absolute http(s) URI of origin and path is a ValueError."""
    with pytest.raises(ValueError, match=r"."):
        parse_target(uri)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/a",
        "/a/",
        "/a/b",
        "/a.b",
        "/...",
        "/.well-known",
        "/é",
        "/100%",
        "/a;v=1",
        "/5%off",
        "/a%zz",
        "/100\uff05",
    ],
)
def test_honest_paths_are_plain(path):
    """A path that everybody reads alike is plain."""
    assert is_plain_path(path)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("", id="empty"),
        pytest.param("a", id="no leading slash"),
        pytest.param("//", id="an empty segment"),
        pytest.param("/a//b", id="an empty segment inside"),
        pytest.param("/.", id="a dot segment"),
        pytest.param("/a/../b", id="two dots"),
        pytest.param("/a/..", id="two dots at the end"),
        pytest.param("/a/../", id="two dots and a slash"),
        pytest.param("/a/..;/b", id="two dots with a parameter, as Tomcat reads them"),
        pytest.param("/a/.;x=1/b", id="a dot with a parameter"),
        pytest.param("/a\\..\\b", id="backslashes"),
        pytest.param("/a\0", id="a NUL"),
        pytest.param("/a/%2e%2e/b", id="dots encoded twice"),
        pytest.param("/a%2Fb", id="a slash encoded twice"),
        pytest.param("/a%5cb", id="a backslash encoded twice"),
        pytest.param("/a%252e", id="encoded thrice"),
        pytest.param("/%41dmin", id="a letter encoded twice"),
        pytest.param("/a%20", id="a blank encoded twice"),
        pytest.param("/%C3%A9", id="a letter beyond ASCII encoded twice"),
        pytest.param("/%%34%31", id="encoded thrice, in part"),
        pytest.param("/%u0041", id="as escape() of JavaScript has it"),
        pytest.param("/%U002f", id="as escape() of JavaScript has it, in a capital"),
        pytest.param("/\uff0541", id="a full-width percent sign"),
        pytest.param("/\ufe6a41", id="a small percent sign"),
        pytest.param("/%\uff14\uff11", id="full-width digits"),
        pytest.param("/%\u0664\u0661", id="Arabic digits"),
        pytest.param("/%4\uff26", id="a full-width letter"),
        pytest.param("/\uff05\uff550041", id="escape() in full width"),
    ],
)
def test_crooked_paths_are_not_plain(path):
    """A path that a server downstream could read as another one is not plain."""
    assert not is_plain_path(path)


@pytest.mark.parametrize("code", range(256))
@pytest.mark.parametrize("form", ["%{:02x}", "%{:02X}"])
def test_no_octet_is_left_encoded(form, code):
    """A decoded path in which an encoded octet is left, whichever it is, is not plain."""
    assert not is_plain_path("/a" + form.format(code))
