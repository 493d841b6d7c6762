"""Markdown rendered for a terminal by `rich`, an optional dependency that is imported here alone."""

from macaroon_cbat.errors.extras import extra

with extra("service"):
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import Markdown, TableElement
    from rich.measure import Measurement
    from rich.padding import Padding
    from rich.table import Table

_LONGEST_LINE = 110
"""Columns of rendered prose at most: longer lines are hard to read, however wide the terminal is."""

_UNBOUNDED = 10_000
_PADDING = 2
"""Columns of space between two cells, and around a table."""


class _WholeTable(TableElement):
    """A table in which no word is broken: rows become lists where its columns are too narrow for their words.

    `rich` would cut the words off, and a setting's name must be readable as it is typed.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for part in super().__rich_console__(console, options):
            if isinstance(part, Table) and not _is_fitted(part, console, options):
                yield from _listed(part)
            else:
                yield part


def _is_fitted(table: Table, console: Console, options: ConsoleOptions) -> bool:
    """Give every column room for its longest word, and the rest by need; return False if there is no room."""
    unbounded = options.update_width(_UNBOUNDED)
    cells = ([column.header, *column.cells] for column in table.columns)
    sizes = [[Measurement.get(console, unbounded, cell) for cell in column] for column in cells]
    least = [max(size.minimum for size in column) for column in sizes]
    wanted = [max(size.maximum for size in column) for column in sizes]
    spare = options.max_width - sum(least) - _PADDING * len(least) - _PADDING
    if spare < 0:
        return False
    missing = sum(wanted) - sum(least)
    for column, low, high in zip(table.columns, least, wanted, strict=True):
        column.width = low + min(high - low, spare * (high - low) // max(1, missing))
    return True


def _listed(table: Table) -> RenderResult:
    """Yield each row as its first cell, and below it every other cell beside the header of its column."""
    first, *others = table.columns
    for title, *cells in zip(first.cells, *(column.cells for column in others), strict=True):
        row = Table.grid(padding=(0, 2))
        for column, cell in zip(others, cells, strict=True):
            if str(cell):
                row.add_row(column.header, cell)
        for column in row.columns:
            column.overflow = "fold"
        yield title
        yield Padding(row, (0, 0, 1, 2))


class _Chapter(Markdown):
    """A chapter of the guide."""

    elements = {**Markdown.elements, "table_open": _WholeTable}  # noqa: RUF012 # as in rich


def print_rendered(text: str) -> None:
    """Print Markdown on the terminal that is standard output."""
    console = Console()
    # A link of a chapter names another topic, which no terminal could open.
    chapter = _Chapter(text, hyperlinks=False)
    console.print(chapter, width=min(console.width, _LONGEST_LINE))
