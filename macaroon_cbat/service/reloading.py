"""The settings in force of a running service, and those that a reload (SIGHUP) may change."""

import hashlib
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from macaroon_cbat.audit.file import check_log
from macaroon_cbat.errors import MacaroonError
from macaroon_cbat.service.limits import ServiceLimits
from macaroon_cbat.service.secret_files import SUFFIX
from macaroon_cbat.service.settings import VARIABLES, Settings
from macaroon_cbat.service.settings_file import SETTINGS, with_file
from macaroon_cbat.service.throttle.settings import ThrottleSettings
from macaroon_cbat.service.variables import PREFIX, variables_of

log = logging.getLogger("macaroon_cbat.service")

_LASTING = {"LIMITS_STORAGE", "LIMITS_STORAGE_FILE"}
CHANGEABLE = frozenset(
    {
        *("TOKEN_LIFETIME", "KEY_ROTATION", "AUDIT_LOG", "AUDIT_REFUSALS", "LOG_FORMAT", "LOG_LEVEL"),
        *("REFRESH_IDLE", "REFRESH_GRACE"),
        *(one.name for one in variables_of(ServiceLimits)),
        *({one.name for one in variables_of(ThrottleSettings)} - _LASTING),
    }
)
"""The variables that may change while the service runs. Every other one is of the process that started."""

_READ_ONCE = frozenset(
    PREFIX + name
    for name in VARIABLES
    if name.endswith(SUFFIX) and name.removesuffix(SUFFIX) in VARIABLES and name != "WRAPPING_KEY_FILE"
)
"""The variables that name the file of a secret which is read at the start alone."""

Read = Callable[[Mapping[str, str]], Settings]


class SettingsInForce:
    """The settings by which a process serves; a mistake in later ones changes nothing."""

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        read: Read,
        look: Callable[[], Mapping[str, str]] = lambda: with_file(is_again=True),
    ) -> None:
        """Begin with these settings of this environment; `look` returns the variables as they are now."""
        self.settings = settings
        self._seen, self._read, self._look = _ours(environment), read, look

    def reload(self, *, is_quiet: bool = False) -> bool:
        """Return True if other settings are in force now; the log names what cannot change, or the mistake.

        `is_quiet` is for a process beside another one that logs the same.
        """
        try:
            variables = self._look()
            if _ours(variables) == self._seen:
                return False
            # With every variable: a mistake in one that cannot change is told before the next start finds it.
            found = self._read(variables)
            if found.audit_log != self.settings.audit_log:
                check_log(found.audit_log)  # here: a worker that starts later could not do without it
        except MacaroonError as error:
            if not is_quiet:
                log.error("keeping the settings in force: %s", error)  # noqa: TRY400 # no defect of ours
            return False
        before, self._seen = self._seen, _ours(variables)
        changed = sorted(
            name for name in before.keys() | self._seen if before.get(name) != self._seen.get(name)
        )
        self.settings = _changed(self.settings, found)
        if not is_quiet:
            _tell(changed)
        return True


def _tell(names: list[str]) -> None:
    """Log which variables are in force now, and which cannot be."""
    for name in names:
        if name.removeprefix(PREFIX) in CHANGEABLE:
            log.info("%s has another value, which is in force now", name)
        else:
            log.warning("%s has another value, which cannot change while the service runs: restart it", name)


def _ours(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the service, with a digest of what lies in the files that are read once."""
    ours = {
        name: value for name, value in environment.items() if name.startswith(PREFIX) and name != SETTINGS
    }
    for name in _READ_ONCE & ours.keys():
        ours[name] += f" {_digest_of(Path(ours[name]))}"
    return ours


def _digest_of(file: Path) -> str | None:
    """Return a digest of what lies in a file, or None; no pipe can be read again."""
    with suppress(OSError):
        if file.is_file():
            return hashlib.sha256(file.read_bytes()).hexdigest()
    return None


def _changed(old: Settings, new: Settings) -> Settings:
    """Return the old settings with what may change of the new ones."""
    lasting = {name.lower(): getattr(old.throttle, name.lower()) for name in _LASTING}
    refresh = {name: getattr(new.refresh, name) for name in ("refresh_idle", "refresh_grace")}
    operation = {name: getattr(new.operation, name) for name in ("log_format", "log_level")}
    return replace(
        old,
        token_lifetime=new.token_lifetime,
        key_rotation=new.key_rotation,
        audit_log=new.audit_log,
        audit_refusals=new.audit_refusals,
        limits=new.limits,
        throttle=replace(new.throttle, **lasting),
        refresh=replace(old.refresh, **refresh),
        operation=replace(old.operation, **operation),
    )
