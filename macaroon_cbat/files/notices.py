"""Warnings about private files, each logged once in a process and its children."""

import logging

log = logging.getLogger("macaroon_cbat.files")
_said: set[str] = set()


def warn_once(text: str) -> None:
    """Log the warning, unless it was logged before: a file is read again and again."""
    if text not in _said:
        _said.add(text)
        log.warning("%s", text)
