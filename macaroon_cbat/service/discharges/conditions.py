"""The conditions that this service checks for others, as a third-party caveat words them.

    is-member-of GROUP [GROUP ...]   the caller is a client that the operator has put into one of them
    user-approves SUBJECT TEXT       this person approves the transaction that the text describes

Either may stand behind `need-declared NAME[,NAME ...]`, which wants attributes in the discharge.
"""

import re

from msgspec import Struct

from macaroon_cbat.errors.discharges import UnknownCondition
from macaroon_cbat.stores.client_rules import GROUP_NAME

_NAMES = re.compile(r"[A-Za-z0-9_-]{1,64}(?:,[A-Za-z0-9_-]{1,64}){0,15}\Z")
_GROUP = re.compile(GROUP_NAME)
_MOST_GROUPS = 16
LONGEST_TEXT = 1_000
"""Characters of the description of a transaction."""


class Membership(Struct, frozen=True):
    """The caller must be in one of these groups."""

    groups: frozenset[str]


class Approval(Struct, frozen=True):
    """The person with this subject must approve the transaction that the text describes."""

    subject: str
    text: str


class Condition(Struct, frozen=True):
    """A condition, and the names of the attributes that its discharge must declare."""

    check: Membership | Approval
    declares: tuple[str, ...] = ()


def read_condition(text: str) -> Condition:
    """Return the condition that a caveat words. Raises UnknownCondition for any other."""
    name, _, argument = text.partition(" ")
    declares: tuple[str, ...] = ()
    if name == "need-declared":
        names, _, inner = argument.partition(" ")
        if not _NAMES.match(names):
            raise UnknownCondition("need-declared is not followed by names")
        declares = tuple(dict.fromkeys(names.split(",")))
        name, _, argument = inner.partition(" ")
    if name == "is-member-of":
        return Condition(Membership(_groups(argument)), declares)
    if name == "user-approves":
        return Condition(_approval(argument), declares)
    raise UnknownCondition(f"the condition {name[:40]!r} is unknown")


def _groups(argument: str) -> frozenset[str]:
    groups = argument.split(" ")
    if len(groups) > _MOST_GROUPS or not all(map(_GROUP.match, groups)):
        raise UnknownCondition(f"is-member-of is not followed by 1 to {_MOST_GROUPS} names of groups")
    return frozenset(groups)


def _approval(argument: str) -> Approval:
    subject, _, text = argument.partition(" ")
    if not subject or not text.strip() or len(text) > LONGEST_TEXT:
        raise UnknownCondition("user-approves is not followed by a subject and a text of bounded length")
    return Approval(subject, text.strip())
