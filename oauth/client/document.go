package client

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
)

// schemeHTTPS is how the client_id of a client begins that is known by a document, and no other one: ours are made here.
const schemeHTTPS = "https://"

// IsDocument reports whether a client_id says where a document is that describes its client (OAuth Client ID Metadata Document §2).
func IsDocument(id string) bool { return strings.HasPrefix(id, schemeHTTPS) }

// NameInPath is a client_id as it stands in a path: that of a document has its scheme left out, since servers on the way may make one slash of two.
func NameInPath(id string) string { return strings.TrimPrefix(id, schemeHTTPS) }

// FromPath is the client_id of which NameInPath is the name.
func FromPath(name string) string {
	if strings.Contains(name, "/") { // no other client_id has one
		return schemeHTTPS + name
	}
	return name
}

// Unverified reports whether all that is known of the client is what it says of itself.
func (c Client) Unverified() bool { return c.Dynamic() || IsDocument(c.ID) }

// DocumentHost is the host, with its port where it names one, of a client_id that is the address of a document, and whether it may be one (§2): of two
// addresses that lead to one place, one counts, since a client_id is compared letter by letter. A name that is only known in
// one network is no name of a client, unless special says so.
func DocumentHost(id string, special bool) (host string, ok bool) {
	u, err := url.Parse(id)
	switch {
	case err != nil, !IsDocument(id), len(id) > maxDocumentID, u.User != nil, strings.ContainsAny(id, "#\\\"<>^`{|}%;"):
		return "", false
	case strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }), strings.ContainsFunc(u.Host, func(r rune) bool { return !strings.ContainsRune(documentLetters, r) }):
		return "", false
	case !strings.HasPrefix(u.Path, "/"), strings.Contains(u.Path, "//"): // a path is required, and with it one host has many clients
		return "", false
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			return "", false
		}
	}
	if !special && specialHost(u.Hostname()) || u.Hostname() == "" || strings.HasSuffix(u.Host, ":") {
		return "", false
	}
	return u.Host, true
}

// maxDocumentID is how long such a client_id may be, in bytes.
const maxDocumentID = 200

// documentLetters are those of a host and its port, as DNS has them, in small letters.
const documentLetters = "abcdefghijklmnopqrstuvwxyz0123456789.-:"

// specialHost reports whether a host is an address, or a name that means something else in each network (RFC 6761, RFC 6762).
func specialHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") {
		return true
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	return strings.Trim(last, "0123456789") == "" || // 127.1, and "example.com." with nothing behind the dot
		slices.Contains([]string{"localhost", "local", "internal", "intranet", "lan", "home", "corp", "test", "example", "invalid", "onion", "alt", "arpa"}, last)
}

// ErrDocument refuses a client whose document is not what it has to be. Its text says what to mend.
var ErrDocument = gatehouse.E(gatehouse.Invalid, "client_document_refused", "The program's client_id is the address of a document about it, and that cannot be used.")

// wrongDocument is ErrDocument with what is wrong.
func wrongDocument(text string) error {
	e := *ErrDocument
	e.Public += " " + text
	return &e
}

// DescribedSince is since when a client that is known by a document has what it proves itself by, as long as no key of it was seen to change:
// every node has to say the same, whether it knows already that the client is stored.
func DescribedSince() Secret { return NoSecret(time.Unix(0, 0).UTC()) }

// document is what is read of a metadata document. What of it may not be there is read to be refused (§4.1).
type document struct {
	Said
	Secret     jsontext.Value `json:"client_secret"`
	SecretEnds jsontext.Value `json:"client_secret_expires_at"`
}

// ParseDocument reads the document of the client id, before a realm judges what it says. A client that has a document has no
// secret that the server knows too: everybody reads it.
func ParseDocument(id string, body []byte) (Metadata, error) {
	var d document
	if err := exactjson.Unmarshal(body, &d); err != nil {
		return Metadata{}, ErrDocument.With(err)
	}
	switch {
	case d.ID != id: // whose document it is: else any page that shows a file of a stranger were that client
		return Metadata{}, wrongDocument("Its client_id must be its own address, letter by letter.")
	case d.Secret != nil || d.SecretEnds != nil:
		return Metadata{}, wrongDocument("It must hold no client_secret.")
	case d.AuthMethod != "" && d.AuthMethod != AuthNone && d.AuthMethod != AuthPrivateKey:
		return Metadata{}, wrongDocument("Its token_endpoint_auth_method must be none or private_key_jwt.")
	case len(d.RedirectURIs) == 0:
		return Metadata{}, wrongDocument("It must have redirect_uris.")
	case len(d.GrantTypes) > 0 && !slices.Contains(d.GrantTypes, GrantAuthorizationCode), len(d.ResponseTypes) > 0 && !slices.Contains(d.ResponseTypes, "code"):
		return Metadata{}, wrongDocument("Its grant_types must have authorization_code, and its response_types code.")
	}
	m := d.Metadata()
	// It is one document for all servers: what is for others is left out.
	m.GrantTypes = slices.DeleteFunc(m.GrantTypes, func(g string) bool { return !slices.Contains(dynamicGrants(), g) })
	m.ResponseTypes = nil
	if m.AuthMethod == "" {
		m.AuthMethod = AuthNone
	}
	if !m.Signs() {
		m.SigningAlg = ""
	}
	if !m.KeepsKeys() {
		m.JWKS, m.JWKSURI = nil, ""
	}
	return m, nil
}
