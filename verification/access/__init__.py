"""What departments record of each read of shared data, and how anybody checks that nothing is missing."""
