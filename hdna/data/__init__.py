"""From shard sets to batches: curriculum and order are pure, stream does the reading."""
