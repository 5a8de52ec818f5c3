"""Certificates in batches, off the chain: rows of a file checked, kept in one archive, put under one root, issued once."""
