"""A real sandbox with tiny limits. Without one tests are skipped with the reason, and fail under CI=true."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cmat_env.envs.operating_system import OSEnv, OSTask, Sandbox, SandboxError, SandboxSettings
from cmat_env.envs.operating_system.backends.choose import choose

TINY = SandboxSettings(processes=48, memory=192 << 20, disk=32 << 20, inodes=3000, seconds=4.0, output=1 << 20)


@pytest.fixture(scope="session")
def settings() -> SandboxSettings:
    """Limits under which no attack can hurt the host."""
    try:
        choose(TINY)
    except SandboxError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    return TINY


@pytest.fixture
def sandbox(settings: SandboxSettings) -> Iterator[Sandbox]:
    """A fresh sandbox."""
    with Sandbox(settings) as made:
        yield made


@pytest.fixture
def begin(settings: SandboxSettings) -> Iterator[Callable[..., OSEnv]]:
    """Begins an episode of one task, in a sandbox with tiny limits."""
    made: list[OSEnv] = []

    def begin_(task: OSTask, **more: Any) -> OSEnv:
        env = OSEnv([task], sandbox=settings, **more)
        made.append(env)
        env.reset(seed=0)
        return env

    yield begin_
    for env in made:
        env.close()
