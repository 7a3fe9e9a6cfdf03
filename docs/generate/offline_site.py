"""Refuses a site whose pages would load anything from elsewhere: fonts, scripts, styles, pictures.

A hook of MkDocs; links that a reader may follow are no matter of it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

ELSEWHERE = r"""["']?(?:https?:)?//[^"'\s>)]+"""
LOADED = re.compile(
    rf"""<(?:script|img|iframe|source|embed)\b[^>]*\bsrc={ELSEWHERE}"""
    rf"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preconnect|preload|icon|dns-prefetch))[^>]*\bhref={ELSEWHERE}"""
    rf"""|url\({ELSEWHERE}|@import\s+{ELSEWHERE}""",
    re.IGNORECASE,
)


def loads(text: str) -> list[str]:
    """What a page or a style sheet would load from elsewhere, as it is written there."""
    return [match[0] for match in LOADED.finditer(text)]


def on_post_build(config: MkDocsConfig) -> None:
    """MkDocs' hook, called when the whole site is written.

    Raises:
        PluginError: naming the files and what they would load.
    """
    from mkdocs.exceptions import PluginError

    site = Path(config.site_dir)
    files = sorted(file for file in site.rglob("*") if file.suffix in {".html", ".css", ".svg"})
    faults = {file.relative_to(site): loads(file.read_text(encoding="utf-8")) for file in files}
    lines = [f"{file}: {', '.join(texts)}" for file, texts in faults.items() if texts]
    if lines:
        raise PluginError("pages must work without a network, but would load\n" + "\n".join(lines))
