"""Content Credentials (C2PA): a signed manifest in the video that says it was made by a model.

Optional: c2pa-python (extra `c2pa`). It signs with a certificate of your own, named by
EMOHEAD_C2PA_CERTIFICATE and EMOHEAD_C2PA_KEY (PEM files, certificate chain and private key), or
with one that is made for this user once, offline. A checker then finds the file unchanged since it
was signed, by a signer it does not know: who signs is proven only by a certificate that others
trust. Specification: https://c2pa.org/specifications, 2.1.
"""

import datetime
import importlib.util
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

from render.errors import CredentialsError
from render.xmp import SOURCE_TYPE

CERTIFICATE, KEY = "EMOHEAD_C2PA_CERTIFICATE", "EMOHEAD_C2PA_KEY"
FOLDER = "EMOHEAD_C2PA_FOLDER"
"""Where the certificate of this user is kept, if not in the folder of its data."""
SUFFIXES = (".mp4", ".mov")
"""Containers the library can sign."""
_YEARS = 10


def why_not(path: Path) -> str | None:
    """Why a file of this name cannot be signed here; None if it can."""
    if path.suffix.lower() not in SUFFIXES:
        return f"C2PA has no place in {path.suffix} files"
    if importlib.util.find_spec("c2pa") is None:
        return "c2pa-python is not installed (pip install 'emohead[c2pa]')"
    return None


def credentials() -> tuple[bytes, bytes, str]:
    """Certificate chain and key (PEM), and whose they are.

    Raises:
        CredentialsError: only one of the two variables is set, or a file cannot be read.
    """
    told = os.environ.get(CERTIFICATE), os.environ.get(KEY)
    if any(told) and not all(told):
        raise CredentialsError(
            f"{CERTIFICATE} is {told[0] or 'not set'}, {KEY} is {told[1] or 'not set'}; set both "
            "or none"
        )
    told_folder = os.environ.get(FOLDER)
    folder = Path(told_folder or user_data_path("emohead") / "content-credentials")
    chain, key = (
        (Path(told[0]), Path(told[1]))
        if told[0] and told[1]
        else (folder / "certificate.pem", folder / "key.pem")
    )
    if not told[0] and not (chain.is_file() and key.is_file()):
        make_certificate(chain, key)
    try:
        whose = "your certificate" if told[0] else "a certificate made on this machine"
        return chain.read_bytes(), key.read_bytes(), whose
    except OSError as error:
        raise CredentialsError(
            f"content credentials: {error.filename} cannot be read ({error.strerror}); set "
            f"{CERTIFICATE} and {KEY} to readable PEM files, or unset both"
        ) from error


def make_certificate(chain: Path, key: Path) -> None:
    """An own root and a signer under it (ES256), as C2PA's certificate profile asks; key 0600."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def named(common: str) -> x509.Name:
        organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "emohead, self-made")
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common), organisation])

    def usage(**allowed: bool) -> x509.KeyUsage:
        names = (
            *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
            *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
        )
        return x509.KeyUsage(**{name: allowed.get(name, False) for name in names})

    now = datetime.datetime.now(datetime.UTC)
    begin, end = now - datetime.timedelta(days=1), now + datetime.timedelta(days=365 * _YEARS)
    root_key, signer_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def draft(name: str, public: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named("root"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )

    root = (
        draft("root", root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    signer = (
        draft("signer", signer_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(digital_signature=True), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
        .add_extension(issuer, critical=False)
        .sign(root_key, hashes.SHA256())
    )
    chain.parent.mkdir(parents=True, exist_ok=True)
    pem = serialization.Encoding.PEM
    secret = signer_key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # The key of the root is thrown away: nothing else is ever signed by it.
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(secret)
    chain.write_bytes(signer.public_bytes(pem) + root.public_bytes(pem))


def sign(
    source: Path, out: Path, title: str, tool: tuple[str, str], provenance: Mapping[str, str]
) -> str:
    """Write `source` with a signed manifest to `out`; whose certificate it was.

    Args:
        source: a finished MP4 or MOV file.
        out: another path.
        title: name the video will have.
        tool: name and version of what made it.
        provenance: what is written beside the source type.

    Raises:
        CredentialsError: the certificate cannot be used.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the library itself
        import c2pa

        chain, key, whose = credentials()
        action = {
            "action": "c2pa.created",
            "digitalSourceType": SOURCE_TYPE,
            "softwareAgent": {"name": tool[0], "version": tool[1]},
        }
        manifest = {
            "claim_generator_info": [{"name": tool[0], "version": tool[1]}],
            "title": title,
            "assertions": [
                {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
                {"label": "org.emohead.provenance", "data": dict(provenance)},
            ],
        }
        out.unlink(missing_ok=True)
        try:
            info = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=chain, private_key=key, ta_url=None)
            with c2pa.Signer.from_info(info) as signer, c2pa.Builder(manifest) as builder:
                builder.sign_file(str(source), str(out), signer)
        except c2pa.C2paError as error:
            raise CredentialsError(
                f"content credentials of {title}: signing with {whose} failed ({error}); give "
                "an ES256 certificate of C2PA's profile, or synthesize with "
                "--no-content-credentials"
            ) from error
    return whose


def read_manifest(path: Path) -> dict[str, Any]:
    """The active manifest of a file, with `validation_state` of the whole store beside it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import c2pa

        with c2pa.Reader(str(path)) as reader:
            told = json.loads(reader.json())
    active = told["manifests"][told["active_manifest"]]
    return active | {"validation_state": told.get("validation_state", "")}
