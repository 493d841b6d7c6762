"""Every command and program of the guide: run, or checked by what would read it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from macaroon_cbat.cli.clients_file import read_clients
from macaroon_cbat.gateway.policy_file import read_policy
from macaroon_cbat.service.detail_types import DetailTypes
from tests.support.guide import CHAPTERS, ROOT, Block, blocks, every_block, section
from tests.support.guide_world import databases_of, world
from tests.support.patience import LONG_TEST

READ = {"sh", "python", "toml", "json", "text", "console"}
"""The languages of blocks. `text` is shown and never typed: layouts, and what programs answer."""

READERS: dict[str, Any] = {"# details.toml": DetailTypes, "# clients.toml": read_clients}
"""The readers of TOML files that are no policies of a gateway."""

TYPES = Path(sys.prefix) / "types-of-the-guide"
"""The checker's notes on package and libraries, kept for the next run; it reads every block anew."""

COMMANDED = [chapter for chapter in CHAPTERS if blocks(chapter, "sh", "python")]


@pytest.mark.timeout(LONG_TEST)
@pytest.mark.parametrize("chapter", COMMANDED, ids=lambda chapter: chapter.stem)
def test_a_chapter_works_as_written(chapter: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The commands and programs of a chapter, run one after the other, all succeed."""
    needs_a_server = "db1.example" in chapter.read_text()
    databases = databases_of(request.getfixturevalue("shared_postgresql").port) if needs_a_server else {}
    with world(tmp_path / "world", databases) as here:
        for block in blocks(chapter, "sh", "python", "toml"):
            here.run(block)


def test_every_program_has_right_types(tmp_path: Path) -> None:
    """A type checker finds nothing wrong in any Python program of README and guide."""
    files = []
    for number, block in enumerate(every_block("python")):
        file = tmp_path / f"block_{number}_of_{block.document.stem.replace('-', '_')}_{block.line}.py"
        file.write_text(block.text)
        files.append(file)
    command = [sys.executable, "-m", "mypy", "--config-file=", "--check-untyped-defs", "--no-error-summary"]
    command += ["--cache-dir", str(TYPES), "--ignore-missing-imports", *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0), done.stderr


@pytest.mark.parametrize("block", every_block("toml"), ids=str)
def test_every_policy_is_one(block: Block, tmp_path: Path) -> None:
    """Each TOML block is a whole file: a policy of the gateway, details of the service, or its clients."""
    file = tmp_path / "block.toml"
    file.write_text(block.text)
    secret = tmp_path / "reporting.secret"
    secret.touch(0o600)
    secret.write_text("x" * 43)
    READERS.get(block.text.partition("\n")[0], read_policy)(file)


@pytest.mark.parametrize("block", every_block("json"), ids=str)
def test_every_json_is_json(block: Block) -> None:
    """Each line of a JSON block is one JSON value."""
    assert all(json.loads(line) for line in block.text.splitlines())


def test_every_block_is_looked_at() -> None:
    """A block is of a language that one of these tests reads."""
    assert [str(block) for block in every_block() if block.language not in READ] == []


def test_the_readme_has_commands_in_its_quickstart_alone() -> None:
    """The quickstart, which a test of its own types, has all commands and programs of the README."""
    readme = next(iter(every_block())).document
    assert {block.text for block in blocks(readme, "sh", "python")} <= _in(section(readme, "Quickstart"))


def _in(text: str) -> set[str]:
    return {part.partition("\n")[2] for part in text.split("```")[1::2]}
