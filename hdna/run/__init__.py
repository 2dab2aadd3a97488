"""What a run leaves under its URL: which files, whose they are, and the metrics of its steps."""
