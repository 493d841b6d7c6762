"""The caveats of an introspected token: those judged here, and those that its resource server judges."""

from collections.abc import Sequence

from msgspec import UNSET

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.errors import InvalidToken
from macaroon_cbat.macaroon.caveats import (
    Access,
    Audience,
    ClientAddress,
    Confirmation,
    Expiry,
    KeyConfirmation,
    Method,
    PathPrefix,
    TargetUri,
    caveat_text,
    remembered_caveats,
)
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.conditions import read_condition
from macaroon_cbat.macaroon.custom import (
    AUTHORIZATION_DETAILS,
    AnyCaveat,
    CustomCaveat,
    any_text,
    read_any_caveats,
)
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.macaroon.signature import AuthenticCaveats, DischargeText
from macaroon_cbat.stores import Client
from macaroon_cbat.text.printable import quoted

_OF_THE_REQUEST = (Method, TargetUri, PathPrefix, ClientAddress, CustomCaveat)
BoundTo = tuple[Thumbprint | None, KeyThumbprint | None]
"""The client certificate and the DPoP key that a token is bound to."""


def audiences_left(
    grant: Grant, texts: AuthenticCaveats, asking: Sequence[str | None]
) -> str | list[str] | None:
    """Return the audiences that a token and its caveats leave, as the member `aud`; None for any.

    A token for any audience that its caveats restrict is for those of the asking audiences that they allow.
    """
    if isinstance(grant.aud, str):
        return grant.aud
    caveats = [one for text in texts if isinstance(one := _readable(text), Audience)]
    if grant.aud is UNSET and not caveats:
        return None
    return [
        audience
        for audience in (asking if grant.aud is UNSET else grant.aud)
        if audience is not None
        and not any(one.prohibits(Access(now=EpochSeconds(0), audience=audience)) for one in caveats)
    ]


def understood_details(of_the_request: Sequence[bytes], caller: Client) -> list[object] | None:
    """Return the authorization details that the caller may rely on, or None for a token without any.

    Raises InvalidToken for a caveat about the request that the caller does not judge. A resource server is
    shown the details of the types that it judges (RFC 9396 9.2), and none of the others: one that ignores
    them would do more than they allow. The types that it may ask for as a client do not matter. Of several
    lists it is shown what they have in common; that may be nothing if it judges each list as a caveat.
    """
    found: list[list[object]] = []
    for text in of_the_request:
        caveat = _readable(text)
        if isinstance(caveat, CustomCaveat) and caveat.name == AUTHORIZATION_DETAILS:
            found.append([one for one in caveat.value if one["type"] in caller.metadata.judged_caveats])
        elif not caller.metadata.understands_caveats:
            raise InvalidToken(f"{caller.client_id} does not understand caveats, such as {text.decode()}")
        elif isinstance(caveat, CustomCaveat) and caveat.name not in caller.metadata.judged_caveats:
            raise InvalidToken(
                f"{caller.client_id} is not registered as judging caveat {quoted(caveat.name)}"
            )
    return _in_common(found, caller) if found else None


def _in_common(found: Sequence[list[object]], caller: Client) -> list[object]:
    """Return the details that stand in each of the lists. Raises InvalidToken."""
    if not all(found):
        raise InvalidToken(f"{caller.client_id} is not registered as judging a type of these details")
    first, *others = found
    shown = [one for one in first if all(one in each for each in others)]
    if not shown and not caller.metadata.understands_caveats:
        raise InvalidToken(
            f"{caller.client_id} does not understand caveats, and no detail stands in each of them"
        )
    return shown


def sorted_caveats(texts: AuthenticCaveats) -> tuple[BoundTo, AuthenticCaveats, list[bytes]]:
    """Return what the token is bound to, the caveats to judge here, and those about the request.

    A custom caveat is about the request. Any other unknown one is among those to judge, where it prohibits.
    """
    certificate: Thumbprint | None = None
    key: KeyThumbprint | None = None
    judged: list[bytes] = []
    of_the_request: list[bytes] = []
    for text in texts:
        caveat = _readable(text)
        if isinstance(caveat, Confirmation):
            certificate = certificate or Thumbprint(caveat.cnf.thumbprint)
        elif isinstance(caveat, KeyConfirmation):
            key = key or KeyThumbprint(caveat.cnf.jkt)
        (of_the_request if isinstance(caveat, _OF_THE_REQUEST) else judged).append(text)
    return (certificate, key), AuthenticCaveats(tuple(judged)), of_the_request


def one_each(written: AuthenticCaveats) -> AuthenticCaveats:
    """Return the caveats in compact form, one member in each text: some members are judged here, others not.

    Text that is not a caveat stays as it was written, and so does an attribute that a discharge declares.
    """
    texts: list[bytes] = []
    for text in written:
        try:
            texts += [caveat_text(caveat) for caveat in remembered_caveats(text)]
        except ValueError:
            texts += _custom(text) or (_in_our_words(text),)
    return AuthenticCaveats(tuple(texts))


def _custom(text: bytes) -> tuple[bytes, ...]:
    """Return the caveats of a text with custom ones, one each; none for any other text."""
    try:
        return tuple(map(any_text, read_any_caveats(text)))
    except ValueError:
        return ()


def _in_our_words(text: bytes) -> bytes:
    """Return the expiry of a discharge as the caveat that it is; all other text as it was written."""
    try:
        condition = read_condition(text) if isinstance(text, DischargeText) else None
    except ValueError:
        return text
    return caveat_text(condition) if isinstance(condition, Expiry) else text


def _readable(text: bytes) -> AnyCaveat | None:
    try:
        (caveat,) = remembered_caveats(text)
    except ValueError:
        return _readable_custom(text)
    return caveat


def _readable_custom(text: bytes) -> AnyCaveat | None:
    try:
        (caveat,) = read_any_caveats(text)
    except ValueError:
        return None
    return caveat
