"""The command that holds the laws, or lists how far each folder is from them."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from laws_of_style.laws import Finding, findings, nameless, opening

ROOT = Path(__file__).parents[2]
_TEXTS = {".html", ".md", ".mjs", ".toml", ".txt", ""}
"""The endings of files that are no modules and have words in them; scripts have none."""


def main(arguments: list[str]) -> int:
    """Show every finding and return 1 if there is one; with `--list`, count them by folder and return 0."""
    found = [
        finding for folder in ("macaroon_cbat", "scripts", "tests") for finding in _within(ROOT / folder)
    ]
    if arguments == ["--list"]:
        return _count(found)
    for finding in found:
        print(finding, file=sys.stderr)
    return 1 if found else 0


def _within(folder: Path) -> Iterator[Finding]:
    """Yield the findings in a folder; the laws of length are for the package alone."""
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        name = str(file.relative_to(ROOT))
        # A migration is a list of steps of any length, and is never edited once it was released.
        if file.suffix == ".py" and "migrations" not in file.parts:
            yield from (findings if folder.name == "macaroon_cbat" else opening)(file, name)
        elif file.suffix in _TEXTS:
            yield from nameless(file, name)


def _count(found: list[Finding]) -> int:
    for folder, count in Counter(str(Path(one.file).parent) for one in found).most_common():
        print(f"{count:4} {folder}")
    print(f"{len(found):4} findings")
    return 0


raise SystemExit(main(sys.argv[1:]))
