"""The differential test: agent-like statements, run on two backends and compared."""
