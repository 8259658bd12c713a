"""Compact letter display: systems that share a letter cannot be told apart.

Piepho (2004). A letter is a set of systems of which no two can be told apart, and every such pair
must share one: a cover of a graph's edges by cliques (Gramm et al. 2007). The cover here is greedy,
in the order of the ranking, and is then thinned; it has few letters, not always the fewest.
"""

from __future__ import annotations

from string import ascii_letters

import numpy as np
from numpy.typing import NDArray


def alike_groups(apart: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """Sets of systems, in the order of their first: two share a set if and only if they are not
    `apart` (K, K), which is symmetric with a False diagonal."""
    systems = len(apart)
    covered = np.zeros_like(apart)
    groups: list[list[int]] = []
    for a in range(systems):
        for b in range(a + 1, systems):
            if apart[a, b] or covered[a, b]:
                continue
            group = _grown([a, b], apart)
            covered[np.ix_(group, group)] = True
            groups.append(group)
    alone = [[a] for a in range(systems) if not any(a in group for group in groups)]
    return sorted(tuple(group) for group in _thinned(groups) + alone)


def letters(groups: list[tuple[int, ...]], systems: int) -> list[str]:
    """The letters of each system: `ab` for one that is in the first and the second set."""
    names = [letter(i) for i in range(len(groups))]
    return [
        "".join(name for name, group in zip(names, groups, strict=True) if system in group)
        for system in range(systems)
    ]


def _grown(group: list[int], apart: NDArray[np.bool_]) -> list[int]:
    """With every system that none of the set can be told apart from, the nearest in rank first."""
    near = sorted(range(len(apart)), key=lambda k: min(abs(k - g) for g in group))
    for system in near:
        if system not in group and not apart[system, group].any():
            group = [*group, system]
    return sorted(group)


def _thinned(groups: list[list[int]]) -> list[list[int]]:
    """Without sets whose pairs all lie in other sets."""
    kept = list(groups)
    for group in groups:
        others = [other for other in kept if other is not group]
        pairs = [(a, b) for a in group for b in group if a < b]
        if all(any(a in other and b in other for other in others) for a, b in pairs):
            kept = others
    return kept


def letter(index: int) -> str:
    """a to z, A to Z, then a1, b1, ..."""
    round_, at = divmod(index, len(ascii_letters))
    return ascii_letters[at] + (str(round_) if round_ else "")
