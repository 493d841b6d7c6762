"""Commands whose argument may begin with a hyphen, as names that the service draws at random do."""

import click

ARGUMENT_MAY_BEGIN_WITH_A_HYPHEN = {"ignore_unknown_options": True, "help_option_names": ["--help"]}


class HyphenCommand(click.Command):
    """A command whose argument may begin with -h, as token ids do: help is a `-h` that stands alone."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments with `-h` for help if it stands alone before any `--`."""
        options, rest = args, list[str]()
        if "--" in args:
            options, rest = args[: args.index("--")], args[args.index("--") :]
        return super().parse_args(ctx, ["--help" if arg == "-h" else arg for arg in options] + rest)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show both names of the help, though the parser is told one."""
        option = self.get_help_option(ctx)
        if option is not None:
            names, option.opts = option.opts, ["-h", *option.opts]
        super().format_options(ctx, formatter)
        if option is not None:
            option.opts = names
