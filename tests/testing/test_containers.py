"""Proxies of containers: they behave as the built-in ones, and tell which parts are accessed."""

from __future__ import annotations

import copy
import json
import pickle
from collections import Counter, OrderedDict, defaultdict, deque
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_recorder import Recorder
from colorsched.events import ADDS
from colorsched.testing.containers import TABLES, UNWATCHED, is_proxy, plain, proxies, wrap
from colorsched.testing.mappings import VIEWS
from colorsched.testing.operations import WHOLE, Presence

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES: list[Any] = [
    [3, 1, 2],
    [],
    {"a": 1, "b": 2},
    defaultdict(int, {"a": 1}),
    OrderedDict(b=1, a=2),
    Counter("abca"),
    {1, 2, 3},
    deque([1, 2, 3]),
    deque([1, 2], maxlen=2),
]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def parts(recorder: Recorder, act: Callable[[], object]) -> list[tuple[str, Any]]:
    """What ``act`` accesses."""
    with recorder.watching():
        act()
    return recorder.seen


def conflict(recorder: Recorder, make: Callable[[], Any], one: Any, other: Any) -> bool:
    accesses = []
    for act in (one, other):
        target = wrap(make(), "it")
        with recorder.watching():
            act(target)
        accesses.append([(write, part) for _, part, write, _, _ in recorder.accesses])
    return any(
        part == part2 and (how or how2) and not how == how2 == ADDS
        for how, part in accesses[0]
        for how2, part2 in accesses[1]
    )


# -- as the built-in ones -----------------------------------------------------------------------


@pytest.mark.parametrize(("base", "proxy"), list(proxies()))
def test_every_method_is_classified(base: type, proxy: type) -> None:
    methods = {name for name in dir(base) if getattr(base, name) is not getattr(object, name, None)}
    methods -= {"__firstlineno__", "__static_attributes__"}  # of classes written in Python
    methods -= {"__init_subclass__", "__subclasshook__"}  # bound anew each time they are looked up
    for name in ("__ge__", "__gt__", "__le__", "__lt__"):
        if getattr(base(), name)(base()) is NotImplemented:
            methods.discard(name)
    assert methods - UNWATCHED <= set(TABLES[base]) | set(VIEWS)
    assert set(TABLES[base]) <= set(dir(base))
    for name in set(TABLES[base]) | (set(VIEWS) & methods):
        assert name in vars(proxy), name


@pytest.mark.parametrize("sample", SAMPLES, ids=repr)
def test_a_proxy_is_like_what_it_stands_for(sample: Any) -> None:
    proxy = wrap(sample, "it")
    assert is_proxy(proxy)
    assert isinstance(proxy, type(sample))
    assert proxy == sample
    assert sample == proxy
    assert not proxy != sample  # noqa: SIM202 - it is another method
    assert repr(proxy) == repr(sample)
    assert len(proxy) == len(sample)
    assert list(proxy) == list(sample)
    assert sorted(proxy) == sorted(sample)
    assert bool(proxy) == bool(sample)
    assert [*proxy] == [*sample]
    assert max(proxy, default=0) == max(sample, default=0)
    if not isinstance(sample, set):
        assert list(reversed(proxy)) == list(reversed(sample))
    if isinstance(sample, (list, dict)):
        assert json.dumps(proxy) == json.dumps(sample)
    if isinstance(sample, dict):
        assert {**proxy} == dict(proxy) == dict(sample)
        assert proxy | {"z": 1} == sample | {"z": 1}
        for view in VIEWS:
            assert repr(getattr(proxy, view)()) == repr(getattr({**sample}, view)())
            assert list(getattr(proxy, view)()) == list(getattr(sample, view)())
            assert list(reversed(getattr(proxy, view)())) == list(reversed(getattr(sample, view)()))


