"""Make a run of somebody else's weights.

    twostream adopt rgb_imagenet.pt --network i3d --input rgb --classes kinetics.txt --out RUN
    twostream adopt tsn_flow.pth.tar --network bn-inception --input flow --classes C --out RUN
    twostream adopt r3d_18.pth --network r3d18 --input rgb --classes C --out RUN

Weights of torchvision, timm, pytorch-i3d, tsn-pytorch, mmaction2 (TSN and I3D) and of this program
are known by the names of their tensors; nothing but tensors is read of a file. `score`, `predict`
and `report` then take the run as any other, and `twostream train ... --weights RUN` starts from it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from scripts.common import Talk, run_command
from storage.errors import UserError
from streams.training import Adoption, wait_asleep


@dataclass(frozen=True)
class Options:
    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """A state dict (.pt, .pth, .tar, .safetensors), or a checkpoint that holds one."""
    network: str
    """The network's name: one that `twostream systems` lists, torchvision:NAME or timm:NAME."""
    input: Literal["rgb", "flow"]
    """What the network looks at."""
    classes: Path
    """The names of its classes in order, a line each (`Archery` or `3 Archery`)."""
    out: Path
    """The run's folder; it is made."""
    adoption: Adoption = field(default_factory=Adoption)
    short_side: int | None = None
    """Pixels of the shorter side to which `predict` brings a video (default: as a file of ours
    says, else --size by --test-share: 256 for 224)."""
    name: str = ""
    """The run's name in score tables and reports (default: its kind)."""
    json: bool = False
    """Print the summary as JSON."""
    talk: Talk = field(default_factory=Talk)


def run(options: Options) -> int:
    wait_asleep()
    from flow.extraction import Recipe
    from flow.video import Resize
    from storage.catalog import read_class_list
    from streams.training import Recipe as StreamRecipe
    from streams.training import adopt

    classes = list(read_class_list(options.classes).names)
    if len(classes) < 2:
        raise UserError(f"--classes {options.classes} names {len(classes)} classes; two are needed")

    def store(chosen: StreamRecipe) -> dict[str, Any]:
        side = options.short_side or round(chosen.crop.size / chosen.crop.test_share)
        return Recipe(resize=Resize(side)).config().to_json()

    done = adopt(
        options.file,
        options.out,
        network=options.network,
        modality=options.input,
        classes=classes,
        store=store,
        asked=options.adoption,
        name=options.name,
        own_store=options.short_side is None,
    )
    seen = done.recipe.settings()["input"]
    if options.json:
        summary = {
            "run": str(options.out),
            "layout": done.layout,
            "weights": done.hash,
            "parameters": done.parameters,
            "input": seen,
            "size": done.recipe.crop.size,
        }
        print(json.dumps(summary))
        return 0
    look = ", ".join(f"{key} {value}" for key, value in seen.items() if key != "kind")
    print(
        f"{options.out}: {options.network} with {done.parameters:,} numbers, in the names of "
        f"{done.layout}; weights {done.hash}\n"
        f"it looks at {seen['kind']} of {done.recipe.crop.size} pixels ({look}); what of this its "
        "origin has otherwise can be changed by an option"
    )
    return 0


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="adopt", description=(__doc__ or "").strip())


if __name__ == "__main__":
    sys.exit(main())
