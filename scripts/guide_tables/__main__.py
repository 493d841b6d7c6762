"""The command that writes the generated tables of the guide, or checks them."""

import sys

from guide_tables.chapters import stale_chapters, write_chapters


def main(arguments: list[str]) -> int:
    """Write every stale chapter, or with `--check` name it and return 1."""
    stale = stale_chapters()
    if arguments == ["--check"]:
        for chapter in stale:
            print(f"{chapter} is stale: run scripts/guide-tables", file=sys.stderr)
        return 1 if stale else 0
    if arguments:
        print("usage: scripts/guide-tables [--check]", file=sys.stderr)
        return 2
    write_chapters(stale)
    return 0


raise SystemExit(main(sys.argv[1:]))
