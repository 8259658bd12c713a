"""Let the systems sit an exam of which it is known who can pass: which idea is for what.

    twostream exam --out exam --quick
    twostream exam --out exam
    twostream exam --out exam --questions binding order --seeds 3
    twostream exam --out exam --systems late-average conv-fusion network:r3d18
    twostream exam --list

Makes the videos of each question, extracts them, trains each system with the same budget by the
project's own commands, scores and judges. The same command again goes on where the last one
stopped. OUT/index.html shows the result, results.json and results.csv hold it.

Systems of your own: network:NAME (any network of `twostream systems`, and of `train sequence`),
spatial:RECIPE, temporal:RECIPE, and run:FOLDER (the settings of a run, or of a run.yaml). Each may
be followed by =FAMILY, which says what is known of it.
"""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from scripts.exam.command import main

__getattr__, __all__ = exports(__name__, __file__)
