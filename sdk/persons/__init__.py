"""Persons in access records: commitments under a key that the auditing authority alone holds, its service, and the client of it."""
