"""What makes a policy an agent: its role, prompts, memory, reflection, and how its replies are read."""
