"""Train a stream, the fusion of two trained streams, or a network over sequences of features.

    twostream train spatial --store ucf.store --labels ucfTrainTestlist --out runs/spatial
    twostream train temporal --store ucf.store --labels ucfTrainTestlist --out runs/temporal
    twostream train temporal --store S --labels L --out RUN --recipe small --length 5 --epochs 20
    twostream train sequence --features rgb.features --labels L --out RUN --network lstm
    torchrun --nproc-per-node 4 -m twostream train temporal --store S --labels L --out RUN

    twostream train --resume RUN --epochs 40
    twostream train --config RUN/run.yaml --out ANOTHER --seed 1

The same command again goes on with a run that was stopped, and so does --resume; with more epochs
or steps it trains a run longer. `twostream train KIND --help` lists the
options of a kind; `--recipe NAME` before it shows that recipe's values.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scripts.common import (
    as_words,
    asked,
    default_values,
    given_names,
    mistake,
    options_of_run,
    read_options,
    run_command,
    run_task,
    without_defaults,
)
from storage.errors import UserError

KINDS = {
    "spatial": ("scripts.train_stream", "frames"),
    "temporal": ("scripts.train_stream", "stacks of flow"),
    "difference": ("scripts.train_stream", "differences of frames"),
    "motion": ("scripts.train_stream", "frames, without labels: motionnet's flow"),
    "transfer": ("scripts.train_stream", "clips beside a frame network: is it the same video?"),
    "sequence": ("scripts.train_sequence", "features of frozen networks, over time"),
    "fusion": ("scripts.train_fusion", "two trained streams, joined at a layer"),
}
"""Kind -> the file of its options, and what it learns from. The file has `options_for(kind, argv)`,
`description(kind, argv)` and `trainable(kind, options)`."""


DECISIVE = ("recipe", "network", "join", "weights")
"""Options that decide the defaults of others."""


def usage() -> str:
    known = {kind: text for kind, (module, text) in KINDS.items() if find_spec(module)}
    rows = "\n".join(f"  {kind:<11} {text}" for kind, text in known.items())
    return f"usage: twostream train KIND [OPTIONS]\n\nkinds:\n{rows}\n\n{(__doc__ or '').strip()}"


def taken_options(argv: list[str]) -> dict[str, Any] | None:
    """What --resume RUN or --config FILE stand for, with the kind; None without them."""
    run, file = asked(argv, "--resume"), asked(argv, "--config")
    if run and file:
        raise UserError("give --resume or --config, not both")
    if run:
        return options_of_run(Path(run)) | {"out": run}
    return read_options(Path(file)) if file else None


def complete(module: Any, kind: str, argv: list[str], values: dict[str, Any]) -> list[str]:
    """The words of the call, and those that `values` stand for."""
    given = given_names(argv)
    options_type = module.options_for(kind, [*as_words(values, {}, given), *argv])
    defaults = default_values(options_type) | dict.fromkeys(DECISIVE)
    return [*as_words(values, defaults, given), *without_defaults(argv, defaults)]


def main(argv: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0 if arguments else 2
    try:
        taken = taken_options(arguments)
    except UserError as error:
        return mistake("train", error)
    if taken is not None:
        known = str(taken.pop("kind", ""))
        if arguments[0].startswith("-"):
            arguments = [known, *arguments]
        elif known and arguments[0] != known:
            return mistake("train", f"those are options of a {known} run, not of {arguments[0]}")
    kind, *rest = arguments
    if kind not in KINDS or find_spec(KINDS[kind][0]) is None:
        print(
            f"twostream train: {kind!r} is not one of {', '.join(KINDS)}; the kind comes first, "
            "as in `twostream train spatial --store S --labels L --out RUN`",
            file=sys.stderr,
        )
        return 2
    module = import_module(KINDS[kind][0])
    try:
        if taken is not None:
            rest = complete(module, kind, rest, taken)
        options_type = module.options_for(kind, rest)
    except UserError as error:
        return mistake(f"train {kind}", error)
    return run_command(
        options_type,
        partial(run_task, kind, module.trainable),
        rest,
        prog=f"train {kind}",
        description=module.description(kind, rest),
    )


if __name__ == "__main__":
    sys.exit(main())
