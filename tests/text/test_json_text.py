"""JSON of another process is a value or one kind of error, however it is nested."""

from typing import Literal

import msgspec
import pytest
from msgspec import Raw, Struct

from macaroon_cbat.text.json_text import DEEPEST, UnusableJson, plain_reason, read_json_text, read_members

DEEP = b"[" * 50_000 + b"]" * 50_000


class Shape(Struct):
    number: int
    raw: Raw = Raw(b"null")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b'{"x":%b,"number":1}' % DEEP, id="an unknown member"),
        pytest.param(b'{"number":1,"raw":%b}' % DEEP, id="a member kept raw"),
        pytest.param(b'{"x":' * 50_000, id="objects, never closed"),
        pytest.param(b'{"number":"1"}', id="another type"),
        pytest.param(b'{"number":1', id="cut off"),
        pytest.param(b'{"number":"\xff"}', id="no UTF-8"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_unusable_json_is_one_error(text):
    """Text of another shape, no JSON, or JSON nested too deeply raises UnusableJson and nothing else."""
    with pytest.raises(UnusableJson):
        read_json_text(text, Shape)


@pytest.mark.parametrize("text", [DEEP, b'{"x":' * 50_000], ids=["arrays", "objects"])
def test_any_shape_is_bounded_as_well(text):
    """A value of any shape is read no deeper than a parser follows."""
    with pytest.raises(UnusableJson):
        read_json_text(text, object)


def test_usable_json_is_its_value():
    """Members that the shape does not name are skipped."""
    assert read_json_text(b'{"number":1,"x":[[1]]}', Shape).number == 1
    assert read_json_text(b'{"number":[1]}', object) == {"number": [1]}


def test_members_are_read_whatever_they_are():
    """Members of any kind are read; floats stay floats."""
    text = b' {"a" : [1.5, {"b": null, "\\u0063": true}], "\\ud83d\\ude00": -0} '
    assert read_members(text) == {"a": [1.5, {"b": None, "c": True}], "😀": 0}


@pytest.mark.parametrize("deeper", ["[%s]", '{"x":%s}', '[0,%s,"[["]'], ids=["arrays", "objects", "a mix"])
def test_members_are_read_to_one_depth(deeper):
    """Members are read to DEEPEST and no deeper."""
    value = "1"
    for _ in range(DEEPEST - 1):
        value = deeper.replace("%s", value)
    assert read_members(b'{"x":%b}' % value.encode())
    with pytest.raises(UnusableJson, match="nested too deeply"):
        read_members(b'{"x":%b}' % deeper.replace("%s", value).encode())


@pytest.mark.parametrize("count", [2, 3, 9_000])
def test_a_repeated_key_is_named_and_bounded(count):
    """A repeated key is named, and a long one cut short, among however many others."""
    others = b"".join(b'"%d":0,' % number for number in range(count))
    with pytest.raises(UnusableJson, match=r"repeats the key 'a{40}'$"):
        read_members(b"{" + b'"' + b"a" * 99 + b'":1,' + others + b'"' + b"a" * 99 + b'":1}')


def test_an_unknown_word_is_named_and_bounded():
    """A word that is none of a list is named, with what to do; a long one is cut."""
    with pytest.raises(msgspec.ValidationError) as refusal:
        msgspec.convert({"grants": ["x" * 1000]}, dict[str, list[Literal["code"]]])
    assert plain_reason(refusal.value).endswith(
        "which is unknown here: write one of those in the documentation"
    )
    assert len(plain_reason(refusal.value)) < 200
