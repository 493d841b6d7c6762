"""Services for tests: those that one test starts, and those that serve one test after another."""

import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from shutil import copy
from typing import Any

from sqlalchemy import event

from tests.support.databases import all_rows
from tests.support.service import Service, make_database, settings_in

Starter = Callable[..., Service]
"""Starts a service; its arguments are changes of the settings."""


class KeptServices:
    """Services that begin again with each test: making an application costs more than asking it."""

    def __init__(self, folder: Path, database: Path) -> None:
        """Keep them in this folder; each test begins on a copy of this database."""
        self._folder, self._database = folder, database
        self._services: dict[str, Service] = {}
        self._looks: dict[str, object] = {}

    def begin_again(self, **changes: Any) -> Service:
        """Return the service whose settings are changed so, as one that has just started."""
        name = repr(sorted(changes.items()))
        if name not in self._services:
            folder = self._folder / str(len(self._services))
            folder.mkdir()
            copy(self._database, folder)
            self._services[name] = service = _hurried(Service(folder, settings_in(folder, **changes)))
            self._looks[name] = _looks(service)
        service = self._services[name]
        if _looks(service) != self._looks[name]:
            del self._services[name]  # only one test fails by it
            raise AssertionError("a test before this one changed its application: give it a new_service")
        service.begin_again_on(self._database)
        return service


class KeptOnServer:
    """A service on a database of a server, which begins again with each test."""

    def __init__(self, url: str, folder: Path) -> None:
        """Start it on this new database."""
        make_database(url)
        self._service = Service(folder, settings_in(folder, database_url=url))
        self._rows = all_rows(self._service.stores)
        self._looks = _looks(self._service)

    def begin_again(self) -> Service:
        """Return the service as one that has just started."""
        assert _looks(self._service) == self._looks, "a test changed this application"
        self._service.begin_again_with(self._rows)
        return self._service

    def close(self) -> None:
        """End it."""
        self._service.close()


def _looks(service: Service) -> object:
    """Return what a test may have changed of an application."""
    app = service.app
    routes = {rule.rule for rule in app.url_map.iter_rules()}
    return {
        "configuration": dict(app.config),
        "middleware": vars(app).get("wsgi_app"),
        "routes": routes,
        "views": dict(app.view_functions),
        "settings": service.settings,
    }


def _hurried(service: Service) -> Service:
    """Let the database of this service wait for no disk: nothing here has to outlive the machine."""

    @event.listens_for(service.stores.database.engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    return service


class OwnServices:
    """The services of one test, which ends them: all on one database, which the first of them brings."""

    def __init__(self, kept: KeptServices, folder: Path, database: Path) -> None:
        """Start services in this folder on a copy of this database, or take kept ones."""
        self._kept, self._folder, self._database = kept, folder, database
        self._used: Path | None = None
        self._stack = ExitStack()

    def start(self, *, is_kept: bool = False, **changes: Any) -> Service:
        """Start a service; the first one without changes, or that `is_kept`, is one that served before."""
        if self._used is None and (is_kept or not changes):
            service = self._kept.begin_again(**changes)
            self._used = service.folder
            self._stack.callback(service.close)
            return service
        return self.start_new(**changes)

    def start_new(self, **changes: Any) -> Service:
        """Start a service with an application of its own, which the test may change."""
        if self._used is None:
            copy(self._database, self._folder)
            self._used = self._folder
        service = Service(self._used, settings_in(self._used, **changes))
        self._stack.callback(service.close)
        return service

    def close(self) -> None:
        """End them."""
        self._stack.close()
