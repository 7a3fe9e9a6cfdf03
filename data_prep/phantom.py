"""Synthetic datasets of `mednoisy.data.phantoms`, from nothing but a seed.

    mednoisy prepare phantom OUT --kind body --size 96 --labeled 120 --validation 12 --test 40

OUT receives images, labels and datalist.json. A case depends on kind, seed, section and number alone, so a larger
dataset begins with the cases of a smaller one. All training cases are labeled unless --unlabeled asks for others:
`mednoisy train --labeled N` and studies take labels away.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mednoisy.argument_parser import Parser
from mednoisy.data.phantoms import KINDS, make_dataset
from mednoisy.errors import DONE, UserError
from mednoisy.files import locked

from .command import told
from .listing import contents

COUNTS = {"labeled": 40, "unlabeled": 0, "validation": 8, "test": 16}


def prepare(
    out: Path | str,
    kind: str = "body",
    size: int | None = None,
    seed: int = 0,
    *,
    ignore_uncertain: bool = False,
    **counts: int,
) -> Path:
    """Make the prepared dataset; the path of its datalist.

    Args:
        out: folder to write.
        kind: of phantom, one of `mednoisy.data.phantoms.KINDS`.
        size: pixels along a side, of bodies alone.
        seed: decides all cases.
        ignore_uncertain: whether what is uncertain of bodies is a code to ignore, see `make_dataset`.
        counts: cases of the sections `labeled`, `unlabeled`, `validation` and `test`; those of `COUNTS` if not given.

    Raises:
        UserError: E218 an unknown kind; E549 a size that none can have, or nothing to ignore; E108 a number below
            0, or no case to learn from.
    """
    wanted = COUNTS | counts
    for name, count in wanted.items():
        if count < 0:
            raise UserError("E108", f"--{name} is {count}", "Give a number from 0 on")
    if not wanted["labeled"] + wanted["unlabeled"]:
        raise UserError("E108", "there would be no case to learn from", "Give --labeled or --unlabeled a number")
    if seed < 0:
        raise UserError("E108", f"--seed is {seed}", "Give a number from 0 on")
    return make_dataset(out, kind, **wanted, seed=seed, size=size, ignore_uncertain=ignore_uncertain)


def main(argv: list[str] | None = None) -> int:
    """The command line; its exit code."""
    parser = Parser(prog="mednoisy prepare phantom", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--kind", default="body", help=f"{', '.join(KINDS)} (default: %(default)s)")
    parser.add_argument("--size", type=int, help="pixels along a side of a body (default: 96)")
    for name, count in COUNTS.items():
        parser.add_argument(f"--{name}", type=int, default=count, help="cases (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all cases (default: %(default)s)")

    help_text = "what is uncertain of bodies is a code to ignore, and eight classes remain"
    parser.add_argument("--ignore-uncertain", action="store_true", help=help_text)

    def act() -> int:
        given = parser.parse_args(argv)
        settings = {name: getattr(given, name) for name in ("kind", "size", "seed", "ignore_uncertain", *COUNTS)}
        with locked(given.out, "images", "labels"):
            print(contents(prepare(given.out, **settings)))
        return DONE

    return told(act)


if __name__ == "__main__":
    sys.exit(main())
