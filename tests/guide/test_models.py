"""The chapters about threats, cryptography, standards, caveats and design, compared with the code."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from macaroon_cbat.client.children import ChildTerms
from macaroon_cbat.macaroon.caveats import Caveat
from macaroon_cbat.macaroon.claims import DEFAULT_CLOCK_SKEW
from macaroon_cbat.macaroon.wire import MAX_CAVEATS, MAX_CHARACTERS, MAX_DISCHARGES

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "macaroon_cbat" / "guide"
TEST = re.compile(r"(tests/[\w/]+\.py)::(test_\w+)")


def chapter(name: str) -> str:
    return (GUIDE / f"{name}.md").read_text()


def tables(name: str) -> list[list[str]]:
    """Return the cells of every row of a chapter's tables but their heads."""
    lines = chapter(name).splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line, below in zip(lines, [*lines[1:], ""], strict=True)
        if line.startswith("| ") and not below.startswith("| ---") and not line.startswith("| ---")
    ]


@cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text())
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


NAMED = sorted({(one.stem, *found) for one in GUIDE.glob("*.md") for found in TEST.findall(one.read_text())})
ATTACKERS = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", chapter("threat-model"), re.DOTALL | re.MULTILINE)
STANDARDS = tables("standards")
DECLARED = sorted(file.stem for file in (ROOT / "tests/standards").glob("*.toml"))
MODULES = sorted(set(re.findall(r"`((?:[a-z0-9_]+/)+(?:[a-z0-9_]+\.py)?)`", chapter("design"))))


def test_every_named_test_exists():
    """A test that a chapter names is in that file."""
    assert len(NAMED) > 100
    assert [(name, file, test) for name, file, test in NAMED if test not in functions_of(file)] == []


@pytest.mark.parametrize(
    "words", [words for _, words in ATTACKERS[:-1]], ids=[name for name, _ in ATTACKERS[:-1]]
)
def test_every_attacker_has_a_test(words):
    """Each section of the threat model says what the attacker gets, and names a test that shows it."""
    assert TEST.search(words)
    assert re.search(r"\bgets?\b|lets a thief in|live longer", words, re.IGNORECASE)


def test_the_last_section_is_what_is_out_of_scope():
    """The threat model ends with what it does not promise."""
    assert ATTACKERS[-1][0] == "Out of scope"


def test_the_three_limits_are_those_of_the_code():
    """The threat model names the lifetime of a child and the clock skew as the code has them."""
    text = " ".join(chapter("threat-model").split())
    seconds = ChildTerms().lifetime
    assert f"A child of {seconds} seconds lives {seconds} seconds plus the clock skew" in text
    assert f"{DEFAULT_CLOCK_SKEW} by default" in text
    assert "unbound macaroon is a bearer token until its holder binds it" in text
    assert "default wrapping key lies beside the database" in text


@pytest.mark.parametrize("row", STANDARDS, ids=[f"{row[0]} {row[1]}" for row in STANDARDS])
def test_every_standard_has_state_and_test(row):
    """A clause is done, partial or not; what is done in any part is shown by a test."""
    _, _, state, what, test = row
    assert state in {"done", "partial", "not"}
    assert what
    assert state == "not" or TEST.search(test)


@pytest.mark.parametrize("name", DECLARED)
def test_every_declaration_has_a_table(name):
    """Each file about standards has its table in the chapter."""
    assert f"<!-- table: standards-{name} -->\n" in chapter("standards")


def test_every_caveat_is_explained():
    """The table of caveats has each kind that a verifier knows, and no other."""
    kinds = {kind.__struct_fields__[0] for kind in get_args(Caveat)}
    rows = [row[0].strip("`") for row in tables("caveats") if len(row) == 4]
    assert sorted(rows) == sorted(kinds)


def test_the_limits_of_a_token_are_those_of_the_code():
    """The chapter about caveats names the limits that the reader keeps."""
    text = " ".join(chapter("caveats").split())
    assert f"at most {MAX_CHARACTERS:,} characters and {MAX_CAVEATS} caveats" in text
    assert f"Discharges are at most {MAX_DISCHARGES}" in text


@pytest.mark.parametrize("module", MODULES)
def test_every_module_of_the_design_exists(module):
    """The chapter about the design names modules and folders that exist."""
    assert (ROOT / "macaroon_cbat" / module).exists() or (ROOT / module).exists()


@pytest.mark.parametrize("file", sorted(GUIDE.iterdir()), ids=lambda file: file.name)
def test_no_chapter_names_a_place_of_ours(file):
    """A chapter of the guide names no folder of the machine that it was written on."""
    assert not re.search(r"/work\b|/home/\w|/tmp/\w", file.read_text())


def test_what_is_compared_in_constant_time():
    """The chapter about cryptography names what these modules compare in constant time, and no other does."""
    package = ROOT / "macaroon_cbat"
    using = {
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if "compare_digest(" in file.read_text()
    }
    assert using == {
        "certificate/forwarded.py",
        "macaroon/dpop_nonces.py",
        "macaroon/signature.py",
        "service/discharges/links.py",
        "service/oauth2/device_codes.py",
        "service/pages/forms.py",
        "stores/client_secrets.py",
    }
    rows = [
        row
        for row in tables("cryptography")
        if len(row) == 2 and row[1].startswith(("an attacker", "as above"))
    ]
    assert len(rows) == len(using)
