"""The sign by which an application learns that the embedded server stops."""

from collections.abc import Mapping
from typing import Any

IS_STOPPING = "macaroon_cbat.is_stopping"
"""Environment key under which the embedded server shows a function that tells whether it stops.

No client can write it: a header always arrives as `HTTP_...`.
"""


def is_stopping(environ: Mapping[str, Any]) -> bool:
    """Return True once the embedded server finishes what is under way; other servers tell nothing."""
    tells = environ.get(IS_STOPPING)
    return callable(tells) and bool(tells())
