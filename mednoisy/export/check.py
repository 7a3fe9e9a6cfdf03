"""Which exports there are, and what is refused before PyTorch is loaded."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from mednoisy.errors import UserError, did_you_mean

ENDINGS = {"torchscript": (".ts", ".pt"), "onnx": (".onnx",), "zoo": (".zip",), "monai-label": ()}
OTHER_TASKS = re.compile("deepedit|deepgrow|detection|classification", re.IGNORECASE)  # that MONAI Label reads in names
PRINTED = re.compile(r"[!-~]+")  # what an address may hold: no blanks, no letters beyond ASCII
NEEDED_FOR_ONNX = ("onnx", "onnxruntime")  # the extra `export`


def check_export(output: Path, kind: str, url: str | None = None) -> None:
    """Refuse an output that cannot be, before anything is loaded.

    Args:
        url: where weights are published, see `check_url`; None where that is not said.

    Raises:
        UserError: E113, `url` of another export than `zoo`; E557, as `check_url`; E550, an unknown kind; E552, a name
            that programs would not take for one; E553, it is there already; E555, as `check_onnx`.
    """
    if kind not in ENDINGS:
        raise UserError("E550", f"there is no export for {kind!r}", did_you_mean(kind, ENDINGS))
    if url is not None and kind != "zoo":
        cause = f"--url does not go with --for {kind}, which names no address of its weights"
        raise UserError("E113", cause, "Drop it, or take --for zoo")
    if url is not None:
        check_url(url)
    endings = ENDINGS[kind]
    if endings and output.suffix.lower() not in endings:
        raise UserError("E552", f"the output {output} of {kind} does not end so", f"Name it *{' or *'.join(endings)}")
    if not endings and not re.fullmatch(r"[A-Za-z0-9_.-]+", output.name):
        cause = f"MONAI Label lists models between commas, and {output.name!r} is no plain name"
        raise UserError("E552", cause, "Use letters, digits, _ and -")
    if not endings and OTHER_TASKS.search(output.name):
        cause = f"MONAI Label would take a model called {output.name!r} for one of another task than segmentation"
        raise UserError("E552", cause, "Give it another name, such as that of the organ")
    if output.exists() or output.is_symlink():
        raise UserError("E553", f"the output {output} is there already", "Remove it, or give another name")
    if kind == "onnx":
        check_onnx()


def check_url(url: str) -> None:
    """Refuse what is no address from which anybody can fetch a file without logging in (E557)."""
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port that is no number, or a bracket that is not closed
        parts, named = urlsplit(""), False
    cure = "Give the one under which the weights are to be fetched, https://HOST/PATH"
    if parts.scheme not in ("https", "http") or not named or not parts.path.strip("/") or not PRINTED.fullmatch(url):
        raise UserError("E557", f"{url!r} is no address of a file on the web", cure)
    if parts.username is not None:
        raise UserError(
            "E557", f"the address of the weights at {parts.hostname} holds a login, which all would read", cure
        )


def check_onnx() -> None:
    """Refuse where the extra is not installed (E555)."""
    if missing := missing_for_onnx():
        listed = ", ".join(missing)
        cause = f"ONNX needs what is not installed: {listed}"
        raise UserError("E555", cause, "pip install 'mednoisy[export]'")


def missing_for_onnx() -> list[str]:
    """Packages of the extra that are not installed."""
    return [name for name in NEEDED_FOR_ONNX if find_spec(name) is None]
