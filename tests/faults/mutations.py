"""Texts that somebody could have written instead: mutated JSON, YAML and tables, and values that nobody expects."""

from __future__ import annotations

import copy
import csv
import io
import json
import random
from collections.abc import Callable
from typing import Any

import yaml

RAW = {  # what Python would not write, in place of these marks
    "@@deep list@@": "[" * 50_000 + "]" * 50_000,
    "@@deep table@@": '{"a":' * 5_000 + "1" + "}" * 5_000,
    "@@digits@@": "1" * 5_000,
    "@@huge@@": "1e999",
    "@@not a number@@": "NaN",
    "@@infinite@@": "-Infinity",
}
JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3, 0.5, -0.0, 1e308, 5e-324, 2**31, 2**63, 2**64, -(2**63), 10**30),
    *(
        "",
        " ",
        "0",
        "-1",
        "nan",
        "1e5",
        "a\nb",
        "a\0b",
        "\x1b[31m",
        "\ud800",
        "ä" * 300,
        "x" * 5_000,
        "../..",
        "/",
        "~",
    ),
    *(
        "$1/0",
        "$__import__('os')",
        "@absent",
        "%absent",
        "@datalist",
        "#",
        "a#b",
        "=1+1",
        "null",
        "{",
        "[1, 2",
        "\u202e",
    ),
    *([], {}, [[]], [None], {"": 1}, [0] * 1_000, {"_target_": "os.getcwd"}, {"_target_": 3}, [1.5, "a", None]),
    *RAW,
)
CELLS = (
    *("", " ", "nan", "inf", "-inf", "1e400", "1" * 5_000, "a", "\0", "=1", "ä", "0x1", "1,5", '"', "'", "\x1b[2J"),
    *("-1", "0", "1e308", "999999999999999999999", "x" * 200_000, "True", "\u202e", "1;2"),
)
BYTES = (
    b"\xff",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\r",
    b"\n\n",
    b"'",
    b'"',
    b"{",
    b"]",
    b"\xed\xa0\x80",
    b"\x1b[2J",
)


def mutated_tree(tree: Any, draw: random.Random) -> Any:
    """A copy with one to three of its parts replaced, taken away, named otherwise or put elsewhere."""
    tree = copy.deepcopy(tree)
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        places = list(_places(tree))
        if not places:
            return draw.choice(JUNK)
        holder, key = draw.choice(places)
        kind = draw.choice(["junk", "junk", "junk", "junk", "drop", "name", "move", "wrap", "twice"])
        if kind == "drop":
            del holder[key]
        elif kind == "name" and isinstance(holder, dict):
            holder[draw.choice(["", "a", "\ud800", "a\0", "0", "x" * 300, str(key).upper()])] = holder.pop(key)
        elif kind == "move":
            other, at = draw.choice(places)
            holder[key] = copy.deepcopy(other[at])
        elif kind == "wrap":
            holder[key] = [holder[key]] if draw.random() < 0.5 else {"a": holder[key]}
        elif kind == "twice" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        else:
            holder[key] = copy.deepcopy(draw.choice(JUNK))
    return tree


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every holder with each of its keys."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        found += [(one, key) for key in keys]
        waiting += [one[key] for key in keys]
    return found


def mutated_bytes(content: bytes, draw: random.Random) -> bytes:
    """Cut off, with bytes replaced, put in or doubled, or in another encoding."""
    kind, at = (
        draw.choice(["cut", "put", "put", "replace", "double", "empty", "wide"]),
        draw.randrange(len(content) + 1),
    )
    if kind == "cut":
        return content[:at]
    if kind == "empty":
        return draw.choice([b"", b"\n", b"null", b"0", b'"a"', b"[]", b"{}"])
    if kind == "wide":
        return content.decode("utf-8", "replace").encode("utf-16")
    if kind == "double":
        end = draw.randrange(at, len(content) + 1)
        return content[:end] + content[at:]
    return content[:at] + draw.choice(BYTES) + content[at + (kind == "replace") :]


def mutated_json(content: bytes, draw: random.Random) -> bytes:
    """JSON of which a part is something else; one time in five no JSON at all."""
    if draw.random() < 0.2:
        return mutated_bytes(content, draw)
    return _with_raw(json.dumps(mutated_tree(json.loads(content), draw), ensure_ascii=draw.random() < 0.7)).encode(
        "utf-8", "surrogatepass"
    )


def mutated_yaml(content: bytes, draw: random.Random) -> bytes:
    """YAML of which a part is something else; one time in five none at all, or one that names itself."""
    if draw.random() < 0.2:
        return draw.choice([mutated_bytes(content, draw), b"a: &a [*a]\n" + content, _laughs() + content])
    return _with_raw(yaml.safe_dump(mutated_tree(yaml.safe_load(content), draw), sort_keys=False)).encode(
        "utf-8", "surrogatepass"
    )


def mutated_table(content: bytes, draw: random.Random) -> bytes:
    """A table with other cells, columns or lines; one time in five bytes that are none."""
    if draw.random() < 0.2:
        return mutated_bytes(content, draw)
    rows = list(csv.reader(io.StringIO(content.decode())))
    for _ in range(draw.choice([1, 1, 2])):
        row = draw.choice(rows or [[]])
        kind = draw.choice(["cell", "cell", "cell", "heading", "column", "line", "short", "long", "twice"])
        if kind == "cell" and row:
            row[draw.randrange(len(row))] = draw.choice(CELLS)
        elif kind == "heading" and rows[0]:
            rows[0][draw.randrange(len(rows[0]))] = draw.choice(["", "a", *rows[0], "x" * 300])
        elif kind == "column" and rows[0]:
            at = draw.randrange(len(rows[0]))
            rows = [each[:at] + each[at + 1 :] for each in rows]
        elif kind == "line" and rows:
            rows.remove(row)
        elif kind == "short":
            del row[len(row) // 2 :]
        elif kind == "long":
            row += ["a", "b"]
        else:
            rows.append(list(row))
    text = io.StringIO()
    csv.writer(text, delimiter=draw.choice(",,,;")).writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


def setting(ids: list[str], draw: random.Random) -> str:
    """`ID=VALUE` as somebody may give it to `--set`."""
    key = draw.choice(
        [*ids, draw.choice(ids) + draw.choice(["#0", "#a", "#", "##", " "]), "", "absent", "_meta_", "a b"]
    )
    value = draw.choice(JUNK)
    text = RAW.get(value, value) if isinstance(value, str) else repr(value)
    texts = ("(", "{}", "[]", "=(", "None", "lambda: 0", "1_000", "0x10", "1j", "b'a'", "...", "{1}", "(1,)", text)
    return f"{key}={draw.choice([text, text, *texts])}".replace("\0", "")  # which no argument of a process can hold


def _with_raw(text: str) -> str:
    for mark, raw in RAW.items():
        text = text.replace(f'"{mark}"', raw).replace(f"'{mark}'", raw)
    return text


def _laughs() -> bytes:
    """Nine lines that stand for a billion words, once somebody writes them out."""
    lines = ['a0: &a0 ["lol"]'] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    return ("\n".join(lines) + "\n").encode()


MUTATIONS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    ".json": mutated_json,
    ".yaml": mutated_yaml,
    ".csv": mutated_table,
    ".txt": mutated_bytes,
}
