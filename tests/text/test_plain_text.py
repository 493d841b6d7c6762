"""Text and secrets in files that people and other programs wrote."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.text.plain_text import LONGEST_SECRET, secret_of, text_of


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n", b" \n"])
def test_a_secret_is_the_same_however_it_was_saved(mark, end):
    """A byte order mark and line ends of an editor are no part of a secret."""
    assert secret_of(mark + b"s3cret of mine" + end, "secret") == "s3cret of mine"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "f is empty: write the secret into it"),
        (b" \r\n", "f is empty"),
        (codecs.BOM_UTF8, "f is empty"),
        ("s3cret".encode("utf-16"), "f is UTF-16: save it as UTF-8"),
        (codecs.BOM_UTF16_BE + "s".encode("utf-16-be"), "f is UTF-16"),
        (b"\xff\x00", "f is not UTF-8 text"),
        (b"one\ntwo", "f holds more than one line"),
        ("g\u00e9heim".encode(), "f holds characters beyond ASCII"),
        (b"a\x00b", "f holds characters beyond ASCII"),
        (codecs.BOM_UTF8 * 2 + b"s", "f holds characters beyond ASCII"),
        (b"s" * (LONGEST_SECRET + 1), "f is longer than 8000 bytes"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused(content, words):
    """A file that cannot hold a secret is refused by what is wrong with it."""
    with pytest.raises(SettingsError) as caught:
        secret_of(content, "f")
    assert str(caught.value).startswith(words)


@given(st.text(max_size=40).filter(lambda text: not text.startswith("\ufeff")))
def test_text_is_itself(text):
    """Any UTF-8 text is read as it stands, with and without a mark."""
    content = text.encode()
    expected = {text} if not content.startswith((b"\xff\xfe", b"\xfe\xff")) else set()
    assert {text_of(content, "f"), text_of(codecs.BOM_UTF8 + content, "f")} == expected
