"""The system contracts with typed arguments and answers, over a Client; one module each, written from the declarations."""
