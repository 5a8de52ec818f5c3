"""The ledger and the process that runs it."""
