"""The parameters of an authorization request, before anything in them is believed."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

LONGEST_PARAMETER = 4096
"""Characters of one parameter at most, `authorization_details` excepted: it has a bound of its own."""

MOST_RESOURCES = 16

_SEVERAL: Final = "resource"
_READ: Final = frozenset(
    {
        *("client_id", "redirect_uri", "response_type", "response_mode", "scope", "state"),
        *("code_challenge", "code_challenge_method", "request", "request_uri"),
        *("prompt", "max_age", "dpop_jkt", "authorization_details"),
    }
)
"""The parameters that this service reads; it ignores every other one (RFC 6749 3.1)."""


class Parameters(Struct, frozen=True):
    """The parameters that came once, the resources (RFC 8707), and the names of those that came again."""

    once: dict[str, str]
    resources: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()


def parameters_of(pairs: Iterable[tuple[str, str]]) -> Parameters:
    """Return the parameters; one without a value is treated as absent (RFC 6749 3.1)."""
    once: dict[str, str] = {}
    resources: list[str] = []
    repeated: list[str] = []
    for name, value in pairs:
        if name == _SEVERAL and value:
            resources.append(value)
        elif name in _READ and name in once:
            repeated.append(name)
        elif name in _READ:
            once[name] = value
    kept = {name: value for name, value in once.items() if value and name not in repeated}
    return Parameters(kept, tuple(resources), tuple(dict.fromkeys(repeated)))
