"""The pictures of the guide, as XML."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

GUIDE = Path(__file__).parents[2] / "macaroon_cbat" / "guide"
SVG = "{http://www.w3.org/2000/svg}"
PICTURES = ("flow.svg", "thief.svg", "speed.svg")
EM = 0.58
"""Width of an average character of a wide sans serif font, as a part of its size."""


def picture(name: str) -> ET.Element:
    return ET.parse(GUIDE / name).getroot()


def box(root: ET.Element) -> tuple[float, float]:
    _, _, width, height = (float(number) for number in root.attrib["viewBox"].split())
    return width, height


def inherited(node: ET.Element, name: str, parents: dict[ET.Element, ET.Element]) -> str | None:
    value = node.get(name)
    return value if value is not None or node not in parents else inherited(parents[node], name, parents)


def texts() -> list[tuple[str, str, float, float, float]]:
    """Return of every text: the picture, the words, where it begins, where it ends, and its base line."""
    found = []
    for name in PICTURES:
        root = picture(name)
        parents = {child: parent for parent in root.iter() for child in parent}
        for node in root.iter(f"{SVG}text"):
            words = "".join(node.itertext())
            width = EM * float(inherited(node, "font-size", parents) or 20) * len(words)
            shift = {"middle": width / 2, "end": width}.get(
                inherited(node, "text-anchor", parents) or "start", 0
            )
            start = float(node.attrib["x"]) - shift
            found.append((name, words, start, start + width, float(node.attrib["y"])))
    return found


TEXTS = texts()


@pytest.mark.parametrize(
    ("name", "words", "start", "end", "line"), TEXTS, ids=[f"{name} {words}" for name, words, *_ in TEXTS]
)
def test_text_stays_in_the_picture(name, words, start, end, line):
    """No text runs out of the picture, in a wide font of the reader's own either."""
    width, height = box(picture(name))
    assert 0 < start < end < width, words
    assert 0 < line < height, words


@pytest.mark.parametrize("name", PICTURES)
def test_picture_loads_nothing(name):
    """A picture is text and shapes: no script, image, style sheet, font or link to anywhere."""
    root = picture(name)
    assert {node.tag.removeprefix(SVG) for node in root.iter()} <= {
        "svg", "title", "desc", "defs", "g", "marker", "circle", "path", "rect", "text", "tspan", "use",
    }  # fmt: skip
    links = [node.get("href", "") for node in root.iter() if "href" in node.attrib]
    assert [link for link in links if not link.startswith("#")] == []
    assert "url(http" not in (GUIDE / name).read_text()


@pytest.mark.parametrize("name", PICTURES)
def test_picture_has_a_ground_of_its_own(name):
    """The first shape covers the picture in white, so that it is readable on a dark page as well."""
    root = picture(name)
    ground = root.find(f"{SVG}rect")
    assert ground is not None
    assert ground.attrib["fill"] == "#ffffff"
    assert (float(ground.attrib["width"]) + 2, float(ground.attrib["height"]) + 2) == box(root)


@pytest.mark.parametrize("name", PICTURES)
def test_picture_says_what_it_shows(name):
    """Readers who do not see the picture get its title and description."""
    root = picture(name)
    said = [root.findtext(f"{SVG}{kind}") for kind in ("title", "desc")]
    assert all(said)
    assert root.attrib["aria-labelledby"] == "title description"


def test_the_same_stamp_is_on_token_and_connection():
    """The flow shows one certificate: on child, connection, both sides of the comparison, and in a legend."""
    used = [node.get("href") for node in picture("flow.svg").iter(f"{SVG}use")]
    assert used == ["#stamp"] * 6
