"""The settings file: its form, its privacy, and that it and the environment do not contradict each other."""

from pathlib import Path

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service import settings_from_environment
from macaroon_cbat.service.settings_file import with_file

LIFETIME = "MACAROON_CBAT_TOKEN_LIFETIME"
LINES = {
    "plain": (f"{LIFETIME}=300", "300"),
    "double quotes": (f'{LIFETIME}="300"', "300"),
    "single quotes": (f"{LIFETIME}='300'", "300"),
    "white space around": (f"  {LIFETIME} =  300  ", "300"),
    "an equals sign in the value": (f"{LIFETIME}=a=b", "a=b"),
    "comments and blank lines": (f"# one\n; two\n\n{LIFETIME}=300\n", "300"),
    "quotes inside": (f"{LIFETIME}=it's", "it's"),
    "an empty value": (f"{LIFETIME}=", ""),
}
MISTAKES = {
    "NUL": (f"{LIFETIME}=secret\0", "has a NUL"),
    "no equals sign": ("nonsense-secret", "line 1 .* sets no setting"),
    "another program's variable": ("PATH=/secret", "line 1 .* sets no setting"),
    "a small letter": ("macaroon_cbat_issuer=secret", "line 1 .* sets no setting"),
    "export": (f"export {LIFETIME}=secret", "line 1 .* sets no setting"),
    "itself": ("MACAROON_CBAT_SETTINGS=/secret", "line 1 .* sets no setting"),
    "half a quotation": (f'{LIFETIME}="secret', "line 1 .* without the other"),
    "two kinds of quotes": (f"{LIFETIME}=\"secret'", "line 1 .* without the other"),
    "a backslash": (f"{LIFETIME}=secret\\", "line 1 .* backslash"),
    "a variable twice": (f"{LIFETIME}=1\n{LIFETIME}=secret", "line 2 .* repeats"),
    "no UTF-8": (b"\xff\xfe", "no UTF-8"),
    "too long": ("#" * 70_000, "longer than"),
}


def written(folder: Path, text: str | bytes, mode: int = 0o600) -> dict[str, str]:
    """Write the file; return the environment that names it."""
    file = folder / "service.env"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return {"MACAROON_CBAT_SETTINGS": str(file), "OTHER": "kept"}


@pytest.mark.parametrize(("text", "value"), LINES.values(), ids=LINES)
def test_lines_are_read_as_systemd_reads_them(tmp_path: Path, text: str, value: str) -> None:
    """A line sets a variable; comments and blank lines set none; the environment stays beside it."""
    found = with_file(written(tmp_path, text))
    assert (found[LIFETIME], found["OTHER"]) == (value, "kept")


@pytest.mark.parametrize(("text", "reason"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_names_the_line_and_no_value(tmp_path: Path, text: str | bytes, reason: str) -> None:
    """A line that could be meant otherwise is refused by its number, not repeated: it may be a secret."""
    with pytest.raises(SettingsError, match=f"^MACAROON_CBAT_SETTINGS: .*{reason}") as error:
        with_file(written(tmp_path, text))
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """The file may hold secrets, so it is private."""
    with pytest.raises(SettingsError, match="chmod"):
        with_file(written(tmp_path, f"{LIFETIME}=300", mode=0o644))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A name that leads nowhere ends the start."""
    with pytest.raises(SettingsError, match="cannot be read"):
        with_file({"MACAROON_CBAT_SETTINGS": str(tmp_path / "missing")})


def test_two_values_are_refused(tmp_path: Path) -> None:
    """A variable with one value in the file and another in the environment is named; later the file wins."""
    environment = written(tmp_path, f"{LIFETIME}=300") | {LIFETIME: "secret"}
    with pytest.raises(SettingsError, match=f"^{LIFETIME} is set in .* and differs") as error:
        with_file(environment)
    assert "secret" not in str(error.value)
    assert with_file(environment, is_again=True)[LIFETIME] == "300"
    assert with_file(environment | {LIFETIME: "300"})[LIFETIME] == "300"


def test_every_command_reads_it(tmp_path: Path) -> None:
    """Settings of the file are those of every command, and are judged as those of the environment."""
    environment = written(tmp_path, f"{LIFETIME}=300\nMACAROON_CBAT_DATA={tmp_path}/data")
    assert settings_from_environment(environment).token_lifetime == 300
    assert (tmp_path / "data" / "wrapping.key").exists()
    with pytest.raises(SettingsError, match="unknown setting MACAROON_CBAT_ISUER"):
        settings_from_environment(written(tmp_path, "MACAROON_CBAT_ISUER=x"))
