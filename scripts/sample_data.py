"""Make sample videos of which it is known what each stream can learn from them.

python -m scripts.sample_data sample
python -m scripts.sample_data sample --motions 8 --seed 7
python -m scripts.sample_data tiny --groups 3 --clips 1 --appearances 2 --motions 2
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated

import tyro

from scripts.common import Talk, run_command
from scripts.samples import SampleData
from storage.progress import progress_bar, watched


@dataclass(frozen=True, kw_only=True)
class Options(SampleData):
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """Folder for videos/ and lists/."""
    json: bool = False
    """Print the summary as JSON."""
    talk: Talk = field(default_factory=Talk)


def run(options: Options) -> int:
    from scripts.samples import make_sample_data, sample_clips

    data = SampleData(**{one.name: getattr(options, one.name) for one in fields(SampleData)})
    number = len(data.classes) * data.groups * data.clips
    bar = progress_bar(number, "video", "sample videos", quiet=options.talk.quiet)
    ceilings = make_sample_data(options.out, data, watched(sample_clips(data), bar))
    if options.json:
        print(json.dumps({"out": str(options.out), "videos": number, **ceilings}))
        return 0
    print(
        f"{number} videos of {len(data.classes)} classes in {options.out / 'videos'}, "
        f"lists in {options.out / 'lists'}\n"
        f"ceilings: spatial {ceilings['spatial']:.1%}, temporal {ceilings['temporal']:.1%}, "
        f"fused {ceilings['fused']:.0%}"
    )
    return 0


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="sample_data", description=(__doc__ or "").strip())


if __name__ == "__main__":
    sys.exit(main())
