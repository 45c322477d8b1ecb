"""What a runtime does is recorded: in order, completely, in bounded memory, to be read back."""

from __future__ import annotations

import json
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

from colorsched import DEFAULT, ColorschedError, Runtime
from colorsched.events import Ticket
from colorsched.testing.trace import Event, Recorder, TraceError, merge, read_trace, recorded
from colorsched.testing.trace_names import Texts, name_of

if TYPE_CHECKING:
    from pathlib import Path


def ticks() -> Any:
    """A clock that goes on by one at each look."""
    return partial(next, iter(range(1, 10**9)))


def ticket(recorder: Recorder, number: int, key: Any = "red", by: Ticket | None = None) -> Ticket:
    return Ticket(recorder, number, key, fail, "post", by)


def fail() -> None:
    raise KeyError


def test_events_tell_who_what_when_and_where() -> None:
    recorder = Recorder(clock=ticks(), origin="here")
    first = ticket(recorder, 1)
    second = ticket(recorder, 2, ("blue", 2), first)
    recorder.posted(first)
    recorder.started(first)
    recorder.posted(second)
    recorder.ended(first, KeyError("no"))
    recorder.dropped(second, "cancelled")
    me = threading.current_thread().name
    assert list(recorder) == [
        Event("thread", None, None, 1, 1, detail=me, origin="here"),
        Event("posted", 1, "'red'", 2, 1, "post", name="fail", origin="here"),
        Event("started", 1, "'red'", 3, 1, origin="here"),
        Event("posted", 2, "('blue', 2)", 4, 1, "post", 1, "'red'", "fail", origin="here"),
        Event("ended", 1, "'red'", 5, 1, detail="KeyError", origin="here"),
        Event("dropped", 2, "('blue', 2)", 6, 1, detail="cancelled", origin="here"),
    ]
    assert len(recorder) == 6
    recorder.close()
    assert list(recorder)[-1] == Event("end", origin="here")


def test_a_closed_recorder_records_nothing() -> None:
    recorder = Recorder()
    recorder.close(complete=False)
    recorder.posted(ticket(recorder, 1))
    recorder.close()
    assert [event.what for event in recorder] == ["thread"]


def test_what_comes_while_it_is_closed_is_not_recorded() -> None:
    got: list[str] = []

    class Sink:
        def write(self, events: list[Event], /) -> None:
            got.extend(event.what for event in events)

        def close(self, *, complete: bool) -> None:
            got.append("closed")

    def clock() -> int:
        if closing:
            recorder.close()
        return 1

    closing = False
    recorder = Recorder(Sink(), clock=clock, batch=1)
    closing = True
    recorder.started(ticket(recorder, 1))
    assert got == ["thread", "closed"]


