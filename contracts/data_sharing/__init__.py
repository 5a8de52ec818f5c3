"""Contracts for data that departments share: catalogue, requests and grants, what was exchanged, and who read what."""
