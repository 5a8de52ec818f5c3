"""What records reads of shared data: a durable store, and what puts its batches on the ledger (docs/spec/access-records.md)."""
