"""The PKI store: kinds of object, their names and lives, what loading makes of a file."""

import json
import stat
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import pytest

from ikesim.errors import ForbiddenError, NotFoundError, UsageError
from ikesim.pki.authority import Authority
from ikesim.pki.objects import CertificateClass, ObjectKind
from ikesim.pki.snapshot import TrustStore
from ikesim.pki.store import PkiStore
from tests.pki.openssl import pem, strongswan_pki
from tests.pki.store_world import DAY, NOW, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_ob_02_every_certificate_is_local_pending_or_ca(world: World) -> None:
    world.enrol("alice")
    world.request("carol")
    world.store.load(world.north.certificate, ca="north")
    classes = {name: own.certificate_class for name, own in world.store.own_certificates().items()}
    assert classes == {"alice": CertificateClass.LOCAL, "carol": CertificateClass.PENDING}
    assert list(world.store.ca_certificates()) == ["north"]


def test_ob_01_an_index_with_an_object_of_an_unknown_kind_is_refused(world: World) -> None:
    world.enrol()
    index = world.folder / "state/pki/index.json"
    document = json.loads(index.read_text())
    index.write_text(json.dumps({**document, "attribute-certificates": {}}))
    with pytest.raises(UsageError, match=r"unknown kind .attribute-certificates."):
        world.open()
    index.write_text(json.dumps({**document, "format": 2}))
    with pytest.raises(UsageError, match="has format 2"):
        world.open()


def test_pc_03_pc_04_a_pending_certificate_is_listed_as_such_and_cannot_authenticate(world: World) -> None:
    request = world.request()
    snapshot = world.store.snapshot()
    assert (snapshot.pending, snapshot.local) == (frozenset({"alice"}), {})
    own = world.store.own_certificates()["alice"]
    assert own.waiting is not None
    assert (own.waiting.request, own.waiting.made.at) == (request, NOW)


def test_pc_06_the_issued_certificate_replaces_the_pending_one_under_the_same_id(world: World) -> None:
    request = world.request()
    certificate = world.north.issue(request, None, None, NOW - DAY)
    loaded = world.store.load(certificate)
    assert (loaded.kind, loaded.name, loaded.warnings) == (ObjectKind.LOCAL_CERTIFICATE, "alice", ())
    (own,) = world.store.own_certificates().values()
    assert (own.id, own.certificate, own.waiting) == ("alice", certificate, None)
    assert world.open().snapshot().local["alice"].certificate == certificate
    assert world.store.snapshot().pending == frozenset()


def test_lc_02_the_request_that_a_local_certificate_answers_is_kept(world: World) -> None:
    request = world.request()
    world.now = NOW + DAY
    world.store.load(world.north.issue(request, None, None, NOW), as_id="alice")
    own = world.store.own_certificates()["alice"]
    assert own.origin is not None
    assert own.loaded is not None
    assert (own.origin.request, own.origin.made.at, own.loaded.at) == (request, NOW, NOW + DAY)


def test_lc_02_a_certificate_that_was_never_requested_is_refused(world: World) -> None:
    world.store.generate("alice")
    certificate = world.north.issue(world.store.vault.public_key("alice"), "CN=alice", (), NOW)
    with pytest.raises(ForbiddenError, match=r"LC-02.*ikesim pki request alice"):
        world.store.load(certificate)
    assert world.store.own_certificates() == {}


def test_kp_04_a_certificate_for_another_key_does_not_become_local(world: World) -> None:
    world.request("alice")
    certificate = world.north.issue(world.request("carol"), None, None, NOW)
    with pytest.raises(ForbiddenError, match=r"KP-04.*it belongs to carol"):
        world.store.load(certificate, as_id="alice")
    with pytest.raises(NotFoundError, match="no key pair is named dave"):
        world.store.load(certificate, as_id="dave")
    assert world.store.snapshot().pending == {"alice", "carol"}


def test_ca_01_every_other_certificate_is_in_the_ca_class_and_pf_01_needs_a_profile(world: World) -> None:
    for certificate in (world.north.certificate, world.north.leaf("CN=bob", (), NOW).certificate):
        with pytest.raises(UsageError, match=r"counts as a CA certificate.*--ca north\|south"):
            world.store.load(certificate, profiles=["south", "north"])
    with pytest.raises(NotFoundError, match=r"no CA profile west .it has north, south.: add \[pki.ca-profile.west\]"):
        world.store.load(world.north.certificate, ca="west", profiles=["north", "south"])
    assert world.store.ca_certificates() == {}
    assert world.store.load(world.north.certificate, ca="north", profiles=["north"]).name == "north"


