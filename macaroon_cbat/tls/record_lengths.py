"""The lengths of TLS records as declared on the wire. Pure."""

_HEADER_BYTES = 5


class RecordLengths:
    """The position in the record that comes (RFC 8446 5.1); nothing is decrypted or kept."""

    __slots__ = ("_header", "_missing", "held_bytes")

    def __init__(self) -> None:
        self._header = b""
        self._missing = 0
        self.held_bytes = 0
        """The bytes of the last record, as long as it is not whole."""

    def received(self, data: bytes) -> None:
        """Follow these bytes, which continue those before."""
        if len(data) < self._missing:
            self._missing -= len(data)
            self.held_bytes += len(data)
            return
        data = self._header + data[self._missing :]
        start = end = 0
        while len(data) - end >= _HEADER_BYTES:
            start = end
            end += _HEADER_BYTES + int.from_bytes(data[end + 3 : end + 5])
        is_header_cut = end < len(data)
        self._header = data[end:] if is_header_cut else b""
        self._missing = 0 if is_header_cut else end - len(data)
        self.held_bytes = len(data) - (end if is_header_cut or not self._missing else start)
