"""Keys are made in the vault, sign there, and never leave it."""

import copy
import logging
import pickle
import stat
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import shake_256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from ikesim.crypto.signatures import SignatureScheme
from ikesim.errors import ForbiddenError, NotFoundError, UsageError
from ikesim.pki.keys import make_key
from ikesim.pki.vault import Vault
from tests.pki.openssl import openssl, text

KINDS = [("ecdsa", 256), ("ecdsa", 384), ("ecdsa", 521), ("rsa", 2048), ("ed25519", None), ("ed448", None)]
NAMES = [f"{kind}-{size}" if size else kind for kind, size in KINDS]


class Stream:
    """Repeatable octets."""

    def __init__(self, seed: bytes) -> None:
        self.seed, self.position = seed, 0

    def __call__(self, count: int) -> bytes:
        self.position += count
        return shake_256(self.seed).digest(self.position)[-count:]


@pytest.mark.parametrize(("kind", "size"), KINDS, ids=NAMES)
def test_pc_01_openssl_accepts_the_request_and_finds_the_names_in_it(kind: str, size: int | None) -> None:
    vault = Vault.open()
    pair = vault.generate("alice", kind, size)
    request = vault.request(
        "alice",
        "C=CH, O=Org A, CN=alice",
        fqdn=["alice.example", "a2.example"],
        email=["alice@example.org"],
        ip=["192.0.2.1", "2001:db8::1"],
    )
    done = openssl("req", "-inform", "DER", "-verify", "-noout", octets=request)
    assert done.returncode == 0, done
    assert b"verify OK" in done.stderr
    shown = text("req", request)
    assert "Subject: C = CH, O = Org A, CN = alice" in shown
    assert (
        "DNS:alice.example, DNS:a2.example, email:alice@example.org, "
        "IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1" in shown
    )
    public = openssl("req", "-inform", "DER", "-noout", "-pubkey", octets=request).stdout
    assert openssl("pkey", "-pubin", "-outform", "DER", octets=public).stdout == pair.public


def test_a_request_without_names_has_no_subject_alt_name() -> None:
    vault = Vault.open()
    vault.generate("alice")
    assert "Alternative" not in text("req", vault.request("alice", "CN=alice"))


@pytest.mark.parametrize(("kind", "size"), KINDS, ids=NAMES)
def test_kp_01_a_key_pair_lives_without_any_request(kind: str, size: int | None, tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "keys")
    pair = vault.generate("alice", kind, size)
    assert (pair.kind, vault.ids()) == (kind, ("alice",))
    again = Vault.open(tmp_path / "keys")
    assert again.info("alice") == pair
    assert again.find(pair.public) == "alice"
    again.delete("alice")
    assert vault.ids() == ()
    with pytest.raises(NotFoundError, match="ikesim pki key generate alice"):
        vault.public_key("alice")


def test_kp_02_the_vault_has_no_way_in_for_a_private_key(tmp_path: Path) -> None:
    """No method takes key material; a file slipped into its folder is not a key of this vault."""
    key = make_key("ecdsa")
    pkcs8 = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    vault = Vault.open(tmp_path / "keys")
    for method in ("load", "add", "put", "store", "restore", "import_key", "set", "insert"):
        assert not hasattr(vault, method)
    slipped = tmp_path / "keys" / "mallory.key"
    slipped.write_bytes(pkcs8)
    slipped.chmod(0o600)
    with pytest.raises(UsageError, match=r"mallory\.key is not a key of this vault"):
        vault.sign("mallory", SignatureScheme.ECDSA_SHA256, b"")


