import json
from enum import IntEnum
from pathlib import Path

import pytest

from ikesim.wire import registry
from ikesim.wire.registry import (
    TRANSFORM_IDS,
    EncryptionId,
    KeyExchangeId,
    NotifyType,
    ProtocolId,
    TransformType,
    is_error,
    name,
)

TABLES = {
    "exchange_types": registry.ExchangeType,
    "payload_types": registry.PayloadType,
    "transform_types": registry.TransformType,
    "transform_attributes": registry.TransformAttribute,
    "esn": registry.EsnId,
    "id_types": registry.IdType,
    "cert_encodings": registry.CertEncoding,
    "security_protocols": registry.ProtocolId,
    "traffic_selector_types": registry.TrafficSelectorType,
    "configuration_types": registry.ConfigurationType,
    "configuration_attributes": registry.ConfigurationAttribute,
    "hash_algorithms": registry.HashAlgorithm,
    "encryption": registry.EncryptionId,
    "prf": registry.PrfId,
    "integrity": registry.IntegrityId,
    "key_exchange_methods": registry.KeyExchangeId,
    "auth_methods": registry.AuthMethod,
    "notify_types": registry.NotifyType,
}
SPELLED = {"3DES": "TRIPLE_DES", "3IDEA": "TRIPLE_IDEA"}


def iana(vectors: Path) -> dict[str, dict[str, int]]:
    content = json.loads((vectors / "iana" / "ikev2.json").read_text())
    return {table: numbers for table, numbers in content.items() if isinstance(numbers, dict)}


def test_every_table_of_the_registry_has_its_enum(shared_vectors: Path) -> None:
    assert set(iana(shared_vectors)) == set(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_members_are_the_registry_and_nothing_else(shared_vectors: Path, table: str) -> None:
    numbers = {SPELLED.get(key, key): number for key, number in iana(shared_vectors)[table].items()}
    if table == "security_protocols":
        numbers["NONE"] = 0
    members = {key: member.value for key, member in TABLES[table].__members__.items()}
    assert members == numbers


def test_an_alias_would_hide_a_number() -> None:
    for enum in TABLES.values():
        assert len(enum.__members__) == len(list(enum)), enum


def test_every_transform_type_says_where_its_ids_are_listed() -> None:
    assert set(TRANSFORM_IDS) == set(TransformType)
    assert TRANSFORM_IDS[TransformType.ENCR] is EncryptionId
    # RFC 9370 section 2.2.1: additional key exchanges draw on the methods of transform type 4
    assert all(TRANSFORM_IDS[kind] is KeyExchangeId for kind in TransformType if kind == 4 or 6 <= kind <= 12)


@pytest.mark.parametrize(
    ("notify", "error"),
    [
        (0, False),
        (1, True),
        (NotifyType.AUTHENTICATION_FAILED, True),
        (16383, True),
        (16384, False),
        (NotifyType.COOKIE, False),
        (65535, False),
    ],
)
def test_notify_types_below_16384_are_errors(notify: int, error: bool) -> None:
    assert is_error(notify) is error


@pytest.mark.parametrize(
    ("enum", "number", "text"),
    [
        (EncryptionId, 20, "AES_GCM_16"),
        (EncryptionId, 4711, "encryption 4711"),
        (KeyExchangeId, 31, "CURVE25519"),
        (NotifyType, 24, "AUTHENTICATION_FAILED"),
        (NotifyType, 9999, "notify 9999"),
        (ProtocolId, 3, "ESP"),
    ],
)
def test_a_number_is_named_or_shown_with_what_it_is(enum: type[IntEnum], number: int, text: str) -> None:
    assert name(enum, number) == text


def test_every_enum_can_show_a_number_that_it_does_not_have() -> None:
    for enum in TABLES.values():
        assert name(enum, 60000).endswith(" 60000")
