"""Lines of the log that a process and its children write once, however often their cause returns."""

import logging

_log = logging.getLogger("macaroon_cbat.files")
_said: dict[str, object] = {}


def say_once(log: logging.Logger, text: str, level: int = logging.ERROR) -> bool:
    """Log this text, unless it was logged before; return True if it is logged now."""
    own = object()
    if _said.setdefault(text, own) is not own:  # one step, which no lock guards: a fork could copy it taken
        return False
    log.log(level, "%s", text)
    return True


def warn_once(text: str) -> None:
    """Log the warning about a private file, which is read again and again, once."""
    say_once(_log, text, logging.WARNING)


def forget_notices() -> None:
    """Begin again, as a fresh process does."""
    _said.clear()
