"""One line of the log."""

import pytest

from macaroon_cbat.errors import SettingsError


def one_line(settings_error: pytest.ExceptionInfo[SettingsError]) -> str:
    message = str(settings_error.value)
    assert "\n" not in message
    return message