@pytest.mark.parametrize("sample", SAMPLES, ids=repr)
def test_what_is_made_of_a_proxy_is_plain(sample: Any) -> None:
    proxy = wrap(sample, "it")
    copies = [
        copy.copy(proxy), copy.deepcopy(proxy), proxy.copy(), plain(proxy),
        pickle.loads(pickle.dumps(proxy)),
    ]  # fmt: skip
    if isinstance(sample, (list, deque)):
        copies += [proxy + type(sample)(), proxy * 1, 1 * proxy]
    if isinstance(sample, list):
        copies += [proxy[:], [*proxy], [] + proxy]  # noqa: RUF005 - the operator is what is tried
    if isinstance(sample, set):
        copies += [proxy | set(), set() | proxy, proxy & sample, sample & proxy]
    for made in copies:
        assert type(made) is type(sample)
        assert made == sample
        assert getattr(made, "maxlen", None) == getattr(sample, "maxlen", None)
        assert getattr(made, "default_factory", None) is getattr(sample, "default_factory", None)


def test_a_deep_copy_is_plain_to_the_bottom() -> None:
    made = copy.deepcopy(wrap({"a": [1, {2}]}, "it"))
    assert type(made["a"]) is list
    assert type(made["a"][1]) is set


def test_containers_put_in_become_proxies() -> None:
    items = wrap([[0]], "items")
    items.append([1])
    items.extend([[2]])
    items.insert(0, [3])
    items[0] = [4]
    items[1:2] = [[5]]
    items += [[6]]
    by_key = wrap({"a": []}, "by_key")
    by_key["b"] = {}
    by_key.setdefault("c", [])
    by_key.update(d=[], e=[])
    by_key |= {"f": set()}
    groups = wrap(defaultdict(list), "groups")
    groups["new"].append(1)
    queue = wrap(deque([[1]]), "queue")
    queue.appendleft([2])
    queue.extendleft([[3]])
    ordered = wrap(OrderedDict(a=[1]), "ordered")
    ordered["b"] = [2]
    for container in (items, by_key.values(), groups.values(), queue, ordered.values()):
        assert len(container) > 0
        for item in container:
            assert is_proxy(item), container
    assert type(items)([[7]])[0]._name == "list[...]"
    assert is_proxy(type(by_key)(a=[7])["a"])
    assert groups == {"new": [1]}
    assert wrap(defaultdict(None), "x").default_factory is None
    with pytest.raises(KeyError):
        wrap(defaultdict(None), "x")["missing"]


def test_containers_that_contain_themselves() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    proxy = wrap(loop, "loop")
    assert proxy[1] is proxy
    assert repr(proxy) == repr(loop)
    assert copy.deepcopy(proxy)[1][1][0] == 1


def test_subclasses_and_other_values_stay_as_they_are() -> None:
    class Mine(dict[str, int]):
        pass

    mine = Mine()
    assert wrap(mine, "mine") is mine
    assert wrap("text", "text") == "text"
    proxy = wrap([1], "it")
    assert wrap(proxy, "again") is proxy


# -- which parts --------------------------------------------------------------------------------

