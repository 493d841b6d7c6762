"""Options of deploy-config: nothing that is given enters a file as its syntax."""

from pathlib import Path

import pytest
import yaml

from tests.support.deploy_config import ISSUER, deploy, written

SYNTAX = [
    "x y",
    "x\ny: z",
    'x"',
    "x'",
    "x{{y}}",
    "x#y",
    "$x",
    "${X}",
    "%h",
    "x\\",
    "x|y",
    "ü",
    "x;y",
    "x`y`",
    "*x",
    "&x",
]
FILES = ["--cert", "--key", "--wrapping-key-file", "--database-url-file"]


@pytest.mark.parametrize("text", [*SYNTAX, ""], ids=repr)
@pytest.mark.parametrize(
    ("kind", "option", "before"),
    [
        *(("systemd", option, "/") for option in [*FILES, "--program"]),
        ("systemd", "--user", ""),
        ("compose", "--image", ""),
        ("kubernetes", "--namespace", ""),
        ("kubernetes", "--database-role", ""),
        ("systemd", "--listen", ""),
        ("compose", "--management", ""),
    ],
)
def test_no_syntax_in_a_value(kind: str, option: str, before: str, text: str, tmp_path: Path):
    """A value that could be more than a value to the reader of a file is refused, and nothing is written."""
    done = deploy(kind, tmp_path, *ISSUER, option, before + text)
    assert (done.exit_code, list(tmp_path.iterdir())) == (2, []), done.output
    assert option in done.output


@pytest.mark.parametrize("text", [*SYNTAX, "http://auth.example", "https://auth.example/%24x"], ids=repr)
def test_no_syntax_in_the_issuer(text: str, tmp_path: Path):
    """An issuer that is no plain https URL is refused."""
    done = deploy("compose", tmp_path, "--issuer", text if "://" in text else f"https://auth.example/{text}")
    assert (done.exit_code, list(tmp_path.iterdir())) == (2, []), done.output


@pytest.mark.parametrize("text", ["unix:/run/x", "host", "host:0", "a:1,b:2", 'x":1'], ids=repr)
def test_a_target_is_a_host_and_a_port(text: str, tmp_path: Path):
    """A target that Prometheus could not ask is refused."""
    done = deploy("prometheus", tmp_path, "--target", text)
    assert (done.exit_code, list(tmp_path.iterdir())) == (2, []), done.output


def test_both_roles_of_a_database_or_none(tmp_path: Path):
    """A compose file for PostgreSQL needs the URLs of both roles."""
    done = deploy("compose", tmp_path, *ISSUER, "--database-url-file", "/etc/url")
    assert (done.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert "--owner-database-url-file go together" in done.output


def test_files_of_others_stay(tmp_path: Path):
    """A file that this command did not write is replaced with --force alone, and its own without."""
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    assert deploy("compose", tmp_path, *ISSUER).exit_code == 2
    assert (tmp_path / "compose.yaml").read_text() == "services: {}\n"
    written("compose", tmp_path, *ISSUER, "--force")
    written("compose", tmp_path, *ISSUER, "--workers", "4")
    assert (
        "--workers=4"
        in yaml.safe_load((tmp_path / "compose.yaml").read_text())["services"]["service"]["command"]
    )
