"""The chart of the guide, drawn from the figures that a run has kept: `scripts/bench --keep` writes both.

It is the same text for the same figures: a test can tell whether the chart is of the kept figures.
"""

import json
import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from timing import Figure

KEPT = Path(__file__).with_name("kept.json")
CHART = Path(__file__).parents[2] / "macaroon_cbat" / "guide" / "speed.svg"

VERIFYING = {
    "biscuit-python, a block appended, checks judged": "biscuit-python",
    "PyJWT ES256, cnf compared": "PyJWT, ES256",
    "pymacaroons, caveats judged": "pymacaroons",
    "PyJWT HS256, cnf compared": "PyJWT, HS256",
    "verify, each token new": "here, each token new",
    "verify in a guard, each a new child of one token": "here, each a child of one token",
    "go-macaroon (Go), signature alone": "go-macaroon (Go), signature alone",
    "libmacaroons (C), signature of binary alone": "libmacaroons (C), signature alone",
    "verify in a guard, the same tokens again": "here, the same token again",
}
"""The figures of a verification, each with its label."""

WRITING = {
    "pymacaroons, child with 4 caveats": "pymacaroons, four caveats",
    "child with 4 caveats": "here, four caveats",
    "pymacaroons, child with 2 caveats": "pymacaroons, two caveats",
    "child with 2 caveats": "here, two caveats",
    "child with 2 caveats of a known token": "here, two caveats, token known",
}
"""The figures of a child, each with its label."""

CHARTED = {"verifying a bound token of four caveats": VERIFYING, "appending to a token": WRITING}

WIDTH, LEFT, RIGHT, ROW = 700, 310, 606, 30
OURS, THEIRS = "#c2410c", "#9ca3af"


def keep(figures: list[Figure], rounds: int) -> None:
    """Keep the figures of this run with its day and machine, and draw their chart.

    Raises SystemExit if a peer is missing that the chart shows.
    """
    missing = {*VERIFYING, *WRITING} - {figure.name for figure in figures}
    if missing:
        raise SystemExit(f"the chart is not drawn, for want of {', '.join(sorted(missing))}: install them")
    kept = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {_processor()}",
        "python": platform.python_version(),
        "rounds": rounds,
        "least": {figure.name: round(figure.least, 1) for figure in figures},
        "median": {figure.name: round(figure.median, 1) for figure in figures},
    }
    KEPT.write_text(json.dumps(kept, indent=2) + "\n")
    CHART.write_text(drawn(kept))


def _processor() -> str:
    names = Path("/proc/cpuinfo")
    lines = names.read_text().splitlines() if names.exists() else []
    return next(
        (line.partition(": ")[2][:30] for line in lines if line.startswith("model name")), platform.machine()
    )


def drawn(kept: dict) -> str:
    """Return the chart of these figures as SVG: text and shapes on a white ground, readable on any page."""
    parts, y = [], 84
    for title, labels in CHARTED.items():
        rows = {label: kept["least"][name] for name, label in labels.items()}
        parts.append(f'  <text x="22" y="{y}" font-weight="700">{title}</text>')
        for label, value in rows.items():
            y += ROW
            parts.append(_bar(label, value, max(rows.values()), y))
        y += 52
    return _FRAME.format(
        width=WIDTH,
        height=y + 8,
        inner_width=WIDTH - 2,
        inner_height=y + 6,
        told=escape("; ".join(_told(kept))),
        rows="\n".join(parts),
        foot=y - 12,
        source=escape(
            f"{kept['date']}, {kept['machine']}, Python {kept['python']}: "
            f"least of {kept['rounds']} rounds in turn"
        ),
    )


def _bar(label: str, value: float, most: float, y: int) -> str:
    is_ours = label.startswith("here")
    width = max(2.0, (RIGHT - LEFT) * value / most)
    weight, fill = (' font-weight="700"', OURS) if is_ours else ("", THEIRS)
    return (
        f'  <text x="{LEFT - 8}" y="{y}" text-anchor="end"{weight}>{escape(label)}</text>\n'
        f'  <rect x="{LEFT}" y="{y - 14}" width="{width:.1f}" height="18" fill="{fill}"/>\n'
        f'  <text x="{LEFT + width + 8:.1f}" y="{y}"{weight}>{value:.1f} µs</text>'
    )


def _told(kept: dict) -> Iterator[str]:
    """Yield each figure in words, for readers who do not see the chart."""
    for labels in CHARTED.values():
        for name, label in labels.items():
            yield f"{label} {kept['least'][name]:.1f}"


_FRAME = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"
     aria-labelledby="title description" font-size="15" fill="#1f2937"
     font-family="system-ui, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif">
  <title id="title">Microseconds of a verification and of a child</title>
  <desc id="description">Microseconds a call, less is better. {told}.</desc>
  <rect x="1" y="1" width="{inner_width}" height="{inner_height}" rx="14" fill="#ffffff" stroke="#9ca3af"
        stroke-width="2"/>
  <text x="22" y="40" font-size="20" font-weight="700">Microseconds a call, less is better</text>
{rows}
  <text x="22" y="{foot}" font-size="13">{source}</text>
</svg>
"""
