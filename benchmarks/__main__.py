"""``python -m benchmarks``: sees that what it needs is there, then hands over to ``command``."""

from __future__ import annotations

import importlib.util
import sys


def missing() -> list[str]:
    """The packages that neither the harness nor the runtime can do without and that are absent."""
    return [
        name for name in ("attrs", "sortedcontainers") if importlib.util.find_spec(name) is None
    ]


def run() -> int:
    """Run the command; what it can't do ends in one line that says why."""
    absent = missing()
    if absent:
        sys.stderr.write(
            f"benchmarks: {' and '.join(absent)} not installed. "
            f"Run `{sys.executable} -m pip install -e .` in the project's folder first.\n"
        )
        return 2
    from benchmarks.command import main

    try:
        return main()
    except RuntimeError as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(run())
