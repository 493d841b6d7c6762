"""A file of the application as the body of a response (PEP 3333, `wsgi.file_wrapper`)."""

from collections.abc import Iterator
from typing import Any

_BLOCK_BYTES = 1 << 15


class FileBody:
    """A file that is read as its reader takes it; one that cannot seek is read in blocks like an iterable."""

    def __init__(self, file: Any, block_size: int = _BLOCK_BYTES) -> None:
        """Begin where the file is."""
        self._file, self._block_size = file, block_size
        self._remaining = 0

    def __len__(self) -> int:
        """Return how many bytes are left to take."""
        return self._remaining

    def __iter__(self) -> Iterator[bytes]:
        """Yield the file in blocks."""
        return iter(lambda: self._file.read(self._block_size), b"")

    def prepare(self, length: int | None) -> int:
        """Return how many bytes can be taken, at most this length; 0 for a file that cannot seek."""
        try:
            start = self._file.tell()
            end = self._file.seek(0, 2)
            self._file.seek(start)
        except (AttributeError, OSError, ValueError):
            return 0
        self._remaining = max(0, end - start if length is None else min(end - start, length))
        return self._remaining

    def take(self, size: int) -> bytes:
        """Remove and return up to so many bytes, or raise OSError for a file that has become shorter."""
        data: bytes = self._file.read(min(size, self._remaining))
        self._remaining -= len(data)
        if self._remaining and not data:
            raise OSError(f"{self._remaining} bytes of a file are missing: it was cut off meanwhile")
        return data

    def close(self) -> None:
        """Close the file."""
        close = getattr(self._file, "close", None)
        if close is not None:
            close()
