"""The command that holds the laws, or lists how far each folder is from them."""

import sys
from collections import Counter
from pathlib import Path

from laws_of_style.laws import Finding, findings, opening

ROOT = Path(__file__).parents[2]


def main(arguments: list[str]) -> int:
    """Show every finding and return 1 if there is one; with `--list`, count them by folder and return 0."""
    package = ROOT / "macaroon_cbat"
    # A migration is a list of steps of any length, and is never edited once it was released.
    files = [file for file in sorted(package.rglob("*.py")) if "migrations" not in file.parts]
    found = [finding for file in files for finding in findings(file, str(file.relative_to(ROOT)))]
    further = [file for folder in ("scripts", "tests") for file in sorted((ROOT / folder).rglob("*.py"))]
    found += [finding for file in further for finding in opening(file, str(file.relative_to(ROOT)))]
    if arguments == ["--list"]:
        return _count(found)
    for finding in found:
        print(finding, file=sys.stderr)
    return 1 if found else 0


def _count(found: list[Finding]) -> int:
    for folder, count in Counter(str(Path(one.file).parent) for one in found).most_common():
        print(f"{count:4} {folder}")
    print(f"{len(found):4} findings")
    return 0


raise SystemExit(main(sys.argv[1:]))