def test_what_one_thread_tells_stays_in_order_and_threads_are_told_apart() -> None:
    recorder = Recorder()

    def tell(me: int) -> None:
        for n in range(500):
            recorder.posted(ticket(recorder, 1000 * me + n))

    threads = [threading.Thread(target=tell, args=(me,), name=f"poster {me}") for me in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {event.detail: event.thread for event in recorder if event.what == "thread"}
    assert len(set(names.values())) == 5
    for me in range(4):
        of_me = [event for event in recorder if event.thread == names[f"poster {me}"]]
        assert [event.what for event in of_me] == ["thread"] + ["posted"] * 500
        assert [event.ticket for event in of_me[1:]] == [1000 * me + n for n in range(500)]


def test_a_real_run_tells_all() -> None:
    with Recorder() as recorder, Runtime(workers=2, observer=recorder) as rt:

        async def held() -> int:
            return 1

        assert rt.color("red").submit(held).result() == 1
        rt.color("red").call_later(0, int)
        rt.color("blue").post(int).cancel()
        rt.submit(fail)
    events = list(recorder)
    assert {event.what for event in events} >= {
        "thread", "posted", "started", "ended", "planned", "recalled", "completed", "joined", "end",
    }  # fmt: skip
    (planned,) = [event for event in events if event.what == "planned"]
    (timer,) = [event for event in events if event.kind == "timer"]
    (recalled,) = [event for event in events if event.what == "recalled"]
    assert planned.name == timer.name == "int"
    assert recalled.ticket == planned.ticket
    assert {event.color for event in events} == {None, "'red'", "'blue'", "DEFAULT"}
    done = {e.detail for e in events if e.what == "completed"}
    assert {e.detail for e in events if e.what == "joined"} <= done


# -- files ----------------------------------------------------------------------------------------


def run_to(recorder: Recorder, posts: int = 100) -> None:
    with Runtime(workers=2, observer=recorder) as rt:
        for n in range(posts):
            rt.color(n % 7).post(int)


def test_a_file_holds_what_memory_would(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with recorded(path, origin="one", clock=ticks()) as to_file:
        in_memory = Recorder(origin="one", clock=ticks())
        for recorder in (to_file, in_memory):
            first = ticket(recorder, 1, None)
            second = ticket(recorder, 2, "täg\n", first)
            for each in (first, second):
                recorder.posted(each)
                recorder.started(each)
                recorder.ended(each, None)
        in_memory.close()
    trace = read_trace(path)
    assert trace.origin == "one"
    assert list(trace) == list(in_memory)
    assert list(trace) == list(in_memory), "a trace can be read again"
    assert all(isinstance(json.loads(line), dict) for line in path.read_text().splitlines())


def test_what_is_written_does_not_stay_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    most = 0
    with Recorder(path, batch=50) as recorder:
        for n in range(10_000):
            recorder.posted(ticket(recorder, n))
            most = max(most, len(recorder))
    assert most < 50
    assert [event.ticket for event in read_trace(path) if event.ticket is not None] == list(
        range(10_000)
    )


def test_whoever_comes_while_another_hands_on_does_not_wait_and_keeps_its_place() -> None:
    inside, go_on = threading.Event(), threading.Event()

    class Slow:
        def __init__(self) -> None:
            self.got: list[Event] = []

        def write(self, events: list[Event], /) -> None:
            inside.set()
            assert go_on.wait(30)
            self.got.extend(events)

        def close(self, *, complete: bool) -> None:
            self.complete = complete

    sink = Slow()
    recorder = Recorder(sink, batch=4)

    def fill() -> None:
        for n in range(2):  # the two threads are events, too
            recorder.posted(ticket(recorder, n))

    thread = threading.Thread(target=fill)
    thread.start()
    assert inside.wait(30)
    for n in range(2, 10):
        recorder.posted(ticket(recorder, n))
    go_on.set()
    thread.join()
    recorder.close()
    numbers = [event.ticket for event in sink.got if event.what == "posted"]
    assert numbers == list(range(10))
    assert sink.complete


def test_a_finalizer_that_tells_while_events_are_handed_on_is_no_deadlock() -> None:
    got: list[Event] = []

    class Talks:
        def write(self, events: list[Event], /) -> None:
            got.extend(events)
            if len(got) < 100:
                for _ in range(20):  # more than whoever hands on is waited for
                    recorder.dropped(ticket(recorder, len(got)), "by a finalizer")

        def close(self, *, complete: bool) -> None:
            """Nothing to close."""

    recorder = Recorder(Talks(), batch=1)
    for n in range(50):
        recorder.posted(ticket(recorder, n))
    recorder.close()
    posted = [event.ticket for event in got if event.what == "posted"]
    assert posted == list(range(50))


def test_a_disk_that_is_full_is_told_of_at_the_end_and_stops_no_runtime() -> None:
    class Full:
        def write(self, events: list[Event], /) -> None:
            raise OSError("no space left")

        def close(self, *, complete: bool) -> None:
            self.complete = complete

    sink = Full()
    recorder = Recorder(sink, batch=8)
    run_to(recorder)
    assert len(recorder) < 8 * 8
    with pytest.raises(OSError, match="no space left"):
        recorder.close()
    assert not sink.complete


def test_an_interrupt_leaves_a_trace_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with pytest.raises(KeyboardInterrupt), recorded(path):
        raise KeyboardInterrupt
    assert [event.what for event in read_trace(path)] == ["thread"]


def test_a_trace_that_was_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with recorded(path) as recorder:
        run_to(recorder)
    whole = list(read_trace(path))
    path.write_bytes(path.read_bytes()[:-20])
    assert list(read_trace(path)) == whole[:-1]


def test_a_damaged_trace_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with recorded(path) as recorder:
        run_to(recorder)
    lines = path.read_text().splitlines(keepends=True)
    lines[5] = "oops\n"
    path.write_text("".join(lines))
    with pytest.raises(TraceError, match=r"trace\.jsonl, line 6, is no event"):
        list(read_trace(path))


@pytest.mark.parametrize("text", ["", "a picture", "[1]", "{}", '{"colorsched": "x"}\n'])
def test_other_files_are_no_traces(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other"
    path.write_text(text)
    with pytest.raises(TraceError, match="is not a trace: write one with Recorder"):
        read_trace(path)
    assert issubclass(TraceError, ColorschedError)


def test_a_trace_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_text('{"colorsched": "trace", "version": 99, "origin": ""}\n')
    with pytest.raises(TraceError, match="version 99"):
        read_trace(path)


def test_a_batch_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="batch must be at least 1, not 0"):
        Recorder(batch=0)


# -- several processes ----------------------------------------------------------------------------


def events(origin: str, *times: int) -> list[Event]:
    return [Event("posted", n, "red", time, origin=origin) for n, time in enumerate(times)]


def test_traces_are_merged_by_time_and_each_keeps_its_order() -> None:
    # The clock of b steps back once: 5 after 6.
    merged = merge(events("a", 1, 4, 7), events("b", 2, 6, 5, 8))
    assert [(e.origin, e.time_ns) for e in merged] == [
        ("a", 1), ("b", 2), ("a", 4), ("b", 6), ("b", 5), ("a", 7), ("b", 8),
    ]  # fmt: skip


def test_an_end_comes_last_of_its_trace_and_does_not_disturb_others() -> None:
    merged = list(merge([*events("a", 1, 2), Event("end", origin="a")], events("b", 1, 3)))
    assert [(e.origin, e.what) for e in merged] == [
        ("a", "posted"), ("b", "posted"), ("a", "posted"), ("a", "end"), ("b", "posted"),
    ]  # fmt: skip


def test_traces_of_one_origin_are_not_merged() -> None:
    with pytest.raises(TraceError, match=r"two of the traces have the origin ''"):
        list(merge(events("", 1), events("", 2)))


# -- names ----------------------------------------------------------------------------------------


@frozen
class Account:
    number: int

    def __repr__(self) -> str:
        return "an account"


class Plain:
    """Shown by its address."""


class Shy:
    def __repr__(self) -> str:
        raise RuntimeError


class Text(str):
    __slots__ = ()


def test_keys_are_text_that_tells_them_apart() -> None:
    texts = Texts()
    keys = [
        "red", 1, ("a", 1), None, b"x", DEFAULT, Account(1), Account(2), Plain(), Plain(), Shy(),
        ("b", Account(1)), Text("red2"),
    ]  # fmt: skip
    named = [texts.of(key) for key in keys]
    assert len(set(named)) == len(keys)
    assert named == [texts.of(key) for key in keys]
    assert named[:6] == ["'red'", "1", "('a', 1)", "None", "b'x'", "DEFAULT"]
    assert named[6:8] == ["Account an account", "Account an account #2"]
    assert "0x" not in "".join(named)
    assert texts.of(Account(1)) == named[6]


def test_functions_are_named_by_what_they_do() -> None:
    assert name_of(partial(partial(fail), 1)) == "fail"
    assert name_of(Plain()) == "Plain"
    assert name_of(int) == "int"
