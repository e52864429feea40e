"""Check of TLS_CERT and TLS_KEY: that they belong together, and that the certificate is valid today."""

import ssl
from pathlib import Path


def problem(certificate: str, key: str) -> list[str]:
    """Return the problems of these two PEM files.

    It is found by a TLS handshake in memory with a client that trusts only this certificate.
    """
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.check_hostname = False
    client_side.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client_side.verify_flags &= ~ssl.VERIFY_X509_STRICT
    problems = []
    for name, path in ("TLS_CERT", certificate), ("TLS_KEY", key):
        try:
            Path(path).read_bytes()
        except OSError as error:
            problems.append(f"{name} is {path}: {error.strerror}")
    if problems:
        return problems
    try:
        client_side.load_verify_locations(certificate)
    except ssl.SSLError:
        return [f"TLS_CERT is {certificate}: the file contains no certificate in PEM"]
    try:
        # Without a password, OpenSSL would prompt for one.
        server_side.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        wrong_pair = "MISMATCH" in str(error)
        reason = "does not belong to TLS_CERT" if wrong_pair else "contains no private key in PEM without a password"
        return [f"TLS_KEY is {key}: the file {reason}"]
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server)
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    try:
        for side in (client, server, client):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    except ssl.SSLCertVerificationError as error:
        return [f"TLS_CERT is {certificate}: {error.verify_message}"]
    return []
