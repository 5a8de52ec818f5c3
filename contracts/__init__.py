"""What the ledger can do: system contracts behind one call form and one ABI."""
