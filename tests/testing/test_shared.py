"""Shared boxes and shared classes: what they report, and that they work as they did."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import weakref
from typing import Any

import attrs
import pytest

from access_recorder import Recorder
from colorsched.testing.containers import is_proxy
from colorsched.testing.shared import Shared, shared


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


# -- boxes --------------------------------------------------------------------------------------


def test_a_box_reports_reads_and_writes(recorder: Recorder) -> None:
    box = Shared(1, name="box")
    with recorder.watching():
        assert box.get() == 1
        box.set(2)
        assert box.update(lambda value: value * 10) == 20
        box.value = box.value + 1
    assert [how for how, _ in recorder.seen] == ["r", "w", "r", "w", "r", "w"]
    assert {target for target, *_ in recorder.accesses} == {box}
    assert box.value == 21


def test_a_box_is_named_after_its_place() -> None:
    assert Shared(1, name="total").name == "total"
    assert Shared(1).name.startswith("Shared made at test_shared.py:")
    assert repr(Shared(1, name="total")) == "<Shared total>"


def test_containers_in_a_box_are_watched_unless_told(recorder: Recorder) -> None:
    box = Shared([1], name="box")
    given = [2]
    opaque = Shared(given, containers="opaque")
    box.set([3])
    assert is_proxy(box.get())
    assert opaque.get() is given
    with pytest.raises(ValueError, match="must be"):
        Shared([], containers="no")  # type: ignore[arg-type]
    with recorder.watching():
        box.get()[0]
    assert [name for *_, name, _ in recorder.accesses] == ["box", "box"]


def test_a_box_can_be_copied_pickled_and_referred_to() -> None:
    box = Shared({"a": [1]}, name="box")
    for made in (copy.deepcopy(box), pickle.loads(pickle.dumps(box))):
        assert made.get() == {"a": [1]}
        assert made.name == "box"
        assert is_proxy(made.get())
    assert weakref.ref(box)() is box


# -- classes ------------------------------------------------------------------------------------


@shared
@attrs.define
class Slotted:
    x: int
    items: list[Any] = attrs.Factory(list)


@shared
@attrs.frozen
class SlottedFrozen:
    x: int
    items: list[Any] = attrs.Factory(list)


@shared
@attrs.define(slots=False)
class Open:
    x: int
    items: list[Any] = attrs.Factory(list)


@shared
@attrs.frozen(slots=False)
class OpenFrozen:
    x: int
    items: list[Any] = attrs.Factory(list)


@shared
@dataclasses.dataclass
class Data:
    x: int
    items: list[Any] = dataclasses.field(default_factory=list)


@shared
@dataclasses.dataclass(slots=True)
class DataSlotted:
    x: int
    items: list[Any] = dataclasses.field(default_factory=list)


@shared
@dataclasses.dataclass(frozen=True)
class DataFrozen:
    x: int
    items: list[Any] = dataclasses.field(default_factory=list)


@shared
@dataclasses.dataclass(frozen=True, slots=True)
class DataSlottedFrozen:
    x: int
    items: list[Any] = dataclasses.field(default_factory=list)


MUTABLE: list[Any] = [Slotted, Open, Data, DataSlotted]
FROZEN: list[Any] = [SlottedFrozen, OpenFrozen, DataFrozen, DataSlottedFrozen]
classes = pytest.mark.parametrize("cls", MUTABLE + FROZEN)


@classes
def test_a_class_works_as_it_did(cls: Any) -> None:
    one = cls(1, [2])
    assert one == cls(1, [2])
    assert one != cls(2, [2])
    assert repr(one).endswith("(x=1, items=[2])")
    assert cls.__match_args__ == ("x", "items")
    match one:
        case cls(x, [item]):
            assert (x, item) == (1, 2)
        case _:
            pytest.fail("does not match")
    if attrs.has(cls):
        assert attrs.asdict(one) == {"x": 1, "items": [2]}
        assert attrs.evolve(one, x=5) == type(one)(5, [2])
    else:
        assert dataclasses.asdict(one) == {"x": 1, "items": [2]}
        assert dataclasses.astuple(one) == (1, [2])
        assert dataclasses.replace(one, x=5) == cls(5, [2])
    for made in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert made == one
        assert is_proxy(made.items)
    assert copy.deepcopy(one).items is not one.items
    assert one.items is one.items


@classes
def test_reads_of_fields_are_reported(recorder: Recorder, cls: Any) -> None:
    one, other = cls(1, [2]), cls(3)
    with recorder.watching():
        assert one.x == 1
        assert other.items == []
    assert recorder.accesses[0][:4] == (one, "x", False, f"{cls.__name__}.x")
    assert recorder.accesses[1][:4] == (other, "items", False, f"{cls.__name__}.items")
    assert recorder.accesses[2][:1] == (other.items,)


@pytest.mark.parametrize("cls", MUTABLE)
def test_writes_of_fields_are_reported(recorder: Recorder, cls: Any) -> None:
    one = cls(1)
    with recorder.watching():
        one.x += 1
        one.items = [[5]]
        del one.x
    assert recorder.seen == [("r", "x"), ("w", "x"), ("w", "items"), ("w", "x")]
    assert is_proxy(one.items[0])
    with pytest.raises(AttributeError, match="x"):
        one.x  # noqa: B018 - reading it is what raises
    with pytest.raises(AttributeError, match="x"):
        del one.x


@pytest.mark.parametrize("cls", FROZEN)
def test_frozen_fields_stay_frozen(cls: Any) -> None:
    one = cls(1)
    with pytest.raises(AttributeError):
        one.x = 2
    with pytest.raises(AttributeError):
        del one.x
    assert one.x == 1


@classes
def test_generated_methods_are_told_as_their_callers_place(recorder: Recorder, cls: Any) -> None:
    one = cls(1, [2])
    with recorder.watching():
        repr(one)
        one == cls(1)  # noqa: B015 - to compare is the access
        copy.copy(one)
        (attrs if attrs.has(cls) else dataclasses).asdict(one)
    assert ("r", "x") in recorder.seen
    assert {site.file for *_, site in recorder.accesses} == {__file__}


def test_validators_and_converters_still_run(recorder: Recorder) -> None:
    @shared
    @attrs.define
    class Checked:
        x: int = attrs.field(converter=int, validator=attrs.validators.ge(0))

    one = Checked("3")
    assert one.x == 3
    one.x = "4"  # type: ignore[assignment]
    assert one.x == 4
    with pytest.raises(ValueError, match="x"):
        one.x = -1


def test_inherited_fields_are_shared_too_and_reported_once(recorder: Recorder) -> None:
    @attrs.define
    class Plain:
        x: int = 1

    @shared
    @attrs.define
    class Child(Plain):
        y: int = 2

    @shared
    @attrs.define
    class Grandchild(Child):
        z: int = 3

    one = Grandchild()
    with recorder.watching():
        assert (one.x, one.y, one.z) == (1, 2, 3)
        Plain().x  # noqa: B018 - to read it is the access
    assert recorder.seen == [("r", "x"), ("r", "y"), ("r", "z")]


def test_containers_can_be_left_alone() -> None:
    @shared(containers="opaque")
    @attrs.define
    class Opaque:
        items: list[int]

    given = [1]
    assert Opaque(given).items is given


def test_a_subclass_may_choose_for_itself_and_reports_once(recorder: Recorder) -> None:
    @shared
    @attrs.define
    class Watched:
        items: list[int]

    @shared(containers="opaque")
    @attrs.define
    class Opaque(Watched):
        pass

    given = [1]
    with recorder.watching():
        assert Opaque(given).items is given
    assert recorder.seen == [("w", "items"), ("r", "items")]


def test_a_default_shows_again_when_a_dataclass_field_is_deleted() -> None:
    @shared
    @dataclasses.dataclass
    class Defaulted:
        x: int = 7

    one = Defaulted(1)
    del one.x
    assert one.x == 7


def test_a_field_may_be_a_descriptor_that_cannot_delete(recorder: Recorder) -> None:
    class Doubled:
        def __get__(self, one: Any, owner: type) -> Any:
            return 5 if one is None else one.__dict__["twice"]

        def __set__(self, one: Any, value: int) -> None:
            one.__dict__["twice"] = value * 2

    @shared
    @dataclasses.dataclass
    class Holder:
        x: Doubled = Doubled()  # noqa: RUF009 - the one of the class, as descriptors are

    holder = Holder(2)
    with recorder.watching():
        assert holder.x == 4
    assert recorder.seen == [("r", "x")]
    with pytest.raises(AttributeError):
        del holder.x


def test_other_classes_are_refused() -> None:
    class Other:
        pass

    with pytest.raises(TypeError, match=r"Other is neither: put @shared above @define"):
        shared(Other)
    with pytest.raises(TypeError, match=r"takes a class, not 3"):
        shared(3)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="must be"):
        shared(containers="no")  # type: ignore[call-overload]
