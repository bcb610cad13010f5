"""Cryptographic key handling (anchors KH-01 to KH-08) of the three kinds of persistent keys."""

import os
import pickle
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from ikesim.configuration import load
from ikesim.crypto.signatures import SignatureScheme
from ikesim.errors import ConfigurationError, ForbiddenError, UsageError
from ikesim.ike.events import SaEstablished, SaRefused
from ikesim.pki.buffers import DIGEST, KeyBuffer, KeyCopyError
from ikesim.pki.keeping import Keeper
from ikesim.pki.secrets import SecretKind
from ikesim.pki.store import PkiStore
from ikesim.reasons import Reason
from ikesim.testing.pair import Pair
from ikesim.testing.pki import SimPki
from tests.cli.command import ikesim, refused
from tests.daemon.endpoints import write_config
from tests.junos.memory import parts_in

KINDS = ("pki", "ike-psk", "manual-vpn")
VALUE = bytes(range(100, 132))


def buffer_of(octets: bytes) -> KeyBuffer:
    def write(target: memoryview) -> None:
        target[:] = octets

    return KeyBuffer.receive(len(octets), write)


@dataclass
class Kept:
    """One persistent key of a store, with what every kind has in common."""

    kind: str
    state: Path
    protected: bool = True

    def open(self, protected: bool | None = None) -> PkiStore:
        return PkiStore.open(self.state, key_protection=self.protected if protected is None else protected)

    def add(self) -> bytes:
        """Keep a key; its octets, as the store was asked to keep them."""
        store = self.open()
        if self.kind == "pki":
            store.vault.generate("k", "ed25519", entropy=lambda count: VALUE[:count])
        else:
            store.secrets.add("k", SecretKind(self.kind), buffer_of(VALUE))
        return VALUE

    def use(self, store: PkiStore) -> None:
        """What the key is for."""
        if self.kind == "pki":
            signature = store.vault.sign("k", SignatureScheme.ED25519, b"octets")
            ed25519.Ed25519PrivateKey.from_private_bytes(VALUE).public_key().verify(signature, b"octets")
        else:
            assert store.secrets.use("k", bytes) == VALUE

    @property
    def file(self) -> Path:
        return self.state / "pki" / ("keys/k.key" if self.kind == "pki" else "secrets/k.secret")

    @property
    def wrapping_key(self) -> Path:
        return self.state.with_name(f"{self.state.name}.wrapping-key")


@pytest.fixture(params=KINDS)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    return Kept(request.param, tmp_path / "state")


def test_kh_01_protection_is_off_by_default_and_keys_are_kept_as_they_are(kept: Kept, tmp_path: Path) -> None:
    assert not load(write_config(tmp_path, "alice", "bob", address="127.0.0.1")).endpoint.key_protection
    kept.protected = False
    kept.add()
    assert VALUE in kept.file.read_bytes()
    assert not kept.wrapping_key.exists()
    kept.use(kept.open())


