"""JSON-RPC, and how blocks, transactions and proofs are shown."""
