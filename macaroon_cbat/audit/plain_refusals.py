"""Refusals in words, for operators who have set no audit log."""

import logging

from macaroon_cbat.audit.event import MAX_MEMBER, AuditEvent

_RESOURCE = logging.getLogger("macaroon_cbat.resource")
_SERVICE = logging.getLogger("macaroon_cbat.service")


def tell(event: AuditEvent) -> None:
    """Log as a warning why a request was refused or a token was called inactive; ignore other events.

    Python writes warnings to standard error if logging is not set up. The filter of `loggers` bounds lines by
    their first part, which has our words alone: a flood of junk hides no line about an authentic token.
    """
    if (head := _head(event)) is None:
        return
    kinds = (event.event, *(event.counts or ()))
    log = _RESOURCE if any(kind.startswith("admission.refused") for kind in kinds) else _SERVICE
    reason = event.reason or f"{event.count} since {event.since}: {_counts(event)}"
    if len(reason) > MAX_MEMBER:
        reason = reason[: MAX_MEMBER - 1] + "\u2026"
    about = _about(event)
    log.warning(head + ": %s%s", reason, f" ({about})" if about else "")


def _head(event: AuditEvent) -> str | None:
    """Return the event in words, by its kind and error alone; None for an event that is no refusal."""
    client = "" if event.who is None else " of an authenticated client"
    known = client if event.token_id is None else " with an authentic token"
    answer = f"{event.status} {event.error or 'missing_token'}"
    match event.event:
        case "token.refused":
            return f"a request for a token{known} is refused with {answer}"
        case "login.refused":
            return f"a login is refused with {answer}"
        case "request.refused" | "admission.refused":
            return f"a request{known} is refused with {answer}"
        case "token.introspected" if not event.active:
            return "a token is called inactive"
        case "refusals.omitted" | "introspections.omitted":
            return "more refusals were left out"
    return None


def _counts(event: AuditEvent) -> str:
    """Return the number of omitted lines of each kind."""
    return ", ".join(f"{count} of {kind}" for kind, count in (event.counts or {}).items())


def _about(event: AuditEvent) -> str:
    """Return the client, token, endpoint and address, as far as they are known."""
    known = {
        "by": event.who,
        "token": event.token_id,
        "of": event.client_id,
        "at": event.endpoint,
        "from": event.address,
    }
    return ", ".join(f"{name} {value}" for name, value in known.items() if value is not None)
