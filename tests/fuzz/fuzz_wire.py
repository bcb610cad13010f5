"""Coverage-guided fuzzing of the codec: `python -m tests.fuzz.fuzz_wire [libFuzzer options] [corpus folders]`.

Only WireError may come out, and what was read must be written and read as the same again. It stops at the first
violation and leaves the input in a file `crash-...`; without `-runs=100000` or `-max_total_time=60` it never ends.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ikesim.wire"]):
    from ikesim.wire import demux, fragments, message, payloads, selectors
from ikesim.errors import WireError
from tests.wire.cases import CASES, FAULTS

HEADER = message.Header(b"\1" * 8, b"\2" * 8, 0, 0x20, 35, 8, 1, 0)
BODY, CHAIN, DATAGRAM, FRAGMENTS = range(4)
"""The first octet of an input, modulo 4, says what the rest is; the second is a payload type where one is needed."""


def seeds() -> list[bytes]:
    """Inputs to start from: every hand-made case in each of the forms."""
    found = [bytes((BODY, case.value.kind)) + case.octets for case in CASES]
    found += [bytes((BODY, fault.kind)) + fault.octets for fault in FAULTS]
    for case in CASES:
        octets = message.encode_message(HEADER, (case.value,))
        found += [bytes((DATAGRAM, 0)) + octets, bytes((CHAIN, case.value.kind)) + octets[28:]]
    found.append(bytes((FRAGMENTS, 0)) + bytes.fromhex("0103 616263 0203 646566 0303 676869"))
    return found


def read_again(payload: payloads.Payload) -> None:
    """Write a payload and read it back."""
    if isinstance(payload, payloads.Opaque):
        return
    if type(payload).decode(memoryview(payload.encode())) != payload:
        raise AssertionError(f"{payload!r} is not read back as it was written")
    if isinstance(payload, payloads.TSi | payloads.TSr):
        for narrowed in selectors.narrow(payload.selectors, payload.selectors):
            if not any(selector.contains(narrowed) for selector in payload.selectors):
                raise AssertionError(f"{narrowed} was not offered")


def read_all(raws: tuple[message.Raw, ...]) -> None:
    """Decode every payload of a chain."""
    for raw in raws:
        read_again(raw.payload())


def reassemble(data: bytes) -> None:
    """Fragments of three octets, each behind its number and total."""
    held = fragments.Reassembly(max_fragments=8, max_octets=16)
    for start in range(0, len(data) - 4, 5):
        number, total = data[start], data[start + 1]
        try:
            held.add(number, total, 35, data[start + 2 : start + 5])
        except WireError:
            continue
        finally:
            if len(held.pieces) > 8 or sum(map(len, held.pieces.values())) != held.octets or held.octets > 16:
                raise AssertionError(f"{held!r} holds too much")


def one_input(data: bytes) -> None:
    """What libFuzzer calls."""
    if len(data) < 2:
        return
    form, kind, rest = data[0] % 4, data[1], data[2:]
    try:
        if form == BODY:
            decoder = payloads.DECODERS.get(kind, payloads.SA)
            read_again(decoder.decode(memoryview(rest)))
        elif form == CHAIN:
            read_all(message.parse_payloads(kind, rest))
        elif form == DATAGRAM:
            _, content = demux.classify(rest, (b"\2" * 8, b"\1" * 4))
            parsed = message.Message.parse(content[:24] + len(content).to_bytes(4, "big") + content[28:])
            parsed.protected()
            read_all(parsed.payloads)
        else:
            reassemble(rest)
    except WireError:
        return


def main() -> None:
    """Run with the seeds in a folder of their own, beside those that the command line names."""
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds()):
            (Path(folder) / f"seed-{number:03}").write_bytes(seed)
        # new inputs go to the first folder named
        atheris.Setup([*sys.argv, folder], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
