// Package testpasskey is a browser with an authenticator, for tests: it answers the questions for passkeys as they do,
// and lies where a test wants it to. It shares no code with the program, so that the two do not share a mistake.
package testpasskey

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
)

// Algorithms of COSE.
const (
	ES256 = -7
	EdDSA = -8
	RS256 = -257
)

// Browser is a browser on a page, with an authenticator. The zero value of Algorithm is ES256.
type Browser struct {
	Origin    string
	Algorithm int
	// Tamper changes an answer before it is signed, and After the signed one.
	Tamper func(*Answer)
	After  func(*Response)
	keys   []key
}

type key struct {
	id, handle []byte
	rp         string
	private    crypto.Signer
	algorithm  int
	count      uint32
}

// Answer is what the browser and the authenticator say.
type Answer struct {
	Type, Challenge, Origin, TopOrigin string
	CrossOrigin                        bool
	RPID                               string
	Flags                              byte // UP 1, UV 4, BE 8, BS 16
	Count                              uint32
	ID, UserHandle                     []byte
	COSE                               []byte // of a new key
	Behind                             []byte // bytes behind the authenticator data
	Format                             string
	Statement                          []byte // CBOR
	ClientData                         []byte // in the place of what is made of the rest
}

// Response is the JSON that a page sends.
type Response struct {
	ID       string         `json:"id"`
	RawID    string         `json:"rawId"`
	Type     string         `json:"type"`
	Response map[string]any `json:"response"`
	Results  map[string]any `json:"clientExtensionResults"`
}

type options struct {
	Challenge string                       `json:"challenge"`
	RPID      string                       `json:"rpId"`
	RP        struct{ ID string }          `json:"rp"`
	User      struct{ ID string }          `json:"user"`
	Exclude   []struct{ ID string }        `json:"excludeCredentials"`
	Allow     []struct{ ID string }        `json:"allowCredentials"`
	Params    []struct{ Alg int }          `json:"pubKeyCredParams"`
	Selection struct{ ResidentKey string } `json:"authenticatorSelection"`
}

// Create makes a passkey as navigator.credentials.create does, by options in JSON.
func (b *Browser) Create(text []byte) ([]byte, error) {
	var o options
	if err := json.Unmarshal(text, &o); err != nil {
		return nil, err
	}
	for _, e := range o.Exclude {
		for _, k := range b.keys {
			if encode(k.id) == e.ID {
				return nil, errors.New("InvalidStateError")
			}
		}
	}
	k := key{id: make([]byte, 32), handle: decode(o.User.ID), rp: o.RP.ID, algorithm: b.Algorithm}
	_, _ = rand.Read(k.id)
	if k.algorithm == 0 {
		k.algorithm = ES256
	}
	cose, err := k.generate()
	if err != nil {
		return nil, err
	}
	a := Answer{Type: "webauthn.create", Challenge: o.Challenge, Origin: b.Origin, RPID: o.RP.ID, Flags: 1 | 4, ID: k.id, COSE: cose, Format: "none", Statement: []byte{0xa0}}
	if b.Tamper != nil {
		b.Tamper(&a)
	}
	k.id = a.ID
	b.keys = append(b.keys, k)
	data := a.authData(true)
	object := append([]byte{0xa3}, text3("fmt")...)
	object = append(append(object, text3(a.Format)...), text3("attStmt")...)
	object = append(append(object, a.Statement...), text3("authData")...)
	object = append(object, bytesOf(data)...)
	return b.send(a, map[string]any{"clientDataJSON": encode(a.clientData()), "attestationObject": encode(object), "transports": []string{"internal", "hybrid"}})
}

// Get signs with the newest passkey for the relying party, as navigator.credentials.get does.
func (b *Browser) Get(text []byte) ([]byte, error) {
	var o options
	if err := json.Unmarshal(text, &o); err != nil {
		return nil, err
	}
	for i := len(b.keys) - 1; i >= 0; i-- {
		k := &b.keys[i]
		if k.rp != o.RPID {
			continue
		}
		k.count++
		a := Answer{Type: "webauthn.get", Challenge: o.Challenge, Origin: b.Origin, RPID: o.RPID, Flags: 1 | 4, Count: k.count, ID: k.id, UserHandle: k.handle}
		if b.Tamper != nil {
			b.Tamper(&a)
		}
		data, client := a.authData(false), a.clientData()
		sum := sha256.Sum256(client)
		sig, err := k.sign(append(bytes.Clone(data), sum[:]...))
		if err != nil {
			return nil, err
		}
		return b.send(a, map[string]any{"clientDataJSON": encode(client), "authenticatorData": encode(data), "signature": encode(sig), "userHandle": encode(a.UserHandle)})
	}
	return nil, errors.New("NotAllowedError")
}

func (b *Browser) send(a Answer, response map[string]any) ([]byte, error) {
	r := Response{ID: encode(a.ID), RawID: encode(a.ID), Type: "public-key", Response: response, Results: map[string]any{}}
	if b.After != nil {
		b.After(&r)
	}
	return json.Marshal(r)
}

func (a Answer) clientData() []byte {
	if a.ClientData != nil {
		return a.ClientData
	}
	m := map[string]any{"type": a.Type, "challenge": a.Challenge, "origin": a.Origin, "crossOrigin": a.CrossOrigin}
	if a.TopOrigin != "" {
		m["topOrigin"] = a.TopOrigin
	}
	text, _ := json.Marshal(m) // never fails
	return text
}

func (a Answer) authData(made bool) []byte {
	hash := sha256.Sum256([]byte(a.RPID))
	out := append([]byte{}, hash[:]...)
	if made {
		a.Flags |= 64
	}
	out = binary.BigEndian.AppendUint32(append(out, a.Flags), a.Count)
	if made {
		out = append(out, make([]byte, 16)...)
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(a.ID))), a.ID...)
		out = append(out, a.COSE...)
	}
	return append(out, a.Behind...)
}

func (k *key) generate() ([]byte, error) {
	switch k.algorithm {
	case ES256:
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		point, err := private.PublicKey.Bytes()
		k.private = private
		out := append([]byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21}, bytesOf(point[1:33])...)
		return append(append(out, 0x22), bytesOf(point[33:])...), err
	case EdDSA:
		public, private, err := ed25519.GenerateKey(rand.Reader)
		k.private = private
		return append([]byte{0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21}, bytesOf(public)...), err
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	k.private = private
	out := append([]byte{0xa4, 1, 3, 3, 0x39, 1, 0, 0x20}, bytesOf(private.N.Bytes())...)
	return append(append(out, 0x21), bytesOf([]byte{1, 0, 1})...), nil
}

func (k *key) sign(message []byte) ([]byte, error) {
	if k.algorithm == EdDSA {
		return k.private.Sign(rand.Reader, message, crypto.Hash(0))
	}
	sum := sha256.Sum256(message)
	return k.private.Sign(rand.Reader, sum[:], crypto.SHA256)
}

func text3(s string) []byte { return append([]byte{0x60 | byte(len(s))}, s...) }

func bytesOf(b []byte) []byte {
	head := []byte{0x58, byte(len(b))}
	switch {
	case len(b) < 24:
		head = []byte{0x40 | byte(len(b))}
	case len(b) > 255:
		head = []byte{0x59, byte(len(b) >> 8), byte(len(b))}
	}
	return append(head, b...)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decode(s string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}
