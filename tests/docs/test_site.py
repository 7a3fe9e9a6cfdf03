"""The pages of the site: what they name is there, what they show of the source is right, all works offline."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs.generate import architecture, command_line
from docs.generate.offline_site import loads
from mednoisy.cli import parser

ROOT = command_line.ROOT
GENERATED = {command_line.PAGE, "reference/error_codes.md", architecture.PICTURE}
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bundles").rglob("docs/*.md")])
LINK = re.compile(r"""\]\(([^)#\s]+)(?:#[^)]*)?\)|<img src="([^"]+)\"""")
NAMED = re.compile(r"\bdocs/[\w/.-]+\.(?:md|png|css)\b")
FENCED = re.compile(r"```\w*\n(.*?)```", re.DOTALL)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for link in (first or second for first, second in LINK.findall(page.read_text(encoding="utf-8"))):
        if re.match(r"\w+:", link):
            continue
        target = (page.parent / link).resolve()
        assert target.exists() or name(target).removeprefix("docs/") in GENERATED, link


def test_pictures_are_small():
    """A site that is read offline, and a repository that keeps every version of them."""
    pictures = sorted((ROOT / "docs").rglob("*.png"))
    assert {path.name for path in pictures} >= {"viewer.png", "disagreement.png", "round.png"}
    assert [name(path) for path in pictures if path.stat().st_size > 300_000] == []


def test_pages_that_the_source_names_exist():
    """In comments, docstrings and messages of code, configurations and other pages."""
    files = [
        file for folder in ("mednoisy", "data_prep", "bundles", "benchmarks") for file in (ROOT / folder).rglob("*")
    ]
    texts = {
        file: file.read_text(encoding="utf-8") for file in [*files, *PAGES] if file.suffix in {".py", ".yaml", ".md"}
    }
    named = {path: name(file) for file, text in texts.items() for path in NAMED.findall(text)}
    assert "docs/results/acdc.md" in named
    absent = {path: file for path, file in named.items() if not (ROOT / path).is_file()}
    assert not {path: file for path, file in absent.items() if path.removeprefix("docs/") not in GENERATED}


def test_every_page_is_in_the_navigation_and_back():
    listed = re.findall(r": ([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    there = {name(page).removeprefix("docs/") for page in PAGES if (ROOT / "docs") in page.parents}
    assert sorted(listed) == sorted(there | {page for page in GENERATED if page.endswith(".md")})


def test_modules_of_the_api_exist():
    modules = [
        module
        for page in (ROOT / "docs" / "reference" / "api").glob("*.md")
        for module in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(modules) == len(set(modules)) > 40
    for module in modules:
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), module


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_of_pages_are_accepted(page):
    """Every `mednoisy ...` in a block has options and values that the parser takes."""
    for command in "\n".join(FENCED.findall(page.read_text(encoding="utf-8"))).splitlines():
        words = shlex.split(command.split(" > ")[0], comments=True)
        if words[:1] == ["mednoisy"] and "COMMAND" not in words and "METHOD" not in words:
            parser().parse_args([word for word in words[1:] if word != "..."])


def test_the_page_of_the_command_line_has_every_command():
    page = command_line.page()
    for heading in ("## mednoisy\n", "## mednoisy train\n", "## mednoisy check\n", "### prepare left_atrium\n"):
        assert heading in page
    assert page.count("usage: ") == page.count("\n## ") + page.count("\n### ")


def test_the_picture_shows_the_layers_of_the_contract():
    picture = architecture.picture()
    root = ElementTree.fromstring(picture)
    shown = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    modules = [module for row in architecture.layers() for module in row]
    assert [text for text in shown if text in modules] == modules
    assert "errors" in architecture.layers()[-1]
    for module in modules:
        path = ROOT / "mednoisy" / module
        assert path.is_dir() or path.with_suffix(".py").is_file(), module
    assert architecture.COLOURS.keys() <= set(modules)
    assert {layer for layer, *_ in architecture.WAY} <= architecture.COLOURS.keys()
    assert len(picture) < 300_000


@pytest.mark.parametrize(
    ("text", "loaded"),
    [
        ('<script src="https://unpkg.com/x"></script>', 1),
        ('<link rel="stylesheet" href="//fonts.googleapis.com/css">', 1),
        ('<link href="https://fonts.gstatic.com" rel="preconnect">', 1),
        ("a{background:url(https://example.com/a.png)}", 1),
        ('<img alt="a" src="http://example.com/a.png">', 1),
        ('<a href="https://monai.io">MONAI</a> <img src="images/a.png"> <link rel="stylesheet" href="a.css">', 0),
        ("a{background:url(data:image/svg+xml;base64,AAAA)}", 0),
    ],
)
def test_what_is_loaded_from_elsewhere_is_seen(text, loaded):
    assert len(loads(text)) == loaded
