"""Proposals from keywords, and the choice between two sides. Numbers are those of the IANA registry."""

import pytest

from ikesim.ike.negotiation import (
    accepted,
    choose,
    numbered,
    parse_esp_proposal,
    parse_ike_proposal,
    proposal_text,
    without_key_exchange,
)
from ikesim.wire.proposals import Proposal, Transform


def triples(proposal: Proposal) -> list[tuple[int, int, int | None]]:
    return [(item.type, item.id, item.key_length) for item in proposal.transforms]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # type 1 ENCR, 2 PRF, 3 INTEG, 4 KE; 20 AES_GCM_16, 5 PRF_HMAC_SHA2_256, 31 Curve25519
        ("aes128gcm16-prfsha256-x25519", [(1, 20, 128), (2, 5, None), (4, 31, None)]),
        ("aes256gcm16-prfsha384-ecp384", [(1, 20, 256), (2, 6, None), (4, 20, None)]),
        # strongSwan: without a PRF keyword it follows from the integrity algorithm
        ("aes128-sha256-modp2048", [(1, 12, 128), (2, 5, None), (3, 12, None), (4, 14, None)]),
        ("aes256ctr-sha512-ecp521", [(1, 13, 256), (2, 7, None), (3, 14, None), (4, 21, None)]),
        ("chacha20poly1305-prfsha256-curve448", [(1, 28, None), (2, 5, None), (4, 32, None)]),
        ("aes128ccm8-aes128gcm12-prfsha1-modp8192", [(1, 14, 128), (1, 19, 128), (2, 2, None), (4, 18, None)]),
    ],
)
def test_ike_keywords_name_transforms(text: str, expected: list[tuple[int, int, int | None]]) -> None:
    proposal = parse_ike_proposal(text)
    assert triples(proposal) == expected
    assert proposal.protocol == 1


