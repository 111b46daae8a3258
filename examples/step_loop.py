"""A team on one database task, step by step, as in any PettingZoo environment.

Run:  python examples/step_loop.py
"""

from __future__ import annotations

from typing import Any

import cmat_env


def main() -> None:
    """Play one generated task with its own solution and a checker that approves."""
    env = cmat_env.make("cmat/DB-v0", tasks="generated:train")
    env.reset(seed=4)
    task: Any = env.task
    solution = iter(task.solution())  # an optional extra of a task
    for agent in env.agent_iter():
        observation, reward, terminated, truncated, _ = env.last()
        if terminated or truncated or observation is None:
            print(f"{agent:<12} is paid {reward:g} at the end")
            env.step(None)
            continue
        if agent == "user_0":
            action = observation["message"]  # what the environment asks, in the user's own words
        elif agent == "checker_0":
            action = "Verdict: approve"
        else:
            action = next(solution)
        print(f"{agent:<12} hears {env.SPEAKERS[observation['speaker']]}, is paid {reward:g}, says {action!r}")
        env.step(action)
    print(env.outcome)
    for payment in env.ledger.entries:
        print(payment)
    env.close()


if __name__ == "__main__":
    main()
