"""Runs: plan (content to identity), shard (the cases of one container), run (the pipeline)."""
