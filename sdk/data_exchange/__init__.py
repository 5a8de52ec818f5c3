"""Exchange of payloads between departments: sealed files that go from point to point, and their digests on the ledger."""
