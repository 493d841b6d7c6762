"""Addresses as operators write them."""

from pathlib import Path

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.server.address import Address, read_address

ADDRESSES = {
    "127.0.0.1:8000": Address("127.0.0.1", 8000),
    "[::1]:8000": Address("::1", 8000),
    "[fe80::1%eth0.5]:1": Address("fe80::1%eth0.5", 1),
    "localhost:0": Address("localhost", 0),
    "my_service.internal:65535": Address("my_service.internal", 65535),
    "unix:/run/a b.sock": Address(path=Path("/run/a b.sock")),
    "unix:gateway.sock": Address(path=Path("gateway.sock")),
}
OTHERS = {
    "no port": "localhost",
    "no host": ":80",
    "nothing": "",
    "an empty path": "unix:",
    "a port too high": "localhost:65536",
    "a port of six digits": "localhost:000080",
    "a port with a sign": "localhost:+80",
    "a port in other digits": "localhost:\u0668\u0660",
    "a port with white space": "localhost: 80",
    "IPv6 without brackets": "::1:80",
    "a half bracket": "[::1:80",
    "a name in brackets": "[localhost]:80",
    "IPv4 in brackets": "[127.0.0.1]:80",
    "an empty zone": "[fe80::1%]:80",
    "a zone with syntax": "[fe80::1%{x}]:80",
    "a user": "a@localhost:80",
    "a URL": "http://localhost:80",
    "a path": "localhost:80/",
    "a line end": "localhost:80\n",
    "a host name in another script": "b\u00fccher.example:80",
}


@pytest.mark.parametrize(("text", "address"), ADDRESSES.items(), ids=ADDRESSES)
def test_an_address_is_read_and_shown_alike(text: str, address: Address) -> None:
    """An address that an operator writes is read, and shown as it was written."""
    assert read_address(text, "--listen") == address
    assert str(address) == text


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_other_text_is_refused_by_the_name_of_its_setting(text: str) -> None:
    """Text that is no address is refused in one line that begins with the setting and says what to write."""
    with pytest.raises(SettingsError, match=r"\A--listen: .*: (write it as|correct it)") as error:
        read_address(text, "--listen")
    assert "\n" not in str(error.value)
