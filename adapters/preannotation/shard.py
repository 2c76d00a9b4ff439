"""A share of a project's tasks, so that several machines can divide it between them without talking."""

import re
from dataclasses import dataclass

_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


@dataclass(frozen=True)
class Shard:
    """One of several equal shares; they are disjoint, and together all tasks.

    A task belongs to the same share for ever, since only its number decides.

    Attributes:
        index: Which share, from 0.
        count: How many there are.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `I/N`, with I from 0 to N-1.

        Raises:
            ValueError: With a sentence that says what is wrong.
        """
        match = _SHARD.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"'{text}' is no share: write I/N, such as 0/4.")
        shard = cls(int(match[1]), int(match[2]))
        if shard.index >= shard.count:
            raise ValueError(f"there is no share {text}: I counts from 0 to N-1.")
        return shard

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def has(self, task: int) -> bool:
        """Tell whether a task, given by its number, belongs to this share."""
        return task % self.count == self.index
