"""Index, HTTP API and web pages over the node's read side."""
