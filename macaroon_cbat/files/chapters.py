"""The chapters of the manual, which lie inside the package."""

from importlib.resources import files

_READ_FIRST = (
    "holders",
    "caveats",
    "dpop",
    "third-parties",
    "resource-servers",
    "behind-a-proxy",
    "formats",
    "gateway",
    "service",
    "people",
    "devices",
    "refresh",
    "federation",
    "registration",
    "operating",
    "postgresql",
    "running",
    "monitoring",
    "settings",
    "audit-events",
    "metrics",
    "deploying",
    "401",
    "errors",
    "threat-model",
    "cryptography",
    "comparison",
    "speed",
    "design",
    "standards",
)
"""The topics in the order of README's table of readers; any other topic comes after them."""


def topics() -> dict[str, str]:
    """Return the text of every chapter by the name of its topic, in the order of reading."""
    chapters = files("macaroon_cbat").joinpath("guide").iterdir()
    found = {file.name.removesuffix(".md"): file for file in chapters if file.name.endswith(".md")}
    names = [name for name in _READ_FIRST if name in found] + sorted(found.keys() - set(_READ_FIRST))
    return {name: found[name].read_text(encoding="utf-8") for name in names}


def drawings() -> dict[str, str]:
    """Return the SVG documents of the manual by the names of their files."""
    found = files("macaroon_cbat").joinpath("guide").iterdir()
    return {file.name: file.read_text(encoding="utf-8") for file in found if file.name.endswith(".svg")}


def summary(text: str) -> str:
    """Return the first sentence of a chapter, which says what the chapter is about."""
    paragraph = " ".join(text.split("\n\n", 2)[1].split())
    return paragraph.partition(". ")[0].removesuffix(".") + "."
