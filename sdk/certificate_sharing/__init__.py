"""A certificate instead of a paper copy: what an issuer serves to departments that holders have authorised (docs/spec/authorisation.md)."""
