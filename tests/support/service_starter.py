"""The type of the fixture that starts a service."""

from collections.abc import Callable

from tests.support.service import Service

Starter = Callable[..., Service]
