"""Instruments whole packages as they are imported, so that their accesses are reported."""

from __future__ import annotations

import ast
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import SourceFileLoader
from typing import TYPE_CHECKING, Any, Self

from attrs import frozen

from colorsched.errors import ColorschedError
from colorsched.testing.calls import CAN_MONITOR, CallMonitor
from colorsched.testing.probes import PROBES
from colorsched.testing.transform import MODULE, instrumented

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType


class AlreadyImported(ColorschedError, ImportError):
    """Packages are to be instrumented that are imported already; ``modules`` names them."""

    def __init__(self, modules: Sequence[str]) -> None:
        self.modules = tuple(modules)
        super().__init__(
            f"already imported, so they can't be instrumented: {', '.join(modules)}. Call "
            "instrument() before anything imports them (under pytest, at the top of conftest.py)"
        )


@frozen
class Unobserved:
    """Something that could have been an access and is not seen: ``what``, and ``why``."""

    what: str
    why: str


def unobserved() -> list[Unobserved]:
    """What no instrument here can see on this interpreter; a report that finds no race names it."""
    gaps = [
        Unobserved("accesses inside C extensions", "they don't go through Python code"),
        Unobserved(
            "proxies read or changed by C code that knows lists and sets (heapq, set.update)",
            "it looks at the elements directly",
        ),
        Unobserved("containers that are subclasses of the built-in ones", "they have no proxy"),
        Unobserved(
            "attributes and items read by patterns of match, and names that a global statement "
            "shares with import, def, class, except or a pattern",
            "those can't be rewritten",
        ),
        Unobserved(
            "getattr, setattr, vars, exec, eval, operator.attrgetter", "they name what they access"
        ),
    ]
    if not CAN_MONITOR:
        gaps.append(
            Unobserved(
                "len(), sorted() and kept methods of plain containers (add = seen.add)",
                f"sys.monitoring comes with Python 3.12, this is {sys.version.split()[0]}",
            )
        )
    return gaps


def instrument(*packages: str) -> Instrumentation:
    """Instrument the named packages, with all that is in them, from their import on.

    Accesses to attributes, to items and methods of built-in containers, and to global variables
    are reported while a callback with an observer runs. Files of bytecode are neither read nor
    written for them. It may be used as a context manager, and undone.

        with instrument("shop"):
            from shop.cart import Cart

    Args:
        packages: names of packages or modules, as in an import statement.

    Raises:
        AlreadyImported: one of them, or something in it, is imported already.
        ValueError: no name is given, or one that can't be a module's.

    """
    if not packages:
        raise ValueError("instrument() needs the name of at least one package")
    for package in packages:
        if not all(part.isidentifier() for part in package.split(".")):
            raise ValueError(f"{package!r} can't be a module's name; give it as in `import a.b`")
    return Instrumentation(packages)


class Instrumentation(MetaPathFinder):
    """The import hook of some packages; made by :func:`instrument`."""

    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = tuple(packages)
        known = sorted(name for name in sys.modules if self._covers(name))
        if known:
            raise AlreadyImported(known)
        self._sourceless: list[str] = []
        self.monitor = CallMonitor()
        self._monitors = self.monitor.start()
        sys.meta_path.insert(0, self)

    def _covers(self, name: str) -> bool:
        return any(name == each or name.startswith(f"{each}.") for each in self._packages)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Let the other finders find a covered module, and load it instrumented."""
        if not self._covers(fullname):
            return None
        for finder in sys.meta_path:
            find = None if isinstance(finder, Instrumentation) else finder.find_spec
            spec = None if find is None else find(fullname, path, target)
            if spec is None:
                continue
            if isinstance(spec.loader, SourceFileLoader):
                spec.loader = _Loader(spec.loader.name, spec.loader.path, self.monitor)
            elif spec.loader is not None:  # a namespace package's is None before it is loaded
                self._sourceless.append(fullname)
            return spec
        return None

    def undo(self) -> None:
        """Instrument nothing more, and forget the instrumented modules: the next import is plain.

        Who has one of their objects keeps it, instrumented as it is.
        """
        if self not in sys.meta_path:
            return
        sys.meta_path.remove(self)
        self.monitor.stop()
        for name in [name for name in sys.modules if self._covers(name)]:
            module = sys.modules.pop(name)
            parent, _, last = name.rpartition(".")
            if getattr(sys.modules.get(parent), last, None) is module:
                delattr(sys.modules[parent], last)

    def unobserved(self) -> list[Unobserved]:
        """What can't be seen, here and in general."""
        gaps = [Unobserved(name, "it has no Python source") for name in self._sourceless]
        if CAN_MONITOR and not self._monitors:
            gaps.append(
                Unobserved(
                    "len(), sorted() and kept methods of plain containers",
                    "other tools have all numbers that sys.monitoring gives",
                )
            )
        return gaps + unobserved()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.undo()


class _Loader(SourceFileLoader):
    """Compiles the rewritten source; the files of bytecode are the plain one's, and left alone."""

    def __init__(self, fullname: str, path: str, monitor: CallMonitor) -> None:
        super().__init__(fullname, path)
        self._monitor = monitor

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        tree = instrumented(ast.parse(self.get_data(path), path), fullname)
        code: CodeType = compile(tree, path, "exec", dont_inherit=True)
        return code

    def exec_module(self, module: ModuleType) -> None:
        names: dict[str, Any] = vars(module)
        names.update(PROBES)
        names[MODULE] = module
        code = self.get_code(module.__name__)
        self._monitor.watch(code)
        exec(code, names)  # noqa: S102 - what a loader is for
