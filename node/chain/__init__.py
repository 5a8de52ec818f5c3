"""The ledger's pure part: encoding, Merkle trees, transactions, blocks, state and execution."""
