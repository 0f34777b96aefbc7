"""The machine that a process runs on: what it may use of it, and what its file systems are."""
