"""Train a stream, the fusion of two trained streams, or a network over sequences of features.

    twostream train spatial --store ucf.store --labels ucfTrainTestlist --out runs/spatial
    twostream train temporal --store ucf.store --labels ucfTrainTestlist --out runs/temporal
    twostream train temporal --store S --labels L --out RUN --recipe small --length 5 --epochs 20
    twostream train sequence --features rgb.features --labels L --out RUN --network lstm
    torchrun --nproc-per-node 4 -m twostream train temporal --store S --labels L --out RUN

The same command again goes on with a run that was stopped. `twostream train KIND --help` lists the
options of a kind; `--recipe NAME` before it shows that recipe's values.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from importlib.util import find_spec

from scripts.common import mistake, run_command, run_task
from storage.errors import UserError

KINDS = {
    "spatial": ("scripts.train_stream", "frames"),
    "temporal": ("scripts.train_stream", "stacks of flow"),
    "difference": ("scripts.train_stream", "differences of frames"),
    "motion": ("scripts.train_stream", "frames, without labels: motionnet's flow"),
    "sequence": ("scripts.train_sequence", "features of frozen networks, over time"),
    "fusion": ("scripts.train_fusion", "two trained streams, joined at a layer"),
}
"""Kind -> the file of its options, and what it learns from. The file has `options_for(kind, argv)`,
`description(kind, argv)` and `trainable(kind, options)`."""


def usage() -> str:
    known = {kind: text for kind, (module, text) in KINDS.items() if find_spec(module)}
    rows = "\n".join(f"  {kind:<11} {text}" for kind, text in known.items())
    return f"usage: twostream train KIND [OPTIONS]\n\nkinds:\n{rows}\n\n{(__doc__ or '').strip()}"


def main(argv: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0 if arguments else 2
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
