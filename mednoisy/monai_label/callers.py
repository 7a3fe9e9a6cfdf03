"""Which web pages may send requests to the server: a browser sends them in the name of whoever has it open."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from mednoisy.errors import UserError

LOOPBACK = ("localhost", "127.0.0.1", "::1")
LOCAL = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"  # pages of this machine, which may
CURE = "List the page in MONAI_LABEL_CORS_ORIGINS if it may"


def check_caller(bound: str, host: str, origin: str | None, pages: Sequence[str]) -> None:
    """Refuse a request that a web page from elsewhere sent, which needs no answer to start or stop something.

    Programs send no origin. A page whose name was made to mean this machine has that name as its host.

    Args:
        bound: the address that the server listens at.
        host, origin: headers of the request.
        pages: origins that may call, or "*".

    Raises:
        UserError: E586.
    """
    pages = [page.rstrip("/") for page in pages]
    if "*" in pages:
        return
    names = (*LOOPBACK, *(urlsplit(page).hostname for page in pages))
    if bound in LOOPBACK and urlsplit(f"//{host}").hostname not in names:
        raise UserError("E586", f"this server is of this machine alone, and was called as {host!r}", CURE)
    if origin is None or origin in pages or re.fullmatch(LOCAL, origin) or urlsplit(origin).netloc == host:
        return
    raise UserError("E586", f"a web page of {origin!r} may not call this server", CURE)
