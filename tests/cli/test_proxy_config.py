from pathlib import Path

import pytest
from click.testing import CliRunner

from macaroon_cbat.certificate.formats import FORMATS
from macaroon_cbat.cli import main
from macaroon_cbat.gateway.question import KINDS
from macaroon_cbat.proxy_config import PROXIES
from tests.support.proxy_config import GATEWAY, generate, texts

ASKING = sorted(name for name, proxy in PROXIES.items() if proxy.asks_gateway)


@pytest.mark.parametrize("options", [(), GATEWAY], ids=["guarded server", "gateway"])
@pytest.mark.parametrize("proxy", sorted(PROXIES))
def test_it_says_which_line_matters(proxy: str, options: tuple[str, ...], tmp_path: Path) -> None:
    """Every configuration has exactly one comment about the line that matters."""
    if proxy == "apache" and options:
        assert "cannot send requests to a gateway" in generate(proxy, *options).output
    else:
        for protocol in PROXIES[proxy].protocols:
            assert texts(proxy, tmp_path, *options, protocol=protocol).count("THE ") == 1


@pytest.mark.parametrize("proxy", sorted(PROXIES))
def test_one_listener(proxy: str, tmp_path: Path) -> None:
    """Without --http-listen there is no listener in the clear."""
    folders = (tmp_path / "one", tmp_path / "two")
    for folder in folders:
        folder.mkdir()
    assert "8080" in texts(proxy, folders[0])
    done = CliRunner().invoke(
        main,
        [
            "proxy-config",
            proxy,
            "--upstream",
            "127.0.0.1:8000",
            "--cert",
            "/a.pem",
            "--output",
            str(folders[1]),
        ],
    )
    assert done.exit_code == 0, done.output
    assert not any("8080" in file.read_text() for file in folders[1].iterdir())


SYNTAX = [
    "x; include /etc/passwd",
    "x\nlisten 1",
    'x"',
    "x{{y}}",
    "x}",
    "x #",
    "x'",
    "$x",
    "x\\",
    "x|y",
    "%h",
    "ü",
]
NO_ADDRESSES = ["unix:x", "ho st:1", "host:0", "host:65536", "host", "[::1:1", "[x]:1", "host:1/path",
                "a@host:1", "host:\u0661", "", ":1", "-host:1",
                "[::1%{env.X}]:1", "[::1%x y]:1", "[::1%]:1", "::1:1", "unix:"]  # fmt: skip


@pytest.mark.parametrize("option", ["--upstream", "--gateway", "--listen", "--http-listen"])
@pytest.mark.parametrize(
    "text", [*NO_ADDRESSES, *(f"unix:/{each}" for each in SYNTAX), *(f"{e}:1" for e in SYNTAX)]
)
def test_no_syntax_in_an_address(option: str, text: str, tmp_path: Path) -> None:
    """An address that could be more than an address to some proxy is refused, and nothing is written."""
    for proxy in ASKING:
        done = generate(proxy, *GATEWAY, option, text, "--output", tmp_path)
        assert (done.exit_code, list(tmp_path.iterdir())) == (2, []), (proxy, done.output)
        assert option in done.output


@pytest.mark.parametrize("option", ["--cert", "--key", "--output"])
@pytest.mark.parametrize("text", SYNTAX)
def test_no_syntax_in_a_file_name(option: str, text: str, tmp_path: Path) -> None:
    """The name of a file that could be more than that to some proxy is refused, and nothing is written."""
    for proxy in PROXIES:
        done = generate(proxy, "--output", tmp_path, option, f"/{text}")
        assert (done.exit_code, list(tmp_path.iterdir())) == (2, []), (proxy, done.output)


NO_PATHS = ["x y", 'x"', "x{{y}}", "x}", "x'", "$x", "x\\", "x|y", "%h", "ü", "x`", "x)", "x*", "~x", "^x"]


ENCODED = [
    "%22",
    "%24x",
    "%27",
    "%5C",
    "%60",
    "%7B%7Bx%7D%7D",
    "%0A",
    "%0D",
    "%25",
    "%2F",
    "%3B",
    "%3F",
    "%23",
    "x?y",
]
"""Text that becomes syntax, or a delimiter, once it is decoded."""
NO_PATH_OF_AN_AUDIENCE = [*(text for text in NO_PATHS if text != "~x"), *ENCODED]


@pytest.mark.parametrize(
    ("option", "before", "text"),
    [
        *(("--websocket", "/", text) for text in NO_PATHS),
        *(("--audience", "https://api.example/", text) for text in NO_PATH_OF_AN_AUDIENCE),
    ],
)
def test_no_syntax_in_a_path(option: str, before: str, text: str, tmp_path: Path) -> None:
    """A path that could be more than a path to some proxy is refused, and nothing is written."""
    for proxy in PROXIES:
        done = generate(proxy, option, before + text, "--output", tmp_path)
        assert (done.exit_code, list(tmp_path.iterdir())) == (2, []), (proxy, done.output)
        assert option in done.output


