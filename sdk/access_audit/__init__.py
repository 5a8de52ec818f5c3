"""Audits of shared data from a node and the recorders: traces, findings, signed reports."""
