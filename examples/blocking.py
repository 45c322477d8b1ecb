"""Callbacks that block: others go on, because spare workers take over.

Twenty colors sleep 0.1 seconds each, with two workers. One after the other on two threads that is
a second. The runtime sees that both workers are stuck while colors wait and lets spare threads in,
so it takes a fraction of that, on builds with a GIL too; and a color that does not block gets its
answers all the while.
"""

from __future__ import annotations

import time

from colorsched import Runtime

SLEEPERS = 20
SECONDS = 0.1


def main() -> None:
    """Time the sleepers, and the answers of a color beside them."""
    began = time.monotonic()
    slowest = 0.0
    asked = 0
    with Runtime(workers=2) as rt:
        sleepers = [rt.color(n).submit(time.sleep, SECONDS) for n in range(SLEEPERS)]
        while not all(sleeper.done() for sleeper in sleepers):
            before = time.monotonic()
            rt.color("beside").submit(int).result()
            slowest = max(slowest, time.monotonic() - before)
            asked += 1
            time.sleep(0.005)
        took = time.monotonic() - began
        spares = rt.stats().spares
    print(f"{SLEEPERS} colors slept {SECONDS} s each with 2 workers and {spares} spares")
    print("in less than half the time of two threads:", took < SLEEPERS * SECONDS / 2 / 2)
    print("another color was answered meanwhile:", asked > 1 and slowest < SECONDS)


if __name__ == "__main__":
    main()
