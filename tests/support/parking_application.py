"""An application whose responses wait for one event, and which tells how many wait."""

import json
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from macaroon_cbat.server.parking import ParkedResponse, park_of, write_all

NEWS = b'{"news":true}'
NO_NEWS = b'{"news":false}'
FIELDS = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]


class ParkingApplication:
    """`/park` waits for `/finish`; `/parked` counts. `/stream` waits as well, and gets what `/write` writes.

    `/both` parks and answers itself, `/fails` parks and fails, `/forgets` never finishes, `/early` finishes
    before it returns. A request that finds no place to wait is answered with NO_NEWS.
    """

    def __init__(self, told: Path | None = None) -> None:
        """Write the file `told` with the first response that is parked."""
        self._told = told
        self.waiting: dict[ParkedResponse, None] = {}
        self.parked: list[ParkedResponse] = []
        self.ended = 0
        self.begun: list[bool] = []
        """For each request of a stream, whether it began."""
        self.meanwhile: Callable[[], object] = lambda: None
        """Called while a request is worked on, before its response is parked."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request."""
        path, query = environ["PATH_INFO"], dict(parse_qsl(environ["QUERY_STRING"]))
        if path in {"/finish", "/parked", "/write"}:
            return self._tell(start_response, path)
        self.meanwhile()
        if not self._park(
            environ,
            float(query.get("seconds", 60)),
            holder=query.get("holder", ""),
            is_finishing=path != "/forgets",
        ):
            start_response("200 OK", [("Content-Length", str(len(NO_NEWS)))])
            return [NO_NEWS]
        if path == "/fails":
            raise RuntimeError("after it has parked")
        if path == "/both":
            start_response("200 OK", [("Content-Length", "4")])
            return [b"both"]
        if path == "/early":
            self.finish()
        if path == "/stream" or "stream" in query:
            self.begun.append(self.parked[-1].begin("200 OK", FIELDS, float(query.get("seconds", 60))))
        return []

    def _park(self, environ: dict[str, Any], seconds: float, *, holder: str, is_finishing: bool) -> bool:
        def on_end() -> None:
            assert parked is not None
            self.ended += 1
            self.waiting.pop(parked, None)
            if is_finishing:
                parked.finish("200 OK", FIELDS, NO_NEWS)

        park = park_of(environ)
        assert park is not None
        parked = park(seconds, on_end, holder)
        if parked is None:
            return False
        self.parked.append(parked)
        self.waiting[parked] = None
        if self._told is not None:
            self._told.touch()
        return True

    def finish(self) -> None:
        """Let the event happen."""
        waiting, self.waiting = self.waiting, {}
        for parked in waiting:
            parked.finish("200 OK", FIELDS, NEWS)

    def write(self, part: bytes) -> None:
        """Write a part to all streams."""
        write_all(list(self.waiting), part)

    def _tell(self, start_response: Callable[..., Any], path: str) -> list[bytes]:
        told = {"waiting": len(self.waiting), "ended": self.ended, "threads": threading.active_count()}
        if path == "/finish":
            self.finish()
        if path == "/write":
            self.write(NEWS)
        body = json.dumps(told).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]
