"""The tasks of reasoning-gym: a question for every seed, one answer, a score.

The package has about a hundred generators of questions with scorers (github.com/open-thought/reasoning-gym). Some of
the scorers run `eval` or sympy's parser, which is `eval` too, on what the model wrote; those are refused unless the
caller trusts the model with the machine.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import gymnasium

from cmat_env.envs.isolation import OwnRandom
from cmat_env.envs.source import number_of
from cmat_env.errors import ConfigError, MissingExtraError, UnknownNameError, did_you_mean
from cmat_env.spaces import AnyText
from cmat_env.types import Judgement

SPLITS = ("train", "heldout")
_RUNS_CODE = re.compile(r"\b(?:eval|exec|parse_expr|sympify)\(")
_LONGEST_ANSWER, _LONGEST_QUESTION = 10_000, 100_000
_SEEDS = 1 << 30


class ReasoningGymEnv(gymnasium.Env[str, str]):
    """One question of a reasoning-gym dataset; the episode is one answer, and its score in [0, 1] is the reward.

    The answer is what stands between `<answer>` and `</answer>`, as reasoning-gym has it, or else the whole text.
    Success is a full score; some scorers give a part of it for a wrong answer.

    Args:
        dataset: its name there.
        split: "train" or "heldout": even and odd seeds. Questions from few possibilities may still be alike.
        config: settings of the dataset.
        trust_answers: play also where the scorer runs code that stands in the answer.

    Raises:
        MissingExtraError: reasoning-gym is not installed.
        UnknownNameError: it has no such dataset.
        ConfigError: the split or the settings are wrong, or the scorer runs what the model writes.
    """

    instructions = "Answer the question. Write nothing but <answer>your answer</answer>."

    def __init__(
        self,
        *,
        dataset: str = "leg_counting",
        split: str = "train",
        config: dict[str, Any] | None = None,
        trust_answers: bool = False,
    ) -> None:
        if split not in SPLITS:
            raise ConfigError(f"split={split!r} is unknown; {did_you_mean(str(split), SPLITS)}")
        self.dataset, self.split, self.config = dataset, split, dict(config or {})
        self.task_types = (dataset,)
        self.observation_space = AnyText(_LONGEST_QUESTION)
        self.action_space = AnyText()
        scorer = type(self._made(0))
        if not trust_answers and _RUNS_CODE.search(inspect.getsource(scorer)):
            raise ConfigError(
                f"the scorer of dataset={dataset!r} runs code that may stand in an answer; choose another dataset, or "
                "set trust_answers=True where the model may do whatever this process may"
            )
        self.number = 0
        self._source: Any = None
        self._entry: dict[str, Any] = {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Ask the question of the seed; options={"task": n} asks question n."""
        super().reset(seed=seed)
        number = number_of(options, seed, self.np_random, below=_SEEDS)
        self._ask(number)
        return str(self._entry["question"])[:_LONGEST_QUESTION], self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Score the answer."""
        score, error = self._scored(action)
        info = {**self._info(), "success": score >= 1.0, "score": score}
        return "right" if score >= 1.0 else "wrong", score, True, False, {**info, **({"error": error} if error else {})}

    def solution(self) -> list[str]:
        """The dataset's own answer; none where it has none."""
        answer = self._entry.get("answer")
        return [] if answer is None else [f"<answer>{answer}</answer>"]

    def judge(self, action: str) -> Judgement:
        """Would it have a full score?"""
        return Judgement(good=self._scored(action)[0] >= 1.0)

    def snapshot(self) -> int:
        """Which question it is."""
        return self.number

    def restore(self, snapshot: int) -> None:
        """Ask it again."""
        self._ask(snapshot)

    def _ask(self, number: int) -> None:
        self.number = number
        self._source = self._made(number)
        with OwnRandom(number).used():
            self._entry = self._source[0]

    def _made(self, number: int) -> Any:
        """A dataset of one question; its generator reads nothing but the number and the split."""
        try:
            import reasoning_gym  # noqa: PLC0415 - slow to import, and optional
            from reasoning_gym.factory import DATASETS  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise MissingExtraError.of("reasoning-gym", "reasoning") from error
        if self.dataset not in DATASETS:
            raise UnknownNameError(
                f"reasoning-gym has no dataset {self.dataset!r}; {did_you_mean(self.dataset, DATASETS)}"
            )
        seed = 2 * (number % _SEEDS) + SPLITS.index(self.split)
        try:
            with OwnRandom(seed).used():
                return reasoning_gym.create_dataset(self.dataset, seed=seed, size=1, **self.config)
        except (TypeError, ValueError, AssertionError) as error:
            raise ConfigError(f"config={self.config!r} does not suit dataset={self.dataset!r}: {error}") from error

    def _scored(self, action: str) -> tuple[float, str]:
        """The score in [0, 1], and what the scorer raised, if it did: what it cannot read is worth nothing."""
        from reasoning_gym.utils import extract_answer  # noqa: PLC0415

        text = action[:_LONGEST_ANSWER]
        answer = extract_answer(text)
        try:
            with OwnRandom(self.number).used():
                score = float(self._source.score_answer(text.strip() if answer is None else answer, self._entry))
        except Exception as error:  # a scorer's way to say that it cannot read the answer
            return 0.0, f"{type(error).__name__}: {error}"[:200]
        return min(max(score, 0.0), 1.0), ""

    def _info(self) -> dict[str, Any]:
        return {"task_id": f"{self.dataset}-{self.split}-{self.number}", "task_type": self.dataset}
