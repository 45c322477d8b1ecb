"""Coverage: which conflicting accesses were seen in both orders."""

from __future__ import annotations

from colorsched.testing.pairs import End, PairCoverage, PairWatch
from event_streams import Stream, Thing

RED, BLUE, GREEN = (
    End("red", 1, write=True),
    End("blue", 2, write=False),
    End("green", 3, write=True),
)


def test_pairs_are_counted_once_and_by_name() -> None:
    coverage = PairCoverage()
    coverage.saw("a", RED, BLUE)
    coverage.saw("a", RED, BLUE)
    coverage.saw("b", BLUE, RED)
    assert (coverage.both_ways, coverage.total) == (0, 2)
    coverage.saw("a", BLUE, RED)
    assert str(coverage) == "1 of 2 conflicting pairs seen both ways"
    assert coverage.one_way() == [("b", BLUE, RED)]
    coverage.saw("a", RED, BLUE)
    assert coverage.both_ways == 1


def test_a_place_conflicts_not_with_itself_in_one_color() -> None:
    coverage = PairCoverage()
    coverage.saw("a", RED, RED)
    assert not coverage.total


def test_merged_coverages_know_what_each_has_seen() -> None:
    one, other = PairCoverage(), PairCoverage()
    one.saw("a", RED, BLUE)
    one.saw("a", RED, GREEN)
    other.saw("a", BLUE, RED)
    other.saw("b", RED, GREEN)
    other.saw("b", GREEN, RED)
    one.merge(other)
    assert (one.both_ways, one.total) == (2, 3)
    assert one.one_way() == [("a", RED, GREEN)]


def play(coverage: PairCoverage, *keys: str) -> None:
    """Callbacks that each read and write one thing, one after the other, posted by strangers."""
    stream, thing = Stream(PairWatch(coverage)), Thing()
    posters = {key: stream.run(None, f"poster of {key}") for key in keys}
    for key in keys:
        a = stream.run(posters[key], key)
        stream.read(a, thing, 1)
        stream.write(a, thing, 2)
        stream.end(a)


def test_runs_are_watched_for_pairs() -> None:
    coverage = PairCoverage()
    play(coverage, "red", "blue")
    # The first one's write with the second one's read and write, and its read with that write.
    assert (coverage.both_ways, coverage.total) == (0, 3)
    play(coverage, "blue", "red")
    assert (coverage.both_ways, coverage.total) == (3, 3)


def test_pairs_that_must_be_as_they_are_do_not_count() -> None:
    coverage = PairCoverage()
    stream, thing = Stream(PairWatch(coverage)), Thing()
    a = stream.run(None, "red")
    stream.write(a, thing, 1)
    stream.write(stream.run(a, "blue"), thing, 2)
    stream.write(None, thing, 3)
    assert not coverage.total


def test_succession_in_a_color_counts_as_it_may_be_reversed() -> None:
    coverage = PairCoverage()
    stream, thing = Stream(PairWatch(coverage)), Thing()
    posters = [stream.run(None, "p"), stream.run(None, "q")]
    callbacks = [stream.post(poster, "red") for poster in posters]
    for line, ticket in enumerate(callbacks):
        stream.start(ticket)
        stream.write(ticket, thing, line)
        stream.end(ticket)
    assert coverage.total == 1


def test_all_reads_since_the_last_write_make_pairs() -> None:
    coverage = PairCoverage()
    stream, thing = Stream(PairWatch(coverage)), Thing()
    tickets = [stream.run(None, key) for key in ("a", "b", "c")]
    for ticket in tickets[:2]:
        stream.read(ticket, thing, 1)
    stream.write(tickets[2], thing, 2)
    assert [first.color for _, first, _ in coverage.one_way()] == ["a", "b"]
    stream.write(tickets[0], thing, 3)
    assert coverage.total == 3


def test_what_was_written_over_makes_no_pairs() -> None:
    coverage = PairCoverage()
    stream, thing = Stream(PairWatch(coverage)), Thing()
    for line, key in enumerate(("a", "b", "c")):
        stream.write(stream.run(None, key), thing, line)
    assert [(first.color, second.color) for _, first, second in coverage.one_way()] == [
        ("a", "b"),
        ("b", "c"),
    ]
