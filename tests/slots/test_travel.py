"""How calls travel, and how those that cannot are refused."""

from __future__ import annotations

import pickle
import sys
from contextvars import copy_context
from functools import partial
from typing import Any

import pytest

import slot_functions
from colorsched import CannotTravel
from colorsched.errors import MissingExtra
from colorsched.events import name_of
from colorsched.executors.slots.travel import (
    Cloudpickle,
    Pickle,
    Reference,
    describe,
    is_coroutine_function,
    pack_call,
    travel_by,
)

PICKLE = Pickle()


class Broken:
    """Refuses to be pickled, for a reason of its own."""

    def __reduce__(self) -> str:
        raise RuntimeError("not this one")


class MuteError(Exception):
    """Has nothing to say, and fails when asked."""

    def __str__(self) -> str:
        raise ValueError("mute")


class Mute:
    """Cannot even be shown."""

    def __call__(self) -> None:
        """Do nothing."""

    def __repr__(self) -> str:
        raise ValueError("mute")

    def __reduce__(self) -> str:
        raise MuteError


def test_a_call_goes_there_and_is_the_same() -> None:
    packed = pack_call(PICKLE, slot_functions.add, (1,), {"right": 2})
    fn, args, kwargs, context = PICKLE.unpack_call(packed)
    assert fn is slot_functions.add
    assert (args, kwargs, context) == ((1,), {"right": 2}, None)


def test_by_reference_things_are_themselves_and_their_context_comes_along() -> None:
    travel, thing, context = Reference(), [object()], copy_context()
    packed = pack_call(travel, id, (thing,), {}, context)
    fn, args, kwargs, there = travel.unpack(packed)
    assert fn is id
    assert args[0] is thing
    assert kwargs == {}
    assert there is context


def test_a_context_does_not_travel_in_bytes() -> None:
    *_, context = PICKLE.unpack(pack_call(PICKLE, int, (), {}, copy_context()))
    assert context is None


def nested() -> Any:
    def inside() -> None:
        """Not importable."""

    return inside


@pytest.mark.parametrize(
    ("fn", "args", "kwargs", "words"),
    [
        (lambda: 1, (), {}, r"<lambda> cannot be sent to a slot: \w+Error: .*lambda"),
        (nested(), (), {}, r"nested.<locals>.inside cannot be sent to a slot: \w+Error"),
        (slot_functions.add, (1, Broken()), {}, "argument 2 of add cannot be sent .*not this one"),
        (slot_functions.add, (), {"left": 1, "right": Broken()}, "argument right= of add cannot"),
        (partial(slot_functions.same, Broken()), (), {}, "same cannot be sent .*not this one"),
        (sys.stdout.write, ("text",), {}, "write cannot be sent to a slot: TypeError"),
        (slot_functions.add, (open(__file__, "rb"),), {}, "argument 1 of add"),  # noqa: PTH123, SIM115 - see below
    ],
    ids=["lambda", "nested", "argument", "keyword", "partial", "method", "file"],
)
def test_what_cannot_travel_is_refused_with_its_name(
    fn: Any, args: Any, kwargs: Any, words: str
) -> None:
    with pytest.raises(CannotTravel, match=words) as caught:
        pack_call(PICKLE, fn, args, kwargs)
    advice = "Send what can be pickled" if "argument" in words else "Define it at the top of a"
    assert advice in str(caught.value)
    assert caught.value.__cause__ is not None
    for arg in args:
        getattr(arg, "close", int)()


def test_a_call_of_parts_that_travel_alone_may_fail_as_a_whole() -> None:
    class Fussy(Pickle):
        def pack(self, thing: Any) -> bytes:
            if isinstance(thing, tuple):
                raise OverflowError("too much at once")
            return super().pack(thing)

    with pytest.raises(CannotTravel, match=r"a call of add cannot be sent.*too much at once"):
        pack_call(Fussy(), slot_functions.add, (1, 2), {})


def test_what_cannot_be_shown_is_refused_all_the_same() -> None:
    with pytest.raises(CannotTravel, match=r"Mute.*cannot be sent to a slot: MuteError"):
        pack_call(PICKLE, Mute(), (), {})


def test_names() -> None:
    assert name_of(slot_functions.Account.__init__) == "Account.__init__"
    assert name_of(partial(partial(slot_functions.add, 1), 2)) == "add"
    assert name_of(Broken) == "Broken"
    assert "Mute" in name_of(Mute())


def test_errors_in_one_line() -> None:
    assert describe(KeyError("key")) == "KeyError: 'key'"
    assert describe(KeyError()) == "KeyError"
    assert "MuteError" in describe(MuteError())


def test_async_functions_are_seen_through_partials() -> None:
    async def coroutine() -> None:
        """Do nothing."""

    assert is_coroutine_function(coroutine)
    assert is_coroutine_function(partial(partial(coroutine)))
    assert not is_coroutine_function(slot_functions.add)
    assert not is_coroutine_function(partial(slot_functions.add))


def test_ways_by_name() -> None:
    assert isinstance(travel_by("pickle"), Pickle)
    assert isinstance(travel_by("reference"), Reference)
    with pytest.raises(
        ValueError, match="travel='mail': there are 'pickle', 'cloudpickle', 'reference'"
    ):
        travel_by("mail")


def test_cloudpickle_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(MissingExtra, match=r"colorsched\[cloudpickle\]"):
        travel_by("cloudpickle")


def test_cloudpickle_packs_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the package: only its ``dumps`` is used, and pickle reads the result."""

    class Package:
        @staticmethod
        def dumps(thing: object) -> bytes:
            return pickle.dumps(("by value", thing))

    monkeypatch.setitem(sys.modules, "cloudpickle", Package)
    way = travel_by("cloudpickle")
    assert isinstance(way, Cloudpickle)
    assert way.unpack(way.pack(1)) == ("by value", 1)