def test_ca_02_a_certificate_that_is_no_ca_is_loaded_with_a_warning(world: World) -> None:
    loaded = world.store.load(world.north.leaf("CN=bob", (), NOW).certificate, ca="north")
    assert any("CA-02" in warning for warning in loaded.warnings)
    plain = Authority.create("west", now=NOW, key_usage=["cRLSign"])
    assert any("keyCertSign" in warning for warning in world.store.load(plain.certificate, ca="west").warnings)
    assert world.store.load(world.south.certificate, ca="south").warnings == ()


def test_a_profile_keeps_its_certificate_until_that_is_removed(world: World) -> None:
    world.store.load(world.north.certificate, ca="north")
    assert not world.store.load(world.north.certificate, ca="north").changed
    assert world.store.load(world.north.certificate).name == "north"
    with pytest.raises(UsageError, match="ikesim pki rm --ca north"):
        world.store.load(world.south.certificate, ca="north")
    world.store.remove_ca("north")
    assert world.store.load(world.south.certificate, ca="north").changed


def test_what_the_ca_changed_against_the_request_is_said(world: World) -> None:
    request = world.request()
    certificate = world.north.issue(request, "CN=somebody", ["fqdn:other.example"], NOW)
    loaded = world.store.load(certificate, as_id="alice")
    assert loaded.warnings == (
        "the CA certified CN=somebody, the request asked for CN=alice",
        "the CA did not certify fqdn:alice.example, which the request asked for",
    )


def test_an_expired_or_future_certificate_is_loaded_with_a_warning(world: World) -> None:
    request = world.request()
    expired = world.north.issue(request, None, None, NOW, not_before=NOW - 9 * DAY, not_after=NOW - DAY)
    assert world.store.load(expired).warnings == ("it expired 2030-05-16 12:00 UTC",)
    future = world.north.issue(request, None, None, NOW, not_before=NOW + DAY)
    assert world.store.load(future).warnings == ("it is not valid before 2030-05-18 12:00 UTC",)


def test_a_chain_file_gives_the_leaf_and_keeps_the_intermediates_with_it(world: World, tmp_path: Path) -> None:
    leaf = world.issuing.issue(world.request(), None, None, NOW)
    file = tmp_path / "alice.pem"
    file.write_bytes(b"some text\n" + pem(world.issuing.certificate) + pem(world.north.certificate) + pem(leaf))
    loaded = world.store.load(file, as_id="alice")
    assert "with 1 intermediate" in loaded.sentence
    assert loaded.warnings == (
        f"the self-signed CN=north, serial {_serial(world.north):#x} in alice.pem was left out: "
        "load it with --ca PROFILE if it is to be trusted",
    )
    assert world.open().snapshot().local["alice"].chain == (world.issuing.certificate,)
    assert world.store.ca_certificates() == {}


def _serial(authority: Authority) -> int:
    return next(iter(authority.issued))


def test_the_chain_is_built_from_the_ca_certificates_held_issuer_first(world: World) -> None:
    deeper = Authority.create("deeper", issuer=world.issuing, now=NOW)
    certificate = world.enrol(issuer=deeper)
    assert world.store.snapshot().local["alice"].chain == ()
    world.store.load(world.north.certificate, ca="root")
    world.store.load(world.issuing.certificate, ca="upper")
    world.store.load(deeper.certificate, ca="lower")
    local = world.store.snapshot().local["alice"]
    assert (local.certificate, local.chain) == (certificate, (deeper.certificate, world.issuing.certificate))


def test_a_look_alike_ca_of_the_same_name_is_not_taken_into_the_chain(world: World) -> None:
    fake_root = Authority.create("fake", now=NOW, subject="CN=north")
    fake = Authority.create("fake-issuing", now=NOW, subject="CN=north-issuing", issuer=fake_root)
    world.enrol(issuer=world.issuing)
    world.store.load(fake.certificate, ca="a-fake")
    assert world.store.snapshot().local["alice"].chain == ()
    world.store.load(world.issuing.certificate, ca="real")
    assert world.store.snapshot().local["alice"].chain == (world.issuing.certificate,)


