"""Which videos come from one source, and a validation part that never parts them."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence

UCF = re.compile(r"^v_(?P<cls>.+)_(?P<group>g\d+)_c\d+$", re.IGNORECASE)
HMDB = re.compile(
    r"^(?P<source>.+)_(?:h|u|l|f)_(?:cm|nm)_np\d+_(?:fr|ba|le|ri)_(?:goo|med|bad)_\d+$"
)
KINETICS = re.compile(r"^(?P<source>.{11})_\d{6}_\d{6}$")


def group_of(video: str) -> str:
    """The source of a video, from its name. A name of no known pattern is a source of its own.

    UCF-101 numbers its groups within a class, so the class belongs to the group. HMDB-51 cuts
    clips of several classes from one film, so there the group spans classes, whatever list (or
    folder) names the clip.
    """
    folder, _, stem = video.rpartition("/")
    if match := UCF.match(stem):
        return f"{match['cls']}_{match['group']}"
    if match := HMDB.match(stem):
        return match["source"].removesuffix("_" + folder.rpartition("/")[2])
    if match := KINETICS.match(stem):
        return match["source"]
    return video


def order_of(group: str) -> str:
    """A fixed, arbitrary order of groups, the same on every machine.

    By the number first: where group 7 of every class is filmed in one scene, as in the sample
    data, the same scenes are chosen out of every class.
    """
    number = group.rpartition("_")[2]
    return hashlib.sha256(number.encode()).hexdigest() + group


def cut_validation(labels: Sequence[int], groups: Sequence[str], share: float) -> list[bool]:
    """Which rows go to the validation part: whole groups, about `share` of each class.

    Every class with at least two groups gives at least one and keeps at least one. A class whose
    videos all come from one source stays in training. The choice depends on the groups' names
    alone: not on the order of the list, and not on a seed.
    """
    if share == 0:
        return [False] * len(labels)
    members: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    of_class: dict[int, list[str]] = defaultdict(list)
    totals: dict[int, int] = defaultdict(int)
    for label, group in zip(labels, groups, strict=True):
        if label not in members[group]:
            of_class[label].append(group)
        members[group][label] += 1
        totals[label] += 1
    chosen: set[str] = set()
    taken: dict[int, int] = defaultdict(int)
    remaining = {label: len(names) for label, names in of_class.items()}
    for label in sorted(of_class):
        wanted = max(1, round(share * totals[label]))
        for group in sorted(of_class[label], key=order_of):
            if taken[label] >= wanted:
                break
            if group in chosen or any(remaining[other] <= 1 for other in members[group]):
                continue  # it would empty the training part of some class
            chosen.add(group)
            for other, count in members[group].items():
                taken[other] += count
                remaining[other] -= 1
    return [group in chosen for group in groups]
