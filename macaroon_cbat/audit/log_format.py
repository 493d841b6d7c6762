"""The forms of the ordinary log: lines for people, or one JSON object a line. Both name the request."""

import logging
from datetime import UTC, datetime
from typing import Any

import msgspec

from macaroon_cbat.audit.loggers import indented
from macaroon_cbat.audit.request_id import request_at_work
from macaroon_cbat.errors.texts import escaped

TEXT, JSON = "text", "json"
LEVELS = ("debug", "info", "warning", "error")
_AUDIT = "macaroon_cbat.audit"
_encode = msgspec.json.Encoder().encode


class TextLines(logging.Formatter):
    """Time, level, logger and message, and the request that the line is about.

    Every other line of a record, a traceback's, is indented: no text that any package logs begins a line.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return one printable line, and the traceback below it."""
        record.message, record.asctime = record.getMessage(), self.formatTime(record)
        below = [self._traceback(record), record.stack_info]
        return "\n".join([self.formatMessage(record), *(indented(text) for text in below if text)])

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 # the name in logging
        """Return the first line."""
        line, request_id = escaped(super().formatMessage(record)), request_at_work()
        is_named = request_id is None or record.name == _AUDIT  # whose lines have a member for it
        return line if is_named else f"{line} [request {request_id}]"

    def _traceback(self, record: logging.LogRecord) -> str | None:
        """Return the traceback as Python writes it: a text that was kept may be indented already."""
        if record.exc_info and record.exc_info[0] is not None:
            return self.formatException(record.exc_info)
        return record.exc_text


class JsonLines(logging.Formatter):
    """One JSON object of printable ASCII: no text of a client can begin another line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line: at, level, logger, message, request_id, process, and a traceback as one text.

        A line of the audit log is the member `event`, in place of a message.
        """
        members: dict[str, Any] = {
            "at": _moment(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            **_said(record),
            "request_id": request_at_work(),
            "process": record.process,
            "traceback": self._traceback(record),
        }
        return _ascii(_encode({name: value for name, value in members.items() if value is not None}))

    def _traceback(self, record: logging.LogRecord) -> str | None:
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        return _encodable(record.exc_text) if record.exc_text else None


def _said(record: logging.LogRecord) -> dict[str, Any]:
    text = record.getMessage()
    if record.name == _AUDIT:
        try:
            return {"event": msgspec.json.decode(text)}
        except msgspec.DecodeError:
            pass  # an application's own line under this name
    return {"message": _encodable(text)}


def _encodable(text: str) -> str:
    """Return text without lone surrogates, which JSON in UTF-8 has not."""
    return text.encode(errors="backslashreplace").decode()


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ascii(line: bytes) -> str:
    text = line.decode()
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(one if " " <= one <= "~" else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    """Return a character as JSON escapes it; beyond U+FFFF as two surrogates."""
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def formatter(form: str) -> logging.Formatter:
    """Return the formatter of this form, JSON or TEXT."""
    return JsonLines() if form == JSON else TextLines()
