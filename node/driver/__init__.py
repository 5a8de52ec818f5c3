"""One node's part in the network, deterministic: everything it does to the outside is handed in."""
