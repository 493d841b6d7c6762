"""The texts of a token that are no known caveats: custom ones, and conditions of the bakery in discharges."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from macaroon_cbat.macaroon.caveats import Caveat
from macaroon_cbat.macaroon.conditions import Declared, conflicts, read_condition
from macaroon_cbat.macaroon.custom import CustomCaveat, Judge, judged_caveats, why_too_many
from macaroon_cbat.macaroon.signature import DischargeText


class OtherTexts(Struct):
    """The meaning of such texts, and the reasons to refuse those that have none."""

    caveats: list[Caveat] = []
    custom: list[CustomCaveat] = []
    declared: list[Declared] = []
    unmet: list[str] = []


def read_others(texts: Iterable[tuple[bytes, ValueError]], judges: Mapping[str, Judge]) -> OtherTexts:
    """Return the meaning of texts, each of which came with the reason for which it is no known caveat."""
    found = OtherTexts()
    for text, error in texts:
        try:
            if isinstance(text, DischargeText) and text[:1] != b"{":
                _add_condition(text, found)
            elif judges:
                _add_custom(text, judges, found)
            else:
                found.unmet.append(str(error))
        except ValueError as unknown:
            found.unmet.append(str(unknown))
    found.unmet += conflicts(found.declared)
    if (too_many := why_too_many(found.custom)) is not None:
        found.unmet.append(too_many)
    return found


def _add_condition(text: bytes, found: OtherTexts) -> None:
    condition = read_condition(text)
    if isinstance(condition, Declared):
        found.declared.append(condition)
    else:
        found.caveats.append(condition)


def _add_custom(text: bytes, judges: Mapping[str, Judge], found: OtherTexts) -> None:
    for caveat in judged_caveats(text, judges):
        if isinstance(caveat, CustomCaveat):
            found.custom.append(caveat)
        else:
            found.caveats.append(caveat)
