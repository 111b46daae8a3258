"""Farama's MiniWoB++."""
