"""Secrets of settings that lie in files: of Docker, of Kubernetes, or of the operator."""

from collections.abc import Mapping
from pathlib import Path

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.service.variables import PREFIX
from macaroon_cbat.text.plain_text import LONGEST_SECRET, secret_of

SUFFIX = "_FILE"


def refuse_both(given: Mapping[str, str]) -> None:
    """Raise SettingsError if a variable is set both itself and as a file."""
    for name in given:
        if name + SUFFIX in given:
            raise SettingsError(
                f"{PREFIX}{name} and {PREFIX}{name}{SUFFIX} are both set: unset one of them, so that it is "
                "clear which one is meant"
            )


def secret_in(file: Path, variable: str, thing: str) -> str:
    """Return the secret in the file that this variable names, without the line end behind it.

    Raises SettingsError for a file that cannot be read, is empty, or can be read by others.
    """
    name = f"{PREFIX}{variable}"
    try:
        with open_private(file, f"file with the {thing}") as stream:
            return secret_of(stream.read(LONGEST_SECRET + 1), f"the file {file} of {name}")
    except OSError as error:
        raise SettingsError(
            f"{name}: {file} cannot be read ({error.strerror}): write the {thing} into it"
        ) from error
