"""Several tasks in one world, one after the other: `CompositeEnv` around any task that can begin where it stands."""

from cmat_env.envs.composite.env import CompositeEnv
from cmat_env.envs.composite.tasks import Composite

__all__ = ["Composite", "CompositeEnv"]
