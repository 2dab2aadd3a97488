"""The room of `hdna report`: the page that shows a run, made from the run's files alone."""
