"""Whether everything is right on a GPU, how fast it is, and rows of ACDC, in the minutes that a machine is lent.

    python benchmarks/gpu.py --output results --data data/acdc --minutes 9
    python benchmarks/gpu.py --output results --device cpu --tiny     # a rehearsal, in minutes

Items run in the order of their worth, each in a process of its own; after each, OUTPUT/gpu.json and OUTPUT/gpu.md hold
all that is known, so being cut off loses the item at work alone. `--items` chooses some. Reference figures are held
against the device by the tests that hold them against the CPU, where pytest and the figures are at hand.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gpu_items import ROOT, Given, items

SHORTEST = 15  # seconds; with less left no item begins


def machine(given: Given) -> dict[str, Any]:
    """What the figures are from."""
    import monai
    import numpy
    import torch

    name = torch.cuda.get_device_name() if given.device == "cuda" else platform.processor() or platform.machine()
    facts = {"device": name, "processors": os.cpu_count(), "python": platform.python_version()}
    return facts | {"torch": torch.__version__, "monai": monai.__version__, "numpy": numpy.__version__}


def markdown(results: dict[str, Any]) -> str:
    """All results so far, as tables."""
    facts = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    parts = [f"{facts}\n"]
    for name, result in results["items"].items():
        parts.append(f"## {name}: {_verdict(result)}, {result['took']:.0f} s\n")
        if "split" in result:
            from step import markdown as of_step

            parts.append(of_step(result))
        for key in ("checks", "rows"):
            if isinstance(result.get(key), list) and "split" not in result:
                parts.append(_table(result[key]))
        rest = {
            key: value
            for key, value in result.items()
            if isinstance(value, str | list) and key not in ("checks", "rows")
        }
        parts += [f"{key}: {value}\n" for key, value in rest.items() if "split" not in result and value]
    return "\n".join(parts)


def _verdict(result: dict[str, Any]) -> str:
    return "ok" if result.get("ok", True) and not result.get("failed") else "NOT OK"


def _table(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))

    def cell(value: Any) -> str:
        text = f"{value:.4g}" if isinstance(value, float) else str("" if value is None else value)
        return re.sub(r"\s+", " ", text).replace("|", "/")

    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join(cell(row.get(c)) for c in columns) + " |" for row in rows), ""])


def run_item(given: Given, name: str, seconds: float) -> dict[str, Any]:
    """An item in a process of its own, within `seconds`."""
    words = [sys.executable, __file__, "--item", name, "--output", str(given.output), "--device", given.device]
    words += ["--seconds", str(seconds), *(["--tiny"] if given.tiny else [])]
    words += ["--data", str(given.data)] if given.data else []
    words += [word for row in given.row for word in ("--row", row)]
    answer = given.output / f"{name}.json"
    start = time.perf_counter()
    with (given.output / f"{name}.log").open("w") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=ROOT, start_new_session=True)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
    result: dict[str, Any] = {"ok": False, "failed": (given.output / f"{name}.log").read_text()[-1500:]}
    if answer.is_file():
        result = json.loads(answer.read_text())
    return result | {"took": time.perf_counter() - start}


def parsed() -> Given:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="ACDC as `mednoisy prepare acdc` leaves it; else phantoms")
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small networks and few steps")
    parser.add_argument("--items", nargs="+", help="some items alone, in this order")
    parser.add_argument(
        "--row", action="append", default=[], help="METHOD:RECIPE:STEPS:SEED of item `rows`, more than once"
    )
    parser.add_argument("--item", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.output = given.output.resolve()
    given.data = given.data and given.data.resolve()
    return given


def main() -> None:
    given = parsed()
    given.output.mkdir(parents=True, exist_ok=True)
    if given.item:
        logging.disable(logging.INFO)
        result = items(given)[given.item](given)
        (given.output / f"{given.item}.json").write_text(json.dumps(result, default=str))
        return
    ends = time.monotonic() + 60 * given.minutes
    results: dict[str, Any] = {"machine": machine(given), "items": {}}
    wanted = given.items or list(items(given))
    for name in wanted:
        left = ends - time.monotonic()
        if left < SHORTEST:
            print(f"{name}: no time left", flush=True)
            continue
        results["items"][name] = result = run_item(given, name, left)
        (given.output / "gpu.json").write_text(json.dumps(results, indent=1))
        (given.output / "gpu.md").write_text(markdown(results))
        print(f"{name}: {_verdict(result)}, {result['took']:.0f} s", flush=True)
        if _verdict(result) != "ok":
            print(json.dumps(result, indent=1, default=str), flush=True)
    done = results["items"]
    sys.exit(0 if len(done) == len(wanted) and all(_verdict(one) == "ok" for one in done.values()) else 1)


if __name__ == "__main__":
    main()
