"""OFD and PDF files off the chain: what they hold, which seals they carry, what those cover, and what of it was verified."""
