"""What a run tells while it works, and how it is stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Report = Callable[[str, Mapping[str, Any]], None]
"""Called with the name of an event and its figures.

"notice" (text), "demonstrations" (episodes, of), "model" (parameters, vocabulary), "warm_start" (step, steps, loss),
"resumed" (iteration), "evaluation" (when, title, report), "iteration" (a line of metrics.jsonl), "finished" (what
report.json holds).
"""


class Interrupted(KeyboardInterrupt):
    """The user asked to stop; what is needed to resume is on disk."""
