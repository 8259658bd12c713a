"""What the recipe `small` reached on sample data, run by run, as it was measured."""

from __future__ import annotations

from typing import NamedTuple


class SmallRun(NamedTuple):
    """One run of `twostream train STREAM --network NAME --recipe small`, scored with 2x1 views."""

    network: str
    stream: str
    processor_seconds: int
    """Of training and validation, on one core."""
    test_top1: float
    """Of 32 test clips; 1/4 by chance."""


CONDITIONS = """\
`python -m scripts.sample_data mid --appearances 2 --motions 2 --groups 12 --clips 2`: 4 classes, 56
training, 8 validation and 32 test clips of 13 frames; flow by DIS; 4 steps of 16 clips an epoch,
seed 0, one thread of a two-core machine on which other work kept the load at 10 to 25. Time is the
process's own. Chance is 25 %, one standard deviation of it 7.7 points. The ceiling is
50 % for a single frame and for flow, 100 % for clips of frames. One seed of a small set: it says
that a network learns here, not which one is better.

`karpathy-late` stays at what one frame shows: its towers meet behind maps of 2 x 2 places, and with
clips of 3 frames and 48 epochs it reached 50 % too. `c3d` reached 56 % by SGD in 24 epochs, so its
recipe is AdamW. `r3d18`, `mc3-18`, `r2plus1d-18`, `s3d`, `fstcn` and `convnet-lstm` learn the
appearance in 96 steps and no motion; `s3d` at 32 px went on for 288 steps, to 38 % by SGD and 47 %
by AdamW, and by then knew the training clips by heart. The networks that are not in the table
were not measured."""

MOTION = """\
`twostream train motion --recipe small --epochs 60` on the same clips (240 steps, 120 s of one
core): on the validation clips MotionNet's flow ends 0.43 px from the store's, in pixels of the 64
px input, where no motion at all is 0.81 px from it. At step 32 it was 0.54 px."""

RUNS = (
    SmallRun("karpathy-single", "spatial", 18, 0.50),
    SmallRun("karpathy-late", "spatial", 30, 0.4375),
    SmallRun("karpathy-early", "spatial", 93, 0.96875),
    SmallRun("karpathy-slow", "spatial", 45, 0.71875),
    SmallRun("3d-convnet", "spatial", 58, 1.0),
    SmallRun("c3d", "spatial", 143, 0.90625),
    SmallRun("fstcn", "spatial", 352, 0.46875),
    SmallRun("r3d18", "spatial", 359, 0.53125),
    SmallRun("mc3-18", "spatial", 330, 0.46875),
    SmallRun("r2plus1d-18", "spatial", 454, 0.46875),
    SmallRun("s3d", "spatial", 245, 0.46875),
    SmallRun("convnet-lstm", "spatial", 109, 0.5),
    SmallRun("resnet18", "spatial", 61, 0.5),
    SmallRun("resnet34", "spatial", 106, 0.5),
    SmallRun("vgg-m", "spatial", 86, 0.50),
    SmallRun("caffenet", "temporal", 75, 0.53125),
    SmallRun("inception-v1", "temporal", 58, 0.50),
    SmallRun("bn-inception", "spatial", 72, 0.50),
)