def test_kh_03_kh_08_a_bit_that_flips_during_any_copy_raises_and_the_copy_is_destroyed(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each copy on the way from generation to use gets its bit flipped once, in each octet of its first sixteen."""
    kept.add()
    kept.use(kept.open())
    transfer = KeyBuffer._transfer
    copies: list[memoryview] = []
    damaged = 0

    def counting(target: memoryview, write: Callable[[memoryview], object]) -> None:
        transfer(target, write)
        copies.append(target)
        if len(copies) == damaged:
            target[damaged % len(target)] ^= 0x10

    monkeypatch.setattr(KeyBuffer, "_transfer", staticmethod(counting))
    kept.use(kept.open())
    total = len(copies)
    assert total >= 2, "there are copies to damage"
    for damaged in range(1, total + 1):
        copies.clear()
        with pytest.raises(KeyCopyError, match="damaged when it was copied"):
            kept.use(kept.open())
        assert len(copies) == damaged, "the first damaged copy ends it"
        assert parts_in(bytes(copies[-1]), VALUE) == 0, "the copy is overwritten"


def test_kh_03_a_key_damaged_on_its_way_into_the_library_never_signs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept("pki", tmp_path / "state")
    kept.add()
    store = kept.open()
    kept.use(store)
    use = Keeper.use

    def flipped(self: Keeper, name: str, action: Callable[[memoryview], object]) -> object:
        def damage(octets: memoryview) -> object:
            copy = bytearray(octets)
            copy[-1] ^= 1
            return action(memoryview(copy))

        return use(self, name, damage)

    monkeypatch.setattr(Keeper, "use", flipped)
    with pytest.raises(KeyCopyError, match="on its way to the library"):
        store.vault.sign("k", SignatureScheme.ED25519, b"octets")


def test_kh_03_a_damaged_original_is_noticed_before_it_is_copied() -> None:
    original = buffer_of(VALUE)
    memory = memoryview(original._memory)
    memory[3] ^= 1
    with pytest.raises(KeyCopyError):
        original.copy()
    assert parts_in(bytes(memory), VALUE) == 0


def test_kh_04_kh_08_what_was_used_is_overwritten_with_a_random_pattern(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the key nor zeros are left behind, and never the same twice."""
    kept.add()
    seen: list[memoryview] = []
    create = KeyBuffer.__init__

    def noting(self: KeyBuffer, size: int) -> None:
        create(self, size)
        seen.append(memoryview(self._memory))

    monkeypatch.setattr(KeyBuffer, "__init__", noting)
    store = kept.open()
    seen.clear()
    left = []
    for _ in range(3):
        kept.use(store)
        left += [bytes(memory) for memory in seen]
        assert seen
        seen.clear()
    for content in left:
        assert parts_in(content, VALUE) == 0
        assert content.count(0) < len(content) // 4
    assert len(set(left)) == len(left), "a pattern came twice"


def test_kh_04_a_released_buffer_gives_nothing_and_can_be_released_again() -> None:
    secret = buffer_of(VALUE)
    secret.release()
    secret.release()
    for attempt in (lambda: secret.view, secret.check, secret.copy):
        with pytest.raises(ForbiddenError):
            attempt()


def test_kh_04_a_deleted_key_file_is_overwritten_before_its_blocks_are_free(kept: Kept) -> None:
    """A second link to the file shows what is left in it."""
    kept.add()
    link = kept.state / "link"
    os.link(kept.file, link)
    before = link.read_bytes()
    store = kept.open()
    store.vault.delete("k") if kept.kind == "pki" else store.secrets.remove("k")
    assert not kept.file.exists()
    assert len(link.read_bytes()) == len(before)
    assert not any(before[at : at + 8] in link.read_bytes() for at in range(0, len(before) - 8, 8))


def test_kh_05_kh_08_files_hold_no_key_and_open_with_the_wrapping_key_only(kept: Kept) -> None:
    kept.add()
    content = kept.file.read_bytes()
    assert parts_in(content, VALUE) == 0
    assert b"\x30\x05\x06\x03\x2b\x65\x70" not in content, "no PKCS#8 of an Ed25519 key"
    assert stat.S_IMODE(kept.wrapping_key.stat().st_mode) == 0o600
    everything = b"".join(path.read_bytes() for path in kept.state.rglob("*") if path.is_file())
    assert kept.wrapping_key.read_bytes()[-32:] not in everything
    kept.use(kept.open())


def test_kh_05_a_wrong_missing_or_damaged_wrapping_key_fails_closed(kept: Kept, tmp_path: Path) -> None:
    kept.add()
    content, right = kept.file.read_bytes(), kept.wrapping_key.read_bytes()
    other = Kept(kept.kind, tmp_path / "other")
    other.add()
    kept.wrapping_key.write_bytes(other.wrapping_key.read_bytes())
    for protected in (True, False):
        with pytest.raises(UsageError, match=r"k\.(key|secret) is sealed with another wrapping key"):
            kept.open(protected)
    kept.wrapping_key.write_bytes(right[:-1])
    with pytest.raises(UsageError, match="not a wrapping key of ikesim, or is damaged"):
        kept.open()
    kept.wrapping_key.unlink()
    for protected in (True, False):
        with pytest.raises(UsageError, match=r"wrapping-key is missing.*restore it from its backup"):
            kept.open(protected)
    assert not kept.wrapping_key.exists(), "a new one would not help"
    assert kept.file.read_bytes() == content
    kept.wrapping_key.write_bytes(right)
    kept.wrapping_key.chmod(0o600)
    kept.use(kept.open())


@pytest.mark.parametrize("at", ["last octet", "header", "name"])
def test_kh_05_a_sealed_file_that_was_changed_or_moved_is_refused(kept: Kept, at: str) -> None:
    kept.add()
    content = bytearray(kept.file.read_bytes())
    if at == "name":
        kept.file.rename(kept.file.with_name(f"other{kept.file.suffix}"))
    else:
        place = -1 if at == "last octet" else content.index(b"20", 14) + 3
        content[place] ^= 1
        kept.file.write_bytes(content)
    with pytest.raises(UsageError, match=r"is not what was sealed: it was changed, or put in another's place"):
        kept.open()


def test_kh_05_switching_protection_converts_the_keys_that_are_there_and_overwrites_the_old_files(kept: Kept) -> None:
    kept.protected = False
    kept.add()
    link = kept.state / "link"
    os.link(kept.file, link)
    kept.use(kept.open(True))
    assert parts_in(kept.file.read_bytes() + link.read_bytes(), VALUE) == 0
    kept.use(kept.open(False))
    assert VALUE in kept.file.read_bytes()


def test_kh_05_two_processes_that_disagree_about_protection_both_go_on(kept: Kept) -> None:
    """A command with another configuration converts the store under a daemon that runs."""
    kept.add()
    daemon = kept.open(True)
    kept.use(daemon)
    kept.use(kept.open(False))
    kept.use(daemon)
    kept.use(kept.open(True))
    kept.use(daemon)


@pytest.mark.parametrize("kind", ["ecdsa", "ed25519"])
def test_kh_06_the_same_run_gives_the_same_packets_on_and_off(kind: str) -> None:
    """Packet for packet and event for event, through rekeying and reauthentication."""
    runs = []
    for protected in (False, True):
        pki = SimPki(7, key_protection=protected)
        for name in ("alice", "bob"):
            pki.issue(name, key=kind)
        assert pki.vault("alice").is_protected is protected
        pair = Pair.of(pki, seed=7)
        verdict = pair.up()
        assert isinstance(verdict, SaEstablished)
        assert pair.ping(3) == 3
        pair.alice.rekey(pair.alice.established[0])
        pair.world.settle()
        pair.bob.reauthenticate(pair.bob.established[0])
        pair.world.settle()
        sent = [(entry.sent_at, entry.source, entry.destination, entry.octets) for entry in pair.world.network.log]
        events = [event.to_json() for host in (pair.alice, pair.bob) for event in host.events]
        runs.append((sent, events))
    assert len(runs[0][0]) > 10
    assert runs[0] == runs[1]


def test_a_vault_that_cannot_open_its_key_refuses_the_sa_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair.of(SimPki(1, key_protection=True))

    def broken(self: Keeper, name: str, action: object) -> object:
        raise KeyCopyError("a key was damaged when it was copied in memory; the copy is destroyed")

    monkeypatch.setattr(Keeper, "use", broken)
    verdict = pair.up()
    assert isinstance(verdict, SaRefused)
    assert (verdict.by, verdict.reason) == ("us", Reason.LOCAL_KEY_MISSING)
    assert "certificate 'alice' cannot sign: a key was damaged" in verdict.detail


def test_kp_03_buffers_are_neither_shown_nor_pickled() -> None:
    secret = buffer_of(VALUE)
    assert repr(secret) == "<32 secret octets>"
    with pytest.raises(ForbiddenError):
        pickle.dumps(secret)
    assert bytes(secret.sealable)[:-DIGEST] == VALUE


def test_the_wrapping_key_may_live_where_the_configuration_says_but_not_in_the_state_folder(tmp_path: Path) -> None:
    file = write_config(
        tmp_path,
        "alice",
        "bob",
        address="127.0.0.1",
        endpoint='key-protection = true\nkey-protection-file = "elsewhere/key"',
    )
    (tmp_path / "elsewhere").mkdir()
    assert ikesim("pki", "key", "generate", "alice", "--endpoint", file).returncode == 0
    assert (tmp_path / "elsewhere" / "key").stat().st_size == 54
    assert not list(tmp_path.glob("state/*.wrapping-key"))
    file.write_text(file.read_text().replace("elsewhere/key", "state/alice/key"))
    with pytest.raises(ConfigurationError, match=r"endpoint\.key-protection-file: .*is inside the state folder"):
        load(file)


def test_secrets_are_listed_without_value_and_never_exported(tmp_path: Path) -> None:
    file = write_config(tmp_path, "alice", "bob", address="127.0.0.1", endpoint="key-protection = true")
    endpoint = ("--endpoint", file)
    value = "correct horse battery staple"
    done = ikesim("pki", "secret", "add", "to-bob", "--kind", "ike-psk", *endpoint, given=f"{value}\n")
    assert (done.returncode, done.stdout) == (0, "Keeps ike-psk to-bob; its value will not be shown again\n")
    listed = ikesim("pki", "secret", "ls", *endpoint).stdout
    assert listed.startswith("to-bob  ike-psk  since 20")
    assert (
        "to-bob already names a secret"
        in ikesim("pki", "secret", "add", "to-bob", "--kind", "manual-vpn", *endpoint, given="other").stderr
    )
    loaded = load(file)
    store = PkiStore.open(loaded.state, key_protection=True, wrapping_key=loaded.wrapping_key)
    assert store.secrets.use("to-bob", bytes) == value.encode(), "the line end is not part of it"
    for command in (("ls",), ("secret", "ls"), ("secret", "ls", "--json")):
        done = ikesim("pki", *command, *endpoint)
        assert value not in done.stdout + done.stderr
        assert str(len(value)) not in done.stdout.replace(listed.split("since")[1], "")
    assert ikesim("pki", "secret", "rm", "to-bob", *endpoint).returncode == 0
    assert "no secret is named to-bob" in refused(3, "pki", "secret", "rm", "to-bob", *endpoint)


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        ("", (), "gave no value"),
        ("\n", (), "gave no value"),
        ("a" * 256, (), "1 to 255 octets"),
        ("a" * 5000, (), "1 to 255 octets"),
        ("abc", ("--hex",), "not hexadecimal"),
        ("zz", ("--hex",), "not hexadecimal"),
    ],
)
def test_values_that_are_no_secrets(tmp_path: Path, given: str, options: tuple[str, ...], words: str) -> None:
    file = write_config(tmp_path, "alice", "bob", address="127.0.0.1")
    arguments = ("pki", "secret", "add", "s", "--kind", "manual-vpn", *options, "--endpoint", file)
    done = ikesim(*arguments, given=given)
    assert done.returncode == 2
    assert words in done.stderr
    assert "no secrets" in ikesim("pki", "secret", "ls", "--endpoint", file).stdout
