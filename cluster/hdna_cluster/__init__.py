"""From one machine to a cluster: planning and launching."""
