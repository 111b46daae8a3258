"""What holds a file, a process or a machine until it is closed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """Closed at the end of a `with`, however that ends; the one base class that is for its methods' sake."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is held; twice is fine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
