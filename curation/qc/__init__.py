"""Quality control of masks: against the anatomy, and against their texts."""
