"""The wall around joserfc: public keys of a JWK Set (RFC 7517), and the signatures that they verify.

Algorithms are asymmetric, all of them: neither `none` nor HMAC is known here, so a public key can never be
taken for a secret.
"""

from collections.abc import Collection
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key
from joserfc.jws import JWSRegistry
from msgspec import Struct

from macaroon_cbat.service.federation.jwt import Jwt
from macaroon_cbat.service.federation.refusals import UNTRUSTED, NoSuchKey, UnacceptableJwt
from macaroon_cbat.stores.trust import ALGORITHMS
from macaroon_cbat.text.base64url import NotBase64url, decode
from macaroon_cbat.text.printable import quoted

MOST_KEYS = 64
"""Keys of one set that are used; a set with more is a mistake, or costs an attacker's victim time."""

_KINDS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
"""The members of a public key, by its kty (RFC 7518 6, RFC 8037 2)."""
_CURVES = ("P-256", "P-384", "P-521", "Ed25519", "Ed448")
_USES = ("sig", "jwt-svid")
"""The uses of signing keys: RFC 7517 4.2, and that of a SPIFFE bundle, whose X.509 keys are left out."""
_LEAST_MODULUS, _LARGEST_MODULUS, _LARGEST_EXPONENT = 256, 1024, 8


class PublicKey(Struct, frozen=True):
    """A public key for signatures, and the name and algorithm that its owner gave it."""

    key: Key
    key_id: str | None
    algorithm: str | None

    def verifies(self, jwt: Jwt) -> bool:
        """Return True if the signature of the token is this key's, and the algorithm fits the key."""
        model = JWSRegistry.algorithms[jwt.algorithm]
        try:
            model.check_key(self.key)
            return self.algorithm in (None, jwt.algorithm) and model.verify(
                jwt.signed, jwt.signature, self.key
            )
        except JoseError:
            return False


class PublicKeys(Struct, frozen=True):
    """The usable keys of one JWK Set."""

    keys: tuple[PublicKey, ...]

    def verify(self, jwt: Jwt, algorithms: Collection[str]) -> None:
        """Raise UnacceptableJwt unless one of the keys signed the token by one of these algorithms.

        Raises NoSuchKey if newer keys could verify it. A token that names its key is verified by no other.
        """
        if jwt.algorithm not in algorithms or jwt.algorithm not in ALGORITHMS:
            allowed = " ".join(name for name in ALGORITHMS if name in algorithms)
            raise UnacceptableJwt(
                f"the JWT is signed by {quoted(jwt.algorithm)}, which is not allowed: use one of {allowed}",
                UNTRUSTED,
            )
        named = [one for one in self.keys if jwt.key_id is None or one.key_id == jwt.key_id]
        if not named:
            reason = f"the key {quoted(jwt.key_id)} of the JWT is not among the keys of its issuer"
            raise NoSuchKey(reason, UNTRUSTED)
        if not any(one.verifies(jwt) for one in named):
            kind = NoSuchKey if jwt.key_id is None else UnacceptableJwt
            raise kind("the signature of the JWT is not by a key of its issuer", UNTRUSTED)


def usable_keys(key_set: dict[str, Any]) -> PublicKeys:
    """Return the public keys for signatures in a JWK Set. Raises ValueError if there are none.

    Other keys are left out, as RFC 7517 5 demands: for encryption, of unknown kinds, malformed, weak. So are
    symmetric keys, and keys whose private half is in the set: it is known to too many.
    """
    members = key_set.get("keys")
    if not isinstance(members, list):
        raise ValueError("it is no JWK Set: it needs a list of keys (RFC 7517 5)")  # noqa: TRY004 # one kind
    if len(members) > MOST_KEYS:
        raise ValueError(f"it has more than {MOST_KEYS} keys: leave old ones out")
    found = tuple(key for key in map(_usable, members) if key is not None)
    if not found:
        raise ValueError(
            "it has no usable key: publish the public half of an RSA key of 2,048 bits or more, an EC key on "
            "P-256, P-384 or P-521, or an Ed25519 or Ed448 key, for signatures"
        )
    return PublicKeys(found)


def _usable(jwk: object) -> PublicKey | None:
    """Return the key if it is a public one for signatures, else None."""
    if not isinstance(jwk, dict) or jwk.get("kty") not in tuple(_KINDS) or "d" in jwk:
        return None
    name, algorithm, operations = jwk.get("kid"), jwk.get("alg"), jwk.get("key_ops")
    is_for_signatures = jwk.get("use", "sig") in _USES and (
        operations is None or (isinstance(operations, list) and "verify" in operations)
    )
    if not is_for_signatures or not isinstance(name, str | None) or not isinstance(algorithm, str | None):
        return None
    material: dict[str, Any] = {member: jwk.get(member) for member in ("kty", *_KINDS[jwk["kty"]])}
    try:
        _refuse_material(material)
        return PublicKey(JWKRegistry.import_key(material), name, algorithm)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _refuse_material(material: dict[str, Any]) -> None:
    """Raise ValueError for a key that is weak, or so large that each signature would cost much."""
    if not all(isinstance(value, str) for value in material.values()):
        raise NotBase64url("a member of the key is no text")
    if material["kty"] == "RSA":
        modulus, exponent = decode(material["n"]).lstrip(b"\0"), decode(material["e"])
        is_sound = _LEAST_MODULUS <= len(modulus) <= _LARGEST_MODULUS and modulus[-1] & 1
        if not is_sound or len(exponent) > _LARGEST_EXPONENT or int.from_bytes(exponent) < 3:
            raise ValueError("the RSA key is weak or too large")
    elif material["crv"] not in _CURVES:
        raise ValueError("the curve is not one for signatures")
