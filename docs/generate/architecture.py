"""The picture of the architecture: the layers as the contract in setup.cfg has them, and the way of a batch.

A hook of MkDocs; `picture` is for tests. The picture brings its own ground, so it can be read in light and dark.
"""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[2]
PICTURE = "images/architecture.svg"
COLOURS = {  # of the layers that a batch passes; the others are grey
    "data": "#cfe3f5",
    "methods": "#fbe0c4",
    "engines": "#d5ead0",
    "evaluation": "#e6d9f2",
    "report": "#f5d3d8",
}
OTHER = "#e4e8ec"
WAY = (  # layer, what happens, what goes on from there
    ("data", "cached cases: read, resampled, kept in RAM", "draw n: which case, where the crop, how much noise"),
    ("data", "training stream: crops and augmentation", "Batch: labeled, labels, unlabeled, weak view"),
    ("methods", "losses: teacher labels, clean-up, mixing, students", "Terms of each student: name, weight, value"),
    ("engines", "one backward for each student", "gradients, into that student alone"),
    ("engines", "finite? optimiser and learning rate of the step", "students moved"),
    ("methods", "after_update: the momentum teacher follows", "every val_interval steps: predictors"),
    ("engines", "validation by sliding windows; checkpoints", "at the end: label maps on the source's grid"),
    ("evaluation", "metrics, means, intervals", "metrics.csv, summary.json"),
    ("report", "the page, from these files alone", ""),
)
LEFT, RIGHT, TOP, WIDTH, HEIGHT = 24, 452, 64, 404, 40  # of the two columns and their boxes, in pixels
GAP, PITCH = 12, 64  # between layers; from one step of the way to the next


def layers() -> list[list[str]]:
    """The modules of each layer, top first, without `__main__` and what is not there yet."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = config["importlinter:contract:downward"]["layers"].split("\n")
    rows = [[name.strip().removeprefix("mednoisy.") for name in re.split("[:|]", line)] for line in lines]
    return [kept for row in rows if (kept := [name for name in row if re.match("[a-z]", name)])]


def picture() -> str:
    """The picture as SVG."""
    rows = layers()
    height = TOP + max(len(rows) * (HEIGHT + GAP), len(WAY) * PITCH) + 16
    width = RIGHT + WIDTH + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'font-family="system-ui, sans-serif" font-size="14" fill="#1f2a33">',
        "<title>Layers of mednoisy and the way of a batch</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#5b6b78"/></marker></defs>',
        f'<rect width="{width}" height="{height}" rx="10" fill="#f7f9fb"/>',
        _text(LEFT, 40, "Layers: imports run downward", size=17),
        _text(RIGHT, 40, "The way of a batch", size=17),
    ]
    for number, row in enumerate(rows):
        parts += _layer(row, TOP + number * (HEIGHT + GAP))
    for number, (layer, does, leaves) in enumerate(WAY):
        parts += _station(layer, does, leaves, TOP + number * PITCH, last=number == len(WAY) - 1)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _layer(names: list[str], top: int) -> list[str]:
    """A row of the left column: modules of one layer side by side."""
    wide = (WIDTH - 24 - 6 * (len(names) - 1)) / len(names)
    parts = []
    for number, name in enumerate(names):
        left = LEFT + number * (wide + 6)
        parts.append(_box(left, top, wide, COLOURS.get(name, OTHER)))
        parts.append(_text(left + wide / 2, top + 25, name, anchor="middle", size=14 if len(name) * 8 < wide else 12))
    return parts


def _station(layer: str, does: str, leaves: str, top: int, *, last: bool) -> list[str]:
    """A step of the right column, and the arrow to the next with what goes along it."""
    parts = [_box(RIGHT, top, WIDTH, COLOURS[layer]), _text(RIGHT + 12, top + 25, does)]
    if not last:
        start, end = top + HEIGHT, top + PITCH - 2
        parts.append(f'<path d="M{RIGHT + 24} {start}V{end}" stroke="#5b6b78" marker-end="url(#tip)"/>')
        parts.append(_text(RIGHT + 36, start + 16, leaves, size=12, fill="#42525f"))
    return parts


def _box(left: float, top: float, width: float, fill: str) -> str:
    return f'<rect x="{left:g}" y="{top:g}" width="{width:.1f}" height="{HEIGHT}" rx="5" fill="{fill}"/>'


def _text(left: float, base: float, text: str, *, size: int = 14, anchor: str = "start", fill: str = "#1f2a33") -> str:
    place = f'x="{left:.1f}" y="{base:g}" font-size="{size}" text-anchor="{anchor}" fill="{fill}"'
    return f"<text {place}>{escape(text)}</text>"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """MkDocs' hook: adds the picture to the site."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PICTURE, content=picture()))
    return files
