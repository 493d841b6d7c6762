"""Content that a library wants as a path, such as `ssl` a private key, without another file on a disk."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_path(content: bytes) -> Iterator[str]:
    """Show the content under a path."""
    if sys.platform == "linux":
        with os.fdopen(os.memfd_create("macaroon_cbat"), "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name
