"""What the REST answers about deliveries and encryption keys look like: the models behind the OpenAPI description."""

from __future__ import annotations

from pydantic import BaseModel

from explorer.schemas import Words


class Parcel(BaseModel):
    """What a provider sent: salted digest of the payload, digest of the sealed file, bytes, rows, and which key it is sealed to."""

    payload: str
    sealed: str
    size: int
    sealed_size: int
    rows: int
    key_number: int


class Delivery(BaseModel):
    """A delivery, and what its consumer answered; `answered_ms` is 0 until then."""

    grant: str
    number: int
    provider: str
    provider_name: str
    consumer: str
    consumer_name: str
    parcel: Parcel
    delivered_ms: int
    deliverer: str
    answer: int
    answer_text: Words
    received: str
    note: str
    answered_ms: int
    answerer: str


class EncryptionKey(BaseModel):
    """The key that a department is sealed to with at present; `number` counts its keys."""

    department: str
    number: int
    public_key: str
    set_ms: int
    set_by: str
