"""Calls of a guarded Starlette application."""

from typing import Any

from macaroon_cbat.resource.starlette import Guard
from tests.support.adapters import Asked, through_asgi
from tests.support.tokens import KEYS, NOW


def call(app: Any, text: str | None = None, **asked: Any) -> Any:
    headers = (("Host", "api.example"), *([("Authorization", f"Bearer {text}")] if text else []))
    return through_asgi(app, Asked(headers=headers, **asked))


def guard(app: Any = None, **settings: Any) -> Guard:
    return Guard(app, **{"keys": KEYS, "clock": lambda: NOW, **settings})
