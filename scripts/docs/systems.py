"""Write docs/systems.md from the table of systems, so that the two cannot disagree.

python -m scripts.docs.systems docs/systems.md
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from scripts.docs.small_runs import CONDITIONS, MOTION, RUNS
from scripts.systems import rows
from streams.networks import NETWORKS
from streams.training import OTHER_RECIPE, PUBLISHED, recipe

HEAD = """\
# The systems

Written by `make docs` from the tables that `twostream systems` prints. Parameters are counted for
400 classes, on RGB frames where a network takes them; published ones are as their source states
them. Where two commands are named, the second learns from what the first one writes.
"""

NOTE = """\
\\* written down without comparing it with the paper's text once more. Weight decay spares biases
and norms in all of them. """


def cell(value: float | None) -> str:
    return f"{value / 1e6:.2f} M" if value else ""


def systems_table(systems: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| system | paper | trained by | here | published | blind to |",
        "|---|---|---|---|---|---|",
    ]
    for row in systems:
        steps = [row["first"], row["train"]] if row["first"] else [row["train"]]
        train = ", then ".join(f"`{step}`" for step in steps)
        published = f"{row['published']:.4g} M ({row['source']})" if row["published"] else ""
        cells = (row["name"], row["paper"], train, cell(row["parameters"]), published, row["blind"])
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def without_recipe() -> str:
    """Which networks `published` does not know, and what stands for it."""
    others = [f"{name}'s is `{known}`" for name, known in OTHER_RECIPE.items()]
    absent = [name for name in NETWORKS if name not in PUBLISHED and name not in OTHER_RECIPE]
    return f"No recipe is here for {', '.join(absent)}; {', '.join(others)}."


def published_table() -> list[str]:
    lines = ["| network | stated | not stated, so as in `modern` | departs |", "|---|---|---|---|"]
    for name, one in PUBLISHED.items():
        mark = "" if one.compared else " *"
        lines.append(f"| {name}{mark} | {one.stated} | {one.silent} | {one.departs} |")
    return lines


def runs_table() -> list[str]:
    lines = ["| network | stream | input | epochs | parameters | processor time | top-1 |"]
    lines.append("|---|---|---|---|---|---|---|")
    for run in RUNS:
        chosen = recipe("small", run.stream, run.network)
        seen = f"{chosen.input.steps} x {chosen.crop.size} px"
        epochs = str(chosen.optim.epochs)
        parts = (run.network, run.stream, seen, epochs, cell(small_parameters(chosen)))
        time = f"{run.processor_seconds} s"
        lines.append(f"| {' | '.join(parts)} | {time} | {100 * run.test_top1:.0f} % |")
    return lines


def small_parameters(chosen: Any) -> int:
    """Of the small network, for the 4 classes that it was run on."""
    import torch

    from streams.networks import parameters_of
    from streams.training import stream_net

    with torch.device("meta"):
        return parameters_of(stream_net(chosen, 4))


def systems_page() -> str:
    """The whole of docs/systems.md."""
    parts = [HEAD, *systems_table(rows()), ""]
    parts += [
        "## Published recipes",
        "",
        "`twostream train KIND --network NAME --recipe published`:",
    ]
    parts += ["", *published_table(), "", NOTE + without_recipe(), ""]
    parts += ["## The recipe `small`, measured", "", CONDITIONS, "", *runs_table(), "", MOTION, ""]
    return "\n".join(parts)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    Path(sys.argv[1]).write_text(systems_page(), encoding="utf-8")
