"""Measurements of the model on the device at hand: against attention, and of its rounding."""
