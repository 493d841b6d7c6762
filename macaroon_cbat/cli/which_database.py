"""The database that a command works on without its wrapping key."""

from pathlib import Path

from macaroon_cbat.service.data_places import DataPlaces, data_folder, database_url
from macaroon_cbat.service.settings import given_variables
from macaroon_cbat.service.settings_file import with_file
from macaroon_cbat.service.variables import read_variables


def named_url(data: Path | None, *, creates: bool) -> str:
    """Return the URL of the database that the environment names. Raises SettingsError."""
    environment = with_file()
    places = DataPlaces(**read_variables(DataPlaces, given_variables(environment)))
    return database_url(places, data or data_folder(environment), creates=creates)
