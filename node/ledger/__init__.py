"""Final blocks and the state over LevelDB."""
