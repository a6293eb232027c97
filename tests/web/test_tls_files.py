"""Certificate and key are looked at before anything is served: each fault is one sentence."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from andon.runtime.errors import Refused
from andon.web.http_server import Tls, check_tls
from tests.support.certificates import Authority


def test_a_pair_that_fits_is_taken(tmp_path: Path) -> None:
    good = Authority(tmp_path).sign()
    check_tls(Tls(certificate=good.certificate, key=good.key))


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = authority.sign("one"), authority.sign("other")
    with pytest.raises(Refused, match=r"one\.pem and .*other\.key do not belong together\. Correct \[server\]"):
        check_tls(Tls(certificate=one.certificate, key=other.key))


def test_files_that_are_none_or_are_not_there(tmp_path: Path) -> None:
    good = Authority(tmp_path).sign()
    with pytest.raises(Refused, match=r"nothing\.pem: no such file"):
        check_tls(Tls(certificate=tmp_path / "nothing.pem", key=good.key))
    with pytest.raises(Refused, match=r"nothing\.key: no such file"):
        check_tls(Tls(certificate=good.certificate, key=tmp_path / "nothing.key"))
    with pytest.raises(Refused, match="are no PEM certificate and key"):
        check_tls(Tls(certificate=good.key, key=good.certificate))


def test_an_encrypted_key_asks_nobody(tmp_path: Path) -> None:
    good = Authority(tmp_path).sign()
    key = serialization.load_pem_private_key(good.key.read_bytes(), None)
    secret = serialization.BestAvailableEncryption(b"a password")
    form = serialization.PrivateFormat.PKCS8
    good.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, secret))
    with pytest.raises(Refused, match=r"server\.key: the TLS key is encrypted"):
        check_tls(Tls(certificate=good.certificate, key=good.key))
