#!/usr/bin/env bash
# OpenLDAP's slapd 2.5.13 with the memberof overlay writes no memberOf to the people of a group
# once Active Directory's schema (msuser, which its package ships) is loaded too. The client that
# adds the group is told success; only slapd's log says that the entry failed the schema check.
#
# A good engineer expects the overlay to write what it is there for, or the change of the group
# to fail. By itself the overlay brings memberOf as an operational attribute, which every entry
# may have; msuser has it as a plain one, which inetOrgPerson does not allow. So whoever gives
# out rights by memberOf gives none. Gatehouse can look for groups by their members instead
# (group_filter).
set -euo pipefail
dir=$(mktemp -d); cd "$dir"
pid=
trap '[ -z "$pid" ] || kill "$pid"; wait; rm -rf "$dir"' EXIT
version=2.5.13+dfsg-5
apt-get -o APT::Sandbox::User=root download -qq "slapd=$version" "libldap-2.5-0=$version" libltdl7 libwrap0 libsasl2-2 libtirpc3 libnsl2 >/dev/null
for p in *.deb; do dpkg -x "$p" x; done
lib=$dir/x/usr/lib/x86_64-linux-gnu
cat > group.ldif <<'LDIF'
dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: uid=alice,dc=example,dc=com
objectClass: inetOrgPerson
uid: alice
cn: Alice
sn: Example

dn: cn=ops,dc=example,dc=com
objectClass: groupOfNames
cn: ops
member: uid=alice,dc=example,dc=com
LDIF
ask() { # a search below the base, by Python alone: no client of LDAP needs to be there
  python3 - "$1" <<'PY'
import os, socket, sys
def tlv(tag, body):
    n = len(body)
    return bytes([tag]) + (bytes([n]) if n < 128 else bytes([0x82]) + n.to_bytes(2, "big")) + body
def text(s): return tlv(4, s.encode())
bind = tlv(0x30, tlv(2, b"\x01") + tlv(0x60, tlv(2, b"\x03") + text("") + tlv(0x80, b"")))
search = tlv(0x30, tlv(2, b"\x02") + tlv(0x63, text("uid=alice,dc=example,dc=com") + tlv(10, b"\0") + tlv(10, b"\0") + tlv(2, b"\0") + tlv(2, b"\0")
    + tlv(1, b"\0") + tlv(0x87, b"objectClass") + tlv(0x30, text("memberOf"))))
s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect(sys.argv[1])
s.sendall(bind); s.recv(100); s.sendall(search)
got = b""
while b"\x65\x07" not in got:
    got += s.recv(4096)
print("memberOf is there" if b"cn=ops,dc=example,dc=com" in got else "no memberOf")
PY
}
for schemas in "core cosine inetorgperson nis" "core cosine inetorgperson nis msuser"; do
  rm -rf db; mkdir db
  { for s in $schemas; do echo "include $dir/x/etc/ldap/schema/$s.schema"; done
    cat <<CONF
modulepath $dir/x/usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile $dir/pid
database mdb
suffix dc=example,dc=com
rootdn cn=root,dc=example,dc=com
rootpw root
directory $dir/db
overlay memberof
CONF
  } > slapd.conf
  LD_LIBRARY_PATH=$lib "$dir/x/usr/sbin/slapd" -d 256 -f slapd.conf -h "ldapi://${dir//\//%2F}%2Fsocket" >log 2>&1 & pid=$!
  for _ in $(seq 100); do [ -S socket ] && break; sleep 0.1; done
  python3 - "$dir/socket" group.ldif <<'PY'
import socket, sys
def tlv(tag, body):
    n = len(body)
    return bytes([tag]) + (bytes([n]) if n < 128 else bytes([0x82]) + n.to_bytes(2, "big")) + body
def text(s): return tlv(4, s.encode())
s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect(sys.argv[1])
s.sendall(tlv(0x30, tlv(2, b"\x01") + tlv(0x60, tlv(2, b"\x03") + text("cn=root,dc=example,dc=com") + tlv(0x80, b"root")))); s.recv(100)
for entry in open(sys.argv[2]).read().strip().split("\n\n"):
    dn, attributes = "", {}
    for line in entry.splitlines():
        name, value = line.split(": ", 1)
        if name == "dn": dn = value
        else: attributes.setdefault(name, []).append(value)
    body = b"".join(tlv(0x30, text(n) + tlv(0x31, b"".join(text(v) for v in vs))) for n, vs in attributes.items())
    s.sendall(tlv(0x30, tlv(2, b"\x02") + tlv(0x68, text(dn) + tlv(0x30, body))))
    answer = s.recv(4096)
    assert answer[-7:-4] == b"\x0a\x01\x00", answer  # resultCode success
PY
  echo "$schemas: $(ask "$dir/socket")" | tee -a out
  kill "$pid"; wait "$pid" || true; pid=; rm -f socket
done
diff out - <<'OUT'
core cosine inetorgperson nis: memberOf is there
core cosine inetorgperson nis msuser: no memberOf
OUT
echo "slapd $version: as stated"
