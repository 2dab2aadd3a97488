"""Planning and launching, on one machine or a cluster."""
