"""The events of an audit log from a backup on, for `macaroon-cbat restore`."""

from collections.abc import Iterable
from pathlib import Path

from macaroon_cbat.audit import utc
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.stores.repeated import REPEATED, AuditLine, audit_lines

_SLACK_SECONDS = 60
"""Seconds before the backup from which on events are repeated.

An event is written before its change is committed, and the clocks of two services differ.
"""


class LoggedSince:
    """The events since a backup. Raises SettingsError for logs that do not reach back to it.

    In the log that has the backup, whatever follows it came after it, however the clock was set meanwhile.
    """

    def __init__(self, made_at: int, files: Iterable[Path]) -> None:
        """Read the files; without any, there is no event."""
        self.events: list[AuditLine] = []
        """Those that a restore repeats, alone: the log of a day may be larger than the memory."""
        self.newest: str = utc(0)
        """The time of the newest event."""
        since, saved = utc(made_at - _SLACK_SECONDS), utc(made_at)
        is_whole = has_files = False
        for file in files:
            has_files, is_after = True, False
            for event in _events(file):
                is_after |= event.event == "database.saved" and event.at == saved
                self.newest = max(self.newest, event.at)
                if event.event in REPEATED and (is_after or event.at >= since):
                    self.events.append(event)
            is_whole |= is_after
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
