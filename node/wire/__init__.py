"""Frames, and the TLS mesh that carries them."""
