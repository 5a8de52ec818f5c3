"""What anybody can verify without a node: proofs, certificates' files, OFD and PDF files, identifiers. Pure: bytes and a time go in."""
