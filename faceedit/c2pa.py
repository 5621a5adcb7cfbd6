"""Signing a result as C2PA defines it, with the user's own certificate: optional, the last write, and offline.

No time-stamping authority is asked, no revocation looked up, no remote manifest fetched.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from faceedit import __version__
from faceedit.decode import plain
from faceedit.errors import OutputError, UsageError
from faceedit.images import read_source
from faceedit.provenance import SOURCE_TYPE
from faceedit.request import Picture

Finish = Callable[[bytes, Picture], bytes]

EXTRA = "pip install 'faceedit[c2pa]'"

_MIME = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "TIFF": "image/tiff"}
_TIFF = dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF")
_MAGIC = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"RIFF": "WEBP", **_TIFF}
# Object identifiers inside a PKCS#8 key, in DER, and the C2PA algorithm that such a key signs with.
_ALGORITHMS = {
    bytes.fromhex("06082a8648ce3d030107"): b"es256",
    bytes.fromhex("06052b81040022"): b"es384",
    bytes.fromhex("06052b81040023"): b"es512",
    bytes.fromhex("06032b6570"): b"ed25519",
    bytes.fromhex("06092a864886f70d010101"): b"ps256",
    bytes.fromhex("06092a864886f70d01010a"): b"ps256",
}
_SETTINGS = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"verify_after_sign": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
}


@dataclass(frozen=True)
class Signer:
    """The user's credentials.

    Attributes:
        certificates: PEM, the signing certificate first, then its issuers.
        key: PEM, PKCS#8, without a password.
        algorithm: C2PA's name of the signature that the key makes, e.g. b"es256".
    """

    certificates: bytes
    key: bytes
    algorithm: bytes

    def __repr__(self) -> str:  # the key must reach no log and no traceback
        return f"Signer({self.algorithm.decode()})"


def read_signer(certificate: Path | None, key: Path | None) -> Signer | None:
    """The signer that two files make, or `None` where neither is named. Reads files only; loads no library.

    Raises:
        UsageError: one without the other, a file that cannot be read or holds something else, or no library to sign.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UsageError("signing needs a certificate and its key", "give --sign-cert FILE and --sign-key FILE")
    if find_spec("c2pa") is None:
        raise UsageError("signing needs the package c2pa-python, which is not installed", EXTRA)
    chain, secret = _pem(certificate, "CERTIFICATE"), _pem(key, "PRIVATE KEY")
    if b"ENCRYPTED" in secret:
        raise UsageError(f"{plain(key)} has a password", "store it without one, readable by you alone")
    try:
        body = b"".join(secret.split(b"-----")[2].split())
        der = base64.b64decode(body, validate=True)
    except (binascii.Error, IndexError):
        raise UsageError(f"{plain(key)} is no whole PEM file", "give the private key in PEM form") from None
    algorithm = next((name for oid, name in _ALGORITHMS.items() if oid in der[:64]), None)
    if algorithm is None:
        raise UsageError(f"{plain(key)} is of a kind that C2PA does not sign with", "use P-256, P-384, Ed25519 or RSA")
    return Signer(chain, secret, algorithm)


def _pem(path: Path, kind: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {plain(path)}: {error.strerror}", "check the path") from None
    if f"{kind}-----".encode() not in data:
        raise UsageError(f"{plain(path)} holds no PEM {kind.lower()}", "give a PEM file")
    return data


def sign(data: bytes, signer: Signer, parent: bytes | None = None) -> bytes:
    """A finished file with a signed manifest inside; any later change of the file ends its validity.

    The manifest says: opened from `parent` (whose own manifest, if it has one, is carried along), then edited with a
    trained model. It holds no thumbnail. The signature holds a time, so two signings never give the same bytes.

    Args:
        data: an encoded PNG, JPEG, WebP or TIFF.
        signer: from `read_signer`.
        parent: the encoded input; `None` where it is not at hand.

    Raises:
        OutputError: the certificate and key do not sign, or not this file; nothing of it is written.
    """
    import c2pa

    edited = {
        "action": "c2pa.edited",
        "digitalSourceType": SOURCE_TYPE,
        "softwareAgent": {"name": "faceedit", "version": __version__},
    }
    manifest = {
        "claim_generator_info": [{"name": "faceedit", "version": __version__}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [edited]}}],
    }
    # No address of a time-stamping authority: with one, every signature would be a request.
    info = c2pa.C2paSignerInfo(signer.algorithm, signer.certificates, signer.key, None)
    signed = io.BytesIO()
    try:
        settings = c2pa.Context.from_dict(_SETTINGS)
        with settings, c2pa.Signer.from_info(info) as made, c2pa.Builder(manifest, context=settings) as builder:
            builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
            if parent is not None:
                ingredient = {"title": "input", "relationship": "parentOf"}
                builder.add_ingredient(ingredient, _mime(parent), io.BytesIO(parent))
            builder.sign(made, _mime(data), io.BytesIO(data), signed)
    except c2pa.C2paError as error:
        told = plain(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise OutputError(f"the result cannot be signed: {told}", "check --sign-cert and --sign-key") from None
    return signed.getvalue()


def _mime(data: bytes) -> str:
    return _MIME[next(name for magic, name in _MAGIC.items() if data.startswith(magic))]


def signing(certificate: Path | None, key: Path | None, image: Path | bytes) -> Finish | None:
    """The last step of writing a result: signs its bytes with the input as parent; `None` where nothing is named.

    Args:
        certificate: as `read_signer`.
        key: as `read_signer`.
        image: the input, as the request names it.

    Raises:
        UsageError: as `read_signer`, at once. The step itself raises as `sign`, and OutputError where the input is no
            longer the picture that was edited.
    """
    signer = read_signer(certificate, key)
    if signer is None:
        return None

    def finish(data: bytes, picture: Picture) -> bytes:
        parent, name = read_source(image)
        if hashlib.sha256(parent).hexdigest() != picture.sha256:
            raise OutputError(f"{name} was changed while it was edited", "run again")
        return sign(data, signer, parent)

    return finish
