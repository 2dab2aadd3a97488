"""What a run leaves under its URL: its files, their ownership, and the metrics of its steps."""
