"""`hdna adapt`: from genomes and a source's weights to an adapted model and what it is worth."""
