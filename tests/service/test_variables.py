"""Environment variables: each is declared once, with words that fit what is accepted."""

from pathlib import Path

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service import Settings, settings_from_environment
from macaroon_cbat.service.operation_settings import OperationSettings
from macaroon_cbat.service.settings import LONGEST_LIFETIME, VARIABLES
from macaroon_cbat.stores import WrappingKey

KEY = WrappingKey(bytes(range(32)))
NUMBERS = [name for name, one in VARIABLES.items() if one.kind is int]


def read(folder: Path, **variables: str) -> Settings:
    named = {f"MACAROON_CBAT_{name}": value for name, value in variables.items()}
    return settings_from_environment({"MACAROON_CBAT_DATA": str(folder), **named})


def test_each_variable_has_its_words():
    """A variable says what it means, what it must be and its default, for messages and tables."""
    assert [name for name, variable in VARIABLES.items() if variable.field != name.lower()] == []
    words = {name: (one.setting.meaning, one.setting.shape, one.default) for name, one in VARIABLES.items()}
    assert {name: said for name, said in words.items() if not all(said)} == {}


@pytest.mark.parametrize(
    "text", ["null", "none", "1e3", "1.0", "+1", "0x10", " 1", "1 ", "1_0", "٣", "9" * 10]
)
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_digits(tmp_path, name, text):
    """A number is one to nine ASCII digits: what a lenient reader takes for one is refused."""
    with pytest.raises(SettingsError, match=f"^MACAROON_CBAT_{name} must be "):
        read(tmp_path, **{name: text})


@pytest.mark.parametrize("name", [name for name in NUMBERS if VARIABLES[name].setting.least > 0])
@pytest.mark.parametrize("beyond", [-1, 1], ids=["less than the least", "more than the most"])
def test_a_number_has_a_range(tmp_path, name, beyond):
    """A number beyond its range is refused, and the message names the range."""
    setting = VARIABLES[name].setting
    value = {-1: setting.least - 1, 1: setting.most + 1}[beyond]
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, **{name: str(value)})
    assert str(refused.value) == f"MACAROON_CBAT_{name} must be {setting.shape}, not '{value}'"
    assert str(setting.least) in setting.shape
    assert str(setting.most) in setting.shape


@pytest.mark.parametrize(
    "wrong",
    [
        {"token_lifetime": 0},
        {"token_lifetime": LONGEST_LIFETIME + 1},
        {"token_lifetime": 1e9},
        {"key_rotation": -1},
        {"key_rotation": LONGEST_LIFETIME - 1},
        {"audit_refusals": -1},
        {"root_path": "auth"},
        {"issuer": "http://as.example"},
        {"mtls_url": "https://as.example/"},
    ],
    ids=str,
)
def test_settings_of_a_program_are_checked_as_well(wrong):
    """An application that makes its Settings itself learns of a wrong value at once."""
    with pytest.raises(SettingsError, match=f"^MACAROON_CBAT_{next(iter(wrong)).upper()} "):
        Settings(database_url="sqlite://", wrapping_key=KEY, **wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"management_port": 0}, {"management_port": 1 << 16}, {"log_format": "xml"}, {"log_level": "INFO"}],
    ids=str,
)
def test_settings_of_operation_are_checked_as_well(wrong):
    """A port out of range and a word that is none of a few are refused, by the name of the variable."""
    with pytest.raises(SettingsError, match=f"^MACAROON_CBAT_{next(iter(wrong)).upper()} must be "):
        OperationSettings(**wrong)
