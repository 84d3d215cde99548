"""Certificates for the tests, made by the openssl command."""

import subprocess

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """A certificate authority in a directory, and the certificates that it signs there."""

    def __init__(self, directory, name="ca"):
        self.directory, self.name = directory, name
        self._openssl(
            "req", "-x509", *NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "30", "-subj", f"/CN={name}"
        )

    def sign(self, name, subject="/CN=localhost", names="DNS:localhost,IP:127.0.0.1,IP:::1", days=30):
        """Makes NAME.pem and NAME.key, or replaces them, each in one step."""
        request = self._openssl(
            "req", *NEW_KEY, "-keyout", f"{name}.key.new", "-subj", subject, "-addext", f"subjectAltName={names}"
        )
        self._openssl(
            "x509", "-req", "-CA", f"{self.name}.pem", "-CAkey", f"{self.name}.key", "-days", str(days),
            "-copy_extensions", "copy", "-out", f"{name}.pem.new", input=request,
        )  # fmt: skip
        for kind in ("pem", "key"):
            self.path(f"{name}.{kind}.new").rename(self.path(f"{name}.{kind}"))

    def path(self, name):
        return self.directory / name

    def read(self, name) -> bytes:
        return self.path(name).read_bytes()

    def _openssl(self, *arguments, input=None) -> bytes:
        result = subprocess.run(["openssl", *arguments], cwd=self.directory, capture_output=True, input=input)
        assert result.returncode == 0, result.stderr.decode()
        return result.stdout
