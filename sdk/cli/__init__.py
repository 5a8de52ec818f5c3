"""The govnode command line."""
