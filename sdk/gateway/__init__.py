"""The access gateway before a data service: checks grants, cuts answers down to them, and has every read recorded before it is answered."""
