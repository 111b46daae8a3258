"""The tasks, each a plain `gymnasium.Env[str, str]`, and what they have in common."""
