"""Model quality: bits per base on held-out sequence, and simpler models' scores beside it."""
