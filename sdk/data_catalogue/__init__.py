"""The catalogue as files: duties, systems and resources read from tables and written to them, compared, and put on the ledger."""
