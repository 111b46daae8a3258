"""Operating-system tasks: bash in a real sandbox, AgentBench's tasks and generated ones."""
