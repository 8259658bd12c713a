"""What every system gets: the same for all of a kind, and stated beside the result."""

from __future__ import annotations

from dataclasses import dataclass

from storage.errors import UserError

BATCH = 16
"""Videos a step."""


@dataclass(frozen=True)
class Budget:
    """Steps of 16 videos."""

    steps: int = 400
    """Of every network on pictures or flow, and of conv fusion."""
    sequence_steps: int = 600
    """Of every network on features."""
    families: float = 1.0
    """Families of videos that each question has, as a multiple of its own number."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.sequence_steps < 1:
            raise UserError(
                f"--steps {self.steps} and --sequence-steps {self.sequence_steps} must both be at "
                "least 1"
            )
        if not 0 < self.families <= 10:
            raise UserError(f"--families {self.families} must be over 0, up to 10")

    @property
    def quick(self) -> Budget:
        """Less of everything."""
        return Budget(max(1, self.steps // 4), max(1, self.sequence_steps // 2), self.families / 2)

    @property
    def sentence(self) -> str:
        return (
            f"{self.steps} steps of {BATCH} videos for every network on pictures or flow, "
            f"{self.sequence_steps} for every network on features"
        )
