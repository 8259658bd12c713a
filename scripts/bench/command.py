"""The command `twostream bench`: hands the options to the measurement that is named."""

from __future__ import annotations

import sys
from dataclasses import field, fields, make_dataclass
from importlib import import_module
from typing import Annotated, Any

import scripts.bench
from scripts.common import MISTAKE, Talk, run_command
from storage.errors import UserError

BENCHES = {
    "flow": ("scripts.bench.flow", "FlowBench"),
    "store": ("scripts.bench.store", "StoreBench"),
    "codecs": ("scripts.bench.moving", "CodecsBench"),
    "shards": ("scripts.bench.shards", "ShardsBench"),
    "extract": ("scripts.bench.extract", "ExtractBench"),
    "gpu-day": ("scripts.bench.gpu_day", "GpuDay"),
    "train": ("scripts.bench.train", "TrainBench"),
    "fusion": ("scripts.bench.fusion", "FusionBench"),
}
"""Sub-command -> the module with its `run(options)`, and the dataclass of its options."""
HELP = {
    "quiet": "Print only the figures; no progress.",
    "verbose": "Show the traceback of an error.",
}


def usage() -> str:
    return f"usage: twostream bench {{{','.join(BENCHES)}}} [OPTIONS]\n\n{scripts.bench.__doc__}"


def with_talk(options: Any) -> Any:
    """The options of a benchmark, with --quiet and --verbose where its room does not offer them."""
    import tyro

    missing = [
        (option.name, Annotated[bool, tyro.conf.arg(help=HELP[option.name])], field(default=False))
        for option in fields(Talk)
        if option.name not in {known.name for known in fields(options)}
    ]
    frozen = options.__dataclass_params__.frozen
    return make_dataclass(options.__name__, missing, bases=(options,), frozen=frozen)


def checked(options: Any) -> Any:
    """Whole numbers of things to measure are 1 or more."""
    for option in fields(options):
        value = getattr(options, option.name)
        if type(value) is int and value < 1 and option.name not in ("seed", "workers"):
            raise UserError(f"--{option.name} {value} must be 1 or more")
    return options


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
        with_talk(getattr(module, options)),
        lambda given: int(module.run(checked(given))),
        rest,
        prog=f"bench {name}",
        description=module.__doc__ or "",
    )


if __name__ == "__main__":
    sys.exit(main())
