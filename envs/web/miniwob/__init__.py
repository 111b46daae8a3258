"""Farama's MiniWoB++ with text in and text out."""

from __future__ import annotations

from cmat_env.envs.web.miniwob.env import MiniWoBEnv

__all__ = ["MiniWoBEnv"]
