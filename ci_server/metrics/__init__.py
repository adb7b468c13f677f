"""What Prometheus reads: of this process, of the others, and of what they share."""