def test_cross_certified_cas_do_not_make_an_endless_chain(world: World) -> None:
    one = world.north.cross_sign(world.south, NOW)
    other = world.south.cross_sign(world.north, NOW)
    world.enrol(issuer=world.south)
    world.store.load(one, ca="one")
    world.store.load(other, ca="other")
    assert world.store.snapshot().local["alice"].chain == (one, other)


def test_id_01_the_second_of_a_name_fails_and_changes_nothing(world: World) -> None:
    world.request()
    before = _files(world.folder)
    with pytest.raises(UsageError, match="alice already names"):
        world.store.generate("alice")
    with pytest.raises(UsageError, match="already waits for its certificate"):
        world.store.request("alice", "CN=alice")
    assert _files(world.folder) == before


def test_id_01_a_certificate_whose_key_is_gone_still_holds_its_id(world: World) -> None:
    world.enrol()
    world.store.remove("alice", ObjectKind.KEY_PAIR)
    assert world.store.snapshot().local == {}
    with pytest.raises(UsageError, match="alice already names a certificate"):
        world.store.generate("alice")


def test_id_02_the_id_stays_through_pending_local_renewal_and_restart(world: World) -> None:
    world.enrol()
    store = world.open()
    request = store.request("alice", "CN=alice", fqdn=["alice.example"])
    own = store.own_certificates()["alice"]
    assert own.certificate_class is CertificateClass.LOCAL, "the old certificate stays while the renewal waits"
    assert store.snapshot().pending == frozenset()
    renewed = world.north.issue(request, None, None, NOW, days=500)
    store.load(renewed)
    (after,) = world.open().own_certificates().items()
    assert (after[0], after[1].certificate, after[1].waiting) == ("alice", renewed, None)


def test_a_renewal_that_is_not_newer_is_refused(world: World) -> None:
    certificate = world.enrol()
    request = world.store.request("alice", "CN=alice")
    older = world.north.issue(request, None, None, NOW - 30 * DAY)
    with pytest.raises(UsageError, match="renewal-not-newer"):
        world.store.load(older)
    assert world.store.snapshot().local["alice"].certificate == certificate


def test_id_03_after_deletion_the_id_is_free(world: World) -> None:
    world.enrol()
    removed = world.store.remove("alice")
    assert set(removed) == {ObjectKind.LOCAL_CERTIFICATE, ObjectKind.KEY_PAIR}
    assert world.store.vault.ids() == ()
    with pytest.raises(NotFoundError):
        world.store.remove("alice")
    world.enrol()


def test_parts_of_an_id_can_be_removed_one_by_one(world: World) -> None:
    world.enrol()
    world.store.request("alice", "CN=alice")
    assert world.store.remove("alice", ObjectKind.CERTIFICATE_REQUEST) == (ObjectKind.CERTIFICATE_REQUEST,)
    with pytest.raises(NotFoundError, match="no certificate-request is named alice"):
        world.store.remove("alice", ObjectKind.CERTIFICATE_REQUEST)
    assert world.store.remove("alice", ObjectKind.LOCAL_CERTIFICATE) == (ObjectKind.LOCAL_CERTIFICATE,)
    assert world.store.own_certificates() == {}
    assert world.store.vault.ids() == ("alice",)


def test_cr_01_crls_are_loaded_shown_cleared_and_survive_a_restart(world: World) -> None:
    world.store.load(world.north.certificate, ca="north")
    crl = world.north.crl(NOW - DAY)
    loaded = world.store.load(crl)
    assert (loaded.kind, loaded.name, loaded.warnings) == (ObjectKind.CRL, "north", ())
    again = world.open()
    assert again.snapshot().crls == {"north": (crl,)}
    assert again.snapshot().crl_loaded_at == {sha256(crl).digest(): NOW.timestamp()}
    assert again.remove_crls("north") == 1
    assert world.store.snapshot().crls == {}
    with pytest.raises(NotFoundError):
        world.store.remove_crls("north")


