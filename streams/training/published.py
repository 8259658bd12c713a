"""The recipe `published`: what each paper states of its network's training, and what it does not.

Where a paper is silent the values are those of `modern`, without what came into use later (label
smoothing, averaged weights, mixed precision, warm-up).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from storage.errors import UserError

if TYPE_CHECKING:
    from streams.training.recipes import Recipe


@dataclass(frozen=True)
class Published:
    """What differs from `modern`, part by part, and in words where it comes from."""

    stated: str
    """The paper, and what it says."""
    silent: str = ""
    """What it does not say."""
    departs: str = ""
    """What is not done here."""
    compared: bool = True
    """Whether the values were compared with the paper's text or the authors' files again."""
    optim: dict[str, Any] = field(default_factory=dict)
    crop: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)


def halved(every: int, of: int) -> dict[str, Any]:
    """The rate halved every so many steps."""
    return {
        "steps": of,
        "schedule": "steps",
        "milestones": tuple(step / of for step in range(every, of, every)),
        "factor": 0.5,
    }


def tenths(*milestones: int, of: int) -> dict[str, Any]:
    """A tenth of the rate at each of these steps."""
    return {
        "steps": of,
        "schedule": "steps",
        "milestones": tuple(step / of for step in milestones),
    }


OLD_TIMES: dict[str, Any] = {
    "nesterov": False,
    "warmup": 0.0,
    "clip": 0.0,
    "smoothing": 0.0,
    "ema": 0.0,
    "amp": "off",
}
BY_HAND = "the rate is lowered by hand or when validation stops improving; here by the cosine"

KARPATHY = Published(
    "Karpathy et al. 2014, section 4.1: batch 32, momentum .9, decay 5e-4, rate 1e-3; 170 px of "
    "200, mirrored",
    "length of the training",
    f"{BY_HAND}; many processes at once (Downpour SGD)",
    compared=False,
    optim={"lr": 1e-3, "batch": 32, "weight_decay": 5e-4},
    crop={"crops": "random", "test_share": 170 / 200},
)
QUO_VADIS = Published(
    "Carreira and Zisserman 2017, section 2.5: momentum .9, 110k steps, 224 px of 256, mirrored",
    "rate, batch of all processes, weight decay, dropout",
    BY_HAND,
    optim={"steps": 110_000},
    crop={"crops": "random"},
)
LRCN = Published(
    "Donahue et al. 2015, the authors' solver: batch of 24 clips of 16 frames, momentum .9, decay "
    "5e-3, rate 1e-3, a tenth every 10k steps, the classifier's ten times that; gradients clipped "
    "at 5; dropout .9 behind fc6, .5 behind the LSTM",
    "length of the training (here 30k steps)",
    "biases learn at the rate of weights; frames start from --weights of an lrcn-caffenet run",
    optim={
        "lr": 1e-3,
        "batch": 24,
        "weight_decay": 5e-3,
        "clip": 5.0,
        "head_lr": 10.0,
        **tenths(10_000, 20_000, of=30_000),
    },
    crop={"crops": "random"},
    network={"dropout": 0.5},
)
ATTENTION = Published(
    "Wang et al. 2017, section 4.2 (ImageNet): batch 64, Nesterov's momentum .9, decay 1e-4, rate "
    ".1, a tenth at 200k, 400k and 500k of 530k steps",
    "training on videos",
    compared=False,
    optim={
        "lr": 0.1,
        "batch": 64,
        "nesterov": True,
        "weight_decay": 1e-4,
        **tenths(200_000, 400_000, 500_000, of=530_000),
    },
    network={"dropout": 0.0, "weights": "none"},
)
T3D = Published(
    "Diba et al. 2017, section 4.2: batch 64, Nesterov's momentum .9, decay 1e-4, rate .1, 200 "
    "epochs, 32 frames at 224 px",
    "dropout",
    BY_HAND,
    compared=False,
    optim={"lr": 0.1, "batch": 64, "nesterov": True, "weight_decay": 1e-4, "epochs": 200},
)
CLOSER = Published(
    "Tran et al. 2018, section 4.1: rate .01, a tenth every 10 of 45 epochs, the first 10 for "
    "warming up; 112 px of 128 x 171, 32 clips a GPU",
    "number of GPUs, weight decay",
    "an epoch there is a million clips; three tenths, at 20, 30 and 40 epochs",
    compared=False,
    optim={
        "lr": 0.01,
        "epochs": 45,
        "schedule": "steps",
        "milestones": (20 / 45, 30 / 45, 40 / 45),
        "warmup": 10 / 45,
    },
    crop={"crops": "random"},
)

PUBLISHED: dict[str, Published] = {
    **{f"karpathy-{kind}": KARPATHY for kind in ("single", "late", "early", "slow")},
    "c3d": Published(
        "Tran et al. 2015, section 3.3 (Sports-1M): batch 30, rate .003, halved every 150k of 1.9M "
        "steps; 16 frames, 112 px of 128 x 171, mirrored",
        "momentum, weight decay",
        optim={"lr": 3e-3, "batch": 30, **halved(150_000, of=1_900_000)},
        crop={"crops": "random"},
    ),
    "3d-convnet": replace(
        QUO_VADIS,
        stated="Carreira and Zisserman 2017, section 2.5: momentum .9, 110k steps, mirrored; 16 "
        "frames at 112 px",
    ),
    "i3d": QUO_VADIS,
    "inception-v1": QUO_VADIS,
    "lrcn-caffenet": Published(
        "Donahue et al. 2015, the authors' solver: momentum .9, decay 5e-3, rate 1e-3, a tenth at "
        "3000 of 5000 steps",
        "batch",
        "theirs starts from ImageNet; biases learn at the rate of weights",
        optim={"lr": 1e-3, "weight_decay": 5e-3, **tenths(3000, of=5000)},
        crop={"crops": "random"},
    ),
    "lrcn": LRCN,
    "convnet-lstm": replace(
        QUO_VADIS,
        stated=f"{QUO_VADIS.stated}; 25 frames, every fifth, the loss at each",
        network={"dropout": 0.0},
    ),
    "attention56": ATTENTION,
    "attention92": ATTENTION,
    "densenet3d-121": T3D,
    "t3d121": T3D,
    "r3d18": CLOSER,
    "mc3-18": CLOSER,
    "r2plus1d-18": CLOSER,
    "motionnet": Published(
        "Zhu et al. 2018, the authors' solver: Adam, decay 4e-4, rate 3.2e-5, halved at 100k, "
        "200k, 250k, 300k and 350k of 400k steps",
        "batch (here 16)",
        "AdamW in Adam's place",
        optim={
            "lr": 3.2e-5,
            "batch": 16,
            "optimiser": "adamw",
            "weight_decay": 4e-4,
            **tenths(100_000, 200_000, 250_000, 300_000, 350_000, of=400_000),
            "factor": 0.5,
        },
    ),
    "hidden-two-stream": Published(
        "Zhu et al. 2018, the authors' solver: momentum .9, decay 5e-4, rate 1e-6, a tenth at 5000 "
        "and 9500 of 16,000 steps; VGG-16 behind MotionNet",
        "the weight of the motion's own loss (--own-loss, here 0)",
        "both parts start from weights that were trained before; here --weights gives MotionNet's",
        optim={"lr": 1e-6, **tenths(5000, 9500, of=16_000)},
        network={"weights": "none"},
    ),
}
"""Network -> what its paper states. BN-Inception's is `tsn`, VGG-M's is `2014`."""
OTHER_RECIPE = {"bn-inception": "tsn", "vgg-m": "2014"}


def as_published(base: Recipe, network: str) -> Recipe:
    """`base` is `modern` for this network."""
    if network not in PUBLISHED:
        known = OTHER_RECIPE.get(network)
        hint = f"that of {network} is --recipe {known}" if known else "--recipe modern trains all"
        raise UserError(
            f"--recipe published knows {', '.join(PUBLISHED)}, not {network or 'a ResNet'}; {hint}"
        )
    one = PUBLISHED[network]
    return replace(
        base,
        crop=replace(base.crop, **one.crop),
        network=replace(base.network, **one.network),
        optim=replace(base.optim, **OLD_TIMES | one.optim),
    )
