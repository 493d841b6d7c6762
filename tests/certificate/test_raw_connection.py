import pytest

from macaroon_cbat.certificate.raw_connection import RawConnection
from macaroon_cbat.errors import AmbiguousHeader


def connection_of(*fields: tuple[bytes, bytes]) -> RawConnection:
    return RawConnection(fields, address="10.0.0.1", is_unix_socket=False)


def test_a_header_is_found_in_any_letter_case():
    """A header that came once is found, whatever the case of its letters, without white space around it."""
    assert connection_of((b"client-CERT", b" a b \t")).header("Client-Cert") == "a b"
    assert connection_of((b"Other", b"x")).header("Client-Cert") is None
    assert connection_of((b"Clientcert", b"\xe9")).header("clientcert") == "\xe9"


@pytest.mark.parametrize(
    "fields",
    [
        [b"Client-Cert", b"Client-Cert"],
        [b"Client-Cert", b"client-cert"],
        [b"Client-Cert", b"Client_Cert"],
        [b"Client_Cert", b"Client-Cert"],
        [b"Client_Cert"],
        [b"CLIENT_CERT"],
        [b"Client.Cert"],
        [b"Client.Cert", b"Client_Cert"],
    ],
)
def test_twice_or_misspelled_is_ambiguous(fields: list[bytes]):
    """A header that came twice, or under a name that some server takes for it, is refused."""
    with pytest.raises(AmbiguousHeader):
        connection_of(*[(name, b"x") for name in fields]).header("Client-Cert")


def test_other_headers_may_repeat():
    """Repetition of one header says nothing about another one."""
    assert connection_of((b"Cookie", b"a"), (b"Cookie", b"b"), (b"Host", b"x")).header("Host") == "x"


def test_the_connection_says_what_it_was_told():
    """Address, kind of socket and certificate are those of the connection, not of any header."""
    told = RawConnection([], address=None, is_unix_socket=True)
    assert (told.address(), told.is_unix_socket(), told.certificate()) == (None, True, None)
    assert connection_of((b"X-Forwarded-For", b"1.2.3.4")).address() == "10.0.0.1"
