"""What is no longer valid, as the issuer told it."""
from array import array
from bisect import bisect_left, insort

from .tokens import MAX_PLACE, is_list

# More than an issuer has: who sends more is none, and must not fill the memory.
MAX_LISTS, MAX_PLACES, MAX_CUTOFFS = 16_384, 16_000_000, 1_000_000
_SPARSE = MAX_PLACE // 32  # places that take as many bytes as a bit for each
_LATER = 3600  # seconds for which things are kept beyond their end
_KINDS = ("subject", "client", "session", "key", "realm")
_ID = 1024  # characters


class Places:
    """Places of one list: in order while they are few, a bit for each when they are many."""

    def __init__(self, exp):
        self.exp, self.count, self._few, self._bits = exp, 0, array("I"), None

    @classmethod
    def of(cls, bits):
        """The places whose bits are set, of at most MAX_PLACE // 8 bytes; the lowest bit of a byte is the first."""
        out = cls(0)
        if int.from_bytes(bits, "little").bit_count() >= _SPARSE:
            out._few, out._bits = None, bits.ljust(MAX_PLACE // 8, b"\0")
            return out
        for at, octet in enumerate(bits):
            while octet:
                low = octet & -octet
                out.add(at * 8 + low.bit_length() - 1)
                octet ^= low
        return out

    def __contains__(self, idx):
        if self._bits is not None:
            return bool(self._bits[idx >> 3] >> (idx & 7) & 1)
        at = bisect_left(self._few, idx)
        return at < len(self._few) and self._few[at] == idx

    def add(self, idx):
        """Takes a place in, and says whether it is new."""
        if idx in self:
            return False
        if self._bits is None and len(self._few) >= _SPARSE:
            self._bits = bytearray(MAX_PLACE // 8)
            for known in self._few:
                self._bits[known >> 3] |= 1 << (known & 7)
            self._few = None
        if self._bits is not None:
            self._bits[idx >> 3] |= 1 << (idx & 7)
        else:
            insort(self._few, idx)
        self.count += 1
        return True


class View:
    """Everything that is known. Whoever uses it from several threads holds a lock around it."""

    def __init__(self, issuer, floor=0.0):
        self._issuer, self._lists, self._cutoffs, self._places = issuer, {}, {}, 0
        # Unix seconds. What was forgotten was so because it had expired: a clock that is set back revives nothing.
        self.floor = floor

    def status(self, data):
        uri, indexes, exp = data["uri"], data["idx"], data["exp"]
        if not is_list(uri, self._issuer) or type(exp) is not int or not isinstance(indexes, list):
            raise ValueError("a status that is not understood")
        places = self._lists.setdefault(uri, Places(exp))
        places.exp = max(places.exp, exp)
        for idx in indexes:
            if type(idx) is not int or not 0 <= idx < MAX_PLACE:
                raise ValueError("a place that cannot be")
            self._places += places.add(idx)
        if len(self._lists) > MAX_LISTS or self._places > MAX_PLACES:
            raise ValueError("more than an issuer has")

    def cutoff(self, data):
        kind, name, before, expires = data["kind"], data.get("id", ""), data["before"], data.get("expires", 0)
        if kind not in _KINDS or not isinstance(name, str) or len(name) > _ID or (kind == "realm") != (name == ""):
            raise ValueError("a cut-off that is not understood")
        if type(before) is not int or type(expires) is not int:
            raise ValueError("a time that is none")
        expires = expires or float("inf")  # without an end it stays
        old = self._cutoffs.get((kind, name), (before, expires))
        self._cutoffs[kind, name] = max(before, old[0]), max(expires, old[1])
        if len(self._cutoffs) > MAX_CUTOFFS:
            raise ValueError("more than an issuer has")

    def revoked(self, caller):
        if caller.expires <= self.floor:
            return True
        if caller.place:
            places = self._lists.get(caller.place[0])
            if places is not None and caller.place[1] in places:
                return True
        for kind, name in (("realm", ""), ("subject", caller.subject), ("client", caller.client), ("session", caller.session), ("key", caller.key_id)):
            cut = self._cutoffs.get((kind, name))
            if cut and caller.issued_ms <= cut[0]:
                return True
        return False

    def purge(self, now):
        """Forgets what ends nothing any more, at now in Unix seconds."""
        now -= _LATER
        self._lists = {uri: p for uri, p in self._lists.items() if p.exp > now}
        self._cutoffs = {key: cut for key, cut in self._cutoffs.items() if cut[1] > now * 1000}
        self._places = sum(p.count for p in self._lists.values())
        self.floor = max(self.floor, now)