@pytest.mark.parametrize(("kind", "size"), KINDS, ids=NAMES)
def test_kp_03_key_octets_occur_in_no_repr_log_pickle_or_traceback(
    kind: str, size: int | None, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    vault = Vault.open(tmp_path / "keys")
    pair = vault.generate("alice", kind, size)
    shown = [repr(vault), str(vault), repr(vars(vault)), repr(pair), caplog.text]
    shown.append(_traceback(lambda: vault.sign("alice", "nonsense", b"x")))  # type: ignore[arg-type]
    shown += _failures(tmp_path / "keys", monkeypatch)
    on_disk = (tmp_path / "keys" / "alice.key").read_bytes()
    secret = _secret(serialization.load_der_private_key(on_disk.split(b"\n", 2)[2], None))
    assert secret in on_disk, "the search must be able to find the key where it is"
    for one in shown:
        for form in (secret.hex(), repr(secret)[2:-1], str(int.from_bytes(secret, "big"))):
            assert form not in one
            assert form.upper() not in one
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        if attempt is pickle.dumps:
            with pytest.raises(ForbiddenError):
                attempt(vault)
        else:
            assert attempt(vault) is vault
    with pytest.raises((ForbiddenError, TypeError)):
        pickle.dumps(vars(vault)["_held"])


def _failures(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tracebacks, locals included, of a key that cannot be read back and of a disk that is full."""
    path = folder / "alice.key"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    found = [_traceback(lambda: Vault(folder).public_key("alice"))]
    path.write_bytes(whole)
    draws = Stream(b"full disk")
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", _disk_full)
        found.append(_traceback(lambda: Vault(folder).generate("other", "ed25519", entropy=draws)))
    planted = Stream(b"full disk")(32)
    assert repr(planted)[2:-1] not in found[-1]
    assert "cannot be written: no space left" in found[-1]
    return found


def _disk_full(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


def _traceback(call: Callable[[], object]) -> str:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever comes out is searched
        frames = traceback.TracebackException.from_exception(error, capture_locals=True)
        return "".join(frames.format())
    raise AssertionError("it did not fail")


def _secret(key: object) -> bytes:
    private = getattr(key, "private_bytes_raw", None)
    if private is not None:
        return bytes(private())
    numbers = key.private_numbers()  # type: ignore[attr-defined] # RSA and EC keys have it
    value = getattr(numbers, "private_value", None) or numbers.d
    return int(value).to_bytes((int(value).bit_length() + 7) // 8, "big")


@pytest.mark.parametrize(("kind", "size"), [one for one in KINDS if one[0] != "rsa"])
def test_the_same_entropy_gives_the_same_key_request_and_signature(kind: str, size: int | None) -> None:
    made = []
    for seed in (b"one", b"one", b"two"):
        vault = Vault.open(clock=lambda: datetime(2030, 1, 1, tzinfo=UTC))
        vault.generate("alice", kind, size, entropy=Stream(seed))
        made.append(vault.request("alice", "CN=alice"))
    assert made[0] == made[1] != made[2]


def test_an_rsa_key_is_not_made_from_entropy_that_it_would_ignore() -> None:
    with pytest.raises(UsageError, match="RSA key cannot be made from given entropy"):
        Vault.open().generate("alice", "rsa", entropy=Stream(b"one"))


def test_ecdsa_scalars_out_of_range_are_drawn_again() -> None:
    """All ones is above the order of P-256, all zeros below 1: the third draw counts."""
    draws = [b"\xff" * 32, bytes(32), b"\x01" * 32]
    key = make_key("ecdsa", 256, lambda count: draws.pop(0))
    assert key.private_numbers().private_value == int.from_bytes(b"\x01" * 32, "big")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("kind", "size", "words"),
    [
        ("ecdsa", 255, "256, 384 or 521"),
        ("rsa", 1024, "2048 to 8192"),
        ("rsa", 8200, "2048 to 8192"),
        ("rsa", 2049, "multiple of 8"),
        ("ed25519", 512, "one key size"),
        ("dsa", None, "'dsa' is not one of ecdsa, rsa, ed25519, ed448"),
    ],
)
def test_sizes_and_types_that_are_not_offered(kind: str, size: int | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Vault.open().generate("alice", kind, size)


def test_id_01_a_taken_id_is_refused_and_its_key_unchanged(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "keys")
    pair = vault.generate("alice")
    with pytest.raises(UsageError, match="alice already names a key pair"):
        vault.generate("alice", "rsa")
    assert Vault.open(tmp_path / "keys").info("alice") == pair


def test_id_03_after_deletion_the_id_is_free(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "keys")
    first = vault.generate("alice")
    vault.delete("alice")
    assert vault.generate("alice").public != first.public


@pytest.mark.parametrize("name", ["", "../evil", "a/b", ".hidden", "-rf", "a" * 33, "a b", "a\0b", "a\n"])
def test_names_that_could_leave_the_folder_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a certificate-ID"):
        Vault.open().generate(name)


def test_a_key_replaced_by_another_process_is_noticed(tmp_path: Path) -> None:
    one, other = Vault.open(tmp_path / "keys"), Vault.open(tmp_path / "keys")
    one.generate("alice", "ed25519")
    other.delete("alice")
    with pytest.raises(NotFoundError):
        one.sign("alice", SignatureScheme.ED25519, b"octets")
    pair = other.generate("alice", "ed25519")
    one.public_key("alice").verify(one.sign("alice", SignatureScheme.ED25519, b"octets"), b"octets")  # type: ignore
    assert one.info("alice") == pair


def test_st_04_key_files_are_private_and_open_ones_are_refused(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "keys")
    vault.generate("alice")
    path = tmp_path / "keys" / "alice.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o640)
    with pytest.raises(UsageError, match=rf"mode 0640\): chmod 600 {path}"):
        Vault.open(tmp_path / "keys")
    with pytest.raises(UsageError, match="chmod 600"):
        Vault(tmp_path / "keys").sign("alice", SignatureScheme.ECDSA_SHA256, b"")
    path.chmod(0o600)
    path.parent.chmod(0o755)
    with pytest.raises(UsageError, match=rf"chmod 700 {path.parent}"):
        Vault.open(tmp_path / "keys")


def test_a_damaged_key_file_is_named(tmp_path: Path) -> None:
    Vault.open(tmp_path / "keys").generate("alice")
    path = tmp_path / "keys" / "alice.key"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UsageError, match=r"alice\.key is not a key of this vault, or is damaged"):
        Vault.open(tmp_path / "keys").info("alice")


def test_closing_drops_the_keys_from_memory_and_use_reads_them_again(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "keys")
    vault.generate("alice", "ed25519")
    vault.forget()
    assert vars(vault)["_held"] == {}
    assert len(vault.sign("alice", SignatureScheme.ED25519, b"octets")) == 64


@pytest.mark.parametrize(
    ("subject", "words"),
    [("alice", "not TYPE=VALUE"), ("CN=", "not TYPE=VALUE"), ("X=1", "not TYPE=VALUE"), ('CN="a', "ends inside")],
)
def test_subjects_that_cannot_be_read(subject: str, words: str) -> None:
    vault = Vault.open()
    vault.generate("alice")
    with pytest.raises(UsageError, match=words):
        vault.request("alice", subject)


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("CN=alice,O=Org A", "CN = alice, O = Org A"),
        ("/C=CH/O=Org/CN=x", "C = CH, O = Org, CN = x"),
        (r"O=a\, b, CN=x", r'O = "a, b", CN = x'),
        ('O="a, b", CN=x', r'O = "a, b", CN = x'),
        ("OU=a+CN=x", "CN = x + OU = a"),
        ("DC=org, DC=example, CN=x", "DC = org, DC = example, CN = x"),
        ("2.5.4.12=Dr, CN=x", "title = Dr, CN = x"),
        ("CN=Jürgen", r"CN = J\C3\BCrgen"),
    ],
)
def test_subjects_keep_the_order_and_the_text_that_was_written(subject: str, shown: str) -> None:
    vault = Vault.open()
    vault.generate("alice")
    assert f"Subject: {shown}\n" in text("req", vault.request("alice", subject))
