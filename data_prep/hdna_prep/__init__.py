"""FASTA to genome store to shard set, on machines without torch."""
