from macaroon_cbat.client import ClientCertificate, Credentials
from macaroon_cbat.client.pools import Pools
from tests.support.client_files import Files, Pair, make_pair


def rotated(files: Files, certificate: ClientCertificate) -> Credentials:
    files.write(make_pair())
    return certificate.current()


def pools() -> Pools[Credentials, str]:
    return Pools(lambda credentials: f"pool {credentials.thumbprint}")


def test_one_pool_per_certificate(certificate: ClientCertificate, pair: Pair) -> None:
    """Requests with the same certificate share a pool, which outlives each of them."""
    room, credentials = pools(), certificate.current()
    for _ in range(2):
        assert room.lease(credentials) == (f"pool {pair.thumbprint}", [])
        assert room.give_back(credentials) == []


def test_idle_pool_is_over_at_rotation(files: Files, certificate: ClientCertificate, pair: Pair) -> None:
    """The first request with a newer certificate ends the idle pool of the old one."""
    room, old = pools(), certificate.current()
    room.lease(old)
    room.give_back(old)
    assert room.lease(rotated(files, certificate))[1] == [f"pool {pair.thumbprint}"]


def test_busy_pool_is_over_with_its_last_request(
    files: Files, certificate: ClientCertificate, pair: Pair
) -> None:
    """A pool in use at the rotation ends when its last request does."""
    room, old = pools(), certificate.current()
    room.lease(old)
    room.lease(old)
    assert room.lease(rotated(files, certificate))[1] == []
    assert room.give_back(old) == []
    assert room.give_back(old) == [f"pool {pair.thumbprint}"]


def test_straggler_gets_its_own_pool(files: Files, certificate: ClientCertificate, pair: Pair) -> None:
    """A request bound before the rotation still gets its own certificate's pool, which ends with it."""
    room, old = pools(), certificate.current()
    new = rotated(files, certificate)
    room.lease(new)
    assert room.lease(old) == (f"pool {pair.thumbprint}", [])
    assert room.give_back(old) == [f"pool {pair.thumbprint}"]
    assert room.give_back(new) == []


def test_all_pools_end_together(files: Files, certificate: ClientCertificate) -> None:
    """Closing a session ends every pool, and what was still in use does not come back."""
    room, old = pools(), certificate.current()
    new = rotated(files, certificate)
    room.lease(old)
    room.lease(new)
    assert len(room.take_all()) == 2
    assert room.give_back(old) == room.take_all() == []
