"""The help of every command: whole lines that say something, under both names."""

from collections.abc import Iterator

import click
import pytest

from macaroon_cbat.cli import main
from tests.support.command_line import out


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield every command's words, groups included."""
    yield path
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", [*commands(main)], ids=" ".join)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_each_command_has_help(path, option):
    """`-h` and `--help` show the usage of every command, and do nothing else."""
    assert out(*path, option).startswith(f"Usage: {' '.join(('macaroon-cbat', *path))} ")


@pytest.mark.parametrize("path", [*commands(main)], ids=" ".join)
def test_help_shows_both_of_its_names(path):
    """Each page names `-h` and `--help`, though `revoke` and `token end` take names that begin with -h."""
    assert "\n  -h, --help  " in out(*path, "-h")


def options(group: click.Group) -> dict[str, str | None]:
    """Return the help of each option of each command, by the words that one types."""
    found = {}
    for path in commands(group):
        command: click.Command = group
        for name in path:
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), name) or group
        for one in command.params:
            if isinstance(one, click.Option):
                found[" ".join((*path, one.opts[0]))] = one.help
    return found


def test_each_option_says_what_it_does():
    """Every option of every command has words of its own, which end as a sentence or a default does."""
    said = options(main)
    assert len(said) > 100
    assert {option: text for option, text in said.items() if not (text or "").endswith((".", "]", ")"))} == {}
    assert [option for option, text in said.items() if (text or "").startswith("As with")] == []


@pytest.mark.parametrize("path", [(), ("client",), ("key",), ("revocation",), ("token",)], ids=" ".join)
def test_a_list_of_commands_is_not_cut_short(path):
    """A list of commands says of each what it does in one whole line."""
    assert "...\n" not in out(*path, "--help").partition("Commands:")[2]
