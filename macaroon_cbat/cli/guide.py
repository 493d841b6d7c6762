"""`macaroon-cbat guide [TOPIC]`: the chapters of the manual, which lie inside the package."""

import sys
from difflib import get_close_matches
from importlib.resources import files

import click

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.text.printable import printable

_READ_FIRST = (
    "holders", "caveats", "resource-servers", "behind-a-proxy", "formats", "gateway", "service", "operating",
    "settings", "audit-events", "metrics", "401", "errors", "threat-model", "cryptography", "comparison",
    "design", "standards",
)  # fmt: skip
"""The topics in the order of README's table of readers; any other topic comes after them."""


@click.command(short_help="Print a chapter of the manual, or the list of chapters.")
@click.argument("topic", required=False, metavar="[TOPIC]")
def guide(topic: str | None) -> None:
    """Print the chapter TOPIC of the manual; without TOPIC, the list of chapters.

    The chapter is rendered on a terminal. It is plain Markdown in a pipe or a file.
    """
    chapters = topics()
    if topic is None:
        _print_topics(chapters)
        return
    name = topic.lower().removesuffix(".md")
    if name not in chapters:
        raise SettingsError(_unknown(topic, list(chapters)))
    _print_markdown(chapters[name])


def topics() -> dict[str, str]:
    """Return the text of every chapter by the name of its topic, in the order of reading."""
    chapters = files("macaroon_cbat").joinpath("guide").iterdir()
    found = {file.name.removesuffix(".md"): file for file in chapters if file.name.endswith(".md")}
    names = [name for name in _READ_FIRST if name in found] + sorted(found.keys() - set(_READ_FIRST))
    return {name: found[name].read_text(encoding="utf-8") for name in names}


def summary(text: str) -> str:
    """Return the first sentence of a chapter, which says what the chapter is about."""
    paragraph = " ".join(text.split("\n\n", 2)[1].split())
    return paragraph.partition(". ")[0].removesuffix(".") + "."


def _print_topics(chapters: dict[str, str]) -> None:
    width = max(map(len, chapters), default=0)
    for name, text in chapters.items():
        click.echo(f"{name:<{width}}  {summary(text)}")
    click.echo("\nmacaroon-cbat guide TOPIC prints one of them.")


def _unknown(topic: str, names: list[str]) -> str:
    nearest = get_close_matches(topic.lower(), names, 1)
    remedy = f"did you mean {nearest[0]}?" if nearest else f"the topics are {', '.join(names)}"
    return f"the guide has no topic {printable(topic)!r}: {remedy}"


def _print_markdown(text: str) -> None:
    """Print Markdown, rendered if standard output is a terminal and `rich` is installed."""
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    try:
        from macaroon_cbat.cli.markdown import print_rendered
    except ImportError:  # rich is not installed
        click.echo(text, nl=False)
        return
    print_rendered(text)
