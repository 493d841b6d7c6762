"""The command `macaroon-cbat guide`: the chapters on a terminal, in a pipe, and by their names."""

import os
import pty
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from unittest.mock import patch

import pytest

from macaroon_cbat.cli import main
from macaroon_cbat.files.chapters import summary
from tests.support import fork_server
from tests.support.command_line import COMMAND, ROOT, call, complaint, environment, out, run
from tests.support.guide import CHAPTERS

ESCAPE = "\x1b["


@cache
def rendered(topic: str) -> str:
    """Return what the command writes to a terminal of 80 columns, run in this process, which is quicker."""
    ours, theirs = pty.openpty()
    given = {"TERM": "xterm-256color", "COLUMNS": "80"}
    with ThreadPoolExecutor(1) as reader:
        shown = reader.submit(lambda: b"".join(iter(lambda: _read(ours), b"")))
        with os.fdopen(theirs, "w") as terminal, patch.dict(os.environ, given), redirect_stdout(terminal):
            main(["guide", topic], prog_name="macaroon-cbat", standalone_mode=False)
    os.close(ours)
    assert ESCAPE in shown.result().decode()
    return shown.result().decode()


def on_a_terminal(topic: str, **variables: str) -> str:
    """Return what the command writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    command = [*COMMAND, "guide", topic]
    given = environment(TERM="xterm-256color", COLUMNS="80", **variables)
    start = subprocess.Popen if variables else fork_server.Popen  # whose interpreter has other libraries
    with start(command, stdout=theirs, stdin=theirs, cwd=ROOT, env=given) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    assert process.returncode == 0
    return shown.decode()


def plain(shown: str) -> str:
    """Return what a terminal shows, without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", shown)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""


def test_without_a_topic_the_topics_are_listed():
    """The list has one line for each chapter: its name, and its first sentence."""
    listed = dict(re.split(r" {2,}", line, maxsplit=1) for line in out("guide").splitlines() if "  " in line)
    assert listed == {file.stem: summary(file.read_text()) for file in CHAPTERS}


def test_the_topics_are_in_the_order_of_the_readme():
    """The list has the order of README's table of readers, and what that does not name at the end."""
    _, _, table = (ROOT / "README.md").read_text().partition("\n| you |")
    named = dict.fromkeys(re.findall(r"macaroon_cbat/guide/([\w-]+)\.md", table))
    assert [line.split()[0] for line in out("guide").splitlines() if "  " in line] == list(named)


@pytest.mark.parametrize("file", CHAPTERS, ids=lambda file: file.stem)
def test_a_piped_topic_is_plain_markdown(file: Path):
    """In a pipe a chapter is the file itself, byte for byte."""
    assert run("guide", file.stem).stdout == file.read_bytes()


@pytest.mark.parametrize("name", ["service.md", "Service", "SERVICE.MD"])
def test_the_name_of_the_file_is_understood(name: str):
    """A topic may be written as its file is called, and in any letter case."""
    assert out("guide", name) == out("guide", "service")


def test_an_unknown_topic_names_the_nearest():
    """A slip in a topic is wrong usage, and answered with the topic that was meant."""
    assert "no topic 'gatway': did you mean gateway?" in complaint(call("guide", "gatway"), 2)


def test_a_topic_that_resembles_none_names_all():
    """The message names all topics where none is near."""
    said = complaint(call("guide", "xyz"), 2)
    assert all(file.stem in said for file in CHAPTERS)


def test_what_was_typed_does_nothing_to_the_terminal():
    """Control characters in a topic are escaped in the message."""
    assert "\x1b" not in complaint(call("guide", "\x1b]0;x\x07"), 2)


def test_a_terminal_gets_rendered_text():
    """On a terminal headings are styled, and no line is wider than the terminal."""
    shown = on_a_terminal("resource-servers")
    assert ESCAPE in shown
    assert "## " not in shown
    assert max(map(len, plain(shown).splitlines())) <= 80


@pytest.mark.parametrize("file", CHAPTERS, ids=lambda file: file.stem)
def test_a_narrow_terminal_gets_whole_tables(file: Path):
    """On a terminal of 80 columns no word of a table is cut off."""
    assert rendered(file.stem).count("…") == file.read_text().count("…")


@pytest.mark.parametrize("topic", ["settings", "metrics", "errors", "formats", "audit-events"])
def test_a_narrow_terminal_gets_whole_names(topic: str):
    """On a terminal of 80 columns no name in the first column of a table is broken."""
    shown = plain(rendered(topic))
    names = re.findall(r"^\| `([^`]+)`", (CHAPTERS[0].parent / f"{topic}.md").read_text(), re.MULTILINE)
    assert [name for name in names if not re.search(rf"(?m)(^|\s){re.escape(name)}(\s|$)", shown)] == []


def test_a_terminal_without_rich_gets_markdown(tmp_path: Path):
    """A terminal gets the plain Markdown where `rich` is not installed."""
    (tmp_path / "rich.py").write_text("raise ImportError('not installed')\n")
    shown = on_a_terminal("service", PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert shown.replace("\r\n", "\n") == (CHAPTERS[0].parent / "service.md").read_text()


def test_rich_is_imported_for_a_terminal_alone():
    """A pipe, the list of topics and every other command do without `rich`."""
    program = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from macaroon_cbat.cli import main\n"
        "for arguments in (['guide'], ['guide', 'service'], ['token', '--help']):\n"
        "    assert CliRunner().invoke(main, arguments).exit_code == 0\n"
        "assert 'rich' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, env=environment())


def test_the_help_names_the_guide():
    """`macaroon-cbat --help` says that there is a manual."""
    assert "macaroon-cbat guide" in out("--help")
