"""Instrumented packages: they do what they did, and report their accesses."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import sys
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from access_recorder import Recorder
from colorsched.testing.calls import CAN_MONITOR
from colorsched.testing.operations import WHOLE, Presence
from colorsched.testing.rewrite import AlreadyImported, instrument, unobserved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NUMBERS = itertools.count()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Import source code, instrumented, as a module of its own name."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def load(source: str) -> Any:
        name = f"instrumented_{next(NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(dedent(source), "utf-8")
        made.append(instrument(name))
        return importlib.import_module(name)

    yield load
    for each in made:
        each.undo()


def told(recorder: Recorder) -> list[tuple[str, str, Any]]:
    """Accesses as how, name and part."""
    return [("w" if write else "r", name, part) for _, part, write, name, _ in recorder.accesses]


# -- attributes ---------------------------------------------------------------------------------


def test_attributes(recorder: Recorder, load: Callable[[str], Any]) -> None:
    module = load("""
        class Cart:
            kinds = 0

            def __init__(self):
                self.total = 0
                self.__secret = 1

            def add(self, count):
                self.total += count
                self.__secret = self.total
                del self.__secret
                return self.help()

            def help(self):
                return self.kinds
    """)
    cart = module.Cart()
    with recorder.watching():
        assert cart.add(2) == 0
    assert told(recorder) == [
        ("r", "self.total", "total"),
        ("w", "self.total", "total"),
        ("r", "self.total", "total"),
        ("w", "self.__secret", "_Cart__secret"),
        ("w", "self.__secret", "_Cart__secret"),
        ("r", "self.kinds", "kinds"),
    ]
    targets = [target for target, *_ in recorder.accesses]
    assert targets == [cart] * 5 + [module.Cart]
    assert {site.function for *_, site in recorder.accesses} == {"Cart.add", "Cart.help"}
    assert [site.line for *_, site in recorder.accesses] == [10, 10, 11, 11, 12, 16]


def test_what_is_written_after_an_await_is_written_then(
    recorder: Recorder, load: Callable[[str], Any]
) -> None:
    module = load("""
        async def add(cart, count):
            cart.total += await count()

        async def store(cart, count):
            cart.items["n"] += await count()
            (cart.total, cart.items["m"]) = (1, await count())
    """)

    class Cart:
        total = 0

        def __init__(self) -> None:
            self.items = {"n": 0}

    marks: list[int] = []

    async def count() -> int:
        marks.append(len(recorder.accesses))
        await asyncio.sleep(0)
        return 3

    cart = Cart()
    with recorder.watching():
        asyncio.run(module.add(cart, count))
    assert [how for how, *_ in told(recorder)] == ["r", "w"]
    assert marks == [1]
    assert cart.total == 3
    with recorder.watching():
        asyncio.run(module.store(cart, count))
    assert cart.items == {"n": 3, "m": 3}
    assert told(recorder)[marks[1] :][:1] == [("w", "cart.items", "n")]
    assert ("w", "cart.total", "total") in told(recorder)[marks[2] :]


def test_methods_modules_and_constants_are_no_accesses(
    recorder: Recorder, load: Callable[[str], Any]
) -> None:
    module = load("""
        import os.path
        from collections import OrderedDict

        class Cart:
            def help(self): return 1
            @classmethod
            def make(cls): return cls()
            @staticmethod
            def none(): return None

        def helper(): return 2

        def act():
            cart = Cart.make()
            text = "a,b".upper().split(",")
            Cart.none()
            os.path.join("a", "b")
            OrderedDict.fromkeys("ab")
            return cart.help() + helper() + len("abc") + (1).real
    """)
    with recorder.watching():
        assert module.act() == 7
    assert told(recorder) == []


def test_super_and_slots_and_properties(recorder: Recorder, load: Callable[[str], Any]) -> None:
    module = load("""
        class Base:
            __slots__ = ("x",)
            def __init__(self):
                self.x = 1
            def both(self):
                return self.x

        class Child(Base):
            __slots__ = ()
            def both(self):
                return super().both() + self.twice
            @property
            def twice(self):
                return self.x * 2
            @twice.setter
            def twice(self, value):
                self.x = value // 2
    """)
    child = module.Child()
    assert not hasattr(child, "__dict__")
    with recorder.watching():
        assert child.both() == 3
        child.twice = 8
    assert told(recorder).count(("r", "self.x", "x")) == 2
    assert told(recorder)[-1] == ("w", "self.x", "x")
    assert child.x == 4


# -- items and containers -----------------------------------------------------------------------


def test_items_of_plain_containers(recorder: Recorder, load: Callable[[str], Any]) -> None:
    module = load("""
        def act(d, x):
            d["new"] = d["a"]
            d["a"] += 1
            del d["new"]
            x[0], x[1:] = x[-1], [7]
            for d["i"] in x:
                pass
            return "a" in d, "a" not in d
    """)
    by_key, items = {"a": 1}, [1, 2]
    with recorder.watching():
        assert module.act(by_key, items) == (True, False)
    assert by_key == {"a": 2, "i": 7}
    assert items == [2, 7]
    seen = told(recorder)
    assert seen[:8] == [
        ("r", "d", "a"),
        ("w", "d", "new"),
        ("w", "d", Presence("new")),
        ("w", "d", WHOLE),
        ("r", "d", "a"),
        ("w", "d", "a"),
        ("w", "d", "new"),
        ("w", "d", Presence("new")),
    ]
    assert seen[-2:] == [("r", "d", Presence("a"))] * 2
    for part in (0, 1):
        assert ("w", "x", part) in seen
        assert ("r", "x", part) in seen


def test_methods_of_plain_containers(recorder: Recorder, load: Callable[[str], Any]) -> None:
    module = load("""
        def act(x, d, s, q):
            x.append(1)
            d.update(a=2)
            s.add(3)
            q.popleft()
            return [key for key in d.keys()] + [value for value in d.values()] + sorted(s)
    """)
    by_key = {"a": 1}
    with recorder.watching():
        assert module.act([], by_key, set(), __import__("collections").deque([1])) == ["a", 2, 3]
    assert told(recorder)[:6] == [
        ("w", "x", WHOLE),
        ("w", "d", "a"),
        ("w", "s", 3),
        ("w", "s", WHOLE),
        ("w", "q", WHOLE),
        ("r", "d", WHOLE),
    ]
    assert ("r", "d", "a") in told(recorder)


def test_objects_with_items_of_their_own(recorder: Recorder, load: Callable[[str], Any]) -> None:
    module = load("""
        class Table:
            def __init__(self): self.rows = {}
            def __getitem__(self, key): return self.rows[key]
            def __setitem__(self, key, value): self.rows[key] = value
            def append(self, value): self.rows[len(self.rows)] = value

        def act(table, data):
            table["a"] = 1
            table.append(2)
            data[0] = table["a"]
            return data[0:2], list[int]
    """)
    data = bytearray(2)
    with recorder.watching():
        module.act(module.Table(), data)
    assert data == b"\1\0"
    assert {name for _, name, _ in told(recorder)} >= {"self.rows", "data"}
    assert "table" not in {name for _, name, _ in told(recorder)}
    assert ("w", "data", WHOLE) in told(recorder)


@pytest.mark.skipif(not CAN_MONITOR, reason="sys.monitoring comes with Python 3.12")
def test_calls_of_built_in_functions(recorder: Recorder, load: Callable[[str], Any]) -> None:
    module = load("""
        from heapq import heappush

        def act(s, x):
            add = s.add
            add(3)
            list.append(x, 1)
            heappush(x, 2)
            return len(s), sorted(x)
    """)
    elements: set[int] = set()
    items: list[int] = []
    for _ in range(2):  # places that call probes are not looked at twice
        with recorder.watching():
            assert module.act(elements, items)[0] == 1
        by_target = [
            ("w" if write else "r", target is elements, part)
            for target, part, write, *_ in recorder.accesses
        ]
        assert by_target[0] == ("w", True, WHOLE)
        assert ("w", False, 0) in by_target
        assert ("r", True, WHOLE) in by_target
        assert by_target[-1][:2] == ("r", False)
        assert {site.file for *_, site in recorder.accesses} == {module.__file__}


@pytest.mark.skipif(not CAN_MONITOR, reason="sys.monitoring comes with Python 3.12")
def test_one_place_may_call_now_a_function_and_now_a_method_that_was_kept(
    recorder: Recorder, load: Callable[[str], Any]
) -> None:
    module = load("""
        def each(functions):
            for function in functions:
                function()
    """)
    items = [1, 2]
    module.each([lambda: None])
    with recorder.watching():
        module.each((items.pop,))
    assert [(part, how) for how, _, part in told(recorder)] == [(WHOLE, "w"), (0, "w"), (1, "w")]


# -- global variables ---------------------------------------------------------------------------


def test_global_variables(recorder: Recorder, load: Callable[[str], Any]) -> None:
    module = load("""
        count = 0
        limit = 5

        def bump():
            global count, fresh
            count += 1
            if (fresh := count) > limit:
                del fresh
            (lambda: count)()
            return [count for _ in range(1)]

        def shadow(limit):
            def inner():
                return limit
            count = 1
            return inner() + count + sum(limit for limit in [1])

        class Holder:
            limit = 7
            def get(self):
                return limit
    """)
    with recorder.watching():
        assert module.bump() == [1]
    name = module.__name__
    assert told(recorder) == [
        ("r", f"{name}.count", "count"),
        ("w", f"{name}.count", "count"),
        ("r", f"{name}.count", "count"),
        ("w", f"{name}.fresh", "fresh"),
        ("r", f"{name}.limit", "limit"),
        ("r", f"{name}.count", "count"),
        ("r", f"{name}.count", "count"),
    ]
    assert {target for target, *_ in recorder.accesses} == {module}
    with recorder.watching():
        assert module.shadow(2) == 4
    assert told(recorder) == []
    with recorder.watching():
        assert module.Holder().get() == 5
    assert told(recorder) == [("r", f"{name}.limit", "limit")]
    assert module.fresh == 1


def test_a_global_that_holds_a_function_is_no_state(
    recorder: Recorder, load: Callable[[str], Any]
) -> None:
    module = load("""
        measure = len

        def act():
            return measure("ab")
    """)
    with recorder.watching():
        assert module.act() == 2
    assert told(recorder) == []


def test_a_missing_global_is_a_name_error(load: Callable[[str], Any]) -> None:
    module = load("""
        def bump():
            global count
            count += 1

        def drop():
            global count
            del count
    """)
    for act in (module.bump, module.drop):
        with pytest.raises(NameError, match="'count' is not defined"):
            act()


# -- the language -------------------------------------------------------------------------------


def test_the_language_goes_on_as_it_was(recorder: Recorder, load: Callable[[str], Any]) -> None:
    module = load('''
        """The module."""
        from __future__ import annotations
        import enum, functools
        from dataclasses import dataclass

        class Color(enum.Enum):
            RED = 1

        @dataclass
        class Point:
            """A point."""
            x: undefined.name
            y: "list[int]" = None

        @functools.lru_cache(maxsize=None)
        def cached(n: undefined.name = Color.RED.value) -> undefined.name:
            """Cached."""
            return n

        def match_it(value, point):
            match value:
                case Color.RED:
                    return "red"
                case {"k": k, **rest} if k == point.x:
                    return rest
                case Point(x=x, y=[first, *others]):
                    return x, first, others
            return None

        def text(point):
            point.y: list = [1, 2]
            return f"{point.x!r:>{len(point.y)}}|{point.y[0]=}"

        async def agen(n):
            for i in range(n):
                yield i

        async def acomp(table):
            return [table[i] async for i in agen(2) if (last := i) in table] + [last]

        def nested(table):
            return {k: [v for v in vs if v in table] for k, vs in table.items()}, table[..., 0:1]

        def unpack(*args, **kwargs):
            first, *rest = args
            with open(kwargs["path"]) as kwargs["file"]:
                pass
            try:
                kwargs["missing"].x
            except KeyError as error:
                return first, rest, error.args
    ''')

    class Table:
        def items(self) -> Any:
            return {1: [1, 9]}.items()

        def __contains__(self, key: object) -> bool:
            return key == 1

        def __getitem__(self, key: Any) -> Any:
            return key

    with recorder.watching():
        point = module.Point(1, [2, 3])
        assert module.__doc__ == "The module."
        assert module.cached.__doc__ == "Cached."
        assert module.Point.__doc__ == "A point."
        assert module.Point.__annotations__["x"] == "undefined.name"
        assert module.cached.__wrapped__.__annotations__["n"] == "undefined.name"
        assert module.cached() == 1
        assert module.match_it(module.Color.RED, point) == "red"
        assert module.match_it({"k": 1, "z": 2}, point) == {"z": 2}
        assert module.match_it(point, point) == (1, 2, [3])
        assert module.text(point) == " 1|point.y[0]=1"
        assert asyncio.run(module.acomp({0: "a"})) == ["a", 1]
        pairs, item = module.nested(Table())
        assert pairs == {1: [1]}
        assert item == (..., slice(0, 1))
        assert module.unpack(1, 2, path=__file__)[:2] == (1, [2])


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax of Python 3.12")
def test_type_parameters_and_aliases(load: Callable[[str], Any]) -> None:
    module = load("""
        import typing
        T = 5
        type Pairs[K] = dict[K, typing.Any]

        def first[T](items: list[T]) -> T:
            return items[0] if T is not None else None

        class Box[T: int]:
            def get(self) -> T:
                return T
    """)
    assert module.first([1]) == 1
    assert str(module.Pairs.__value__) == "dict[K, typing.Any]"
    assert module.Box.__type_params__[0].__name__ == "T"
    assert module.Box().get() is module.Box.__type_params__[0]


def test_tracebacks_name_the_right_lines(load: Callable[[str], Any]) -> None:
    module = load("""
        def fail(d):
            '''Fails.'''
            x = (
                d["missing"]
            )
    """)
    with pytest.raises(KeyError) as caught:
        module.fail({})
    assert caught.traceback[1].lineno + 1 == 5


# -- the hook -----------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"shop_{next(NUMBERS)}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("", "utf-8")
    for module in ("cart", "other"):
        (tmp_path / name / f"{module}.py").write_text("n = 0\ndef get():\n    return n\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_package_is_instrumented_until_undone(recorder: Recorder, shop: str) -> None:
    with instrument(shop):
        cart = importlib.import_module(f"{shop}.cart")
        with recorder.watching():
            cart.get()
        assert len(recorder.accesses) == 1
    assert not [name for name in sys.modules if name.startswith(shop)]
    plain = importlib.import_module(f"{shop}.cart")
    assert plain is not cart
    with recorder.watching():
        plain.get()
    assert recorder.accesses == []
    assert not any(type(finder).__name__ == "Instrumentation" for finder in sys.meta_path)


def test_only_what_is_named_is_instrumented(recorder: Recorder, shop: str) -> None:
    with instrument(f"{shop}.cart") as instrumentation:
        for module in ("cart", "other"):
            get = importlib.import_module(f"{shop}.{module}").get
            with recorder.watching():
                get()
            assert len(recorder.accesses) == (module == "cart")
        instrumentation.undo()
        instrumentation.undo()
        package = sys.modules[shop]
        assert not hasattr(package, "cart")
        assert hasattr(package, "other")


def test_files_of_bytecode_stay_the_plain_ones(
    recorder: Recorder, shop: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    with instrument(shop):
        importlib.import_module(f"{shop}.cart")
    assert not list(tmp_path.rglob("*.pyc"))
    importlib.import_module(f"{shop}.cart")
    assert list(tmp_path.rglob("cart.*.pyc"))
    for name in [name for name in sys.modules if name.startswith(shop)]:
        del sys.modules[name]
    with instrument(shop):
        cart = importlib.import_module(f"{shop}.cart")
        with recorder.watching():
            cart.get()
    assert len(recorder.accesses) == 1


def test_what_is_imported_already_is_refused_by_name(shop: str) -> None:
    importlib.import_module(f"{shop}.cart")
    with pytest.raises(AlreadyImported, match=rf"{shop}, {shop}\.cart\. Call instrument") as caught:
        instrument(shop)
    assert caught.value.modules == (shop, f"{shop}.cart")
    assert not any(type(finder).__name__ == "Instrumentation" for finder in sys.meta_path)
    with instrument(f"{shop}.other"):
        pass


@pytest.mark.parametrize("names", [(), ("",), ("a/b",), ("a..b",), ("shop.py ",)])
def test_names_that_no_module_can_have(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"needs the name|can't be a module's name"):
        instrument(*names)


def test_what_goes_unobserved_is_said() -> None:
    general = [gap.what for gap in unobserved()]
    assert "accesses inside C extensions" in general
    assert any("kept methods" in what for what in general) is not CAN_MONITOR
    with instrument("_colorsched_nothing_here") as instrumentation:
        assert [gap.what for gap in instrumentation.unobserved()] == general


# -- evaluation order ---------------------------------------------------------------------------


def test_assignments_evaluate_once_and_in_the_order_of_the_language(
    load: Callable[[str], Any],
) -> None:
    """Rewritten and plain, each form gives the same marks, values and errors."""
    source = """
        import operator

        class Box:
            def __init__(self, name):
                self.name, self.n, self.items, self.row = name, 1, {"k": 1}, [1]

        class Grows:
            def __iadd__(self, other):
                return ("grown", other)

        def run():
            marks = []

            def mark(value, what):
                marks.append(what)
                return value

            a, b = Box("a"), Box("b")
            mark(a, "owner").items[mark("k", "key")] = mark(5, "value")
            mark(a, "owner").items[mark("k", "key")] += mark(5, "value")
            mark(a, "owner").n += mark(5, "value")
            first = a
            a.n += (a := b).n
            first.n *= 2
            key = "k"
            b.items[key] -= ord(key := "x") - ord("w")
            b.items["k"] |= 6

            def rebind():
                nonlocal box
                box = Box("other")
                return 7

            box = old = Box("old")
            box.n += rebind()
            box.row[0] //= 1
            b.grows = Grows()
            b.grows += 3
            b.row += [4]
            (b.row)[-1] **= 2
            b.row[:1] += [9]
            try:
                b.n += "text"
            except TypeError as error:
                marks.append(str(error))
            try:
                b.missing += 1
            except AttributeError as error:
                marks.append(str(error))
            try:
                b.items[[]] = 1
            except TypeError as error:
                marks.append(str(error))
            values = [vars(each) for each in (first, b, box, old)]
            return marks, [
                (v["name"], v["n"], v["items"], v["row"], v.get("grows")) for v in values
            ]
    """
    plain: dict[str, Any] = {}
    exec(dedent(source), plain)  # the same text, as it is
    assert load(source).run() == plain["run"]()
