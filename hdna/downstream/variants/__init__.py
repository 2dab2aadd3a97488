"""Variants: how much less likely an allele makes the sequence around it, on both strands."""
