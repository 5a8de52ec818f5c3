"""Measurements that users can repeat: each prints one JSON object with the units in its keys."""