DICT: Any = lambda: {"a": 1, "b": 2}  # noqa: E731 - a table's entry


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (lambda d: d.__setitem__("a", 5), lambda d: d["a"], True),
        (lambda d: d.__setitem__("a", 5), lambda d: d.get("a"), True),
        (lambda d: d.__setitem__("a", 5), lambda d: d["b"], False),
        (lambda d: d.__setitem__("a", 5), lambda d: "a" in d, False),
        (lambda d: d.__setitem__("a", 5), len, False),
        (lambda d: d.__setitem__("a", 5), list, False),
        (lambda d: d.__setitem__("a", 5), lambda d: list(d.keys()), False),
        (lambda d: d.__setitem__("a", 5), lambda d: list(d.values()), True),
        (lambda d: d.__setitem__("a", 5), lambda d: list(d.items()), True),
        (lambda d: d.__setitem__("a", 5), lambda d: d == {}, True),
        (lambda d: d.__setitem__("a", 5), lambda d: d.__setitem__("b", 5), False),
        (lambda d: d.__setitem__("a", 5), lambda d: d.pop("a"), True),
        (lambda d: d.__setitem__("a", 5), lambda d: d.setdefault("a", 1), True),
        (lambda d: d.__setitem__("new", 5), lambda d: d.get("new"), True),
        (lambda d: d.__setitem__("new", 5), lambda d: "new" in d, True),
        (lambda d: d.__setitem__("new", 5), lambda d: "a" in d, False),
        (lambda d: d.__setitem__("new", 5), lambda d: d["a"], False),
        (lambda d: d.__setitem__("new", 5), len, True),
        (lambda d: d.__setitem__("new", 5), list, True),
        (lambda d: d.setdefault("new", 5), len, True),
        (lambda d: d.update(new=5), len, True),
        (lambda d: d.update(a=1), lambda d: d["a"], True),
        (lambda d: d.update(a=1), len, False),
        (lambda d: d.__delitem__("a"), lambda d: d["a"], True),
        (lambda d: d.__delitem__("a"), lambda d: "a" in d, True),
        (lambda d: d.__delitem__("a"), lambda d: d["b"], False),
        (lambda d: d.__delitem__("a"), list, True),
        (lambda d: d.pop("x", None), list, False),
        (lambda d: d.pop("x", None), lambda d: d.__setitem__("x", 1), True),
        (lambda d: d.popitem(), lambda d: d["b"], True),
        (lambda d: d.popitem(), lambda d: d["a"], False),
        (lambda d: d.clear(), lambda d: d["a"], True),
        (lambda d: d.clear(), len, True),
        (len, list, False),
        (lambda d: d.copy(), lambda d: d["a"], False),
    ],
)  # fmt: skip
def test_conflicts_in_a_dict(recorder: Recorder, one: Any, other: Any, *, expected: bool) -> None:
    assert conflict(recorder, DICT, one, other) is expected
    assert conflict(recorder, lambda: OrderedDict(DICT()), one, other) is expected
    assert conflict(recorder, lambda: defaultdict(int, DICT()), one, other) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (lambda x: x.__setitem__(1, 5), lambda x: x[1], True),
        (lambda x: x.__setitem__(1, 5), lambda x: x[-2], True),
        (lambda x: x.__setitem__(1, 5), lambda x: x[0], False),
        (lambda x: x.__setitem__(1, 5), lambda x: x[1:], True),
        (lambda x: x.__setitem__(1, 5), lambda x: x[2:], False),
        (lambda x: x.__setitem__(1, 5), len, False),
        (lambda x: x.__setitem__(1, 5), list, True),
        (lambda x: x.__setitem__(1, 5), lambda x: 9 in x, True),
        (lambda x: x.__setitem__(slice(1, 2), [2]), lambda x: x[1], True),
        (lambda x: x.append(4), lambda x: x[0], False),
        (lambda x: x.append(4), lambda x: x[-1], True),
        (lambda x: x.append(4), len, True),
        (lambda x: x.append(4), list, True),
        (lambda x: x.append(4), lambda x: x.append(5), True),
        (lambda x: x.insert(1, 9), lambda x: x[2], True),
        (lambda x: x.insert(1, 9), lambda x: x[0], False),
        (lambda x: x.pop(), lambda x: x[0], False),
        (lambda x: x.pop(), lambda x: x[2], True),
        (lambda x: x.pop(0), lambda x: x[0], True),
        (lambda x: x.pop(0), len, True),
        (lambda x: x.sort(), lambda x: x[0], True),
        (lambda x: x.sort(), len, False),
        (lambda x: x.clear(), lambda x: x[2], True),
        (lambda x: x.__delitem__(0), lambda x: x[2], True),
        (lambda x: next(iter(x)), lambda x: x.append(4), False),
        (lambda x: next(reversed(x)), lambda x: x.append(4), True),
    ],
)  # fmt: skip
def test_conflicts_in_a_list(recorder: Recorder, one: Any, other: Any, *, expected: bool) -> None:
    assert conflict(recorder, lambda: [3, 2, 1], one, other) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (lambda s: s.add(4), lambda s: 4 in s, True),
        (lambda s: s.add(4), lambda s: 1 in s, False),
        (lambda s: s.add(4), len, True),
        (lambda s: s.add(4), list, True),
        (lambda s: s.add(1), list, False),
        (lambda s: s.add(1), lambda s: s.discard(1), True),
        (lambda s: s.discard(1), lambda s: 1 in s, True),
        (lambda s: s.discard(9), lambda s: s.add(9), True),
        (lambda s: s.update([4]), lambda s: 4 in s, True),
        (lambda s: s.update([4]), lambda s: s | {1}, True),
        (lambda s: s.clear(), lambda s: 1 in s, True),
        (lambda s: {1} | s, lambda s: s.remove(1), True),
        (lambda s: s.issubset({1}), len, False),
        (lambda s: s.add(4), lambda s: s.add(4), False),
        (lambda s: s.add(4), lambda s: s.add(5), False),
        (lambda s: s.add(4), lambda s: s.update([4, 5]), False),
        (lambda s: s.update([4]), lambda s: s.__ior__({1, 4}), False),
        (lambda s: s.add(1), lambda s: s.add(1), False),
        (lambda s: s.add(1), lambda s: 1 in s, False),
        (lambda s: s.add(1), lambda s: s.remove(1), True),
        (lambda s: s.update([1]), lambda s: s.clear(), True),
        (lambda s: s.update([1]), len, False),
        (lambda s: s.add(4), lambda s: s.discard(1), True),
        (lambda s: s.add(4), lambda s: s.pop(), True),
        (lambda s: s.add(4), lambda s: s.discard(4), True),
    ],
)  # fmt: skip
def test_conflicts_in_a_set(recorder: Recorder, one: Any, other: Any, *, expected: bool) -> None:
    assert conflict(recorder, lambda: {1, 2}, one, other) is expected


