"""Measure this machine: flow engines, the store, extraction or training.

Every measurement first checks that the sides compared give the same result.

    twostream bench flow
    twostream bench flow --engine cpu --clips videos/
    python -m scripts.bench flow --engine gpu --check
"""

from __future__ import annotations

import sys
from importlib import import_module

from scripts._command import MISTAKE, run_command

BENCHES = {
    "flow": ("flow.bench", "FlowBench"),
    "store": ("storage.bench", "StoreBench"),
    "extract": ("flow.bench_extract", "ExtractBench"),
    "train": ("streams.bench", "TrainBench"),
}
"""Sub-command -> the module with its `run(options)`, and the dataclass of its options."""


def usage() -> str:
    return f"usage: twostream bench {{{','.join(BENCHES)}}} [OPTIONS]\n\n{__doc__}"


def main(argv: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0 if arguments else MISTAKE
    name, *rest = arguments
    if name not in BENCHES:
        print(
            f"twostream bench: no benchmark {name!r}; choose {', '.join(BENCHES)}", file=sys.stderr
        )
        return MISTAKE
    module_name, options = BENCHES[name]
    module = import_module(module_name)
    return run_command(
        getattr(module, options),
        module.run,
        rest,
        prog=f"bench {name}",
        description=module.__doc__ or "",
    )


if __name__ == "__main__":
    sys.exit(main())
