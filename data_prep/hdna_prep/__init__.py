"""FASTA to genome store to shard set: runs on a machine without torch."""