def test_a_newer_crl_takes_the_place_of_the_older_and_never_the_other_way(world: World) -> None:
    world.store.load(world.north.certificate, ca="north")
    first, second = world.north.crl(NOW - 2 * DAY), world.north.crl(NOW - DAY)
    world.store.load(second)
    with pytest.raises(UsageError, match=r"number 1, .* is older than the CRL held .number 2."):
        world.store.load(first)
    assert not world.store.load(second).changed
    third = world.north.crl(NOW)
    world.store.load(third)
    assert world.store.snapshot().crls == {"north": (third,)}


def test_crls_of_other_scopes_stand_beside_each_other(world: World) -> None:
    world.store.load(world.north.certificate, ca="north")
    base = world.north.crl(NOW - DAY)
    delta = world.north.crl(NOW - DAY, delta_base=1)
    users = world.north.crl(NOW - DAY, only_user=True)
    below = world.issuing.crl(NOW - DAY)
    for crl in (base, delta, users, below):
        world.store.load(crl, crl="north")
    assert set(world.store.snapshot().crls["north"]) == {base, delta, users, below}


def test_a_crl_that_the_named_ca_did_not_sign_is_refused(world: World) -> None:
    world.store.load(world.north.certificate, ca="north")
    forged = Authority.create("forger", now=NOW, subject="CN=north").crl(NOW)
    with pytest.raises(UsageError, match="did not sign it"):
        world.store.load(forged, crl="north")
    with pytest.raises(UsageError, match="not signed by any CA certificate held"):
        world.store.load(forged)
    assert world.store.snapshot().crls == {}


def test_a_crl_is_judged_when_it_is_loaded(world: World) -> None:
    assert world.store.load(world.north.crl(NOW - DAY), crl="north").warnings == (
        "its signature was not checked: profile north has no CA certificate yet",
    )
    world.store.load(world.south.certificate, ca="south")
    assert world.store.load(world.south.crl(NOW - 9 * DAY)).warnings == ("it is stale since 2030-05-15 12:00 UTC",)
    assert world.store.load(world.south.crl(NOW + DAY)).warnings == ("it is not valid before 2030-05-18 12:00 UTC",)


def test_a_fetched_crl_is_kept_with_its_url_and_becomes_younger_when_it_comes_again(world: World) -> None:
    first, second = world.north.crl(NOW - DAY), world.north.crl(NOW)
    assert world.store.save_fetched_crl("north", second, "http://crl.example/north.crl")
    (held,) = world.store.crls()["north"]
    assert (held.fetched, held.loaded.source) == (True, "http://crl.example/north.crl")
    world.now = NOW + DAY
    assert world.store.save_fetched_crl("north", second, "http://crl.example/north.crl")
    assert world.open().snapshot().crl_loaded_at == {sha256(second).digest(): (NOW + DAY).timestamp()}
    assert not world.store.save_fetched_crl("north", first, "http://crl.example/north.crl")
    assert world.store.snapshot().crls == {"north": (second,)}
    assert world.store.save_fetched_crl(None, world.south.crl(NOW), "http://crl.example/other.crl")
    with pytest.raises(UsageError, match="is not a CRL"):
        world.store.save_fetched_crl("north", b"<html>", "http://crl.example/north.crl")


def test_the_snapshot_is_the_same_object_until_something_changes_anywhere(world: World) -> None:
    other = world.open()
    first = world.store.snapshot()
    assert world.store.snapshot() is first
    other.load(world.north.certificate, ca="north")
    second = world.store.snapshot()
    assert second is not first
    assert (first.ca, second.ca) == ({}, {"north": world.north.certificate})
    other.generate("alice")
    other.request("alice", "CN=alice")
    assert world.store.snapshot().pending == {"alice"}


def test_kp_03_a_snapshot_holds_no_private_key(world: World) -> None:
    world.enrol()
    snapshot = world.store.snapshot()
    assert isinstance(snapshot, TrustStore)
    secret = (world.folder / "state/pki/keys/alice.key").read_bytes().split(b"\n", 2)[2]
    assert secret.hex() not in repr(snapshot)
    assert repr(secret)[2:-1] not in repr(snapshot)


def test_st_01_st_02_everything_survives_a_restart_in_a_folder_of_its_own(world: World) -> None:
    world.enrol()
    world.store.load(world.north.certificate, ca="north")
    world.store.load(world.north.crl(NOW))
    before = world.store.snapshot()
    assert world.open().snapshot() == before
    assert {path.name for path in (world.folder / "state").iterdir()} == {"pki"}


