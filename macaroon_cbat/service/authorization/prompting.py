"""The wishes of a client about the login: `prompt` and `max_age`, as OpenID Connect Core 3.1.2.1 has them."""

import re

from macaroon_cbat.errors import InvalidRequest

_PROMPTS = ("none", "login", "consent", "select_account")
_SECONDS = re.compile(r"[0-9]{1,9}\Z", re.ASCII)

LOGS_IN_AGAIN = frozenset({"login", "select_account"})
"""The prompts after which an earlier login is not enough."""


def read_prompt(text: str | None) -> tuple[str, ...]:
    """Return the prompts of a request, or raise InvalidRequest for an unknown or contradictory one."""
    prompts = () if text is None else tuple(dict.fromkeys(text.split(" ")))
    if unknown := [one for one in prompts if one not in _PROMPTS]:
        raise InvalidRequest(f"prompt {unknown[0][:40]!r} is unknown: send {', '.join(_PROMPTS)}")
    if "none" in prompts and len(prompts) > 1:
        raise InvalidRequest("prompt none stands with another: send none alone, or leave it out")
    return prompts


def read_max_age(text: str | None) -> int | None:
    """Return the seconds that a login may be old, or raise InvalidRequest."""
    if text is None:
        return None
    if not _SECONDS.match(text):
        raise InvalidRequest("max_age is malformed: send a number of seconds")
    return int(text)
