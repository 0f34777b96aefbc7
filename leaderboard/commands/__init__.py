"""The commands that need the board: leaderboard, demo, reproduce."""
