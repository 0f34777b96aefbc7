"""Quality control of masks: against the anatomy, and against what their texts say."""
