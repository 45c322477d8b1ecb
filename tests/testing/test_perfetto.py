"""Pictures of traces keep to the Trace Event Format, as far as ui.perfetto.dev depends on it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from colorsched import Runtime
from colorsched.testing.perfetto import ORIGIN_STRIDE, _Writer, export, main
from colorsched.testing.trace import Event, Recorder, merge, recorded

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: What each phase needs, by the format's description.
NEEDED = {
    "X": {"name", "cat", "ts", "dur", "pid", "tid", "args"},
    "i": {"name", "cat", "ts", "s", "pid", "tid", "args"},
    "s": {"name", "cat", "ts", "id", "pid", "tid"},
    "f": {"name", "cat", "ts", "id", "bp", "pid", "tid"},
    "C": {"name", "ts", "pid", "args"},
    "M": {"name", "ts", "pid", "tid", "args"},
}


def picture(trace: Iterable[Event], path: Path, **options: Any) -> list[dict[str, Any]]:
    """Export, read back, and check what holds of every picture."""
    target = path / "picture.json"
    export(trace, target, **options)
    content = json.loads(target.read_text(encoding="utf-8"))
    assert content["displayTimeUnit"] == "ns"
    shown: list[dict[str, Any]] = content["traceEvents"]
    for event in shown:
        assert set(event) == {"ph", *NEEDED[event["ph"]]}
        assert event["ts"] >= 0
    check_nesting(shown)
    check_arrows(shown)
    return shown


def nanoseconds(event: dict[str, Any]) -> tuple[int, int]:
    begin = round(event["ts"] * 1000)
    return begin, begin + round(event.get("dur", 0) * 1000)


def check_nesting(shown: list[dict[str, Any]]) -> None:
    tracks = defaultdict(list)
    for event in shown:
        if event["ph"] == "X":
            tracks[event["pid"], event["tid"]].append(nanoseconds(event))
    for slices in tracks.values():
        open_until: list[int] = []
        for begin, end in sorted(slices):
            while open_until and open_until[-1] <= begin:
                open_until.pop()
            assert not open_until or end <= open_until[-1], "slices of a track overlap"
            open_until.append(end)


def check_arrows(shown: list[dict[str, Any]]) -> None:
    """An arrow goes forward, once, from a slice that is open to one that begins."""
    slices = [event for event in shown if event["ph"] == "X"]
    begun: dict[int, float] = {}
    for event in shown:
        if event["ph"] not in {"s", "f"}:
            continue
        at = nanoseconds(event)[0]
        on_track = [
            nanoseconds(s) for s in slices if (s["pid"], s["tid"]) == (event["pid"], event["tid"])
        ]
        if event["ph"] == "s":
            assert event["id"] not in begun
            begun[event["id"]] = at
            assert any(begin <= at < end for begin, end in on_track)
        else:
            assert begun[event["id"]] < at
            assert any(begin == at for begin, _ in on_track)


def tracks(shown: list[dict[str, Any]], what: str = "thread_name") -> dict[tuple[int, int], str]:
    return {(e["pid"], e["tid"]): e["args"]["name"] for e in shown if e["name"] == what}


def small() -> list[Event]:
    """Thread 1 posts, thread 2 runs; the first callback dispatches one to another color."""
    return [
        Event("thread", time_ns=1000, thread=1, detail="MainThread"),
        Event("posted", 1, "'red'", 1000, 1, "post", name="f"),
        Event("posted", 2, "'red'", 3000, 1, "post", name="g"),
        Event("thread", time_ns=4000, thread=2, detail="worker"),
        Event("started", 1, "'red'", 4000, 2),
        Event("posted", 3, "'blue'", 5000, 2, "dispatch", 1, "'red'", "h"),
        Event("started", 3, "'blue'", 5000, 2),
        Event("ended", 3, "'blue'", 6000, 2, detail="KeyError"),
        Event("ended", 1, "'red'", 6000, 2),
        Event("dropped", 2, "'red'", 7000, 1, detail="cancelled"),
        Event("end"),
    ]


def test_a_small_trace_is_drawn(tmp_path: Path) -> None:
    shown = picture(small(), tmp_path)
    assert tracks(shown, "process_name") == {(1, 0): "threads", (2, 0): "colors"}
    assert tracks(shown) == {
        (1, 1): "MainThread", (1, 2): "worker", (2, 1): "'red'", (2, 2): "'blue'",
    }  # fmt: skip
    slices = [(e["name"], e["pid"], e["tid"], e["ts"]) for e in shown if e["ph"] == "X"]
    assert slices == [
        ("post f", 1, 1, 0.001),
        ("post g", 1, 1, 2.0),
        ("h", 1, 2, 4.001),
        ("h", 2, 2, 4.001),
        ("f", 1, 2, 3.001),
        ("f", 2, 1, 3.001),
    ]
    h = next(e for e in shown if e["name"] == "h")
    assert h["dur"] == pytest.approx(0.999)
    assert h["args"] == {
        "ticket": 3, "color": "'blue'", "kind": "dispatch", "posted by": 1, "in": "'red'",
        "error": "KeyError",
    }  # fmt: skip
    assert [(e["name"], e["s"], e["tid"]) for e in shown if e["ph"] == "i"] == [
        ("post h", "t", 2), ("g cancelled", "t", 1),
    ]  # fmt: skip
    assert [(e["ph"], e["id"]) for e in shown if e["ph"] in "sf"] == [
        ("s", 1), ("s", 2), ("s", 3), ("f", 3), ("f", 1),
    ]  # fmt: skip
    assert [e["args"] for e in shown if e["ph"] == "C"][-1] == {"callbacks": 0}


def test_the_waiting_are_counted(tmp_path: Path) -> None:
    apart = [e._replace(time_ns=e.time_ns * 100) for e in small()]
    counts = [e["args"]["callbacks"] for e in picture(apart, tmp_path) if e["ph"] == "C"]
    assert counts == [1, 2, 1, 2, 0, 0]  # the start of h follows at once, and is not counted


def test_times_that_stand_still_or_go_back_are_drawn_in_order(tmp_path: Path) -> None:
    picture([event._replace(time_ns=0) for event in small()], tmp_path)
    picture([event._replace(time_ns=10**9 - event.time_ns) for event in small()], tmp_path)


def test_what_runs_still_is_drawn_to_the_end(tmp_path: Path) -> None:
    shown = picture(small()[:7], tmp_path)
    unfinished = [e for e in shown if e["ph"] == "X" and "unfinished" in e["args"]]
    assert {e["name"] for e in unfinished} == {"f", "h"}


@pytest.mark.parametrize("missing", range(1, 10))
def test_a_trace_with_holes_is_drawn(tmp_path: Path, missing: int) -> None:
    trace = small()
    del trace[missing]
    target = tmp_path / "picture.json"
    export(trace, target)
    assert json.loads(target.read_text(encoding="utf-8"))["traceEvents"]


def test_nothing_is_a_picture_too(tmp_path: Path) -> None:
    assert picture([], tmp_path) == []


def test_late_colors_share_tracks(tmp_path: Path) -> None:
    # Four workers are in 50 colors, at most four at once.
    trace = []
    for n in range(50):
        trace.append(Event("posted", n, f"color {n}", 100 * n, 9, "post", name="f"))
        trace.append(Event("started", n, f"color {n}", 100 * n + 10, n % 4))
        if n >= 3:
            trace.append(Event("ended", n - 3, f"color {n - 3}", 100 * n + 50, (n - 3) % 4))
    names = tracks(picture(trace, tmp_path, colors=10))
    colors = sorted((tid, name) for (pid, tid), name in names.items() if pid == 2)
    assert [name for _, name in colors[:10]] == [f"color {n}" for n in range(10)]
    assert colors[10:] == [(11 + n, f"other colors {n + 1}") for n in range(4)]


def test_origins_are_processes_of_their_own(tmp_path: Path) -> None:
    one, two = ([e._replace(origin=name) for e in small()] for name in ("one", "two"))
    shown = picture(merge(one, two), tmp_path)
    assert tracks(shown, "process_name") == {
        (1, 0): "threads of one", (2, 0): "colors of one",
        (3, 0): "threads of two", (4, 0): "colors of two",
    }  # fmt: skip
    assert {e["id"] for e in shown if e["ph"] == "s"} == {
        place * ORIGIN_STRIDE + n for place in (0, 1) for n in (1, 2, 3)
    }


def test_a_real_run_is_drawn(tmp_path: Path) -> None:
    with Recorder() as recorder, Runtime(workers=4, observer=recorder) as rt:

        async def step(n: int) -> None:
            rt.color(n % 3).dispatch(int)

        for n in range(30):
            rt.color(n % 5).submit(step, n)
            rt.color(n).call_later(0, rt.color("x").post, int)
            rt.color(n).post(int).cancel()
    shown = picture(recorder, tmp_path, colors=8)
    started = [event.ticket for event in recorder if event.what == "started"]
    assert len([e for e in shown if e["ph"] == "X" and e["cat"] == "callback"]) == 2 * len(started)
    assert sorted(e["id"] for e in shown if e["ph"] == "f") == sorted(filter(None, started))


class Nowhere:
    """A file that keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)


