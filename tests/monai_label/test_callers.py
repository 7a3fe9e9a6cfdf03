"""Which requests come from web pages that have no business here."""

from __future__ import annotations

import pytest

from mednoisy.errors import UserError
from mednoisy.monai_label.callers import check_caller

OHIF = "https://ohif.example.org"


@pytest.mark.parametrize(
    ("bound", "host", "origin", "pages"),
    [
        ("127.0.0.1", "127.0.0.1:8000", None, []),  # 3D Slicer
        ("127.0.0.1", "localhost:8000", None, []),
        ("::1", "[::1]:8000", "http://[::1]:3000", []),
        ("127.0.0.1", "127.0.0.1:8000", "http://localhost:3000", []),  # OHIF on this machine
        ("127.0.0.1", "127.0.0.1:8000", OHIF, [OHIF + "/"]),
        ("127.0.0.1", "ohif.example.org", OHIF, [OHIF]),  # behind a proxy
        ("0.0.0.0", "scans.example.org:8000", None, []),
        ("0.0.0.0", "scans.example.org:8000", "http://scans.example.org:8000", []),  # its own pages
        ("127.0.0.1", "anything", "https://anywhere.example", ["*"]),
    ],
)
def test_programs_and_pages_of_this_machine_may_call(bound, host, origin, pages):
    check_caller(bound, host, origin, pages)


@pytest.mark.parametrize(
    ("bound", "host", "origin", "told"),
    [
        ("127.0.0.1", "127.0.0.1:8000", "https://elsewhere.example", "a web page of 'https://elsewhere.example'"),
        ("0.0.0.0", "scans.example.org", "https://elsewhere.example", "a web page of 'https://elsewhere.example'"),
        ("127.0.0.1", "127.0.0.1:8000", "null", "a web page of 'null'"),  # of a sandboxed frame, or a file
        ("127.0.0.1", "127.0.0.1:8000", "http://localhost.elsewhere.example", "a web page of"),
        ("127.0.0.1", "rebound.example:8000", None, "of this machine alone, and was called as 'rebound.example:8000'"),
        ("127.0.0.1", "rebound.example:8000", "http://rebound.example:8000", "of this machine alone"),
        ("127.0.0.1", "", None, "was called as ''"),
    ],
)
def test_other_pages_may_not(bound, host, origin, told):
    with pytest.raises(UserError, match="E586") as refused:
        check_caller(bound, host, origin, [OHIF])
    assert told in str(refused.value)
    assert "MONAI_LABEL_CORS_ORIGINS" in str(refused.value)
