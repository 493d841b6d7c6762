"""The ways in which a server certificate and its key are left unusable, and how each is told."""

from collections.abc import Callable

from tests.support.renewals import Pair, Renewed, encrypted, in_place, new_pair


def of_another_key(served: Renewed) -> None:
    served.key.write_bytes(new_pair().key)


def certificate_alone(served: Renewed) -> None:
    served.certificate.write_bytes(new_pair().certificate)


def expired(served: Renewed) -> None:
    in_place(served, new_pair((-30, -1)))


def not_yet_valid(served: Renewed) -> None:
    in_place(served, new_pair((1, 30)))


def with_passphrase(served: Renewed) -> None:
    pair = new_pair()
    in_place(served, Pair(pair.certificate, encrypted(pair.key)))


def without_certificate(served: Renewed) -> None:
    served.certificate.unlink()


def without_key(served: Renewed) -> None:
    served.key.unlink()


def empty(served: Renewed) -> None:
    served.certificate.write_bytes(b"")


def half(served: Renewed) -> None:
    pair = new_pair()
    in_place(served, Pair(pair.certificate[: len(pair.certificate) // 3], pair.key))


def half_a_chain(served: Renewed) -> None:
    pair = new_pair()
    in_place(served, Pair(pair.certificate[:-200], pair.key))


def half_a_key(served: Renewed) -> None:
    pair = new_pair()
    in_place(served, Pair(pair.certificate, pair.key[:-60]))


def a_folder(served: Renewed) -> None:
    served.certificate.unlink()
    served.certificate.mkdir()


def open_to_all(served: Renewed) -> None:
    in_place(served, new_pair())
    served.key.chmod(0o644)


def a_dangling_link(served: Renewed) -> None:
    served.key.unlink()
    served.key.symlink_to("nowhere")


BAD: dict[str, tuple[Callable[[Renewed], None], str]] = {
    "another key": (of_another_key, "is not the private key of"),
    "another certificate": (certificate_alone, "is not the private key of"),
    "expired": (expired, "expired on"),
    "not yet valid": (not_yet_valid, "is not valid before"),
    "an encrypted key": (with_passphrase, "is encrypted"),
    "no certificate": (without_certificate, "cannot read"),
    "no key": (without_key, "cannot read"),
    "empty": (empty, "is not a PEM certificate"),
    "half a certificate": (half, "is not a PEM certificate"),
    "half a chain": (half_a_chain, "OpenSSL refuses"),
    "half a key": (half_a_key, "is not a PEM private key"),
    "a folder": (a_folder, "Is a directory"),
    "a key for all to read": (open_to_all, "can be used by others"),
    "a dangling link": (a_dangling_link, "cannot read"),
}
"""The name of each way, what does it, and what the warning holds."""