def test_what_is_kept_does_not_grow_with_the_trace() -> None:
    writer = _Writer(Nowhere(), 5)  # type: ignore[arg-type]  # all that is needed of a file
    for n in range(10_000):
        writer.see(Event("posted", n, f"color {n}", n, 1, "post", name="f"))
        writer.see(Event("started", n, f"color {n}", n, 2 + n % 2))
        writer.see(Event("ended", n, f"color {n}", n, 2 + n % 2))
    (origin,) = writer._origins.values()
    assert not origin.callbacks
    assert not origin.depth
    assert len(origin.tracks) == 5
    assert origin.shared == [None]


def test_a_negative_number_of_colors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="colors must not be negative: -1"):
        export([], tmp_path / "picture.json", colors=-1)


# -- the command line -----------------------------------------------------------------------------


def test_a_file_is_converted(tmp_path: Path) -> None:
    trace, target = tmp_path / "in.jsonl", tmp_path / "out.json"
    with recorded(trace) as recorder, Runtime(workers=1, observer=recorder) as rt:
        rt.color("red").post(int)
    command = [sys.executable, "-m", "colorsched.testing.perfetto", str(trace), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    names = [event["name"] for event in json.loads(target.read_text())["traceEvents"]]
    assert {"post int", "int"} <= set(names)


def test_a_file_that_is_no_trace_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.write_text("{}")
    with pytest.raises(SystemExit) as caught:
        main([str(other), str(tmp_path / "out.json")])
    assert caught.value.code == 2
    assert "other is not a trace" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()
