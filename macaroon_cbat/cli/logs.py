"""The ordinary log of servers on standard error, in the form and from the level that are set."""

import logging
import os
import threading
from collections.abc import Mapping

from macaroon_cbat.audit.log_format import JSON, LEVELS, TEXT, formatter
from macaroon_cbat.errors import SettingsError

log = logging.getLogger("macaroon_cbat.service")

_FORMAT, _LEVEL = "MACAROON_CBAT_LOG_FORMAT", "MACAROON_CBAT_LOG_LEVEL"


def log_to_stderr(environment: Mapping[str, str] = os.environ) -> None:
    """Write the log of this package, and the warnings of other packages, to standard error.

    Raises SettingsError for a form or level that is none. Every other setting is read after this one.
    """
    form = _word(environment, _FORMAT, (TEXT, JSON), TEXT)
    level = _word(environment, _LEVEL, LEVELS, "info")
    set_log(form, level)


def set_log(form: str, level: str) -> None:
    """Write in this form from this level on; a later call changes both."""
    logging.basicConfig(level=logging.WARNING)  # adds a handler for standard error, unless there is one
    for handler in logging.root.handlers:
        if type(handler) is logging.StreamHandler:
            handler.setFormatter(formatter(form))
    # Python would write these to standard error by itself, with any text that is in them.
    logging.captureWarnings(capture=True)
    threading.excepthook = _log_failure
    logging.getLogger("macaroon_cbat").setLevel(level.upper())


def _log_failure(failed: threading.ExceptHookArgs) -> None:
    """Log what a thread has not caught."""
    if failed.exc_value is not None and failed.exc_type is not SystemExit:
        log.error("a thread failed", exc_info=failed.exc_value)


def _word(environment: Mapping[str, str], name: str, words: tuple[str, ...], default: str) -> str:
    word = environment.get(name, default)
    if word not in words:
        listed = f"{', '.join(words[:-1])} or {words[-1]}"
        raise SettingsError(f"{name} must be {listed}, not {word[:20]!r}")
    return word
