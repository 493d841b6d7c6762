"""The events of an audit log from a backup on, for `macaroon-cbat restore`."""

from collections.abc import Iterable
from pathlib import Path

from macaroon_cbat.audit import utc
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW
from macaroon_cbat.stores.repeated import REPEATED, AuditLine, audit_lines

_SLACK_SECONDS = 60
"""Seconds before the backup from which on events are repeated: one is written before its change is there."""

_SLACK_OF_OTHERS = LONGEST_CLOCK_SKEW + _SLACK_SECONDS
"""The same in the log of another service, whose clock may be behind."""


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
        self._made_at = made_at
        has_backup = [self._read(file) for file in files]
        if has_backup and not any(has_backup):
            raise SettingsError(
                f"the audit log does not have the backup of {utc(made_at)}: give the older file as well"
            )

    def _read(self, file: Path) -> bool:
        """Take the events of a file since the backup; return True if it has the backup."""
        before: list[AuditLine] = []
        after: list[AuditLine] | None = None
        saved = utc(self._made_at)
        for event in _events(file):
            if after is None and event.event == "database.saved" and event.at == saved:
                after = []
            self.newest = max(self.newest, event.at)
            if event.event in REPEATED:
                (before if after is None else after).append(event)
        since = utc(self._made_at - (_SLACK_OF_OTHERS if after is None else _SLACK_SECONDS))
        self.events += [event for event in before if event.at >= since] + (after or [])
        return after is not None


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
