"""The answer to the holder of an authentic token whose caveats refuse an access.

It repeats what the token says, which its holder can read, and what the holder sent. What this server alone
knows, such as the address that it sees or the path that it routes, is for the log.
"""

from collections.abc import Sequence

from macaroon_cbat.errors import CaveatsNotMet
from macaroon_cbat.macaroon.caveats import (
    Access,
    Audience,
    Caveat,
    ClientAddress,
    Confirmation,
    Expiry,
    KeyConfirmation,
    Method,
    NotBefore,
    PathPrefix,
    TargetUri,
)

_LONGEST_VALUE = 80
"""Characters of a value that a holder wrote."""
_LONGEST_REASON = 240
"""Characters of a reason that begins with the text of a caveat."""


def not_met(unmet: Sequence[str], caveats: Sequence[Caveat], access: Access) -> CaveatsNotMet:
    """Return the refusal of an access that not all of these caveats allow.

    `unmet` has every reason: first for texts that are no caveats, then for `caveats`.
    """
    failed = [caveat for caveat in caveats if caveat.prohibits(access)]
    unreadable = [_short(reason, _LONGEST_REASON) for reason in unmet[: len(unmet) - len(failed)]]
    told = (*unreadable, *(_words(caveat, access) for caveat in failed))
    wanted = {caveat.cnf.thumbprint if isinstance(caveat, Confirmation) else None for caveat in failed}
    return CaveatsNotMet(
        tuple(unmet),
        tuple(dict.fromkeys(told)),
        lacks_certificate_alone=not unreadable
        and access.certificate is None
        and len(wanted) == 1
        and None not in wanted,
    )


def _words(caveat: Caveat, access: Access) -> str:  # noqa: PLR0911 # one sentence a kind
    match caveat:
        case Expiry(exp):
            return f"exp {exp} is in the past, by {access.now - exp} s on the clock of this server"
        case NotBefore(nbf):
            return f"nbf {nbf} is in the future, by {nbf - access.now} s on the clock of this server"
        case Audience(aud):
            return f"aud names {_value(aud)}, and this is {_short(access.audience or 'another one')}"
        case Confirmation() | KeyConfirmation():
            return _words_of_confirmation(caveat, access)
        case Method(htm):
            return f"htm allows {_value(htm)} alone"
        case TargetUri(htu):
            return f"htu allows {_value(htu)} alone"
        case PathPrefix(path):
            return f"path allows {_value(path)} alone"
        case ClientAddress(ip):
            return f"ip allows {_value(ip)} alone"
    return "a caveat refuses it"


def _words_of_confirmation(caveat: Confirmation | KeyConfirmation, access: Access) -> str:
    if isinstance(caveat, KeyConfirmation):
        if access.proof_key is None:
            return "cnf names a key: send Authorization: DPoP with the token, and a proof as DPoP"
        return "cnf names another key than the one of the DPoP proof"
    if access.certificate is None:
        return "cnf names a client certificate, and no client certificate reached this server"
    return "cnf names another client certificate than the one of this connection"


def _value(value: str | tuple[str, ...]) -> str:
    return _short(value if isinstance(value, str) else " ".join(value))


def _short(text: str, longest: int = _LONGEST_VALUE) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
