"""Groups of commands, whose errors name the command that was probably meant."""

from difflib import get_close_matches
from typing import Any

import click

from macaroon_cbat.text.printable import printable


class Group(click.Group):
    """A group whose errors name the nearest command, and which makes groups of this class."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Return the command that is named first, or fail with the nearest name."""
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-"):
            ctx.fail(_unknown(args[0], names))
        return super().resolve_command(ctx, args)


def _unknown(name: str, names: list[str]) -> str:
    """Return the message for an unknown command."""
    nearest = get_close_matches(name, names, 1)
    remedy = f"did you mean {nearest[0]}?" if nearest else f"the commands are {', '.join(names)}"
    return f"{printable(name)!r} is no command: {remedy}"
