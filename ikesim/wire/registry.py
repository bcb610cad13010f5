"""Every IANA number of IKEv2, once, with the document that defines it.

Adding a notify is one line here; adding a transform is one line here and one entry in the table of `ikesim.crypto`.
Numbers off the wire stay plain integers: a number without a member is legal and is kept, shown by :func:`name`.
"""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType


class ExchangeType(IntEnum):
    """Exchange types: octet 18 of the header (RFC 7296 section 3.1)."""

    # RFC 7296
    IKE_SA_INIT = 34
    IKE_AUTH = 35
    CREATE_CHILD_SA = 36
    INFORMATIONAL = 37
    # RFC 5723
    IKE_SESSION_RESUME = 38
    # RFC 9242
    IKE_INTERMEDIATE = 43
    # RFC 9370
    IKE_FOLLOWUP_KE = 44


class PayloadType(IntEnum):
    """Next Payload values (RFC 7296 section 3.2)."""

    # RFC 7296: no next payload
    NONE = 0
    # RFC 7296
    SA = 33
    KE = 34
    IDi = 35
    IDr = 36
    CERT = 37
    CERTREQ = 38
    AUTH = 39
    NONCE = 40
    N = 41
    D = 42
    V = 43
    TSi = 44
    TSr = 45
    SK = 46
    CP = 47
    EAP = 48
    # RFC 6467
    GSPM = 49
    # RFC 7383
    SKF = 53
    # RFC 8019
    PS = 54


class TransformType(IntEnum):
    """Transform types (RFC 7296 section 3.3.2)."""

    # RFC 7296
    ENCR = 1
    PRF = 2
    INTEG = 3
    KE = 4
    ESN = 5
    # RFC 9370
    ADDKE1 = 6
    ADDKE2 = 7
    ADDKE3 = 8
    ADDKE4 = 9
    ADDKE5 = 10
    ADDKE6 = 11
    ADDKE7 = 12


class TransformAttribute(IntEnum):
    """Transform attribute types (RFC 7296 section 3.3.5)."""

    # RFC 7296
    KEY_LENGTH = 14


class EncryptionId(IntEnum):
    """Transform type 1, encryption algorithms. Key lengths are attributes, in bits."""

    # RFC 7296
    DES_IV64 = 1
    DES = 2
    TRIPLE_DES = 3
    RC5 = 4
    IDEA = 5
    CAST = 6
    BLOWFISH = 7
    TRIPLE_IDEA = 8
    DES_IV32 = 9
    # RFC 2410
    NULL = 11
    # RFC 3602
    AES_CBC = 12
    # RFC 5930
    AES_CTR = 13
    # RFC 5282
    AES_CCM_8 = 14
    AES_CCM_12 = 15
    AES_CCM_16 = 16
    AES_GCM_8 = 18
    AES_GCM_12 = 19
    AES_GCM_16 = 20
    # RFC 4543
    NULL_AUTH_AES_GMAC = 21
    # RFC 5529
    CAMELLIA_CBC = 23
    CAMELLIA_CTR = 24
    CAMELLIA_CCM_8 = 25
    CAMELLIA_CCM_12 = 26
    CAMELLIA_CCM_16 = 27
    # RFC 7634
    CHACHA20_POLY1305 = 28
    # RFC 8750
    AES_CCM_8_IIV = 29
    AES_GCM_16_IIV = 30
    CHACHA20_POLY1305_IIV = 31
    # RFC 9227
    KUZNYECHIK_MGM_KTREE = 32
    MAGMA_MGM_KTREE = 33
    KUZNYECHIK_MGM_MAC_KTREE = 34
    MAGMA_MGM_MAC_KTREE = 35


class PrfId(IntEnum):
    """Transform type 2, pseudorandom functions."""

    # RFC 7296
    HMAC_MD5 = 1
    HMAC_SHA1 = 2
    HMAC_TIGER = 3
    # RFC 4434
    AES128_XCBC = 4
    # RFC 4868
    HMAC_SHA2_256 = 5
    HMAC_SHA2_384 = 6
    HMAC_SHA2_512 = 7
    # RFC 4615
    AES128_CMAC = 8
    # RFC 9385
    HMAC_STREEBOG_512 = 9


