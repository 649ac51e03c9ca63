package webauthnfuzz

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/testpasskey"
	"github.com/gatehouse-auth/gatehouse/internal/webauthn"
)

const (
	host   = "example.org"
	origin = "https://example.org"
)

var site = webauthn.RelyingParty{ID: host, Origins: []string{origin}}

// vector is an example of the standard: a passkey that was registered, and used.
type vector struct {
	Name         string
	Registration struct {
		Challenge, ClientDataJSON, AttestationObject hexed
		ID                                           hexed `json:"credential_id"`
	}
	Authentication struct{ Challenge, AuthenticatorData, ClientDataJSON, Signature hexed }
}

type hexed []byte

func (h *hexed) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func vectors(f *testing.F) []vector {
	f.Helper()
	text, err := os.ReadFile("../testdata/w3c-level3.json")
	if err != nil {
		f.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(text, &file); err != nil || len(file.Vectors) < 8 {
		f.Fatalf("%d vectors: %v", len(file.Vectors), err)
	}
	return file.Vectors
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// body is what a page sends of an answer.
func body(id []byte, response map[string]any) []byte {
	text, _ := json.Marshal(map[string]any{"id": encode(id), "rawId": encode(id), "type": "public-key", "response": response}) // never fails
	return text
}

func registration(r webauthn.Registration) []byte {
	return body(r.ID, map[string]any{"clientDataJSON": encode(r.ClientData), "attestationObject": encode(r.Attestation), "transports": r.Transports})
}

func assertion(a webauthn.Assertion) []byte {
	return body(a.ID, map[string]any{"clientDataJSON": encode(a.ClientData), "authenticatorData": encode(a.AuthenticatorData), "signature": encode(a.Signature), "userHandle": encode(a.UserHandle)})
}

// demand is one for the answer to a question.
func demand(challenge []byte, verified bool) webauthn.Demand {
	return webauthn.Demand{UserVerified: verified, Challenge: func(c []byte) bool { return bytes.Equal(c, challenge) }}
}

// others are sites to which no answer for ours says anything.
var others = []webauthn.RelyingParty{{ID: "example.com", Origins: []string{origin}}, {ID: host, Origins: []string{"https://example.org.evil.example", "http://example.org", "https://www.example.org"}}, {ID: host}, {Origins: []string{origin}}}

// said is what the standard library makes of the browser's account of the ceremony; it is asked for members by their exact names.
func said(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatalf("%q is no JSON: %v", raw, err)
	}
	return out
}

// FuzzRegistration: a passkey is taken only for the question, page and site that the standard library reads out of the answer, too;
// it is taken for no other site and no other question, and written again it is the same passkey.
func FuzzRegistration(f *testing.F) {
	vs := vectors(f)
	for i, v := range vs {
		r := webauthn.Registration{ID: v.Registration.ID, ClientData: v.Registration.ClientDataJSON, Attestation: v.Registration.AttestationObject, Transports: []string{"internal"}}
		text := registration(r)
		f.Add(uint8(i), text)
		f.Add(uint8(i), bytes.Replace(text, []byte(`"type"`), []byte(`"type":"public-key","type"`), 1))
		f.Add(uint8(i), bytes.Replace(text, []byte(`"rawId"`), []byte(`"RawId"`), 1))
	}
	f.Fuzz(func(t *testing.T, which uint8, text []byte) {
		v := vs[int(which)%len(vs)]
		r, err := webauthn.ParseRegistration(text)
		if err != nil {
			return
		}
		again, err := webauthn.ParseRegistration(registration(r))
		if err != nil || len(r.ID) == 0 || len(r.ID) > webauthn.MaxID || !same(r, again) {
			t.Fatalf("%+v is read again as %+v: %v", r, again, err)
		}
		for _, verified := range []bool{false, true} {
			c, err := site.Register(r, demand(v.Registration.Challenge, verified))
			if err != nil {
				continue
			}
			told := said(t, r.ClientData)
			top := told["topOrigin"]
			if told["type"] != "webauthn.create" || told["challenge"] != encode(v.Registration.Challenge) || told["origin"] != origin || told["crossOrigin"] == true || top != nil && top != "" {
				t.Fatalf("taken for what the browser did not say: %s", r.ClientData)
			}
			flags := flagsOf(t, r.Attestation)
			if flags&1 == 0 || verified && flags&4 == 0 || c.BackupEligible != (flags&8 != 0) || c.BackedUp != (flags&16 != 0) || flags&64 == 0 {
				t.Fatalf("flags %08b, read as %+v", flags, c)
			}
			if !bytes.Equal(c.ID, r.ID) || !bytes.Contains(r.Attestation, c.Key) || !bytes.Contains(r.Attestation, c.ID) || len(c.AAGUID) != 16 {
				t.Fatalf("%+v is not what %x holds", c, r.Attestation)
			}
			if c2, err := site.Register(again, demand(v.Registration.Challenge, verified)); err != nil || !reflect.DeepEqual(c, c2) {
				t.Fatalf("%+v, and written again %+v: %v", c, c2, err)
			}
			nothingElse(t, v.Registration.Challenge, func(rp webauthn.RelyingParty, d webauthn.Demand) error {
				_, err := rp.Register(r, d)
				return err
			})
		}
	})
}

// nothingElse: what was right for our site and one question is right for no other.
func nothingElse(t *testing.T, challenge []byte, check func(webauthn.RelyingParty, webauthn.Demand) error) {
	t.Helper()
	for _, rp := range others {
		if check(rp, demand(challenge, false)) == nil {
			t.Fatalf("taken by %+v", rp)
		}
	}
	for i := range challenge {
		other := bytes.Clone(challenge)
		other[i] ^= 1
		if check(site, demand(other, false)) == nil {
			t.Fatalf("taken for another question: %x", other)
		}
	}
	if check(site, webauthn.Demand{}) == nil {
		t.Fatal("taken where nothing was asked")
	}
}

// same compares two registrations; no transports are as good as an empty list of them.
func same(a, b webauthn.Registration) bool {
	if len(a.Transports) == 0 && len(b.Transports) == 0 {
		a.Transports, b.Transports = nil, nil
	}
	return bytes.Equal(a.ID, b.ID) && bytes.Equal(a.ClientData, b.ClientData) && bytes.Equal(a.Attestation, b.Attestation) && reflect.DeepEqual(a.Transports, b.Transports)
}

// flagsOf finds the flags in an attestation object without a reader of CBOR: they stand behind the hash of the site.
func flagsOf(t *testing.T, attestation []byte) byte {
	t.Helper()
	hash := sha256.Sum256([]byte(host))
	_, behind, found := bytes.Cut(attestation, hash[:])
	if !found || len(behind) == 0 || bytes.Contains(behind, hash[:]) {
		t.Skip("the hash of the site is there more than once")
	}
	return behind[0]
}

// FuzzAssertion: an answer by a known key is taken only when browser and authenticator said what they said when it was signed, to the byte,
// and for its own site, question and key.
func FuzzAssertion(f *testing.F) {
	vs := vectors(f)
	known := make([]webauthn.Credential, len(vs))
	for i, v := range vs {
		c, err := site.Register(webauthn.Registration{ID: v.Registration.ID, ClientData: v.Registration.ClientDataJSON, Attestation: v.Registration.AttestationObject},
			demand(v.Registration.Challenge, false))
		if err != nil {
			continue // of an algorithm, or from a frame, that is refused here
		}
		known[i] = c
		a := webauthn.Assertion{ID: c.ID, ClientData: v.Authentication.ClientDataJSON, AuthenticatorData: v.Authentication.AuthenticatorData, Signature: v.Authentication.Signature}
		if _, err := site.Assert(a, c, demand(v.Authentication.Challenge, false)); err != nil {
			f.Fatalf("%s: %v", v.Name, err)
		}
		f.Add(uint8(i), assertion(a))
		a.UserHandle = []byte("somebody")
		f.Add(uint8(i), assertion(a))
		a.Signature = append(bytes.Clone(a.Signature), 0)
		f.Add(uint8(i), assertion(a))
	}
	f.Fuzz(func(t *testing.T, which uint8, text []byte) {
		i := int(which) % len(vs)
		v, c := vs[i], known[i]
		a, err := webauthn.ParseAssertion(text)
		if err != nil {
			return
		}
		again, err := webauthn.ParseAssertion(assertion(a))
		if err != nil || !bytes.Equal(a.ID, again.ID) || !bytes.Equal(a.ClientData, again.ClientData) || !bytes.Equal(a.AuthenticatorData, again.AuthenticatorData) ||
			!bytes.Equal(a.Signature, again.Signature) || !bytes.Equal(a.UserHandle, again.UserHandle) {
			t.Fatalf("%+v is read again as %+v: %v", a, again, err)
		}
		p, err := site.Assert(a, c, demand(v.Authentication.Challenge, false))
		if err != nil {
			return
		}
		if !bytes.Equal(a.ClientData, v.Authentication.ClientDataJSON) || !bytes.Equal(a.AuthenticatorData, v.Authentication.AuthenticatorData) || !bytes.Equal(a.ID, c.ID) {
			t.Fatalf("%s: taken for what was never signed: %+v", v.Name, a)
		}
		if flags := a.AuthenticatorData[32]; p.Verified != (flags&4 != 0) || p.BackedUp != (flags&16 != 0) {
			t.Fatalf("flags %08b, read as %+v", flags, p)
		}
		nothingElse(t, v.Authentication.Challenge, func(rp webauthn.RelyingParty, d webauthn.Demand) error {
			_, err := rp.Assert(a, c, d)
			return err
		})
		for j, other := range known {
			if other.ID = a.ID; j != i && !bytes.Equal(other.Key, c.Key) {
				if _, err := site.Assert(a, other, demand(v.Authentication.Challenge, false)); err == nil {
					t.Fatalf("%s: taken for the key of %s", v.Name, vs[j].Name)
				}
			}
		}
	})
}

// FuzzLies: an authenticator signs whatever it is told to, as one with a stolen key would, or one on a page in the middle. It is taken
// exactly when every word of it is right.
func FuzzLies(f *testing.F) {
	challenge := []byte("0123456789abcdef")
	asked := `{"challenge":"` + encode(challenge) + `","rpId":"example.org","rp":{"id":"example.org"},"user":{"id":"dXNlcg"}}`
	add := func(made bool, kind, question, from, top, rp string, cross bool, flags byte, behind string) {
		f.Add(made, kind, question, from, top, rp, cross, flags, uint32(7), []byte(behind))
	}
	for made, kind := range map[bool]string{true: "webauthn.create", false: "webauthn.get"} {
		right := encode(challenge)
		add(made, kind, right, origin, "", host, false, 5, "")
		add(made, kind, right, origin, "", host, false, 29, "")
		add(made, kind, right, origin, "", host, false, 1, "")
		add(made, kind, right, origin, "", host, false, 4, "")
		add(made, kind, right, origin, "", host, false, 21, "")
		add(made, kind, right, origin, "", host, false, 5|128, "\xa0")
		add(made, kind, right, origin, "", host, false, 5|64, "\xa0")
		add(made, kind, right, origin, "", host, true, 5, "")
		add(made, kind, right, origin, "https://evil.example", host, false, 5, "")
		add(made, kind, right, "https://example.org.", "", host, false, 5, "")
		add(made, kind, right, "https://EXAMPLE.org", "", host, false, 5, "")
		add(made, kind, right, "https://evil.example", "", host, false, 5, "")
		add(made, kind, right+"=", origin, "", host, false, 5, "")
		add(made, kind, "", origin, "", host, false, 5, "")
		add(made, kind, right, origin, "", "evil.example", false, 5, "")
		add(made, kind, right, origin, "", host, false, 5, "behind")
		add(made, "payment.get", right, origin, "", host, false, 5, "")
		add(!made, kind, right, origin, "", host, false, 5, "")
	}
	browser := &testpasskey.Browser{Origin: origin, Algorithm: testpasskey.EdDSA}
	text, err := browser.Create([]byte(asked))
	if err != nil {
		f.Fatal(err)
	}
	r, err := webauthn.ParseRegistration(text)
	if err != nil {
		f.Fatal(err)
	}
	known, err := site.Register(r, demand(challenge, true))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, made bool, kind, question, from, top, rp string, cross bool, flags byte, count uint32, behind []byte) {
		if len(kind)+len(question)+len(from)+len(top)+len(behind) > 2000 {
			t.Skip("longer than what is read at all")
		}
		b := browser
		if made {
			b = &testpasskey.Browser{Origin: origin, Algorithm: testpasskey.EdDSA} // its own: a browser keeps what it made
		}
		b.Tamper = func(a *testpasskey.Answer) {
			a.Type, a.Challenge, a.Origin, a.TopOrigin, a.RPID, a.CrossOrigin, a.Flags, a.Count, a.Behind = kind, question, from, top, rp, cross, flags, count, behind
		}
		plain := flags&128 == 0 && len(behind) == 0 // no extensions, which have rules of their own
		right := question == encode(challenge) && from == origin && top == "" && rp == host && !cross && flags&5 == 5 && (flags&16 == 0 || flags&8 != 0)
		var err error
		if made {
			right = right && kind == "webauthn.create"
			text, cerr := b.Create([]byte(asked))
			if cerr != nil {
				t.Fatal(cerr)
			}
			var r webauthn.Registration
			if r, err = webauthn.ParseRegistration(text); err == nil {
				_, err = site.Register(r, demand(challenge, true))
			}
		} else {
			right, plain = right && kind == "webauthn.get" && flags&8 == 0, plain && flags&64 == 0 // the key was none that can be copied
			text, gerr := b.Get([]byte(asked))
			if gerr != nil {
				t.Fatal(gerr)
			}
			var a webauthn.Assertion
			if a, err = webauthn.ParseAssertion(text); err == nil {
				_, err = site.Assert(a, known, demand(challenge, true))
			}
		}
		if err == nil && !right {
			t.Fatalf("made %v: taken with %q %q %q %q %q %v %08b", made, kind, question, from, top, rp, cross, flags)
		}
		if err != nil && right && plain {
			t.Fatalf("made %v, flags %08b: all is right, and refused: %v", made, flags, err)
		}
	})
}
