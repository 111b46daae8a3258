"""Does a policy keep its contract: one reply a dialogue, the same in any batch, dialogues left as they are?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from cmat_env.errors import ConfigError
from cmat_env.invariants import broken, global_random, short
from cmat_env.order import ROLES
from cmat_env.task_player import attempt
from cmat_env.types import Dialogue, Generation, Message, Oracle, Policy, Task

_CONTENTS = (
    "What is the largest city?\nTable cities (name, country, people).",
    "",
    "naïve 東京 🦊 \u202e \x00 {0} %s <|im_end|> [INST]",
    "word " * 1000,
)
_FINISHES = ("stop", "length", "error")


def check_policy(
    policy: Policy,
    *,
    roles: Sequence[str] = ROLES,
    task: Callable[[], Task] | None = None,
    seed: int = 0,
) -> None:
    """Let a policy answer dialogues of many kinds and raise at the first broken rule of `cmat_env.types.Policy`.

    Checked: one Generation a dialogue, in order; text, ids and log-probabilities that fit together; the same reply
    alone, in a batch, in another order, and whatever the global random state is; that dialogues are only encoded,
    never otherwise changed; empty, long and odd messages; a second turn; an empty batch.

    Args:
        policy: anything with `generate`.
        roles: those that it can play.
        task: makes a task; an `Oracle` meets it before it answers.
        seed: of the run.

    Raises:
        ContractError: what came, what was wanted, and how to mend it.
    """
    if not isinstance(policy, Policy):
        raise broken(
            came=f"{short(policy)} has no generate()", wanted="a Policy", mend="add generate(dialogues, seed=)"
        )
    if isinstance(policy, Oracle) and task is None:
        raise ConfigError(f"{type(policy).__name__} is an Oracle; give check_policy(..., task=YourTask)")
    if len(_generate(policy, [], seed)) != 0:
        raise broken(came="an empty batch gave replies", wanted="[]", mend="answer each dialogue once")
    with global_random(1, what="the policy"):
        alone = [_generate(policy, [dialogue], seed)[0] for dialogue in _dialogues(policy, roles, task)]
    with global_random(2, what="the policy"):
        together = _generate(policy, _dialogues(policy, roles, task), seed)
        backwards = _generate(policy, _dialogues(policy, roles, task)[::-1], seed)[::-1]
    for others, when in ((together, "in a batch"), (backwards, "in a batch in another order")):
        for dialogue, one, other in zip(_dialogues(policy, roles, task), alone, others, strict=True):
            if (one.text, one.token_ids) != (other.text, other.token_ids):
                raise broken(
                    came=f"to {short(dialogue.messages[-1].content)} {dialogue.role} says {short(one.text)} alone and "
                    f"{short(other.text)} {when}, under another global random state",
                    wanted="a reply that depends on the dialogue, its seed and the run's seed alone",
                    mend="draw from one generator a dialogue, made of seed, dialogue.seed and dialogue.replies",
                )
    _check_second_turn(policy, roles, task, seed)


def _dialogues(policy: Policy, roles: Sequence[str], task: Callable[[], Task] | None) -> list[Dialogue]:
    found = []
    for number, (role, content) in enumerate((role, content) for role in roles for content in _CONTENTS):
        messages = [Message("system", f"You are the {role}."), Message("environment", content)]
        dialogue = Dialogue(role, seed=number, messages=messages)
        if isinstance(policy, Oracle) and task is not None:
            met = task()
            met.reset(seed=number)
            policy.begin(dialogue, met)
        found.append(dialogue)
    return found


def _check_second_turn(policy: Policy, roles: Sequence[str], task: Callable[[], Task] | None, seed: int) -> None:
    dialogues = _dialogues(policy, roles, task)
    for _ in range(2):
        for dialogue, generation in zip(dialogues, _generate(policy, dialogues, seed), strict=True):
            dialogue.reply(generation)
            dialogue.say(Message("environment", "Go on."))


def _generate(policy: Policy, dialogues: list[Dialogue], seed: int) -> list[Generation]:
    """The replies, checked, and the dialogues checked to have been encoded at most."""
    before = [(list(each.messages), list(each.token_ids), list(each.turns), each.role, each.seed) for each in dialogues]
    generations = attempt(lambda: policy.generate(dialogues, seed=seed), f"generate() of {len(dialogues)} dialogues")
    if not isinstance(generations, list) or len(generations) != len(dialogues):
        raise broken(
            came=f"{len(dialogues)} dialogues gave {short(generations)}",
            wanted="a list of one Generation for each, in order",
            mend="answer every dialogue, also those that the model fails on (finish_reason='error')",
        )
    for dialogue, (messages, ids, turns, role, its_seed) in zip(dialogues, before, strict=True):
        kept = (dialogue.messages, dialogue.token_ids[: len(ids)], dialogue.turns, dialogue.role, dialogue.seed)
        lengths = {len(dialogue.token_ids), len(dialogue.action_mask), len(dialogue.logprobs)}
        if kept != (messages, ids, turns, role, its_seed) or len(lengths) != 1:
            raise broken(
                came=f"generate() changed {dialogue!r}",
                wanted="dialogues that it encodes (Dialogue.encode) and otherwise leaves alone",
                mend="let the caller append the reply with Dialogue.reply",
            )
    for generation in generations:
        _check_generation(generation)
    return generations


def _check_generation(generation: Any) -> None:
    if not isinstance(generation, Generation) or not isinstance(generation.text, str):
        raise broken(came=f"generate() gave {short(generation)}", wanted="a Generation", mend="give Generation(text)")
    if generation.finish_reason not in _FINISHES:
        raise broken(
            came=f"finish_reason={generation.finish_reason!r}",
            wanted=f"one of {_FINISHES}",
            mend="map it to one of these",
        )
    ids, logprobs = generation.token_ids, generation.logprobs
    if ids is not None and not all(type(each) is int and each >= 0 for each in ids):
        raise broken(came=f"token_ids={short(ids)}", wanted="a tuple of ints", mend="use tensor.tolist()")
    if logprobs is not None and not all(
        type(each) is float and math.isfinite(each) and each <= 1e-4 for each in logprobs
    ):
        raise broken(
            came=f"logprobs={short(logprobs)}",
            wanted="finite natural logarithms of probabilities, so none above 0",
            mend="take log_softmax of the processed logits",
        )
