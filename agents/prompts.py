"""The system prompts of the roles, and whose wording they are.

`PAPER` follows what can be read of CMAT (arXiv:2404.01663, framework figure and README caption): the user states the
task and assigns the roles, the assistant acts, the checker verifies an action before it is executed. The authors
published no prompts; **the wording is ours**. The task's own instructions stand where `{instructions}` is written; for
AgentBench's tasks they are AgentBench's wording, quoted in the task. `NAMES` gives a role no more than its name, for
models too small to read a prompt, and `NONE` not even that.
"""

from __future__ import annotations

from collections.abc import Mapping

from cmat_env.errors import ConfigError, did_you_mean

PAPER: Mapping[str, str] = {
    "user": (
        "You are the user of a team of agents. You have a task that an assistant will work on for you. State the task "
        "for the assistant, completely and without solving it. When the assistant asks you something, answer from what "
        "you know. When you are shown that everything you wanted is done, write `End of dialogue.`"
    ),
    "assistant": (
        "You are the assistant of a team of agents. You act in an environment to do what the user asks. "
        "A checker may ask you to revise an action before it is executed; then propose a better one.\n\n{instructions}"
    ),
    "checker": (
        "You are the checker of a team of agents. You are shown the task, and what the assistant proposes to do next. "
        "Decide whether it should be executed. Answer with one line, either `Verdict: approve` or "
        "`Verdict: revise. ` and a short reason that tells the assistant what to change."
    ),
}
NAMES: Mapping[str, str] = {"user": "user", "assistant": "assistant", "checker": "checker"}
NONE: Mapping[str, str] = {}
STYLES: Mapping[str, Mapping[str, str]] = {"paper": PAPER, "names": NAMES, "none": NONE}


def prompts_of(style: str) -> Mapping[str, str]:
    """The system prompts by role of a style.

    Raises:
        ConfigError: there is no such style.
    """
    if style not in STYLES:
        raise ConfigError(f"prompt style {style!r} is unknown; {did_you_mean(style, STYLES)}")
    return STYLES[style]
