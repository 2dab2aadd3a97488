"""How good a model is: bits per base on held-out sequence, and what simpler models reach there."""
