"""Requests to the issuer: no redirects, no proxies of the environment, and nothing in clear but on this machine."""
import http.client
import ipaddress
import ssl
import time
from urllib.parse import urlsplit


class Site:
    """One address of the issuer."""

    def __init__(self, url, context=None):
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is no plain address")
        if parts.scheme == "http" and not _loopback(parts.hostname):
            raise ValueError(f"{url!r}: without TLS only on this machine")
        self._secure, self._host, self._port, self._path = parts.scheme == "https", parts.hostname, parts.port, parts.path or "/"
        self._context = context or ssl.create_default_context() if self._secure else None

    def open(self, query="", headers=None, timeout=5.0):
        """Sends a GET and returns the connection, its socket and the answer, which is a 200. timeout is for each wait on the socket."""
        if self._secure:
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._context)
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        try:
            connection.request("GET", self._path + query, headers=headers or {})
            sock = connection.sock  # which http.client forgets where the answer ends with the connection
            answer = connection.getresponse()
            if answer.status != 200:  # a redirect, too: it would take the key elsewhere
                raise OSError(f"status {answer.status}")
            return connection, sock, answer
        except BaseException:
            connection.close()
            raise

    def get(self, most, accept, timeout=5.0, more=""):
        """Returns a body of at most so many bytes, within about timeout seconds in all. more is added to the address."""
        end = time.monotonic() + 2 * timeout
        connection, _, answer = self.open(more, {"Accept": accept}, timeout)
        try:
            body = bytearray()
            while part := answer.read1(64 << 10):
                body += part
                if len(body) > most:
                    raise OSError("the answer is too long")
                if time.monotonic() > end:
                    raise TimeoutError("the answer takes too long")
            return bytes(body)
        finally:
            connection.close()


def _loopback(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