def test_a_deque_is_one_part(recorder: Recorder) -> None:
    queue = wrap(deque([1, 2]), "queue")
    assert parts(recorder, queue.popleft) == [("w", WHOLE)]
    assert parts(recorder, lambda: queue.append(3)) == [("w", WHOLE)]
    assert parts(recorder, lambda: queue[0]) == [("r", WHOLE)]


def test_moving_a_key_changes_the_order_only(recorder: Recorder) -> None:
    ordered = wrap(OrderedDict(a=1, b=2), "ordered")
    assert parts(recorder, lambda: ordered.move_to_end("a")) == [("w", WHOLE)]
    assert list(ordered) == ["b", "a"]


def test_a_counter_reports_what_it_counts(recorder: Recorder) -> None:
    counts = wrap(Counter("a"), "counts")
    assert ("w", "a") in parts(recorder, lambda: counts.update("a"))
    assert ("w", Presence("b")) in parts(recorder, lambda: counts.update("b"))
    assert ("w", "a") in parts(recorder, lambda: counts.subtract("a"))
    assert ("r", "a") in parts(recorder, counts.most_common)
    assert counts == Counter({"a": 1, "b": 1})


def test_each_step_of_a_loop_is_an_access_of_who_takes_it(recorder: Recorder) -> None:
    steps = iter(wrap([1, 2], "it"))
    assert parts(recorder, lambda: next(steps)) == [("r", 0)]
    assert parts(recorder, lambda: next(steps)) == [("r", 1)]
    assert parts(recorder, lambda: list(steps)) == [("r", WHOLE)]


def test_an_access_is_told_with_the_containers_name_and_the_callers_place(
    recorder: Recorder,
) -> None:
    items = wrap({"a": [1]}, "cart.items")
    with recorder.watching():
        json.dumps(items)
        items["a"].append(2)
    assert {(name, site.file) for *_, name, site in recorder.accesses} == {
        ("cart.items", __file__),
        ("cart.items[...]", __file__),
    }


