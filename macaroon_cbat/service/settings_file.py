"""The settings file: variables as lines NAME=VALUE, which SIGHUP reads again: an environment cannot change.

It has the form of systemd's `EnvironmentFile=`, without continued lines and escapes: blank lines, comments
(`#`, `;`), and a value that may stand in quotes.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.service.variables import PREFIX

SETTINGS = PREFIX + "SETTINGS"
_LONGEST = 1 << 16
_NAME = re.compile(PREFIX + r"[A-Z0-9_]+")
_QUOTES = ('"', "'")


def with_file(environment: Mapping[str, str] = os.environ, *, is_again: bool = False) -> dict[str, str]:
    """Return the environment with the variables of the file that MACAROON_CBAT_SETTINGS names, if it does.

    Raises SettingsError for a file that is not private or cannot be read, and for a variable that is set to
    one value there and to another in the environment. `is_again` lets the file win: the environment is that
    of the start.
    """
    name = environment.get(SETTINGS)
    if not name:
        return dict(environment)
    found = _read(Path(name))
    for variable, value in found.items():
        if not is_again and environment.get(variable, value) != value:
            raise SettingsError(
                f"{variable} is set in {name} and differs in the environment: unset it there, so that it is "
                "clear which one is meant"
            )
    return {**environment, **found}


def _read(file: Path) -> dict[str, str]:
    try:
        with open_private(file, "settings file") as stream:
            text = stream.read(_LONGEST + 1).decode()
    except OSError as error:
        raise SettingsError(f"{SETTINGS}: {file} cannot be read ({error.strerror}): name the file") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{SETTINGS}: {file} is no UTF-8 text: write it anew") from error
    if len(text) > _LONGEST:
        raise SettingsError(f"{SETTINGS}: {file} is longer than {_LONGEST} characters: write less")
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith(("#", ";")):
            variable, value = _pair(line, f"{SETTINGS}: line {number} of {file}")
            if variable in found:
                raise SettingsError(f"{SETTINGS}: line {number} of {file} repeats {variable}: leave one")
            found[variable] = value
    return found


def _pair(line: str, place: str) -> tuple[str, str]:
    """Return name and value of a line. A message never repeats what may be a secret."""
    name, equals, value = line.partition("=")
    name, value = name.strip(), value.strip()
    if not equals or not _NAME.fullmatch(name) or name == SETTINGS:
        raise SettingsError(f"{place} sets no setting: write {PREFIX}NAME=VALUE")
    if value[:1] in _QUOTES or value[-1:] in _QUOTES:
        if len(value) < 2 or value[0] != value[-1]:
            raise SettingsError(f"{place} has a quotation mark without the other: close the quotes")
        value = value[1:-1]
    if "\\" in value:
        raise SettingsError(f"{place} has a backslash, which programs read in several ways: leave it out")
    if "\0" in value:
        raise SettingsError(f"{place} has a NUL, which no variable can have: leave it out")
    return name, value
