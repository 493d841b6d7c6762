"""Tables of what may be set: for the service, for a guard, in a gateway's policy file."""

from collections.abc import Iterator
from typing import Any

from msgspec import NODEFAULT, inspect

from guide_tables.markdown import code, table
from guide_tables.words import field_words
from macaroon_cbat.gateway.policy_file import Policy
from macaroon_cbat.resource.settings import GuardSettings
from macaroon_cbat.service.settings import PREFIX, VARIABLES

_PLAIN = {
    inspect.StrType: "text",
    inspect.BoolType: "`true` or `false`",
    inspect.IntType: "whole number",
    inspect.FloatType: "number",
}


def service_settings() -> str:
    """Return the environment variables of the service."""
    head = ("variable", "value", "default", "meaning")
    return table(head, (_variable(name, words) for name, words in VARIABLES.items()))


def _variable(name: str, words: Any) -> tuple[str, ...]:
    """Return the row of a variable, whose words are one text or a declaration with shape and default."""
    if isinstance(words, str):
        return code(PREFIX + name), "", "", words
    return code(PREFIX + name), words.setting.shape, words.default, words.setting.meaning


def guard_settings() -> str:
    """Return the keyword arguments of every guard."""
    words = field_words(GuardSettings)
    names = GuardSettings.__annotations__
    return table(("setting", "meaning"), ((code(f"{name}="), words.get(name, "")) for name in names))


def policy_members() -> str:
    """Return the members of a gateway's policy file, table by table."""
    return table(("table", "member", "value", "default", "meaning"), _members(Policy, "at the top"))


def _members(kind: type, place: str) -> Iterator[tuple[str, ...]]:
    """Yield the plain members of this table, then those of the tables in it."""
    words = field_words(kind)
    fields = inspect.type_info(kind).fields
    for field in fields:
        if _struct(field.type) is None:
            default = _default(field)
            yield place, code(field.encode_name), _shape(field.type), default, words.get(field.name, "")
    for field in fields:
        if (struct := _struct(field.type)) is not None:
            many = not isinstance(_given(field.type), inspect.StructType)
            yield from _members(
                struct, code(f"[[{field.encode_name}]]" if many else f"[{field.encode_name}]")
            )


def _struct(kind: inspect.Type) -> type | None:
    """Return the Struct that a TOML table or array of tables is read as, or None."""
    kind = _given(kind)
    inner = getattr(kind, "item_type", kind)
    return inner.cls if isinstance(inner, inspect.StructType) else None


def _given(kind: inspect.Type) -> inspect.Type:
    """Return the type without None, which stands for a member that is left out."""
    if isinstance(kind, inspect.UnionType):
        (kind,) = (one for one in kind.types if not isinstance(one, inspect.NoneType))
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def _default(field: inspect.Field) -> str:
    if field.default is NODEFAULT:
        return "must be given"
    if field.default is None:
        return "none"
    return code(str(field.default).lower() if isinstance(field.default, bool) else str(field.default))


def _shape(kind: inspect.Type) -> str:
    kind = _given(kind)
    if isinstance(kind, inspect.VarTupleType):
        return f"list of {_shape(kind.item_type)}"
    if isinstance(kind, inspect.LiteralType):
        return " ".join(code(str(value)) for value in kind.values)
    least, most = getattr(kind, "ge", None), getattr(kind, "le", None)
    bounds = "" if least is None else f", {least} to {most}" if most is not None else f", at least {least:g}"
    return _PLAIN[type(kind)] + bounds
