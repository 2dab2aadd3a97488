"""Everything that says torch.distributed."""