class IntegrityId(IntEnum):
    """Transform type 3, integrity algorithms."""

    # RFC 7296
    NONE = 0
    HMAC_MD5_96 = 1
    HMAC_SHA1_96 = 2
    DES_MAC = 3
    KPDK_MD5 = 4
    AES_XCBC_96 = 5
    # RFC 4595
    HMAC_MD5_128 = 6
    HMAC_SHA1_160 = 7
    # RFC 4494
    AES_CMAC_96 = 8
    # RFC 4543
    AES_128_GMAC = 9
    AES_192_GMAC = 10
    AES_256_GMAC = 11
    # RFC 4868
    HMAC_SHA2_256_128 = 12
    HMAC_SHA2_384_192 = 13
    HMAC_SHA2_512_256 = 14


class KeyExchangeId(IntEnum):
    """Transform types 4 and 6 to 12, key exchange methods."""

    # RFC 7296
    MODP_768 = 1
    MODP_1024 = 2
    # RFC 3526
    MODP_1536 = 5
    MODP_2048 = 14
    MODP_3072 = 15
    MODP_4096 = 16
    MODP_6144 = 17
    MODP_8192 = 18
    # RFC 5903
    ECP_256 = 19
    ECP_384 = 20
    ECP_521 = 21
    # RFC 5114
    MODP_1024_160 = 22
    MODP_2048_224 = 23
    MODP_2048_256 = 24
    ECP_192 = 25
    ECP_224 = 26
    # RFC 6954
    BRAINPOOL_224 = 27
    BRAINPOOL_256 = 28
    BRAINPOOL_384 = 29
    BRAINPOOL_512 = 30
    # RFC 8031
    CURVE25519 = 31
    CURVE448 = 32
    # RFC 9385
    GOST3410_2012_256 = 33
    GOST3410_2012_512 = 34
    # draft-ietf-ipsecme-ikev2-mlkem
    ML_KEM_512 = 35
    ML_KEM_768 = 36
    ML_KEM_1024 = 37


class EsnId(IntEnum):
    """Transform type 5, extended sequence numbers."""

    # RFC 7296
    NO_ESN = 0
    ESN = 1


