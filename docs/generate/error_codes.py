"""The page of all error codes, read from the source: where a `UserError` is made, with what cause and what cure.

A hook of MkDocs; `faults` is for tests. No module is imported: the source is parsed.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[2]
PAGE = "reference/error_codes.md"
PACKAGES = ("mednoisy", "data_prep")
GROUPS = {
    "E1": "Command line and configuration",
    "E2": "Data",
    "E3": "Runs, checkpoints, studies, rounds",
    "E4": "Evaluation and comparison",
    "E5": "Pretexts, queries, annotations, simulations and exports",
}
INTRODUCTION = """# Error codes

Whatever a user can mend ends in one line on stderr, with exit code 2 (refused, nothing was done) or 1 (done in part):

```
mednoisy: E204 case 'A12': image is 160x160x88, label is 160x160x87. Re-export the label on the image's grid.
```

A code stands for a kind of fault. Below is every text behind it, with the module that tells it, as they stand in the
source; what is filled in at the time is in <var>italics</var>.
"""


@dataclass(frozen=True)
class Fault:
    """One place in the source that makes a `UserError`.

    Attributes:
        code: `E` and three digits.
        causes: what it may say was found; several where the source chooses between texts. Markdown.
        cures: what it may say is to be done. Markdown.
        module: dotted name, as in an `import`.
        line: in the module's file, from 1.
    """

    code: str
    causes: tuple[str, ...]
    cures: tuple[str, ...]
    module: str
    line: int


def faults() -> list[Fault]:
    """Every place that makes a `UserError`, by code, then by module and line.

    Raises:
        ValueError: where a code is not spelled out at the place.
    """
    faults = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            faults += list(_faults_of(path))
    return sorted(faults, key=lambda fault: (fault.code, fault.module, fault.line))


def _faults_of(path: Path) -> Iterator[Fault]:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    calls = _Calls()
    calls.follow(ast.parse(path.read_text(encoding="utf-8")).body, {})
    for call, known in calls.made:
        if module == "mednoisy.errors" and isinstance(call.args[0], ast.Name):
            continue  # an error that comes back from a worker process is made again
        code, cause, cure = call.args
        if not isinstance(code, ast.Constant):
            raise ValueError(f"{path}, line {call.lineno}: the code of a UserError is not spelled out")
        yield Fault(code.value, texts(cause, known), texts(cure, known), module, call.lineno)


Known = dict[str, list[ast.expr]]  # what a name may hold at a place of the source


class _Calls:
    """Follows the statements of a module and collects each call of `UserError` with what its names may hold there.

    Attributes:
        made: the calls, and for each what the names assigned before it may hold.
    """

    def __init__(self) -> None:
        self.made: list[tuple[ast.Call, Known]] = []

    def follow(self, statements: list[ast.stmt], known: Known) -> Known | None:
        """What names may hold after the statements; None where they always raise, return, continue or break."""
        for statement in statements:
            if isinstance(statement, ast.FunctionDef):
                arguments = {argument.arg for argument in ast.walk(statement.args) if isinstance(argument, ast.arg)}
                self.follow(statement.body, {name: text for name, text in known.items() if name not in arguments})
                continue
            self._collect(statement, known)
            if isinstance(statement, ast.Raise | ast.Return | ast.Continue | ast.Break):
                return None
            if isinstance(statement, ast.Assign):
                known = known | _assigned(statement)
            elif isinstance(statement, ast.ClassDef):
                self.follow(statement.body, dict(known))
            elif bodies := _bodies(statement):
                ends = [self.follow(body, dict(known)) for body in bodies]
                if not (isinstance(statement, ast.If) and statement.orelse):
                    ends.append(known)  # the way that enters no body
                if all(end is None for end in ends):
                    return None
                known = _merged([end for end in ends if end is not None])
        return known

    def _collect(self, statement: ast.stmt, known: Known) -> None:
        inside = {id(node) for body in _bodies(statement) for inner in body for node in ast.walk(inner)}
        if isinstance(statement, ast.ClassDef):
            return
        for node in ast.walk(statement):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "UserError"
            if is_call and id(node) not in inside:
                self.made.append((node, known))


def _bodies(statement: ast.stmt) -> list[list[ast.stmt]]:
    """The blocks of statements inside an `if`, `for`, `while`, `with`, `try` or `match`."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return []
    blocks = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
    blocks += [handler.body for handler in getattr(statement, "handlers", [])]
    blocks += [case.body for case in getattr(statement, "cases", [])]
    return [block for block in blocks if block]


