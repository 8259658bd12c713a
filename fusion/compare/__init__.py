"""All systems of a split against each other: pairs, ranking, additions, errors, conditions."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from fusion.compare.complement import Additions, additions
    from fusion.compare.frontier import on_frontier
    from fusion.compare.letter_display import alike_groups, letter, letters
    from fusion.compare.mistakes import (
        ClassParts,
        ErrorKinds,
        class_parts,
        error_kinds,
        read_parts,
    )
    from fusion.compare.pairs import Comparison, compare, compare_splits
    from fusion.compare.strata import Condition, conditions

__getattr__, __all__ = exports(__name__, __file__)
