"""Tables of standards that are implemented and of programs that pass, as `tests/standards` declares."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct, toml

from guide_tables.markdown import code, table

DECLARED = Path(__file__).parents[2] / "tests" / "standards"
State = Literal["done", "partial", "not"]


class Clause(Struct, frozen=True, forbid_unknown_fields=True):
    """One clause of a standard, or a few that are held together; the tests show what is held."""

    standard: str
    clause: str
    state: State
    what: str
    tests: tuple[str, ...] = ()


class Program(Struct, frozen=True, forbid_unknown_fields=True):
    """One program of others that the tests run against the service or a guard."""

    name: str
    language: str
    state: State
    what: str
    tests: tuple[str, ...]


class Declared(Struct, frozen=True, forbid_unknown_fields=True):
    """The content of one file in `tests/standards`."""

    clauses: tuple[Clause, ...] = ()
    programs: tuple[Program, ...] = ()


def standards(name: str) -> str:
    """Return the clauses of one file: those of RFCs by number, then those of other standards by name."""
    clauses = sorted(_declared(name).clauses, key=_place)
    rows = ((one.standard, one.clause, *_shown(one)) for one in clauses)
    return table(("standard", "clause", "state", "what", "test"), rows)


def programs() -> str:
    """Return the programs of others, in the order of their file."""
    rows = ((one.name, one.language, *_shown(one)) for one in _declared("programs").programs)
    return table(("program", "in", "state", "what passes", "test"), rows)


def _declared(name: str) -> Declared:
    return toml.decode((DECLARED / f"{name}.toml").read_bytes(), type=Declared)


def _shown(one: Clause | Program) -> tuple[str, str, str]:
    return one.state, one.what, " ".join(map(code, one.tests))


def _place(one: Clause) -> tuple[int, str, Sequence[int]]:
    """Return the key to sort by: the number of an RFC, the name of anything else, the first section."""
    rfc, first = re.match(r"RFC (\d+)", one.standard), re.match(r"[\d.]*", one.clause)
    section = [int(part) for part in first[0].split(".") if part] if first else []
    return (int(rfc[1]), "", section) if rfc else (10**9, one.standard, section)
