"""Tuning: warm start, updates from the environment's reward, checkpoints, and the run around them."""
