"""Labelled sets: what a checkpoint is worth on them, beside models that have never seen a genome."""
