"""A shard of a project's tasks: several machines divide a project without coordination."""

import re
from dataclasses import dataclass

_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


@dataclass(frozen=True)
class Shard:
    """One of several equal, disjoint shares of all tasks.

    A task's id alone decides its shard, so it never changes.

    Attributes:
        index: From 0 to count - 1.
        count: Number of shards.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `I/N`, with I from 0 to N-1.

        Raises:
            ValueError: The text is not a valid shard.
        """
        match = _SHARD.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"'{text}' is not a shard: write I/N, such as 0/4.")
        shard = cls(int(match[1]), int(match[2]))
        if shard.index >= shard.count:
            raise ValueError(f"there is no shard {text}: I counts from 0 to N-1.")
        return shard

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def has(self, task: int) -> bool:
        """Tell whether the task with this id belongs to the shard."""
        return task % self.count == self.index