def test_st_04_files_and_folders_are_private_and_open_ones_are_refused(world: World) -> None:
    world.enrol()
    state = world.folder / "state"
    for path in [state, *state.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    for path in (state, state / "pki", state / "pki/keys"):
        path.chmod(0o750)
        with pytest.raises(UsageError, match=rf"chmod 700 {path}"):
            world.open()
        path.chmod(0o700)
    for path in (state / "pki/index.json", next((state / "pki/objects").iterdir())):
        path.chmod(0o604)
        with pytest.raises(UsageError, match=rf"chmod 600 {path}"):
            world.open()
        path.chmod(0o600)


def test_a_state_folder_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is not a directory"):
        PkiStore.open(tmp_path / "file")
    with pytest.raises(UsageError, match="file is not a directory"):
        PkiStore.open(tmp_path / "file" / "below")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 1}', b"\xff\xfe"])
def test_a_damaged_index_is_one_clear_sentence(world: World, content: bytes) -> None:
    world.enrol()
    (world.folder / "state/pki/index.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"index\.json"):
        world.open()


def test_a_damaged_object_is_named(world: World) -> None:
    world.store.load(world.north.certificate, ca="north")
    (path,) = (world.folder / "state/pki/objects").iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(UsageError, match=f"{path.name} is damaged"):
        world.open()


def test_objects_that_nothing_names_are_swept(world: World) -> None:
    world.store.load(world.north.certificate, ca="north")
    world.store.remove_ca("north")
    assert list((world.folder / "state/pki/objects").iterdir()) == []


def test_a_file_is_loaded_as_one_thing(world: World, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="say one of --as, --ca and --crl"):
        world.store.load(world.north.certificate, as_id="alice", ca="north")
    with pytest.raises(UsageError, match="is a certificate, not a CRL"):
        world.store.load(world.north.certificate, crl="north")
    with pytest.raises(UsageError, match="is a CRL: load it with --crl"):
        world.store.load(world.north.crl(NOW), ca="north")
    both = tmp_path / "both.pem"
    both.write_bytes(pem(world.north.certificate) + pem(world.south.certificate))
    with pytest.raises(UsageError, match="holds 2 certificates; a CA profile has one"):
        world.store.load(both, ca="north")
    with pytest.raises(NotFoundError, match=r"absent\.pem does not exist"):
        world.store.load(tmp_path / "absent.pem")
    with pytest.raises(UsageError, match="cannot be read"):
        world.store.load(tmp_path)


@pytest.mark.parametrize(("kind", "size"), [("ecdsa", 256), ("ecdsa", 384), ("rsa", 2048), ("ed25519", None)])
def test_strongswan_issues_for_our_request_and_the_certificate_loads(
    kind: str, size: int | None, tmp_path: Path
) -> None:
    """strongSwan's `pki` as the CA: it accepts the request, and the store takes its certificate and CRL."""
    store = PkiStore.open(tmp_path / "state")
    store.generate("alice", kind, size)
    request = store.request("alice", "C=CH, O=Org A, CN=alice", fqdn=["alice.example"], ip=["192.0.2.1"])
    key, ca, csr = tmp_path / "ca.key", tmp_path / "ca.der", tmp_path / "alice.csr"
    key.write_bytes(strongswan_pki("--gen", "--type", "ecdsa", "--size", "256"))
    ca.write_bytes(strongswan_pki("--self", "--in", key, "--type", "ecdsa", "--dn", "C=CH, CN=Swan", "--ca"))
    csr.write_bytes(request)
    sign = ("--cacert", ca, "--cakey", key)
    certificate = strongswan_pki("--issue", *sign, "--type", "pkcs10", "--in", csr)
    loaded = store.load(certificate, as_id="alice")
    assert loaded.warnings == ()
    store.load(ca, ca="swan")
    assert store.load(strongswan_pki("--signcrl", *sign)).name == "swan"
    assert store.snapshot().local["alice"].certificate == certificate


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_times_are_those_of_the_clock_that_was_handed_in(tmp_path: Path) -> None:
    at = datetime.fromisoformat("2044-02-29T23:59:59+14:00")
    store = PkiStore.open(tmp_path / "state", clock=lambda: at)
    assert store.generate("alice").created == at
    assert PkiStore.open(tmp_path / "state").key_pairs()["alice"].created == at
