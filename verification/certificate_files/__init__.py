"""Certificate documents, presentations and annotated copies as files: made, read strictly, and verified without a node."""
