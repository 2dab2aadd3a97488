"""How good a model is: bits per base, what simpler models reach, and the page that shows a run."""