class NotifyType(IntEnum):
    """Notify message types: below 16384 errors, from there on status (RFC 7296 section 3.10.1)."""

    # RFC 7296
    UNSUPPORTED_CRITICAL_PAYLOAD = 1
    INVALID_IKE_SPI = 4
    INVALID_MAJOR_VERSION = 5
    INVALID_SYNTAX = 7
    INVALID_MESSAGE_ID = 9
    INVALID_SPI = 11
    NO_PROPOSAL_CHOSEN = 14
    INVALID_KE_PAYLOAD = 17
    AUTHENTICATION_FAILED = 24
    SINGLE_PAIR_REQUIRED = 34
    NO_ADDITIONAL_SAS = 35
    INTERNAL_ADDRESS_FAILURE = 36
    FAILED_CP_REQUIRED = 37
    TS_UNACCEPTABLE = 38
    INVALID_SELECTORS = 39
    # RFC 4555
    UNACCEPTABLE_ADDRESSES = 40
    UNEXPECTED_NAT_DETECTED = 41
    # RFC 5026
    USE_ASSIGNED_HoA = 42
    # RFC 7296
    TEMPORARY_FAILURE = 43
    CHILD_SA_NOT_FOUND = 44
    # RFC 9838
    INVALID_GROUP_ID = 45
    AUTHORIZATION_FAILED = 46
    # RFC 9370
    STATE_NOT_FOUND = 47
    # RFC 9611
    TS_MAX_QUEUE = 48
    # RFC 9838
    REGISTRATION_FAILED = 49
    # RFC 7296
    INITIAL_CONTACT = 16384
    SET_WINDOW_SIZE = 16385
    ADDITIONAL_TS_POSSIBLE = 16386
    IPCOMP_SUPPORTED = 16387
    NAT_DETECTION_SOURCE_IP = 16388
    NAT_DETECTION_DESTINATION_IP = 16389
    COOKIE = 16390
    USE_TRANSPORT_MODE = 16391
    HTTP_CERT_LOOKUP_SUPPORTED = 16392
    REKEY_SA = 16393
    ESP_TFC_PADDING_NOT_SUPPORTED = 16394
    NON_FIRST_FRAGMENTS_ALSO = 16395
    # RFC 4555
    MOBIKE_SUPPORTED = 16396
    ADDITIONAL_IP4_ADDRESS = 16397
    ADDITIONAL_IP6_ADDRESS = 16398
    NO_ADDITIONAL_ADDRESSES = 16399
    UPDATE_SA_ADDRESSES = 16400
    COOKIE2 = 16401
    NO_NATS_ALLOWED = 16402
    # RFC 4478
    AUTH_LIFETIME = 16403
    # RFC 4739
    MULTIPLE_AUTH_SUPPORTED = 16404
    ANOTHER_AUTH_FOLLOWS = 16405
    # RFC 5685
    REDIRECT_SUPPORTED = 16406
    REDIRECT = 16407
    REDIRECTED_FROM = 16408
    # RFC 5723
    TICKET_LT_OPAQUE = 16409
    TICKET_REQUEST = 16410
    TICKET_ACK = 16411
    TICKET_NACK = 16412
    TICKET_OPAQUE = 16413
    # RFC 5739
    LINK_ID = 16414
    # RFC 5840
    USE_WESP_MODE = 16415
    # RFC 5857
    ROHC_SUPPORTED = 16416
    # RFC 5998
    EAP_ONLY_AUTHENTICATION = 16417
    # RFC 6023
    CHILDLESS_IKEV2_SUPPORTED = 16418
    # RFC 6290
    QUICK_CRASH_DETECTION = 16419
    # RFC 6311
    IKEV2_MESSAGE_ID_SYNC_SUPPORTED = 16420
    IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED = 16421
    IKEV2_MESSAGE_ID_SYNC = 16422
    IPSEC_REPLAY_COUNTER_SYNC = 16423
    # RFC 6467
    SECURE_PASSWORD_METHODS = 16424
    # RFC 6631
    PSK_PERSIST = 16425
    PSK_CONFIRM = 16426
    # RFC 6867
    ERX_SUPPORTED = 16427
    # 3GPP TS 24.327
    IFOM_CAPABILITY = 16428
    # RFC 9838
    GROUP_SENDER = 16429
    # RFC 7383
    IKEV2_FRAGMENTATION_SUPPORTED = 16430
    # RFC 7427
    SIGNATURE_HASH_ALGORITHMS = 16431
    # RFC 7791
    CLONE_IKE_SA_SUPPORTED = 16432
    CLONE_IKE_SA = 16433
    # RFC 8019
    PUZZLE = 16434
    # RFC 8784
    USE_PPK = 16435
    PPK_IDENTITY = 16436
    NO_PPK_AUTH = 16437
    # RFC 9242
    INTERMEDIATE_EXCHANGE_SUPPORTED = 16438
    # RFC 8983
    IP4_ALLOWED = 16439
    IP6_ALLOWED = 16440
    # RFC 9370
    ADDITIONAL_KEY_EXCHANGE = 16441
    # RFC 9347
    USE_AGGFRAG = 16442
    # RFC 9593
    SUPPORTED_AUTH_METHODS = 16443
    # RFC 9611
    SA_RESOURCE_INFO = 16444
    # RFC 9867
    USE_PPK_INT = 16445
    PPK_IDENTITY_KEY = 16446


class IdType(IntEnum):
    """Identification types (RFC 7296 section 3.5)."""

    # RFC 7296
    ID_IPV4_ADDR = 1
    ID_FQDN = 2
    ID_RFC822_ADDR = 3
    ID_IPV6_ADDR = 5
    ID_DER_ASN1_DN = 9
    ID_DER_ASN1_GN = 10
    ID_KEY_ID = 11
    # RFC 4595
    ID_FC_NAME = 12
    # RFC 7619
    ID_NULL = 13


class CertEncoding(IntEnum):
    """Certificate encodings (RFC 7296 section 3.6)."""

    # RFC 7296
    PKCS7_WRAPPED_X509 = 1
    PGP = 2
    DNS_SIGNED_KEY = 3
    X509_SIGNATURE = 4
    KERBEROS_TOKEN = 6
    CRL = 7
    ARL = 8
    SPKI = 9
    X509_ATTRIBUTE = 10
    RAW_RSA_KEY = 11
    HASH_AND_URL = 12
    HASH_AND_URL_BUNDLE = 13
    # RFC 4806
    OCSP_CONTENT = 14
    # RFC 7670
    RAW_PUBLIC_KEY = 15


