"""`hdna report`: the page about a run, made from the run's files alone."""
