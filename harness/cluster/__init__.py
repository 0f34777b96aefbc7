"""The shards of a run on other machines: thin backends over existing engines, and their configuration."""