@pytest.mark.parametrize(
    ("text", "esn", "expected"),
    [
        ("aes128gcm16", False, [(1, 20, 128), (5, 0, None)]),
        ("aes128gcm16", True, [(1, 20, 128), (5, 1, None)]),
        ("aes256-sha256-x25519", False, [(1, 12, 256), (3, 12, None), (4, 31, None), (5, 0, None)]),
        ("aes128gcm16-esn-noesn", False, [(1, 20, 128), (5, 1, None), (5, 0, None)]),
        ("null-sha256", False, [(1, 11, None), (3, 12, None), (5, 0, None)]),
    ],
)
def test_esp_keywords_name_transforms(text: str, esn: bool, expected: list[tuple[int, int, int | None]]) -> None:
    assert triples(parse_esp_proposal(text, esn=esn)) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("aes128gcm16-sha256-prfsha256-x25519", "takes no integrity"),
        ("aes128-prfsha256-x25519", "no integrity"),
        ("aes128gcm16-aes128-sha256-x25519", "mixes"),
        ("aes128gcm16-x25519", "no PRF"),
        ("aes128gcm16-prfsha256", "no key exchange"),
        ("prfsha256-x25519", "no encryption"),
        ("aes128gcm16-prfsha256-x25519-rot13", "'rot13'"),
        ("aes128gcm16-prfsha256-x25519-x25519", "twice"),
        ("aes128gcm16-prfsha256-x25519-esn", "ESP proposals only"),
        ("null-sha256-x25519", "never sent unencrypted"),
    ],
)
def test_impossible_ike_proposals_are_refused_with_the_cause(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_ike_proposal(text)


def test_a_prf_in_an_esp_proposal_is_refused() -> None:
    with pytest.raises(ValueError, match="IKE proposals only"):
        parse_esp_proposal("aes128gcm16-prfsha256")


OURS = (parse_ike_proposal("aes128gcm16-prfsha256-x25519"), parse_ike_proposal("aes256gcm16-prfsha384-ecp384"))
THEIRS = numbered(
    (
        parse_ike_proposal("aes256gcm16-prfsha384-ecp384-x25519"),
        parse_ike_proposal("aes256gcm16-aes128gcm16-prfsha384-prfsha256-ecp384-x25519"),
    )
)


@pytest.mark.parametrize(
    ("prefer", "number", "chosen"),
    [
        ("ours", 2, "aes128gcm16-prfsha256-x25519"),
        ("theirs", 1, "aes256gcm16-prfsha384-ecp384"),
    ],
)
def test_preference_decides_whose_order_counts(prefer: str, number: int, chosen: str) -> None:
    answer = choose(THEIRS, OURS, prefer)
    assert answer is not None
    assert (answer.number, proposal_text(answer)) == (number, chosen)


def test_a_choice_does_not_depend_on_what_was_chosen_before() -> None:
    # RFC 9370: without IKE_INTERMEDIATE only NONE will do for an additional key exchange
    hybrid = (parse_ike_proposal("aes128gcm16-prfsha256-x25519-ke1_mlkem768"),)
    for _ in range(2):
        for prefer, number in (("theirs", 1), ("ours", 2)):
            answer = choose(THEIRS, OURS, prefer)
            assert answer is not None
            assert answer.number == number
        for additional in (True, False):
            assert (choose(numbered(hybrid), hybrid, additional=additional) is not None) is additional


def test_the_longest_offer_is_searched_like_any_other() -> None:
    # 255 transforms are as many as a proposal can count
    long = Proposal(1, 1, b"", (*(Transform(1, 1000 + number) for number in range(252)), *OURS[0].transforms))
    answer = choose((long,), OURS)
    assert answer is not None
    assert proposal_text(answer) == "aes128gcm16-prfsha256-x25519"


def test_nothing_in_common_is_no_choice() -> None:
    assert choose(numbered((parse_ike_proposal("aes128-sha256-modp2048"),)), OURS) is None


def test_a_proposal_with_an_unknown_transform_type_is_passed_over() -> None:
    # RFC 7296 3.3.6: a proposal with an unknown transform type is not to be chosen.
    strange = Proposal(1, 1, b"", (*OURS[0].transforms, Transform(99, 1)))
    plain = Proposal(2, 1, b"", OURS[0].transforms)
    answer = choose((strange, plain), OURS)
    assert answer is not None
    assert answer.number == 2


def test_a_transform_with_an_unknown_attribute_is_passed_over() -> None:
    strange = Transform(1, 20, 128, ((4711, b"x"),))
    assert choose((Proposal(1, 1, b"", (strange, *OURS[0].transforms[1:])),), OURS) is None
    assert choose((Proposal(1, 1, b"", (strange, *OURS[0].transforms)),), OURS) is not None


def test_an_offered_none_stands_for_what_we_do_not_have() -> None:
    # RFC 7296 3.3.2: a combined-mode proposal may list INTEG NONE.
    offered = Proposal(1, 1, b"", (*OURS[0].transforms, Transform(3, 0)))
    answer = choose((offered,), OURS)
    assert answer is not None
    assert (3, 0, None) in triples(answer)


def test_a_required_key_exchange_must_be_offered() -> None:
    with_pfs = parse_esp_proposal("aes128gcm16-x25519")
    assert choose((parse_esp_proposal("aes128gcm16"),), (with_pfs,)) is None
    assert choose((with_pfs,), (parse_esp_proposal("aes128gcm16"),)) is None


def test_ike_auth_offers_no_key_exchange() -> None:
    offered = without_key_exchange((parse_esp_proposal("aes128gcm16-x25519"),))
    assert triples(offered[0]) == [(1, 20, 128), (5, 0, None)]


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        ([Proposal(1, 1, b"", OURS[0].transforms)], True),
        ([Proposal(2, 1, b"", OURS[1].transforms)], True),
        ([Proposal(2, 1, b"", OURS[0].transforms)], False),  # the number of another proposal
        ([Proposal(1, 3, b"", OURS[0].transforms)], False),  # another protocol
        ([Proposal(1, 1, b"", OURS[0].transforms[:-1])], False),  # a transform type is missing
        ([Proposal(1, 1, b"", (*OURS[0].transforms, Transform(4, 14)))], False),  # two of a type
        ([Proposal(1, 1, b"", (*OURS[0].transforms[:-1], Transform(4, 14)))], False),  # never offered
        ([Proposal(1, 1, b"", OURS[0].transforms * 85)], False),  # all of them again and again
        ([Proposal(1, 1, b"", OURS[0].transforms), Proposal(2, 1, b"", OURS[1].transforms)], False),  # two choices
        ([], False),
    ],
)
def test_only_what_was_offered_is_accepted(answer: list[Proposal], good: bool) -> None:
    assert (accepted(answer, numbered(OURS)) is not None) is good


def test_a_proposal_is_shown_in_the_words_it_was_written_in() -> None:
    for text in (
        "aes128gcm16-prfsha256-x25519",
        "aes128-prfsha256-sha256-modp2048",
        "chacha20poly1305-prfsha512-x448",
    ):
        assert proposal_text(parse_ike_proposal(text)) == text
