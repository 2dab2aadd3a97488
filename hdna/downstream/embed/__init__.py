"""What a checkpoint makes of sequences: hidden states of any layer, pooled or per base, as tables and arrays."""
