"""The mistakes of a policy file in plain words: the place as TOML calls it, the problem, what to write."""

import re

import msgspec

from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW
from macaroon_cbat.text.json_text import plain_reason

_TABLES = ("listen", "proxy", "service", "introspection")

_VISIBLE = "visible ASCII characters without a space"
_FORMS = {
    "audit_refusals": "a whole number of lines, or 0 for every one",
    "cache_seconds": "seconds, 0 or more",
    "clock_skew": f"whole seconds, 0 to {LONGEST_CLOCK_SKEW}",
    "kind": "one of nginx, traefik, caddy, haproxy and envoy",
    "max_staleness": "seconds, 1 or more",
    "methods": "methods in capital letters, such as GET, or leave it out for every method",
    "path": "a path that begins with /",
    "path_prefix": "a path of letters, digits and _ ~ . - that begins with / and does not end with it",
    "require": "one of certificate, dpop and either",
    "rule": "one [[rule]] at least",
    "scope": 'words of visible ASCII without quotes, with one space between two, or "" for any token',
    "trust": "one trusted proxy at least, such as unix",
}
"""The right form of each member that has another one than _VISIBLE."""

_FILES = re.compile(r"(?:.*_)?(?:file|log|snapshot|keys?|certificate|ca)\Z")
_OUT_OF_FORM = re.compile(r"Invalid enum value|Expected `\w+` (?:matching|of length|[<>]=)")


def mistake_of(error: msgspec.ValidationError) -> str:
    """Return what is wrong in which table and member, and what to write there."""
    text = str(error)
    place = text.partition(" - at `$")[2].rstrip("`").removeprefix(".")
    if _OUT_OF_FORM.match(text):
        member = place.rpartition(".")[2].partition("[")[0]
        usual = "the name of a file" if _FILES.match(member) else _VISIBLE
        return f"{_named(place)} is invalid: write {_FORMS.get(member, usual)}"
    place, is_, rest = plain_reason(error).partition(" is ")
    return f"{_named(place)}{is_}{rest}"


def _named(place: str) -> str:
    """Return a place such as `rule[0].path` as TOML calls it."""
    numbered = re.sub(r"\[(\d+)\]", lambda found: f" number {int(found[1]) + 1}", place)
    table, _, member = numbered.partition(".")
    if table == "rule" or table.startswith("rule "):
        table = f"[[rule]]{table.removeprefix('rule')}"
    elif table in _TABLES:
        table = f"[{table}]"
    return f"{table}, {member}" if member else table
