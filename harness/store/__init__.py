"""The results database: its rows, its migrations, and the progress of trainings."""
