"""Markdown rendered for a terminal by `rich`, an optional dependency that is imported here alone."""

from macaroon_cbat.errors.extras import extra

with extra("service"):
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import Markdown, TableElement
    from rich.table import Table

_LONGEST_LINE = 110
"""Columns of rendered prose at most: longer lines are hard to read, however wide the terminal is."""


class _WholeTable(TableElement):
    """A table whose narrow columns break long words; `rich` would cut them off."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for part in super().__rich_console__(console, options):
            if isinstance(part, Table):
                for column in part.columns:
                    column.overflow = "fold"
            yield part


class _Chapter(Markdown):
    """A chapter of the guide."""

    elements = {**Markdown.elements, "table_open": _WholeTable}  # noqa: RUF012 # as in rich


def print_rendered(text: str) -> None:
    """Print Markdown on the terminal that is standard output."""
    console = Console()
    # A link of a chapter names another topic, which no terminal could open.
    chapter = _Chapter(text, hyperlinks=False)
    console.print(chapter, width=min(console.width, _LONGEST_LINE))
