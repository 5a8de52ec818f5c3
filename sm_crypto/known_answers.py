"""One question with a known answer, put to every SM2 engine before its first use."""

from __future__ import annotations

from typing import Final

# The private key of GB/T 32918.5 annex A, and one signature by it over a 32-byte message, made once by OpenSSL.
TEST_SCALAR: Final = 0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8
TEST_PUBLIC_KEY: Final = bytes.fromhex(
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
TEST_MESSAGE: Final = bytes.fromhex("c522a942e89bd80d97dd666e7a5531b36188c9817149e9b258dfe51ece98ed77")
TEST_SIGNATURE: Final = bytes.fromhex(
    "aad4eb48d76ea66131a5d047fd1d251d163ee07a36d3a77cbd5d9b3a44711c9d96f1eacd7fce2813e3970c851ad1d40d98b5ca1f127f334f12019cf158a15622"
)