class AuthMethod(IntEnum):
    """Authentication methods (RFC 7296 section 3.8)."""

    # RFC 7296
    RSA_DIGITAL_SIGNATURE = 1
    SHARED_KEY_MAC = 2
    DSS_DIGITAL_SIGNATURE = 3
    # RFC 4754
    ECDSA_SHA2_256_P256 = 9
    ECDSA_SHA2_384_P384 = 10
    ECDSA_SHA2_512_P521 = 11
    # RFC 6467
    GENERIC_SECURE_PASSWORD_AUTHENTICATION_METHOD = 12
    # RFC 7619
    NULL = 13
    # RFC 7427
    DIGITAL_SIGNATURE = 14


class HashAlgorithm(IntEnum):
    """Hashes of SIGNATURE_HASH_ALGORITHMS (RFC 7427 section 4)."""

    # RFC 7427
    SHA1 = 1
    SHA2_256 = 2
    SHA2_384 = 3
    SHA2_512 = 4
    # RFC 8420
    IDENTITY = 5


class ProtocolId(IntEnum):
    """Security protocol identifiers (RFC 7296 section 3.3.1)."""

    # RFC 7296
    NONE = 0
    IKE = 1
    AH = 2
    ESP = 3


class TrafficSelectorType(IntEnum):
    """Traffic selector types (RFC 7296 section 3.13.1)."""

    # RFC 7296
    TS_IPV4_ADDR_RANGE = 7
    TS_IPV6_ADDR_RANGE = 8


class ConfigurationType(IntEnum):
    """Configuration payload types (RFC 7296 section 3.15)."""

    # RFC 7296
    CFG_REQUEST = 1
    CFG_REPLY = 2
    CFG_SET = 3
    CFG_ACK = 4


class ConfigurationAttribute(IntEnum):
    """Configuration attribute types (RFC 7296 section 3.15.1)."""

    # RFC 7296
    INTERNAL_IP4_ADDRESS = 1
    INTERNAL_IP4_NETMASK = 2
    INTERNAL_IP4_DNS = 3
    INTERNAL_IP4_NBNS = 4
    INTERNAL_IP4_DHCP = 6
    APPLICATION_VERSION = 7
    INTERNAL_IP6_ADDRESS = 8
    INTERNAL_IP6_DNS = 10
    INTERNAL_IP6_DHCP = 12
    INTERNAL_IP4_SUBNET = 13
    SUPPORTED_ATTRIBUTES = 14
    INTERNAL_IP6_SUBNET = 15


TRANSFORM_IDS: Mapping[TransformType, type[IntEnum]] = MappingProxyType(
    {
        TransformType.ENCR: EncryptionId,
        TransformType.PRF: PrfId,
        TransformType.INTEG: IntegrityId,
        TransformType.KE: KeyExchangeId,
        TransformType.ESN: EsnId,
        **{kind: KeyExchangeId for kind in TransformType if kind >= TransformType.ADDKE1},
    }
)
"""The registry of transform IDs that each transform type draws from."""

_LABELS: Mapping[type[IntEnum], str] = MappingProxyType(
    {
        ExchangeType: "exchange",
        PayloadType: "payload",
        TransformType: "transform type",
        TransformAttribute: "transform attribute",
        EncryptionId: "encryption",
        PrfId: "prf",
        IntegrityId: "integrity",
        KeyExchangeId: "key exchange",
        EsnId: "esn",
        NotifyType: "notify",
        IdType: "identity type",
        CertEncoding: "certificate encoding",
        AuthMethod: "authentication method",
        HashAlgorithm: "hash",
        ProtocolId: "protocol",
        TrafficSelectorType: "traffic selector type",
        ConfigurationType: "configuration type",
        ConfigurationAttribute: "configuration attribute",
    }
)


def is_error(notify: int) -> bool:
    """Whether a notify type reports an error (RFC 7296 section 3.10.1: types 1 to 16383)."""
    return 0 < notify < 16384


def name(enum: type[IntEnum], value: int) -> str:
    """The registered name of a number ("AES_GCM_16"), or what it is and the number ("encryption 4711")."""
    try:
        return enum(value).name
    except ValueError:
        return f"{_LABELS[enum]} {value}"
