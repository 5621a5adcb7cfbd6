"""Signing with the user's certificate, against the real library where it is installed."""

from __future__ import annotations

import datetime
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faceedit.c2pa import Signer, read_signer, sign, signing
from faceedit.cli import main
from faceedit.credentials import find_store
from faceedit.errors import OutputError, UsageError
from faceedit.images import load_picture
from faceedit.portraits.render import render
from faceedit.provenance import SOURCE_TYPE, encode_result, read_record, source_type
from faceedit.request import Mask, Record, Result

MIME = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "TIFF": "image/tiff"}
SEPARATE = "the extra is optional: pip install 'faceedit[c2pa]' runs these"


def picture_bytes(container: str = "PNG", seed: int = 3) -> bytes:
    rgb = np.random.default_rng(seed).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, container)
    return buffer.getvalue()


def result_bytes(source: bytes, container: str) -> bytes:
    picture = load_picture(source)
    mask = Mask(np.ones(picture.size, np.float32), "test")
    return encode_result(Result(picture, picture.rgb, mask, Record({"seed": 7})), container)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate chain and its key, made for this run."""
    pytest.importorskip("c2pa", reason=SEPARATE)
    folder = tmp_path_factory.mktemp("certificates")
    chain, key = certificate()
    (folder / "chain.pem").write_bytes(chain)
    (folder / "key.pem").write_bytes(key)
    return folder / "chain.pem", folder / "key.pem"


def certificate(curve: str = "SECP256R1") -> tuple[bytes, bytes]:
    """A root and a signing certificate as C2PA wants them, and the signing key, in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    start = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)

    def built(name: str, issuer: str, public: Any, signing: Any, authority: bool) -> Any:
        def entry(text: str) -> x509.Name:
            pairs = ((NameOID.COMMON_NAME, text), (NameOID.ORGANIZATION_NAME, "Test"))
            return x509.Name([x509.NameAttribute(oid, value) for oid, value in pairs])

        usage = (not authority, *[False] * 4, authority, authority, False, False)
        builder = x509.CertificateBuilder(entry(issuer), entry(name), public, x509.random_serial_number())
        builder = builder.not_valid_before(start).not_valid_after(start + datetime.timedelta(days=400))
        builder = builder.add_extension(x509.BasicConstraints(authority, None), True)
        builder = builder.add_extension(x509.KeyUsage(*usage), True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key())
        builder = builder.add_extension(issuer_id, False)
        if not authority:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        return builder.sign(signing, hashes.SHA256())

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(getattr(ec, curve)())
    root = built("Root", "Root", root_key.public_key(), root_key, True)
    leaf = built("Signer", "Root", key.public_key(), root_key, False)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return leaf.public_bytes(pem) + root.public_bytes(pem), secret


def manifests(data: bytes, container: str) -> dict[str, Any]:
    """What the library itself reads: the active manifest first in `active`, and how valid it is."""
    import c2pa

    with c2pa.Reader(MIME[container], io.BytesIO(data)) as reader:
        told = json.loads(reader.json())
    return {"active": told["manifests"][told["active_manifest"]], **told}


@pytest.mark.parametrize("container", MIME)
def test_a_signed_result_is_valid_and_says_what_was_done(files: tuple[Path, Path], container: str) -> None:
    """Breaks when the signature does not hold, the edit is not declared, or the picture, mark or record is changed."""
    signer = read_signer(*files)
    assert signer is not None
    source = picture_bytes()
    plain = result_bytes(source, container)
    data = sign(plain, signer, source)
    told = manifests(data, container)
    assert told["validation_state"] == "Valid"
    (actions,) = [a["data"]["actions"] for a in told["active"]["assertions"] if a["label"].startswith("c2pa.actions")]
    assert [action["action"] for action in actions] == ["c2pa.opened", "c2pa.edited"]
    assert actions[1]["digitalSourceType"] == SOURCE_TYPE
    assert np.array_equal(load_picture(data).rgb, load_picture(plain).rgb)
    assert source_type(data) == SOURCE_TYPE and read_record(data) == Record({"seed": 7})
    assert find_store(data)


def test_no_thumbnail_and_no_picture_of_before(files: tuple[Path, Path]) -> None:
    """Breaks when the face before the edit travels along, or a small file grows by hundreds of kilobytes."""
    signer = read_signer(*files)
    assert signer is not None
    source = picture_bytes()
    plain = result_bytes(source, "PNG")
    data = sign(plain, signer, source)
    assert len(data) < len(plain) + 40_000
    assert "thumbnail" not in json.dumps(manifests(data, "PNG"))


def test_the_inputs_own_manifest_is_the_parent(files: tuple[Path, Path]) -> None:
    """Breaks when the history of a signed input ends with the edit."""
    signer = read_signer(*files)
    assert signer is not None
    source = sign(picture_bytes(), signer, picture_bytes())
    told = manifests(sign(result_bytes(source, "JPEG"), signer, source), "JPEG")
    (parent,) = told["active"]["ingredients"]
    assert parent["relationship"] == "parentOf" and parent["active_manifest"] in told["manifests"]
    assert len(told["manifests"]) == 2


def test_a_later_change_is_seen(files: tuple[Path, Path]) -> None:
    """Breaks when the signature covers less than the picture."""
    signer = read_signer(*files)
    assert signer is not None
    data = bytearray(sign(result_bytes(picture_bytes(), "TIFF"), signer, picture_bytes()))
    pixels = load_picture(bytes(data)).rgb.tobytes()
    data[data.index(pixels[:64])] ^= 1
    assert manifests(bytes(data), "TIFF")["validation_state"] == "Invalid"


