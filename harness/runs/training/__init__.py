"""Fine-tuning as a step of its own whose checkpoint is kept and reused."""
