"""The program of a fresh process: run one workload once, print what it measured as JSON."""

from __future__ import annotations

import gc
import importlib
import json
import sys


def main(arguments: list[str]) -> int:
    """Run ``module:function`` with the keyword arguments given as JSON.

    A peer that is not installed is an answer ("absent"), not a failure. The garbage collector is in
    its default state in every child, with what the imports left already collected.
    """
    where, keywords = arguments
    module_name, _, function_name = where.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), function_name)
        gc.collect()
        answer = function(**json.loads(keywords))
    except ModuleNotFoundError as error:
        answer = {"absent": f"{error.name} is not installed"}
    sys.stdout.write(f"\n{json.dumps(answer)}\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
