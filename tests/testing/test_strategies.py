"""Strategies: determined by their seed, and as likely to find what they promise."""

from __future__ import annotations

from itertools import islice

import pytest

from colorsched.testing.strategies import (
    STRATEGIES,
    Fifo,
    Pct,
    Recorded,
    make_strategy,
    strategies,
)

KINDS = ("fifo", "random", "starve", "pct1", "pct2", "pct3", "deviations1", "deviations2")


def play(kind: str, seed: int) -> list[int]:
    strategy = make_strategy(kind, seed, length=60)
    return [
        (strategy.interrupt if step % 3 == 0 else strategy.choose)(list("abcde")[: 2 + step % 4])
        for step in range(60)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_determines_the_choices(kind: str) -> None:
    for seed in range(20):
        made = play(kind, seed)
        assert made == play(kind, seed)
        assert all(0 <= choice < 2 + step % 4 for step, choice in enumerate(made))
    assert kind == "fifo" or len({tuple(play(kind, seed)) for seed in range(20)}) > 3


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_first_is_plain_and_seeds_differ(name: str) -> None:
    drawn = list(islice(strategies(name, 7, depth=5), 30))
    assert drawn[0][0] == "fifo"
    assert drawn == list(islice(strategies(name, 7, depth=5), 30))
    assert len({seed for _, seed in drawn}) == 30
    assert all(make_strategy(kind, seed, length=9) for kind, seed in drawn)


def test_unknown_strategies_are_refused() -> None:
    with pytest.raises(ValueError, match="portfolio, random"):
        next(strategies("luck", 0, depth=3))
    with pytest.raises(ValueError, match="luck"):
        make_strategy("luck", 0, length=1)


def deviates(kind: str, seed: int) -> int:
    strategy = make_strategy(kind, seed, length=10)
    return sum(strategy.choose("abc") > 0 for _ in range(10))


def test_deviations_are_as_many_as_asked_for() -> None:
    assert {deviates("deviations1", seed) for seed in range(50)} == {1}
    assert {deviates("deviations3", seed) for seed in range(50)} <= {1, 2, 3}


def test_pct_keeps_its_promise() -> None:
    """A bug of depth 2: after just ``k`` steps of the one of 3 colors that was first, another runs.

    The chance is at least 1 / (n * k) for each place, that is 1 / 30; of 3,000 seeds, 100.
    """
    for wanted in (2, 5, 9):
        found = 0
        for seed in range(3000):
            strategy = Pct(seed, depth=2, length=10)
            ran = [strategy.choose("abc") for _ in range(10)]
            found += ran[:wanted] == [0] * wanted and ran[wanted] != 0
        assert found > 70


def test_pct_gives_way_when_a_color_spins() -> None:
    strategy = Pct(1, depth=1, length=10)
    assert len({strategy.choose("ab") for _ in range(100)}) == 2


def test_recorded_choices_are_made_again() -> None:
    recorded = Recorded((1, 0, 2))
    assert [recorded.choose("abc") for _ in range(5)] == [1, 0, 2, 0, 0]
    assert not recorded.strayed
    strays = Recorded((5,))
    assert strays.choose("ab") == 1
    assert strays.strayed
    assert Fifo().choose("ab") == 0
