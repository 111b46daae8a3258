"""Who plays a role: scripts, people, endpoints, Hugging Face models, TinyAgents, Stable-Baselines3."""
