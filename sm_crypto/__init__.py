"""National cryptography: SM2, SM3, SM4, keys, certificates and TLS."""
