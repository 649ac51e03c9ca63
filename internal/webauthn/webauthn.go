package webauthn

import (
	"bytes"
	"crypto/sha256"
	"slices"
)

// Bounds of what is read, in bytes. A credential's id has at most MaxID (§7.1 step 25).
const (
	MaxID          = 1023
	minChallenge   = 16 // §13.4.3
	maxClientData  = 4096
	maxAuthData    = 8192
	maxAttestation = 16384
	maxSignature   = 1024
)

// RelyingParty is who asks: the domain that passkeys are bound to, and the origins whose pages
// may use them, letter for letter.
type RelyingParty struct {
	ID      string
	Origins []string
}

// Demand is what an answer must fulfil.
type Demand struct {
	// Challenge reports whether the challenge is one that this browser was asked, and
	// that still counts. Required.
	Challenge func(challenge []byte) bool
	// UserVerified: a PIN, a finger or a face must have been asked for.
	UserVerified bool
}

// Credential is a passkey as it was registered.
type Credential struct {
	ID  []byte // chosen by the authenticator, 1 to MaxID bytes
	Key []byte // COSE_Key; it holds its algorithm
	// SignCount is the counter of signatures; 0: it counts none.
	SignCount uint32
	// BackupEligible: it can be copied to other devices; BackedUp: it was, as far as is known.
	BackupEligible, BackedUp bool
	AAGUID                   []byte // the model, 16 bytes; nobody vouches for it
}

// Registration is what a browser answers when it has made a passkey.
type Registration struct {
	ID          []byte
	ClientData  []byte
	Attestation []byte
	Transports  []string // how the authenticator can be reached, for the browser's own use
}

// Assertion is what a browser answers when a passkey was used.
type Assertion struct {
	ID                []byte
	ClientData        []byte
	AuthenticatorData []byte
	Signature         []byte
	UserHandle        []byte // nil: the authenticator told none
}

// Proof is what an assertion says beside whose it is.
type Proof struct {
	SignCount uint32
	BackedUp  bool
	// Verified: by a PIN, a finger or a face.
	Verified bool
	// Cloned: the counter did not go up, so that two devices may have the same key.
	Cloned bool
}

// Register verifies an answer to a question for a new passkey (§7.1), and returns it. That nobody
// has registered it before is for the caller to see.
func (rp RelyingParty) Register(r Registration, d Demand) (Credential, error) {
	if err := rp.checkClientData(r.ClientData, typeCreate, d); err != nil {
		return Credential{}, err
	}
	format, statement, raw, err := readAttestation(r.Attestation)
	if err != nil {
		return Credential{}, err
	}
	a, err := rp.readAuthData(raw, d)
	if err != nil {
		return Credential{}, err
	}
	if !a.has(flagCredential) || !bytes.Equal(a.id, r.ID) {
		return Credential{}, errCredential
	}
	if err := attest(format, statement, a, signed(raw, r.ClientData)); err != nil {
		return Credential{}, err
	}
	return Credential{ID: slices.Clone(a.id), Key: slices.Clone(a.cose), SignCount: a.count, AAGUID: slices.Clone(a.aaguid),
		BackupEligible: a.has(flagEligible), BackedUp: a.has(flagBackedUp)}, nil
}

// Assert verifies an answer by the passkey c (§7.2 from step 10 on). That c is the credential of
// a.ID, and that the user handle is its owner's, is for the caller to see.
func (rp RelyingParty) Assert(a Assertion, c Credential, d Demand) (Proof, error) {
	if err := rp.checkClientData(a.ClientData, typeGet, d); err != nil {
		return Proof{}, err
	}
	data, err := rp.readAuthData(a.AuthenticatorData, d)
	if err != nil {
		return Proof{}, err
	}
	if data.has(flagEligible) != c.BackupEligible {
		return Proof{}, errBackup
	}
	key, rest, err := readKey(c.Key)
	if err != nil {
		return Proof{}, err
	}
	if len(rest) != 0 || len(a.Signature) > maxSignature || !bytes.Equal(a.ID, c.ID) {
		return Proof{}, errCredential
	}
	if err := key.verify(signed(a.AuthenticatorData, a.ClientData), a.Signature); err != nil {
		return Proof{}, err
	}
	return Proof{SignCount: data.count, BackedUp: data.has(flagBackedUp), Verified: data.has(flagVerified),
		Cloned: (data.count != 0 || c.SignCount != 0) && data.count <= c.SignCount}, nil
}

// signed is what authenticators sign.
func signed(authData, clientData []byte) []byte {
	sum := sha256.Sum256(clientData)
	return append(slices.Clone(authData), sum[:]...)
}
