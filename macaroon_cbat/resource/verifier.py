"""The verifiers of a guard: offline with the keys of an audience, or another one such as Introspection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.macaroon.caveats import Access
from macaroon_cbat.macaroon.custom import NO_JUDGES, Judge
from macaroon_cbat.macaroon.keys import AudienceKeys, KeySource
from macaroon_cbat.macaroon.known_chains import KnownChains
from macaroon_cbat.macaroon.revocation import RevocationSource
from macaroon_cbat.macaroon.verification import Principal, verify
from macaroon_cbat.resource.blocking import announces_blocking
from macaroon_cbat.resource.key_file import KeyFile


class TokenVerifier(Protocol):
    """A verifier of the tokens of one issuer for one audience."""

    @property
    def issuer(self) -> str:
        """The service whose tokens are accepted."""

    @property
    def audience(self) -> str:
        """The audience whose tokens are accepted."""

    def verify(
        self,
        text: str,
        access: Access,
        *,
        require_certificate: bool,
        custom: Mapping[str, Judge] = NO_JUDGES,
        discharges: Sequence[str] = (),
    ) -> Principal:
        """Return the principal that the token, with its discharges, stands for.

        `custom` judges custom caveats by their names.

        Raises InvalidToken if the token is not valid for this access, Unavailable if that cannot be told.
        """


class AudienceKeySource(KeySource, Protocol):
    """The keys of one audience: a KeyFile, a KeyFeed, or AudienceKeys in memory."""

    @property
    def issuer(self) -> str:
        """The service that mints for these keys."""

    @property
    def audience(self) -> str:
        """The one audience whose tokens these keys verify."""


class IssuerRevocations(RevocationSource, Protocol):
    """The revocations of one issuer, such as a RevocationFeed."""

    @property
    def issuer(self) -> str:
        """The service whose revocations these are."""


class OfflineVerifier:
    """A verifier that holds the audience's keys, and needs no request to the service for a token.

    It notices a revocation only with `revocations`, which stay current without a request of their own.
    """

    def __init__(
        self,
        keys: AudienceKeySource,
        revocations: IssuerRevocations | None = None,
        *,
        when_stale: TokenVerifier | None = None,
    ) -> None:
        """Verify with these keys, and refuse the tokens that `revocations` name.

        `when_stale` verifies while keys or revocations are Unavailable: Introspection, for example. A guard
        without it answers such requests with Unavailable (503). Stale revocations are never taken for current
        ones.

        Raises SettingsError if the parts are not of one issuer and one audience.
        """
        self._keys = keys
        self._revocations = revocations
        self._when_stale = when_stale
        self._known = KnownChains()
        self.audience = keys.audience
        if revocations is not None and revocations.issuer != keys.issuer:
            raise SettingsError(
                f"revocations of {revocations.issuer} do not go with keys of {keys.issuer}: name one issuer"
            )
        if when_stale is not None:
            _check_fallback(when_stale, keys, revocations)
        parts = (revocations, when_stale)
        self.announces_blocking = (isinstance(keys, AudienceKeys) or announces_blocking(keys)) and all(
            part is None or announces_blocking(part) for part in parts
        )

    @property
    def issuer(self) -> str:
        """The service that mints for the keys, as the key file names it now."""
        return self._keys.issuer

    def verify(
        self,
        text: str,
        access: Access,
        *,
        require_certificate: bool,
        custom: Mapping[str, Judge] = NO_JUDGES,
        discharges: Sequence[str] = (),
    ) -> Principal:
        """Return the principal that the token stands for.

        Raises InvalidToken if the token is not valid for this access, Unavailable if that cannot be told.
        """
        revocations, asking, judges = self._revocations, None, custom
        if self._when_stale is not None:
            asking = _Asking()
            judges = asking.of(custom)
        try:
            principal = verify(
                text,
                self._keys,
                access,
                require_certificate=require_certificate,
                revocations=revocations,
                custom=judges,
                discharges=discharges,
                known=self._known,
            )
            if revocations is not None:
                _check_issuer(revocations, self._keys)  # now: the key file may have been replaced
        except Unavailable:
            if self._when_stale is None or (asking is not None and asking.has_asked):
                raise
        else:
            return principal
        return self._when_stale.verify(
            text, access, require_certificate=require_certificate, custom=custom, discharges=discharges
        )


@dataclass(slots=True)
class _Asking:
    """The asking of judges, which comes last: by then neither keys nor revocations are stale."""

    has_asked: bool = False

    def of(self, judges: Mapping[str, Judge]) -> Mapping[str, Judge]:
        """Return the judges, each of which is noted when it is asked."""
        return {name: partial(self._ask, judge) for name, judge in judges.items()}

    def _ask(self, judge: Judge, value: Any, access: Access) -> str | None:
        self.has_asked = True
        return judge(value, access)


def _check_issuer(revocations: IssuerRevocations, keys: AudienceKeySource) -> None:
    """Raise Unavailable if the keys are of another issuer by now: its revocations are not known here."""
    if revocations.issuer != keys.issuer:
        raise Unavailable(
            f"the keys are of {keys.issuer} now, and the revocations of {revocations.issuer}: export the "
            "keys of that issuer, or restart with revocations of the other"
        )


def _check_fallback(
    when_stale: TokenVerifier, keys: AudienceKeySource, revocations: IssuerRevocations | None
) -> None:
    """Raise SettingsError for a fallback that could let other tokens pass, or that is never asked."""
    if revocations is None:
        raise SettingsError("when_stale is of no use without revocations: name them, or leave it out")
    asked, own = (when_stale.issuer, when_stale.audience), (keys.issuer, keys.audience)
    if asked != own:
        raise SettingsError(
            f"when_stale is for issuer {asked[0]} and audience {asked[1]}, and the keys are for issuer "
            f"{own[0]} and audience {own[1]}: name the same for both"
        )


def chosen_verifier(
    keys: AudienceKeySource | Path | str | None,
    verifier: TokenVerifier | None,
    revocations: IssuerRevocations | None = None,
    when_stale: TokenVerifier | None = None,
) -> TokenVerifier:
    """Return the verifier that the settings of a guard name: keys, or another verifier.

    Raises SettingsError for both or neither, and for parts that do not go together.
    """
    if (keys is None) == (verifier is None):
        raise SettingsError(
            "the guard needs keys (a key file) or a verifier such as Introspection, one of them"
        )
    if verifier is not None:
        for name, part in (("revocations", revocations), ("when_stale", when_stale)):
            if part is not None:
                raise SettingsError(f"{name} goes with keys, not with a verifier: leave one of them out")
        return verifier
    assert keys is not None
    offline = KeyFile(Path(keys)) if isinstance(keys, str | Path) else keys
    return OfflineVerifier(offline, revocations, when_stale=when_stale)
