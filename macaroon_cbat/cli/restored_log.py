"""The events of an audit log from a backup on, for `macaroon-cbat restore`."""

from collections.abc import Iterable
from pathlib import Path

from macaroon_cbat.audit import utc
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.stores.repeated import AuditLine, audit_lines

_SLACK_SECONDS = 60
"""Seconds before the backup from which on events are repeated.

An event is written before its change is committed, and the clocks of two services differ.
"""


class LoggedSince:
    """The events since a backup. Raises SettingsError for logs that do not reach back to it."""

    def __init__(self, made_at: int, files: Iterable[Path]) -> None:
        """Read the files; without any, there is no event."""
        self.events: list[AuditLine] = []
        since, saved = utc(made_at - _SLACK_SECONDS), utc(made_at)
        is_whole = has_files = False
        for file in files:
            has_files = True
            for event in _events(file):
                is_whole |= event.event == "database.saved" and event.at == saved
                if event.at >= since:
                    self.events.append(event)
        if has_files and not is_whole:
            raise SettingsError(
                f"the audit log does not have the backup of {saved}: give the older file as well"
            )


def _events(file: Path) -> Iterable[AuditLine]:
    try:
        with file.open("rb") as stream:
            yield from audit_lines(stream)
    except OSError as error:
        raise SettingsError(
            f"the audit log {file} cannot be read ({error.strerror}): name its file"
        ) from error
    except ValueError as error:
        raise SettingsError(f"the audit log {file}: {error}: give the whole log") from error
