"""`macaroon-cbat guide [TOPIC]`: the chapters of the manual, which lie inside the package."""

import sys
from difflib import get_close_matches

import click

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.chapters import summary, topics
from macaroon_cbat.text.printable import printable


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
