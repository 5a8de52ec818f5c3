"""What the HTTP services that a department runs beside its node have in common: who calls, and how a refusal is answered."""
