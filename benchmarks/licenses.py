"""Every distribution that mednoisy needs, with version and licence, from what is installed; no network.

    python benchmarks/licenses.py

Exit code 1 where a licence is none of those known to be compatible, or one is not stated.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

PERMISSIVE = (
    *("apache", "bsd", "mit", "isc", "psf", "python software foundation", "zlib", "0bsd", "cc0", "bsl-1.0", "hpnd"),
    *("unlicense", "mit-cmu", "kiwi", "matplotlib"),
)
AS_A_LIBRARY = ("lgpl", "lesser general public", "mpl", "mozilla")  # used unchanged, imported
FORBIDDEN = re.compile(r"(?<!l)(?<!lesser )(agpl|gpl|affero|general public)|proprietary|non-?commercial")
STATED_ELSEWHERE = re.compile("nvidia|cuda", re.IGNORECASE)  # torch's wheels bring these, under NVIDIA's own terms


def needed(name: str) -> dict[str, Distribution | None]:
    """Distributions that one needs, itself among them, by name; None of those that are not installed here."""
    found: dict[str, Distribution | None] = {}
    waiting, seen = [Requirement(name)], set()
    while waiting:
        wanted = waiting.pop()
        if str(wanted) in seen:
            continue
        seen.add(str(wanted))
        key = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if key not in found:
            try:
                found[key] = distribution(wanted.name)
            except PackageNotFoundError:
                found[key] = None
        of = found[key]
        for text in of.requires or () if of is not None else ():
            requirement = Requirement(text)
            extras = ["", *wanted.extras]
            applies = requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in extras)
            if applies:
                waiting.append(requirement)
    return found


def licence(of: Distribution) -> str:
    """What a distribution states: an SPDX expression, classifiers, or the first line of a text."""
    meta = of.metadata
    classes = [text.rpartition(":: ")[2] for text in meta.get_all("Classifier") or () if text.startswith("License ::")]
    text = meta["License"].strip() if "License" in meta else ""
    expression = meta.json.get("license_expression")
    return str(expression or ", ".join(classes) or text.partition("\n")[0])


def is_compatible(stated: str) -> bool:
    """Whether a licence is permissive, or one of libraries that are used unchanged."""
    text = stated.lower()
    return not FORBIDDEN.search(text) and any(name in text for name in (*PERMISSIVE, *AS_A_LIBRARY))


def main() -> int:
    """Print the list; the exit code."""
    doubtful = 0
    for name, of in sorted(needed("mednoisy").items()):
        if of is None:
            continue  # for another platform or an optional part
        stated = licence(of)
        fine = is_compatible(stated) or STATED_ELSEWHERE.search(name) is not None
        doubtful += not fine
        print(f"{'' if fine else 'DOUBTFUL  '}{name} {of.version}: {stated or 'no licence stated'}")
    return min(doubtful, 1)


if __name__ == "__main__":
    sys.exit(main())
