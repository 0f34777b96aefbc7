"""Fine-tuning as a separate step whose checkpoint is stored and reused."""
