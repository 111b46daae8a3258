"""Replies for many callers at once: what waits while a batch is decoded becomes the next batch."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from cmat_env.policies.hf import MAX_BATCH, HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.types import Dialogue, Generation

_KEPT_SAMPLINGS = 16


@dataclass(slots=True)
class Job:
    """One reply that somebody waits for.

    Attributes:
        model: whose reply.
        dialogue: to answer; its seed decides what is sampled.
        sampling: the distribution.
        on_token: told each token's id as it is sampled, in the decoding thread.
        reply: what comes of it.
    """

    model: str
    dialogue: Dialogue
    sampling: Sampling
    on_token: Callable[[int], object] | None = None
    reply: Future[Generation] = field(default_factory=Future)


class Batcher:
    """Answers jobs in a thread of its own, those of one model and distribution together.

    Args:
        policies: by model's name.
        window: how long the first job of a batch waits for others, in seconds.

    Attributes:
        batches: sizes of the batches so far.
    """

    def __init__(self, policies: Mapping[str, HFPolicy], *, window: float = 0.005) -> None:
        self._policies = dict(policies)
        self._twins: dict[tuple[str, Sampling], HFPolicy] = {}
        self._window = window
        self._waiting: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.batches: list[int] = []
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> Future[Generation]:
        """Wait in line."""
        self._waiting.put(job)
        return job.reply

    def close(self) -> None:
        """Answer what waits already, then stop."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            time.sleep(self._window)
            jobs = [first]
            while len(jobs) < MAX_BATCH and not self._waiting.empty():
                job = self._waiting.get()
                if job is None:
                    self._waiting.put(None)
                    break
                jobs.append(job)
            groups: dict[tuple[str, Sampling], list[Job]] = {}
            for job in jobs:
                groups.setdefault((job.model, job.sampling), []).append(job)
            for (model, sampling), group in groups.items():
                self._answer(self._policy(model, sampling), group)

    def _policy(self, model: str, sampling: Sampling) -> HFPolicy:
        """The model under a distribution; each keeps a cache of its own, so the oldest is forgotten in time."""
        key = model, sampling
        if key not in self._twins:
            self._twins[key] = self._policies[model].with_sampling(sampling)
            if len(self._twins) > _KEPT_SAMPLINGS:
                self._twins.pop(next(iter(self._twins)))
        return self._twins[key]

    def _answer(self, policy: HFPolicy, jobs: list[Job]) -> None:
        self.batches.append(len(jobs))
        dialogues = [job.dialogue for job in jobs]

        def on_token(row: int, token_id: int) -> None:
            tell = jobs[row].on_token
            if tell is not None:
                tell(token_id)

        try:
            replies = policy.generate(dialogues, seed=0, on_token=on_token)
        except Exception as error:  # whatever it is, those who wait must hear of it
            for job in jobs:
                job.reply.set_exception(error)
        else:
            for job, reply in zip(jobs, replies, strict=True):
                job.reply.set_result(reply)
        finally:
            policy.release(dialogues)
