"""Is a checkpoint any good, for what, and compared with what: everything behind `hdna eval`."""
