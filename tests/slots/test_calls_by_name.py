"""What a call is made of on its way to a slot: names and arguments, or pickle's bytes."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import slot_functions
from colorsched import CannotTravel
from colorsched.executors.slots.travel import pack_call, travel_by

if TYPE_CHECKING:
    from pathlib import Path

PICKLE = travel_by("pickle")


@pytest.mark.parametrize(
    ("fn", "args", "kwargs"),
    [
        (slot_functions.pid, (), {}),
        (slot_functions.add, (1, 2), {}),
        (slot_functions.add, (1,), {"right": 2}),
        (partial(slot_functions.add, 1), (2,), {}),
        (pow, (2, 3), {}),
        ("abc".upper, (), {}),
    ],
)
def test_a_call_comes_out_as_it_went_in(fn: Any, args: Any, kwargs: Any) -> None:
    packed = pack_call(PICKLE, fn, args, kwargs)
    there, *rest = PICKLE.unpack_call(packed)
    assert rest == [args, kwargs, None]
    assert there(*args, **kwargs) == fn(*args, **kwargs)


def test_arguments_are_those_at_the_time_of_posting() -> None:
    given = [1]
    packed = pack_call(PICKLE, slot_functions.add, (given, [2]), {})
    given.append(3)
    assert PICKLE.unpack_call(packed)[1] == ([1], [2])


def test_what_is_no_longer_found_by_its_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fn = slot_functions.add
    pack_call(PICKLE, fn, (1, 2), {})
    monkeypatch.setattr(slot_functions, "add", slot_functions.pid)
    with pytest.raises(CannotTravel, match="not the same object"):
        pack_call(PICKLE, fn, (1, 2), {})


def test_a_slot_imports_the_module_of_a_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made_for_travel.py").write_text("def answer():\n    return 42\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("made_for_travel")
    packed = pack_call(PICKLE, module.answer, (), {})
    monkeypatch.delitem(sys.modules, "made_for_travel")
    assert PICKLE.unpack_call(packed)[0]() == 42
    monkeypatch.delitem(sys.modules, "made_for_travel")


def test_the_size_of_a_call_is_about_that_of_its_arguments() -> None:
    large = b"x" * 100_000
    for fn in (slot_functions.add, partial(slot_functions.add, 1)):
        assert 100_000 <= PICKLE.size(pack_call(PICKLE, fn, (large,), {})) < 101_000
    assert PICKLE.size(pack_call(PICKLE, slot_functions.pid, (), {})) == 0