@pytest.mark.parametrize(
    "text", ["", "socket", "/socket?x", "/x#", "/x\nlisten 1", "https://localhost/socket"]
)
def test_a_websocket_s_path_is_a_path(text: str, tmp_path: Path) -> None:
    """A path for WebSockets that is no plain path is refused, and nothing is written."""
    done = generate("nginx", "--websocket", text, "--output", tmp_path)
    assert (done.exit_code, list(tmp_path.iterdir())) == (2, [])


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "X_User",
        "X-User:",
        "x\ny",
        "1x",
        "X;",
        "x" * 65,
        "é",
        "Host",
        "AUTHORIZATION",
        "Upgrade",
    ],
)
def test_a_header_to_remove_is_a_name(name: str, tmp_path: Path) -> None:
    """--remove-header takes what is a name to every proxy, and none without which no request works."""
    done = generate("nginx", "--remove-header", name, "--output", tmp_path)
    assert (done.exit_code, "--remove-header" in done.output, list(tmp_path.iterdir())) == (2, True, [])


@pytest.mark.parametrize("proxy", ASKING)
def test_the_document_of_an_audience_with_a_path(proxy: str, tmp_path: Path) -> None:
    """With --audience the document's route is the one path that RFC 9728 gives it, otherwise the bare one."""
    path = "/.well-known/oauth-protected-resource"
    (tmp_path / "bare").mkdir()
    (tmp_path / "longer").mkdir()
    bare = texts(proxy, tmp_path / "bare", *GATEWAY)
    longer = texts(proxy, tmp_path / "longer", *GATEWAY, audience="https://api.example/v1/")
    assert (path in bare, f"{path}/v1" in bare) == (True, False)
    assert longer.count(path) == longer.count(f"{path}/v1") == bare.count(path)


def test_apache_s_workers_can_read_what_is_no_secret(tmp_path: Path) -> None:
    """The file that Apache's workers read holds no secret, and the one with the secret is private."""
    (tmp_path / "secret").write_text("0123456789abcdef\n")
    (tmp_path / "out").mkdir()
    texts("apache", tmp_path / "out", secret_file=str(tmp_path / "secret"))
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "out").iterdir()}
    assert modes["httpd.conf"] == 0o600
    assert modes["refuse.lua"] & 0o444 == 0o444


@pytest.mark.parametrize(
    "secret", ["short", "with a space in it, alas", 'quote"quote"quote"', "$variable_in_nginx", "x" * 257]
)
def test_no_syntax_in_a_secret(secret: str, tmp_path: Path) -> None:
    """A secret that would need quoting is refused."""
    (tmp_path / "secret").write_text(secret)
    done = generate("nginx", secret_file=str(tmp_path / "secret"))
    assert (done.exit_code, secret in done.output) == (2, False)


def test_a_secret_is_private(tmp_path: Path) -> None:
    """A configuration with a secret is readable by its owner alone."""
    (tmp_path / "secret").write_text("0123456789abcdef\n")
    (tmp_path / "out").mkdir()
    assert "0123456789abcdef" in texts("nginx", tmp_path / "out", secret_file=str(tmp_path / "secret"))
    assert (tmp_path / "out/nginx.conf").stat().st_mode & 0o777 == 0o600


def test_the_folder_is_made(tmp_path: Path) -> None:
    """--output makes the folder that it names, and those above it."""
    assert generate("nginx", "--output", str(tmp_path / "etc" / "proxy")).exit_code == 0
    assert [file.name for file in (tmp_path / "etc" / "proxy").iterdir()] == ["nginx.conf"]


def test_two_files_need_a_folder() -> None:
    """Two files that name each other are not printed as one."""
    done = generate("haproxy", *GATEWAY)
    assert (done.exit_code, "--output" in done.output) == (2, True)


def test_printed() -> None:
    """One file goes to standard output."""
    assert "ssl_verify_client" in generate("nginx").output


@pytest.mark.parametrize(
    ("proxy", "options", "message"),
    [
        ("traefik", ("--gateway", "unix:/run/gateway.sock"), "HOST:PORT"),
        ("nginx", ("--protocol", "grpc", *GATEWAY), "--protocol grpc is not one of nginx: give http"),
        ("nginx", ("--format", "caddy"), "is not a format of nginx: give nginx"),
        ("haproxy", ("--key", "/etc/ssl/other.key"), "/etc/ssl/api.pem.key"),
        ("nginx", ("--output", "/dev/null/folder"), "the folder /dev/null/folder cannot be made"),
        ("nginx", ("--audience", "https://[api.example"), "a name or an address"),
    ],
)
def test_what_does_not_fit(proxy: str, options: tuple[str, ...], message: str) -> None:
    """An option that does not fit is refused with a message that says why."""
    done = generate(proxy, *options)
    assert (done.exit_code, message in done.output) == (2, True), done.output


def test_every_format_has_a_reader() -> None:
    """Each format that a configuration writes is one of ours; the gateway expects a proxy's default one."""
    for name, proxy in PROXIES.items():
        assert set(proxy.formats) <= set(FORMATS)
        if proxy.asks_gateway:
            assert KINDS[name].format == next(iter(proxy.formats))


def test_ipv6(tmp_path: Path) -> None:
    """IPv6 addresses keep their brackets where a port follows."""
    assert "server [::1]:8000;" in texts("nginx", tmp_path, upstream="[::1]:8000", listen="[::]:443")
