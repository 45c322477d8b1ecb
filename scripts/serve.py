#!/usr/bin/env python3
"""Installs colorsched beside this checkout's sources and starts its caching web server.

    python3 scripts/serve.py                                   # in front of a demonstration origin
    python3 scripts/serve.py --origin http://127.0.0.1:9000    # in front of yours
    python3 scripts/serve.py --help                            # all options of `colorsched serve`

It needs Python 3.11 or newer with pip; the first start installs, later ones start at once.
Arguments are those of `colorsched serve`.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from environments import ROOT, SetupError, clean_environ, environment, this_interpreter


def main() -> NoReturn:
    """Make the environment if need be, then become `colorsched serve`."""
    try:
        python = environment("serve", this_interpreter(), "--editable", f"{ROOT}[web]")
    except SetupError as error:
        sys.exit(f"serve.py: {error}")
    program = str(python.with_name("colorsched"))
    # In place of this process, so that Ctrl-C and SIGTERM reach the server itself.
    os.execve(program, [program, "serve", *sys.argv[1:]], clean_environ())  # noqa: S606 - no shell on purpose


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
