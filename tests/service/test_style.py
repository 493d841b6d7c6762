"""The style of the pages: its colours can be read by people who see little (WCAG 2.2, 1.4.3 and 1.4.11)."""

import re
from importlib.resources import files

import pytest

STYLE = files("macaroon_cbat.service.pages").joinpath("templates", "style.css").read_text()
READ = [("ink", "card"), ("ink", "paper"), ("soft", "card"), ("soft", "paper"), ("accent", "card"),
        ("accent-deep", "card"), ("accent-ink", "accent"), ("accent-ink", "accent-deep"),
        ("warn-ink", "warn"), ("good-ink", "good")]  # fmt: skip
SEEN = [("accent", "card"), ("soft", "card"), ("warn-line", "warn"), ("good-line", "good")]

NAMED = r"(<[a-z]+>|.)\{\{ (?:client_name|client|name|person|text)\|"
"""An element, or a character, before what a client or a provider named."""


def colours(scheme):
    """Return the colours of a scheme by name; the dark ones replace the light ones."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    names = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block)) for block in blocks]
    assert len(names) == 2
    return names[0] if scheme == "light" else names[0] | names[1]


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(scheme, one, other):
    found = colours(scheme)
    darker, lighter = sorted((luminance(found[one]), luminance(found[other])))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), READ)
def test_text_can_be_read(scheme, text, ground):
    """Text has a contrast of 4.5 to 1 with its ground."""
    assert contrast(scheme, text, ground) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("line", "ground"), SEEN)
def test_lines_that_mean_something_can_be_seen(scheme, line, ground):
    """Edges of fields, of focus and of notices have a contrast of 3 to 1 with what they stand on."""
    assert contrast(scheme, line, ground) >= 3


def test_a_name_turns_no_text_round_it():
    """Names and identifiers in a line are isolated from its direction: each stands in such an element."""
    assert "strong, code, bdi { unicode-bidi: isolate; }" in STYLE
    folder = files("macaroon_cbat.service.pages").joinpath("templates")
    templates = [one for one in folder.iterdir() if one.name.endswith(".html")]
    lines = [line for one in templates for line in one.read_text(encoding="utf-8").splitlines()]
    shown = [one for line in lines for one in re.findall(NAMED, line)]
    assert len(shown) > 10
    assert set(shown) == {"<bdi>", "<strong>", "<dd>"}
