"""What a department's own system imports, and the command line."""
