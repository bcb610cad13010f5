"""Looking for secrets in the memory of another process."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

WINDOW = 16
"""Octets in a row that count as a part of a secret: by chance they stand nowhere."""


def memory_of(process: int) -> bytes:
    """Everything that a process can write to: heap, stacks, data and anonymous mappings."""
    found = []
    with Path(f"/proc/{process}/maps").open() as maps, Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            area, permissions = line.split()[:2]
            if permissions[:2] == "rw":
                begin, end = (int(text, 16) for text in area.split("-"))
                memory.seek(begin)
                while begin < end and (part := memory.read(end - begin)):
                    found.append(part)
                    begin += len(part)
    return b"".join(found)


def parts_in(memory: bytes, secret: bytes) -> int:
    """How many parts of a secret are there, in either order of octets (OpenSSL's numbers are little-endian)."""
    return sum(
        form[at : at + WINDOW] in memory
        for form in (secret, secret[::-1])
        for at in range(0, len(secret) - WINDOW + 1, WINDOW // 2)
    )


def private_parts(pkcs8: bytes) -> list[bytes]:
    """The numbers that make a private key private."""
    key = serialization.load_der_private_key(pkcs8, None)
    if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        return [key.private_bytes_raw()]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return [key.private_numbers().private_value.to_bytes((key.key_size + 7) // 8)]
    assert isinstance(key, rsa.RSAPrivateKey)
    numbers = key.private_numbers()
    secret = (numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
    return [number.to_bytes((number.bit_length() + 7) // 8) for number in secret]
