"""Streams of episodes side by side: each learns from its own past, and the model answers all of them at once.

In a stream one episode follows another, so a model would answer one dialogue at a time. Here every stream has a thread,
and a model waits until each that still plays has asked. Replies do not depend on what is batched with what, so that the
streams are those that would be played one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from cmat_env.types import Dialogue, Generation, Policy


class Table:
    """Where streams sit together to ask one policy.

    Args:
        policy: who answers.
        seats: how many streams there are; each leaves when it is over.
    """

    def __init__(self, policy: Policy, seats: int) -> None:
        self._policy = policy
        self._seated = set(range(seats))
        self._asked: dict[int, tuple[list[Dialogue], int]] = {}
        self._answers: dict[int, list[Generation] | BaseException] = {}
        self._turn = threading.Condition()

    def ask(self, seat: int, dialogues: Sequence[Dialogue], seed: int) -> list[Generation]:
        """Replies to dialogues, as soon as all others have asked as well."""
        with self._turn:
            self._asked[seat] = list(dialogues), seed
            self._answer()
            self._turn.wait_for(lambda: seat in self._answers)
            answer = self._answers.pop(seat)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def leave(self, seat: int) -> None:
        """Nobody waits for this stream any more."""
        with self._turn:
            self._seated.discard(seat)
            self._answer()

    def release(self, dialogues: Sequence[Dialogue]) -> None:
        """These are over."""
        with self._turn:
            release = getattr(self._policy, "release", None)
            if release:
                release(dialogues)

    def _answer(self) -> None:
        """Answer all, in the order of the seats, if none that is seated is still thinking."""
        if not self._asked or self._asked.keys() != self._seated:
            return
        seats = sorted(self._asked)
        [seed] = {seed for _, seed in self._asked.values()}
        try:
            replies = iter(self._policy.generate([d for seat in seats for d in self._asked[seat][0]], seed=seed))
            self._answers |= {seat: [next(replies) for _ in self._asked[seat][0]] for seat in seats}
        except Exception as error:
            self._answers |= dict.fromkeys(seats, error)
        self._asked.clear()
        self._turn.notify_all()


class Seat:
    """The policy as one stream knows it."""

    def __init__(self, table: Table, number: int) -> None:
        self._table, self._number = table, number

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """See `Policy.generate`."""
        return self._table.ask(self._number, dialogues, seed)

    def release(self, dialogues: Sequence[Dialogue]) -> None:
        """These are over."""
        self._table.release(dialogues)


def together(policy: Policy, count: int, play: Callable[[int, Policy], None]) -> None:
    """Play so many streams at once.

    Args:
        policy: answers all of them.
        count: how many there are.
        play: plays a stream to its end, given its number and the policy to play with.
    """
    table = Table(policy, count)

    def sit(number: int) -> None:
        try:
            play(number, Seat(table, number))
        finally:
            table.leave(number)

    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(sit, number) for number in range(count)]:
            done.result()
