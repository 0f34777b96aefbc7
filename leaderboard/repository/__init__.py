"""A repository of results: what `bench leaderboard init-repo` writes (``docs/submitting.md``)."""