def _assigned(statement: ast.Assign) -> Known:
    known: Known = {}
    for target in statement.targets:
        pairs = [(target, statement.value)]
        if isinstance(target, ast.Tuple) and isinstance(statement.value, ast.Tuple):
            pairs = list(zip(target.elts, statement.value.elts, strict=True))
        known |= {name.id: [value] for name, value in pairs if isinstance(name, ast.Name)}
    return known


def _merged(ways: list[Known]) -> Known:
    merged: Known = defaultdict(list)
    for name in {name for way in ways for name in way}:
        for value in (value for way in ways for value in way.get(name, [])):
            if not any(value is other for other in merged[name]):
                merged[name].append(value)
    return dict(merged)


def texts(node: ast.expr, known: Known) -> tuple[str, ...]:
    """The texts that an expression may give, in the order of the source, as Markdown; placeholders are `<var>`."""
    match node:
        case ast.Constant(value=value):
            return (_escaped(str(value)),)
        case ast.JoinedStr(values=parts):
            return ("".join(_part(part, known) for part in parts),)
        case ast.IfExp(body=first, orelse=second):
            return (*texts(first, known), *texts(second, known))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return tuple(one + other for one in texts(left, known) for other in texts(right, known))
        case ast.Name(id=name) if name in known:
            return tuple(dict.fromkeys(text for value in known[name] for text in texts(value, {})))
        case ast.Call(func=ast.Attribute(attr="join"), args=[ast.GeneratorExp(elt=ast.JoinedStr() as each)]):
            return texts(each, known)
        case ast.Call(func=ast.Name(id="did_you_mean")):
            return (f"Did you mean {_placeholder('the nearest')}? Known: {_placeholder('all of them')}",)
        case _:
            return (_placeholder(_name(node)),)


def _part(part: ast.expr, known: Known) -> str:
    return _placeholder(_name(part.value)) if isinstance(part, ast.FormattedValue) else texts(part, known)[0]


def _placeholder(name: str) -> str:
    """The name of a value that is known only when the fault happens."""
    return f"<var>{_escaped(name.replace('_', ' ').strip())}</var>"


def _name(node: ast.expr) -> str:
    """The plainest words for a value: `len(x.cases)` is "number of cases of x"."""
    match node:
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="self" | "options" | "content"), attr=name):
            return name
        case ast.Attribute(value=ast.Call(), attr=name):
            return name
        case ast.Attribute(value=owner, attr=name):
            return f"{name} of {_name(owner)}"
        case ast.Subscript(slice=ast.Constant(value=str(key))):
            return key
        case ast.BinOp(op=ast.Div(), right=ast.Constant(value=str(name))):
            return f"path of {name}"
        case ast.Call(func=ast.Name(id="len"), args=[counted]):
            return f"number of {_name(counted)}"
        case ast.Call(func=ast.Name(id="map"), args=[_, mapped]):
            return _name(mapped)
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(key)), *_]):
            return key
        case ast.Call(func=ast.Attribute(attr="join") | ast.Name(), args=[first, *_]):
            return _name(first)
        case ast.Call(func=ast.Attribute(value=owner)) | ast.Subscript(value=owner) | ast.Starred(value=owner):
            return _name(owner)
        case ast.BoolOp(values=[first, *_]) | ast.GeneratorExp(elt=first) | ast.ListComp(elt=first):
            return _name(first)
        case _:
            return "…"


def _escaped(text: str) -> str:
    """Text as Markdown shows it: a backslash before what it would take for markup, but not in backticks."""
    pieces = text.split("`")
    pieces[::2] = ["".join(f"\\{each}" if each in "*_<>#[]{}" else each for each in piece) for piece in pieces[::2]]
    return "`".join(pieces)


def page() -> str:
    """The whole page in Markdown: groups, codes, and for each the texts with the module that says them."""
    by_code: dict[str, list[Fault]] = defaultdict(list)
    for fault in faults():
        by_code[fault.code].append(fault)
    lines = [INTRODUCTION]
    for prefix, title in GROUPS.items():
        lines += [f"## {prefix}xx: {title[0].lower()}{title[1:]}", ""]
        for code in (code for code in by_code if code.startswith(prefix)):
            lines += [f"### {code}", "", *(_line(fault) for fault in by_code[code]), ""]
    return "\n".join(lines)


def _line(fault: Fault) -> str:
    causes, cures = (" / ".join(text.strip() for text in texts) for texts in (fault.causes, fault.cures))
    return f"- **{causes}.** {cures}. <small>`{fault.module}`</small>"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """MkDocs' hook: adds the page to the site."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PAGE, content=page()))
    return files
