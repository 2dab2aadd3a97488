"""hdna: pretraining of HyenaDNA-style genomic foundation models, from a FASTA file to a checkpoint and a report."""

__version__ = "0.1.0"