# -- drawn at random ----------------------------------------------------------------------------

SMALL = st.integers(0, 4)
ONE_ITEM = {
    list: "append pop remove index count __getitem__ __delitem__ __contains__",
    dict: "get pop setdefault __getitem__ __delitem__ __contains__",
    set: "add discard remove __contains__",
    deque: "append appendleft remove rotate count __getitem__ __delitem__",
}
TWO_ITEMS = {
    list: "insert __setitem__",
    dict: "__setitem__ setdefault pop get",
    deque: "insert __setitem__",
}
MANY_ITEMS = {
    list: "extend __iadd__",
    dict: "update __ior__ __or__ __eq__",
    set: "update __ior__ __iand__ __isub__ __ixor__ __or__ difference_update intersection_update",
    deque: "extend extendleft __iadd__",
}
NO_ITEM = {
    list: "pop clear sort reverse copy __len__",
    dict: "popitem clear copy __len__",
    set: "pop clear copy __len__",
    deque: "pop popleft clear copy reverse __len__",
}


def steps(base: type) -> Any:
    """Calls of methods: a name and arguments."""

    def named(names: dict[Any, str]) -> Any:
        return st.sampled_from(names[base].split())

    many: dict[type, Any] = {
        dict: st.dictionaries(SMALL, SMALL, max_size=3),
        set: st.sets(SMALL, max_size=3),
    }
    several = many.get(base, st.lists(SMALL, max_size=3))
    choices = [st.tuples(named(ONE_ITEM), SMALL), st.tuples(named(NO_ITEM))]
    choices.append(st.tuples(named(MANY_ITEMS), several))
    if base in TWO_ITEMS:
        choices.append(st.tuples(named(TWO_ITEMS), SMALL, SMALL))
    if base is list:
        choices += [
            st.tuples(st.just("__setitem__"), st.slices(4), several),
            st.tuples(st.sampled_from(["__delitem__", "__getitem__"]), st.slices(4)),
            st.tuples(st.just("__imul__"), st.integers(0, 2)),
        ]
    return st.one_of(choices)


def outcome(container: Any, step: Any) -> Any:
    name, *args = step
    try:
        result = getattr(container, name)(*args)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other is to raise it too
        return type(error)
    return "itself" if result is container else result


def changed_parts(before: Any, after: Any) -> set[Any]:
    """The parts that a change from ``before`` to ``after`` must have written."""
    if isinstance(before, deque):
        return {WHOLE} if before != after else set()
    if isinstance(before, set):
        return {*(before ^ after)} | ({WHOLE} if before != after else set())
    if isinstance(before, list):
        common = min(len(before), len(after))
        moved = {index for index in range(common) if before[index] != after[index]}
        moved.update(range(common, len(before)))  # those that are there no more
        return moved | ({WHOLE} if len(before) != len(after) else set())
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    changed |= {Presence(key) for key in before.keys() ^ after.keys()}
    return changed | ({WHOLE} if list(before) != list(after) else set())


@given(data=st.data())
@pytest.mark.parametrize("base", list(ONE_ITEM))
def test_any_steps_do_what_they_do_to_the_built_in_one_and_tell_what_they_change(
    base: type, data: st.DataObject
) -> None:
    container: Any = base([(1, 1), (2, 2)] if base is dict else [1, 2, 3])
    proxy = wrap(container, "it")
    recorder = Recorder()
    for step in data.draw(st.lists(steps(base), max_size=6)):
        before = copy.copy(container)
        with recorder.watching():
            found = outcome(proxy, step)
        assert found == outcome(container, step), step
        assert plain(proxy) == container
        written = {part for how, part in recorder.seen if how == "w"}
        assert changed_parts(before, container) <= written, step
        assert recorder.seen or step[1:] in [({},), (set(),)], step
