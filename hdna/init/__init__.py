"""From genomes and a machine to a recipe, its reasons, and the commands to type."""
