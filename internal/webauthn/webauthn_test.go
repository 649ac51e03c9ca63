package webauthn_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testpasskey"
	"github.com/gatehouse-auth/gatehouse/internal/webauthn"
)

type hexed []byte

func (h *hexed) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// equals is a demand for one challenge.
func equals(challenge []byte) webauthn.Demand {
	return webauthn.Demand{Challenge: func(c []byte) bool { return bytes.Equal(c, challenge) }}
}

// TestStandardsVectors: the examples of the standard are read as it says, and those with what is refused here are refused for that.
func TestStandardsVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/w3c-level3.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		RPID, Origin string
		Vectors      []struct {
			Name         string
			Alg          int
			Registration struct {
				Challenge, ClientDataJSON, AttestationObject, AAGUID hexed
				ID                                                   hexed `json:"credential_id"`
			}
			Authentication struct{ Challenge, AuthenticatorData, ClientDataJSON, Signature hexed }
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	refusals := map[string]string{"none-es256-crossOrigin": "within a page of another origin", "packed-es384": "algorithm", "packed-ed448": "algorithm"}
	rp := webauthn.RelyingParty{ID: file.RPID, Origins: []string{file.Origin}}
	seen := 0
	for _, v := range file.Vectors {
		r := webauthn.Registration{ID: v.Registration.ID, ClientData: v.Registration.ClientDataJSON, Attestation: v.Registration.AttestationObject}
		c, err := rp.Register(r, equals(v.Registration.Challenge))
		if why := refusals[v.Name]; why != "" {
			if err == nil || !strings.Contains(err.Error(), why) {
				t.Errorf("%s: %v, want %q", v.Name, err, why)
			}
			seen++
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if !bytes.Equal(c.ID, v.Registration.ID) || !bytes.Equal(c.AAGUID, v.Registration.AAGUID) {
			t.Errorf("%s: %+v", v.Name, c)
		}
		a := webauthn.Assertion{ID: c.ID, ClientData: v.Authentication.ClientDataJSON, AuthenticatorData: v.Authentication.AuthenticatorData, Signature: v.Authentication.Signature}
		if _, err := rp.Assert(a, c, equals(v.Authentication.Challenge)); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		for name, part := range map[string]*[]byte{"client data": &a.ClientData, "authenticator data": &a.AuthenticatorData, "signature": &a.Signature} {
			whole := *part
			*part = bytes.Clone(whole)
			(*part)[len(whole)-1] ^= 1
			if _, err := rp.Assert(a, c, equals(v.Authentication.Challenge)); err == nil {
				t.Errorf("%s: another %s", v.Name, name)
			}
			*part = whole
		}
		seen++
	}
	if seen != 8 {
		t.Errorf("%d vectors", seen)
	}
}

var site = webauthn.RelyingParty{ID: "example.org", Origins: []string{"https://example.org"}}

const challenge = "0123456789abcdef"

func demand() webauthn.Demand {
	d := equals([]byte(challenge))
	d.UserVerified = true
	return d
}

const (
	create = `{"challenge":"MDEyMzQ1Njc4OWFiY2RlZg","rp":{"id":"example.org"},"user":{"id":"dXNlcg"}}`
	get    = `{"challenge":"MDEyMzQ1Njc4OWFiY2RlZg","rpId":"example.org"}`
)

func register(b *testpasskey.Browser) (webauthn.Credential, error) {
	answer, err := b.Create([]byte(create))
	if err != nil {
		return webauthn.Credential{}, err
	}
	r, err := webauthn.ParseRegistration(answer)
	if err != nil {
		return webauthn.Credential{}, err
	}
	return site.Register(r, demand())
}

func assert(b *testpasskey.Browser, c webauthn.Credential) (webauthn.Proof, error) {
	answer, err := b.Get([]byte(get))
	if err != nil {
		return webauthn.Proof{}, err
	}
	a, err := webauthn.ParseAssertion(answer)
	if err != nil {
		return webauthn.Proof{}, err
	}
	return site.Assert(a, c, demand())
}

// TestAlgorithms: each algorithm that is offered is taken, and a key verifies by its own alone.
func TestAlgorithms(t *testing.T) {
	stored := map[int]webauthn.Credential{}
	for _, alg := range []int{testpasskey.ES256, testpasskey.EdDSA, testpasskey.RS256} {
		b := &testpasskey.Browser{Origin: "https://example.org", Algorithm: alg}
		c, err := register(b)
		if err != nil {
			t.Fatalf("%d: %v", alg, err)
		}
		if _, err := assert(b, c); err != nil {
			t.Errorf("%d: %v", alg, err)
		}
		for other, o := range stored {
			o.ID = c.ID
			if _, err := assert(b, o); err == nil {
				t.Errorf("a signature by %d counts for a key of %d", alg, other)
			}
		}
		stored[alg] = c
	}
}

// TestRefused: whatever is not as the standard says is refused, and for that.
func TestRefused(t *testing.T) {
	both := map[string]struct {
		change func(*testpasskey.Answer)
		why    string
	}{
		"another type":               {func(a *testpasskey.Answer) { a.Type = "payment.get" }, "another type"},
		"another challenge":          {func(a *testpasskey.Answer) { a.Challenge = "MDEyMzQ1Njc4OWFiY2RlZw" }, "another question"},
		"a padded challenge":         {func(a *testpasskey.Answer) { a.Challenge += "==" }, "another question"},
		"no challenge":               {func(a *testpasskey.Answer) { a.Challenge = "" }, "another question"},
		"another origin":             {func(a *testpasskey.Answer) { a.Origin = "https://evil.example" }, "another origin"},
		"a subdomain":                {func(a *testpasskey.Answer) { a.Origin = "https://a.example.org" }, "another origin"},
		"another port":               {func(a *testpasskey.Answer) { a.Origin = "https://example.org:8443" }, "another origin"},
		"without TLS":                {func(a *testpasskey.Answer) { a.Origin = "http://example.org" }, "another origin"},
		"an origin in capitals":      {func(a *testpasskey.Answer) { a.Origin = "https://EXAMPLE.org" }, "another origin"},
		"a frame":                    {func(a *testpasskey.Answer) { a.CrossOrigin = true }, "within a page"},
		"a frame by another name":    {func(a *testpasskey.Answer) { a.TopOrigin = "https://evil.example" }, "within a page"},
		"another relying party":      {func(a *testpasskey.Answer) { a.RPID = "evil.example" }, "another relying party"},
		"nobody there":               {func(a *testpasskey.Answer) { a.Flags = 4 }, "nobody was there"},
		"nobody verified":            {func(a *testpasskey.Answer) { a.Flags = 1 }, "not verified"},
		"backed up and not eligible": {func(a *testpasskey.Answer) { a.Flags |= 16 }, "contradict"},
		"trailing bytes":             {func(a *testpasskey.Answer) { a.Behind = []byte{0} }, "malformed"},
		"extensions, announced":      {func(a *testpasskey.Answer) { a.Flags |= 128 }, "malformed"},
		"extensions that are none":   {func(a *testpasskey.Answer) { a.Flags |= 128; a.Behind = []byte{1} }, "malformed"},
		"huge extensions": {func(a *testpasskey.Answer) {
			a.Flags |= 128
			a.Behind = append([]byte{0xa1, 0x61, 'x', 0x59, 0x30, 0}, make([]byte, 0x3000)...)
		}, "malformed"},
		"no client data":       {func(a *testpasskey.Answer) { a.ClientData = []byte{} }, "malformed"},
		"client data, no JSON": {func(a *testpasskey.Answer) { a.ClientData = []byte("x") }, "malformed"},
		"long client data": {func(a *testpasskey.Answer) {
			a.ClientData = fmt.Appendf(nil, `{"type":%q,"challenge":%q,"origin":%q,"x":%q}`, a.Type, a.Challenge, a.Origin, strings.Repeat("x", 4096))
		}, "malformed"},
		"client data with two origins": {func(a *testpasskey.Answer) {
			a.ClientData = fmt.Appendf(nil, `{"type":%q,"challenge":%q,"origin":"https://evil.example","origin":%q}`, a.Type, a.Challenge, a.Origin)
		}, "malformed"},
		"names in capitals": {func(a *testpasskey.Answer) {
			a.ClientData = fmt.Appendf(nil, `{"TYPE":%q,"CHALLENGE":%q,"ORIGIN":%q}`, a.Type, a.Challenge, a.Origin)
		}, "another type"},
		"an id of 1024 bytes": {func(a *testpasskey.Answer) { a.ID = make([]byte, 1024) }, "malformed"},
		"no id":               {func(a *testpasskey.Answer) { a.ID = nil }, "malformed"},
	}
	check := func(name string, err error, why string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", name, err, why)
		}
	}
	for name, c := range both {
		_, err := register(&testpasskey.Browser{Origin: "https://example.org", Tamper: c.change})
		check("registration, "+name, err, c.why)
		b := &testpasskey.Browser{Origin: "https://example.org"}
		k, err := register(b)
		if err != nil {
			t.Fatal(err)
		}
		b.Tamper = c.change
		_, err = assert(b, k)
		check("assertion, "+name, err, c.why)
	}
	for name, c := range map[string]struct {
		change func(*testpasskey.Answer)
		why    string
	}{
		"an answer to the other question": {func(a *testpasskey.Answer) { a.Type = "webauthn.get" }, "another type"},
		"the key of another algorithm":    {func(a *testpasskey.Answer) { a.COSE[4] = 0x27 }, "public key"},
		"an algorithm that nobody asked":  {func(a *testpasskey.Answer) { a.COSE[4] = 0x28 }, "algorithm"},
		"a point beside the curve":        {func(a *testpasskey.Answer) { a.COSE[len(a.COSE)-1] ^= 1 }, "public key"},
		"a parameter more": {func(a *testpasskey.Answer) {
			a.COSE[0] = 0xa6
			a.COSE = append(a.COSE, 2, 0x41, 0)
		}, "public key"},
		"a parameter twice": {func(a *testpasskey.Answer) {
			a.COSE[0] = 0xa6
			a.COSE = append(a.COSE, 3, 0x26)
		}, "CBOR"},
		"no key":                     {func(a *testpasskey.Answer) { a.COSE = nil }, "CBOR"},
		"a statement without format": {func(a *testpasskey.Answer) { a.Statement = []byte{0xa1, 0x61, 'x', 1} }, "attestation"},
		"packed without a signature": {func(a *testpasskey.Answer) { a.Format = "packed" }, "attestation"},
		"packed with a wrong one": {func(a *testpasskey.Answer) {
			a.Format, a.Statement = "packed", []byte("\xa2\x63alg\x26\x63sig\x41\x00")
		}, "attestation"},
		"packed with no certificate": {func(a *testpasskey.Answer) {
			a.Format, a.Statement = "packed", []byte("\xa3\x63alg\x26\x63sig\x41\x00\x63x5c\x80")
		}, "attestation"},
		"an indefinite length":  {func(a *testpasskey.Answer) { a.Statement = []byte{0xbf, 0xff} }, "CBOR"},
		"a long form of zero":   {func(a *testpasskey.Answer) { a.Statement = []byte{0xb8, 0} }, "CBOR"},
		"a tag":                 {func(a *testpasskey.Answer) { a.Statement = []byte{0xc0, 0xa0} }, "CBOR"},
		"a map of four billion": {func(a *testpasskey.Answer) { a.Statement = []byte{0xba, 0xff, 0xff, 0xff, 0xff} }, "CBOR"},
		"too deep":              {func(a *testpasskey.Answer) { a.Statement = []byte{0xa1, 1, 0x81, 0x81, 0x81, 0x81, 0x80} }, "CBOR"},
	} {
		_, err := register(&testpasskey.Browser{Origin: "https://example.org", Tamper: c.change})
		check("registration, "+name, err, c.why)
	}
	b := &testpasskey.Browser{Origin: "https://example.org"}
	k, err := register(b)
	if err != nil {
		t.Fatal(err)
	}
	b.Tamper = func(a *testpasskey.Answer) { a.Flags |= 8 }
	_, err = assert(b, k)
	check("a key that becomes one that can be copied", err, "backup")
	b.Tamper = func(a *testpasskey.Answer) { a.Type = "webauthn.create" }
	_, err = assert(b, k)
	check("a registration as an assertion", err, "another type")
	b.Tamper = nil
	b.After = func(r *testpasskey.Response) { r.ID, r.RawID = "AAAA", "AAAA" }
	_, err = assert(b, k)
	check("under another id", err, "id")
	_, err = register(b)
	check("registered under another id", err, "id")
	for name, change := range map[string]func(*testpasskey.Response){
		"two ids":       func(r *testpasskey.Response) { r.RawID = "AAAA" },
		"another type":  func(r *testpasskey.Response) { r.Type = "password" },
		"no base64url":  func(r *testpasskey.Response) { r.Response["clientDataJSON"] = "a+b/" },
		"with a number": func(r *testpasskey.Response) { r.Response["clientDataJSON"] = 7 },
		"huge":          func(r *testpasskey.Response) { r.Results["x"] = strings.Repeat("x", 32<<10) },
	} {
		b.After = change
		_, err = assert(b, k)
		check(name, err, "malformed")
		_, err = register(b)
		check(name, err, "malformed")
	}
}

// TestCounter: a counter that does not go up is noted, and none at all is not.
func TestCounter(t *testing.T) {
	b := &testpasskey.Browser{Origin: "https://example.org"}
	k, err := register(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		stored, now uint32
		cloned      bool
	}{{0, 0, false}, {0, 1, false}, {5, 6, false}, {5, 5, true}, {5, 4, true}, {5, 0, true}} {
		k.SignCount = c.stored
		b.Tamper = func(a *testpasskey.Answer) { a.Count = c.now; a.Flags |= 0 }
		p, err := assert(b, k)
		if err != nil || p.Cloned != c.cloned || p.SignCount != c.now || !p.Verified {
			t.Errorf("%d after %d: %+v %v", c.now, c.stored, p, err)
		}
	}
}
