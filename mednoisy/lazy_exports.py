"""Names that a package promises, imported when they are first asked for, so that the package itself costs nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_exports(
    package: str, modules: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package (PEP 562) that find its names in the modules that define them.

    Type checkers read the same names from imports under `TYPE_CHECKING` beside the call.

    Args:
        package: its `__name__`.
        modules: dotted module to the names that it defines.
    """
    module_of = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> object:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])
        value = getattr(import_module(module_of[name]), name)
        setattr(sys.modules[package], name, value)  # so that it is asked for once
        return value

    return get, lambda: sorted({*vars(sys.modules[package]), *module_of})