@pytest.mark.parametrize("curve", ["SECP256R1", "SECP384R1"])
def test_the_algorithm_follows_the_key(tmp_path: Path, curve: str) -> None:
    """Breaks when another kind of key needs an option of its own."""
    pytest.importorskip("c2pa", reason=SEPARATE)
    chain, key = certificate(curve)
    (tmp_path / "chain").write_bytes(chain)
    (tmp_path / "key").write_bytes(key)
    signer = read_signer(tmp_path / "chain", tmp_path / "key")
    assert signer is not None
    assert manifests(sign(picture_bytes(), signer, None), "PNG")["validation_state"] == "Valid"


def test_a_key_of_another_certificate_signs_nothing(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Breaks when a wrong key gives a file with a broken signature, or a library's error."""
    (tmp_path / "key").write_bytes(certificate()[1])
    signer = read_signer(files[0], tmp_path / "key")
    assert signer is not None
    with pytest.raises(OutputError, match="cannot be signed"):
        sign(picture_bytes(), signer, None)


def test_files_that_hold_something_else_are_usage_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when a swapped, missing or encrypted file ends in a traceback, or only after the edit."""
    monkeypatch.setattr("faceedit.c2pa.find_spec", lambda _: object())
    texts = {
        "chain": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
        "key": "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n",
        "locked": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "broken": "-----BEGIN PRIVATE KEY-----\n?\n",
        "other": "hello",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    cases = {
        ("chain", None): "needs a certificate and its key",
        (None, "key"): "needs a certificate and its key",
        ("gone", "key"): "cannot read .*gone",
        ("key", "chain"): "holds no PEM certificate",
        ("other", "key"): "holds no PEM certificate",
        ("chain", "other"): "holds no PEM private key",
        ("chain", "locked"): "has a password",
        ("chain", "broken"): "no whole PEM",
        ("chain", "key"): "C2PA does not sign with",
    }
    for (certificate_, key), message in cases.items():
        with pytest.raises(UsageError, match=message):
            read_signer(certificate_ and tmp_path / certificate_, key and tmp_path / key)
    assert read_signer(None, None) is None


def test_without_the_library_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when the missing extra is found out after the edit, or in a traceback."""
    monkeypatch.setattr("faceedit.c2pa.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="c2pa-python") as caught:
        read_signer(tmp_path / "chain", tmp_path / "key")
    assert caught.value.hint == "pip install 'faceedit[c2pa]'"


def test_the_key_is_in_no_text() -> None:
    """T16. Breaks when a traceback or a log with the signer in it tells the private key."""
    assert "secret" not in repr(Signer(b"chain", b"secret", b"es256"))


def test_edit_signs_as_the_last_step(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Breaks when the option is read and dropped, or something is written after the signature."""
    monkeypatch.setenv("FACEEDIT_CONFIG", str(tmp_path / "none.toml"))
    Image.fromarray(render(seed=4, size=128).image).save(tmp_path / "in.png")
    words = ["edit", str(tmp_path / "in.png"), "rosy cheeks", "-r", "smoke/inpaint", "-o", str(tmp_path / "out.webp")]
    assert main([*words, "--sign-cert", str(files[0]), "--sign-key", str(files[1])]) == 0
    assert capsys.readouterr().out.strip().endswith("out.webp")
    assert manifests((tmp_path / "out.webp").read_bytes(), "WEBP")["validation_state"] == "Valid"


def test_a_batch_signs_every_result_once(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Breaks when results of a batch stay unsigned, or are made again because no signature is like another."""
    Image.fromarray(render(seed=4, size=128).image).save(tmp_path / "in.png")
    words = ["batch", str(tmp_path / "in.png"), "--prompt", "rosy cheeks", "-r", "smoke/inpaint", "--steps", "1"]
    words += ["-o", str(tmp_path / "out"), "--name", "out.png"]
    signed = [*words, "--sign-cert", str(files[0]), "--sign-key", str(files[1])]
    assert main(signed) == 0
    data = (tmp_path / "out/out.png").read_bytes()
    assert manifests(data, "PNG")["validation_state"] == "Valid"
    assert main(signed) == 0 and "1 done before" in capsys.readouterr().err
    assert (tmp_path / "out/out.png").read_bytes() == data
    assert b"PRIVATE KEY" not in b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    assert main(words) == 3, "an unsigned result is another one"


def test_a_missing_key_stops_the_edit_before_it_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Breaks when a typing error costs an edit, or an unsigned result is written in its place."""
    Image.fromarray(render(seed=4, size=128).image).save(tmp_path / "in.png")
    words = ["edit", str(tmp_path / "in.png"), "rosy cheeks", "-r", "smoke/inpaint", "-o", str(tmp_path / "out.png")]
    assert main([*words, "--sign-cert", str(tmp_path / "in.png")]) == 2
    assert "--sign-key" in capsys.readouterr().err and not (tmp_path / "out.png").exists()


def test_an_input_that_changes_meanwhile_is_no_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when a result is signed as made from a picture that it was not made from."""
    (tmp_path / "in.png").write_bytes(picture_bytes(seed=1))
    picture = load_picture(tmp_path / "in.png")
    monkeypatch.setattr("faceedit.c2pa.read_signer", lambda *_: Signer(b"", b"", b"es256"))
    finish = signing(tmp_path / "c", tmp_path / "k", tmp_path / "in.png")
    (tmp_path / "in.png").write_bytes(picture_bytes(seed=2))
    assert finish is not None
    with pytest.raises(OutputError, match="was changed while it was edited"):
        finish(b"", picture)
