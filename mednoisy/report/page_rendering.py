"""A template and its content as one page that fetches nothing: style and scripts inside, held to by a policy."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

import mednoisy
from mednoisy.report.pictures.case_pictures import CLASS_COLOURS, PREDICTION_COLOUR, REFERENCE_COLOUR

COLOURS = {
    "reference": REFERENCE_COLOUR,
    "prediction": PREDICTION_COLOUR,
    "confused": "#ff5cc8",
    "classes": CLASS_COLOURS,
}


def rendered_page(template: str, scripts: Sequence[str], content: Mapping[str, Any]) -> str:
    """The text of a page.

    Args:
        template: name of a file in `templates` that extends `base.html`.
        scripts: names of files there.
        content: what the template shows; texts are escaped.
    """
    environment = _environment()
    style = environment.get_template("report.css").render(colours=COLOURS)
    texts = [environment.get_template(name).render() for name in scripts]
    return environment.get_template(template).render(
        **content,
        policy=_policy(style, texts),
        style=Markup(style),
        scripts=[Markup(text) for text in texts],
        class_colours=len(CLASS_COLOURS),
        version=mednoisy.__version__,
    )


@cache
def _environment() -> jinja2.Environment:
    """Where templates are found and kept once they are compiled."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("mednoisy.report"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def _policy(style: str, scripts: Sequence[str]) -> str:
    """Content security policy: these scripts and this style, pictures inside the page, nothing else at all."""
    hashes = [_hash(script) for script in scripts]
    return f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {' '.join(hashes)}"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
