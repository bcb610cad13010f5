"""Which algorithms two peers agree on: proposals from configuration keywords, and the choice (RFC 7296 2.7, 3.3).

The keywords are strongSwan's ("aes128gcm16-prfsha256-x25519-ke1_mlkem768"), so that a proposal can be carried from
one configuration to the other.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from ikesim.wire.proposals import Proposal, Transform
from ikesim.wire.registry import EncryptionId as E
from ikesim.wire.registry import EsnId, ProtocolId, TransformType
from ikesim.wire.registry import IntegrityId as I
from ikesim.wire.registry import KeyExchangeId as K
from ikesim.wire.registry import PrfId as P

KNOWN_TRANSFORMS = 64
"""The longest list of transforms whose choice is remembered; those of today's daemons have 3 to 40."""
AEAD_ENCRYPTION = frozenset(
    (E.AES_CCM_8, E.AES_CCM_12, E.AES_CCM_16, E.AES_GCM_8, E.AES_GCM_12, E.AES_GCM_16, E.CHACHA20_POLY1305)
)


def _encryption_keywords() -> dict[str, Transform]:
    keywords = {
        "chacha20poly1305": Transform(TransformType.ENCR, E.CHACHA20_POLY1305),
        "null": Transform(TransformType.ENCR, E.NULL),
    }
    modes = {"": E.AES_CBC, "ctr": E.AES_CTR}
    for octets in (8, 12, 16):
        for mode, ids in (
            ("gcm", (E.AES_GCM_8, E.AES_GCM_12, E.AES_GCM_16)),
            ("ccm", (E.AES_CCM_8, E.AES_CCM_12, E.AES_CCM_16)),
        ):
            modes[f"{mode}{octets}"] = ids[octets // 4 - 2]
            modes[f"{mode}{octets * 8}"] = ids[octets // 4 - 2]
    for bits in (128, 192, 256):
        for mode, number in modes.items():
            keywords[f"aes{bits}{mode}"] = Transform(TransformType.ENCR, number, bits)
    return keywords


ENCRYPTION_KEYWORDS = _encryption_keywords()
INTEGRITY_KEYWORDS = {
    "sha256": I.HMAC_SHA2_256_128,
    "sha384": I.HMAC_SHA2_384_192,
    "sha512": I.HMAC_SHA2_512_256,
    "sha1": I.HMAC_SHA1_96,
    "sha2_256": I.HMAC_SHA2_256_128,
    "sha2_384": I.HMAC_SHA2_384_192,
    "sha2_512": I.HMAC_SHA2_512_256,
}
PRF_KEYWORDS = {
    "prfsha256": P.HMAC_SHA2_256,
    "prfsha384": P.HMAC_SHA2_384,
    "prfsha512": P.HMAC_SHA2_512,
    "prfsha1": P.HMAC_SHA1,
}
KEY_EXCHANGE_KEYWORDS = {
    "x25519": K.CURVE25519,
    "curve25519": K.CURVE25519,
    "x448": K.CURVE448,
    "curve448": K.CURVE448,
    "ecp256": K.ECP_256,
    "ecp384": K.ECP_384,
    "ecp521": K.ECP_521,
    "ecp256bp": K.BRAINPOOL_256,
    "ecp384bp": K.BRAINPOOL_384,
    "ecp512bp": K.BRAINPOOL_512,
    "modp1024": K.MODP_1024,
    "modp1536": K.MODP_1536,
    "modp2048": K.MODP_2048,
    "modp3072": K.MODP_3072,
    "modp4096": K.MODP_4096,
    "modp6144": K.MODP_6144,
    "modp8192": K.MODP_8192,
    "mlkem768": K.ML_KEM_768,
    "mlkem1024": K.ML_KEM_1024,
}
ADDITIONAL_EXCHANGES = tuple(kind for kind in TransformType if kind >= TransformType.ADDKE1)
"""Transform types of the key exchanges after the first, in the order in which they are made (RFC 9370 2.2.1)."""
NO_EXCHANGE = "none"
"""In "ke1_none": it will do without this exchange."""
_ADDITIONAL = frozenset(ADDITIONAL_EXCHANGES)
_EXCHANGES = (TransformType.KE, *ADDITIONAL_EXCHANGES)
_OPTIONAL = _ADDITIONAL | {TransformType.INTEG, TransformType.KE, TransformType.ESN}
"""Types that we may do without when the peer's offer has NONE among them."""
_ADDITIONAL_KEYWORD = re.compile(r"ke([1-7])_(\w+)")
ESN_KEYWORDS = {"noesn": EsnId.NO_ESN, "esn": EsnId.ESN}

# strongSwan's rule: an IKE proposal without a PRF takes those of its integrity algorithms.
_PRF_OF_INTEGRITY: dict[int, int] = {
    I.HMAC_SHA1_96: P.HMAC_SHA1,
    I.HMAC_SHA2_256_128: P.HMAC_SHA2_256,
    I.HMAC_SHA2_384_192: P.HMAC_SHA2_384,
    I.HMAC_SHA2_512_256: P.HMAC_SHA2_512,
}


def parse_ike_proposal(text: str) -> Proposal:
    """Read an IKE proposal from keywords joined by "-".

    Raises ValueError with a sentence for unknown keywords and for combinations that RFC 7296 3.3.3 or RFC 5282 8
    forbid.
    """
    transforms = _transforms(text, {**PRF_KEYWORDS}, esn=False)
    kinds = _by_type(transforms)
    if TransformType.PRF not in kinds:
        derived = [_PRF_OF_INTEGRITY[item.id] for item in kinds.get(TransformType.INTEG, ())]
        transforms += [Transform(TransformType.PRF, number) for number in derived]
        kinds = _by_type(transforms)
    _check_encryption(text, kinds)
    _check_exchanges(text, kinds)
    if TransformType.PRF not in kinds:
        raise ValueError(f"proposal {text!r} has no PRF: add one of {', '.join(PRF_KEYWORDS)}")
    if TransformType.KE not in kinds:
        raise ValueError(f"proposal {text!r} has no key exchange method: add x25519, ecp256 or modp2048, say")
    if any(item.id == E.NULL for item in kinds[TransformType.ENCR]):
        raise ValueError(f"proposal {text!r}: IKE messages are never sent unencrypted")
    return Proposal(0, ProtocolId.IKE, b"", tuple(sorted(transforms, key=lambda item: item.type)))


def parse_esp_proposal(text: str, *, esn: bool = False) -> Proposal:
    """Read an ESP proposal from keywords; key exchange methods ask for PFS. `esn` is used where no keyword says.

    Raises ValueError with a sentence for unknown keywords and forbidden combinations.
    """
    transforms = _transforms(text, {}, esn=True)
    kinds = _by_type(transforms)
    _check_encryption(text, kinds)
    _check_exchanges(text, kinds)
    if TransformType.ESN not in kinds:
        transforms.append(Transform(TransformType.ESN, EsnId.ESN if esn else EsnId.NO_ESN))
    return Proposal(0, ProtocolId.ESP, b"", tuple(transforms))


def _transforms(text: str, prf: Mapping[str, int], *, esn: bool) -> list[Transform]:
    found: list[Transform] = []
    tables: list[tuple[TransformType, Mapping[str, int]]] = [
        (TransformType.INTEG, INTEGRITY_KEYWORDS),
        (TransformType.PRF, prf),
        (TransformType.KE, KEY_EXCHANGE_KEYWORDS),
        (TransformType.ESN, ESN_KEYWORDS if esn else {}),
    ]
    for word in text.lower().split("-"):
        if word in ENCRYPTION_KEYWORDS:
            found.append(ENCRYPTION_KEYWORDS[word])
            continue
        additional = _ADDITIONAL_KEYWORD.fullmatch(word)
        if additional is not None and additional[2] in (NO_EXCHANGE, *KEY_EXCHANGE_KEYWORDS):
            kind = ADDITIONAL_EXCHANGES[int(additional[1]) - 1]
            found.append(Transform(kind, KEY_EXCHANGE_KEYWORDS.get(additional[2], 0)))
            continue
        for kind, table in tables:
            if word in table:
                found.append(Transform(kind, table[word]))
                break
        else:
            if word in PRF_KEYWORDS:
                raise ValueError(f"{word!r} in {text!r}: a PRF belongs to IKE proposals only")
            if word in ESN_KEYWORDS:
                raise ValueError(f"{word!r} in {text!r}: ESN belongs to ESP proposals only")
            raise ValueError(f"{word!r} in {text!r} is no algorithm keyword")
    if len(set(found)) != len(found):
        raise ValueError(f"proposal {text!r} names an algorithm twice")
    return sorted(found, key=lambda item: item.type)


def _by_type(transforms: Iterable[Transform]) -> dict[int, list[Transform]]:
    kinds: dict[int, list[Transform]] = {}
    for item in transforms:
        kinds.setdefault(item.type, []).append(item)
    return kinds


def _check_encryption(text: str, kinds: Mapping[int, Sequence[Transform]]) -> None:
    ciphers = kinds.get(TransformType.ENCR, ())
    if not ciphers:
        raise ValueError(f"proposal {text!r} has no encryption algorithm")
    combined = sum(item.id in AEAD_ENCRYPTION for item in ciphers)
    if combined not in (0, len(ciphers)):
        raise ValueError(f"proposal {text!r} mixes combined-mode and other ciphers: write two proposals (RFC 5282 8)")
    if combined and TransformType.INTEG in kinds:
        raise ValueError(f"proposal {text!r}: a combined-mode cipher takes no integrity algorithm (RFC 5282 8)")
    if not combined and TransformType.INTEG not in kinds:
        raise ValueError(f"proposal {text!r} has no integrity algorithm: add sha256, say")


def _check_exchanges(text: str, kinds: Mapping[int, Sequence[Transform]]) -> None:
    if not _ADDITIONAL & kinds.keys():
        return
    if TransformType.KE not in kinds:
        raise ValueError(f"proposal {text!r} has an additional key exchange without a first one (RFC 9370 2.2.1)")
    if _first_distinct([kinds[kind] for kind in _EXCHANGES if kind in kinds]) is None:
        raise ValueError(f"proposal {text!r} would use one key exchange method twice (RFC 9370 2.2.1)")


@dataclass(frozen=True, slots=True)
class Algorithms:
    """One chosen algorithm of each kind; None where the proposal has none (KE 0 is NONE)."""

    encryption: int
    key_bits: int | None
    integrity: int | None
    prf: int | None
    key_exchange: int | None
    esn: bool
    additional: tuple[int, ...] = ()
    """The methods of the key exchanges after the first, in order (RFC 9370)."""


def algorithms(proposal: Proposal) -> Algorithms:
    """The algorithms of a chosen proposal (one transform a type)."""
    return _algorithms(proposal.transforms)


@lru_cache(maxsize=256)
def _algorithms(transforms: tuple[Transform, ...]) -> Algorithms:
    """Without number and SPI, which are others each time."""
    chosen = {item.type: item for item in transforms}
    cipher = chosen[TransformType.ENCR]
    integrity = chosen.get(TransformType.INTEG)
    prf = chosen.get(TransformType.PRF)
    exchange = chosen.get(TransformType.KE)
    esn = chosen.get(TransformType.ESN)
    return Algorithms(
        encryption=cipher.id,
        key_bits=cipher.key_length,
        integrity=integrity.id if integrity and integrity.id else None,
        prf=prf.id if prf else None,
        key_exchange=exchange.id if exchange and exchange.id else None,
        esn=bool(esn and esn.id == EsnId.ESN),
        additional=tuple(chosen[kind].id for kind in ADDITIONAL_EXCHANGES if kind in chosen and chosen[kind].id),
    )


def numbered(proposals: Iterable[Proposal], spi: bytes = b"") -> tuple[Proposal, ...]:
    """Proposals as they are offered: numbered from 1, with our SPI (RFC 7296 3.3.1)."""
    return tuple(
        [Proposal(number, item.protocol, spi, item.transforms) for number, item in enumerate(proposals, start=1)]
    )


def without_key_exchange(proposals: Iterable[Proposal]) -> tuple[Proposal, ...]:
    """ESP proposals as IKE_AUTH offers them: its CHILD SA has no key exchange of its own (RFC 7296 1.2)."""
    return tuple(
        [Proposal(item.number, item.protocol, item.spi, _without_exchanges(item.transforms)) for item in proposals]
    )


@lru_cache(maxsize=256)
def _without_exchanges(transforms: tuple[Transform, ...]) -> tuple[Transform, ...]:
    return tuple(item for item in transforms if item.type not in _EXCHANGES)


def key_exchange_methods(proposals: Iterable[Proposal]) -> tuple[int, ...]:
    """The key exchange methods of proposals, in order of preference, each once."""
    return tuple(dict.fromkeys([method for proposal in proposals for method in _methods(proposal.transforms)]))


@lru_cache(maxsize=256)
def _methods(transforms: tuple[Transform, ...]) -> tuple[int, ...]:
    return tuple(item.id for item in transforms if item.type == TransformType.KE)


def offers_additional(proposals: Iterable[Proposal]) -> bool:
    """Whether proposals have key exchanges after the first."""
    return any(_has_additional(proposal.transforms) for proposal in proposals)


@lru_cache(maxsize=256)
def _has_additional(transforms: tuple[Transform, ...]) -> bool:
    return any(item.type in _ADDITIONAL and item.id for item in transforms)


def choose(
    offered: Sequence[Proposal], own: Sequence[Proposal], prefer: str = "ours", *, additional: bool = True
) -> Proposal | None:
    """The proposal to accept, with one transform a type, the peer's number and the peer's SPI; None if none fits.

    `prefer` says whose order decides, "ours" or "theirs". A proposal with a transform type that we do not know, or of
    another protocol, is passed over (RFC 7296 3.3.6). Without `additional` there is no way to make key exchanges
    after the first, so that only NONE will do for them.
    """
    pairs = product(own, offered) if prefer == "ours" else (pair[::-1] for pair in product(offered, own))
    for ours, theirs in pairs:
        if theirs.protocol != ours.protocol:
            continue
        # long lists would only pin memory
        agree = _agreed if len(theirs.transforms) <= KNOWN_TRANSFORMS else _agree
        transforms = agree(theirs.transforms, ours.transforms, prefer, additional)
        if transforms is not None:
            return Proposal(theirs.number, theirs.protocol, theirs.spi, transforms)
    return None


def _agree(
    theirs: tuple[Transform, ...], ours: tuple[Transform, ...], prefer: str, additional: bool
) -> tuple[Transform, ...] | None:
    """One transform a type that both sides allow; None if there is none for a type that must be there."""
    offered, accepted = _by_type(theirs), _by_type(ours)
    options: dict[int, list[Transform]] = {}
    for kind in sorted(offered.keys() | accepted.keys()):
        first, second = (accepted, offered) if prefer == "ours" else (offered, accepted)
        if kind not in offered:
            # RFC 7296 3.3.3: an ESP proposal without ESN means NO_ESN; anything else we require must be offered.
            optional = kind == TransformType.ESN or kind in _ADDITIONAL
            if optional and any(item.id == 0 for item in accepted[kind]):
                continue
            return None
        if kind not in accepted:
            options[kind] = [item for item in offered[kind] if item.id == 0 and _known(item)][:1]
            if not options[kind] or kind not in _OPTIONAL:
                return None
            continue
        both = [item for item in first[kind] if item in second[kind] and _known(item)]
        if kind in _ADDITIONAL and not additional:
            both = [item for item in both if item.id == 0]
        if not both:
            return None
        options[kind] = both
    exchanges = [kind for kind in _EXCHANGES if kind in options]
    if len(exchanges) > 1:
        distinct = _first_distinct([options[kind] for kind in exchanges])
        if distinct is None:
            return None
        options |= {kind: [item] for kind, item in zip(exchanges, distinct, strict=True)}
    return tuple(items[0] for items in options.values())


_agreed = lru_cache(maxsize=256)(_agree)
"""The same, remembered: peers of a kind offer the same again and again."""


def _first_distinct(options: Sequence[Sequence[Transform]]) -> tuple[Transform, ...] | None:
    """The first choice of one transform from each list, by the order of the lists, that has no method twice."""
    return next(_distinct(options, frozenset()), None)


def _distinct(options: Sequence[Sequence[Transform]], used: frozenset[int]) -> Iterator[tuple[Transform, ...]]:
    if not options:
        yield ()
        return
    for item in dict.fromkeys(options[0]):
        if item.id not in used:
            for rest in _distinct(options[1:], used | {item.id} if item.id else used):
                yield (item, *rest)


def _known(item: Transform) -> bool:
    return not item.attributes


def accepted(answer: Sequence[Proposal], offered: Sequence[Proposal]) -> Proposal | None:
    """The peer's choice among what we offered, checked: exactly one proposal, one transform a type, all of them ours.

    None if the peer chose something that was not on offer (RFC 7296 3.3.6).
    """
    if len(answer) != 1 or len(answer[0].transforms) > len(TransformType):
        return None
    choice = answer[0]
    for proposal in offered:
        if (proposal.number, proposal.protocol) != (choice.number, choice.protocol):
            continue
        return choice if _within(choice.transforms, proposal.transforms) else None
    return None


@lru_cache(maxsize=256)
def _within(chosen: tuple[Transform, ...], offered: tuple[Transform, ...]) -> bool:
    """Whether a choice of transforms is one that an offer allows."""
    kinds = [item.type for item in chosen]
    offer = {item.type for item in offered}
    waived = {item.type for item in offered if item.type in _ADDITIONAL and item.id == 0}
    optional = {TransformType.INTEG, TransformType.KE, TransformType.ESN} - offer
    required = offer - waived - {TransformType.ESN}
    if len(set(kinds)) != len(kinds) or not required <= set(kinds) <= offer | optional:
        return False
    for item in chosen:
        if item not in offered and not (item.type in optional and item.id == 0):
            return False
    methods = [item.id for item in chosen if item.type in _EXCHANGES and item.id]
    return len(set(methods)) == len(methods)


def proposal_text(proposal: Proposal) -> str:
    """A proposal in the configuration's keywords, "aes128gcm16-prfsha256-x25519"; unknown numbers as they are."""
    return "-".join(_keyword(item) for item in proposal.transforms if _keyword(item))


def _keyword(item: Transform) -> str:
    if item.type == TransformType.ENCR:
        bare = Transform(item.type, item.id, item.key_length)
        return next((word for word, known in ENCRYPTION_KEYWORDS.items() if known == bare), f"encryption{item.id}")
    if item.type in (TransformType.INTEG, TransformType.KE) and item.id == 0:
        return ""
    if item.type == TransformType.ESN:
        return "esn" if item.id == EsnId.ESN else ""
    if item.type in _ADDITIONAL:
        method = next((word for word, number in KEY_EXCHANGE_KEYWORDS.items() if number == item.id), None)
        label = ADDITIONAL_EXCHANGES.index(item.type) + 1
        return f"ke{label}_{method or (f'group{item.id}' if item.id else NO_EXCHANGE)}"
    names: dict[int, tuple[str, Mapping[str, int]]] = {
        TransformType.INTEG: ("integrity", INTEGRITY_KEYWORDS),
        TransformType.PRF: ("prf", PRF_KEYWORDS),
        TransformType.KE: ("group", KEY_EXCHANGE_KEYWORDS),
    }
    kind, table = names.get(item.type, (f"transform{item.type}.", {}))
    return next((word for word, number in table.items() if number == item.id), f"{kind}{item.id}")
