"""What the tests of verification share: a chain made by hand."""

from tests.hand_made_chain import chain, identifier, node, other_validators, run, trust_path

__all__ = ["chain", "identifier", "node", "other_validators", "run", "trust_path"]
