package webauthn

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// Flags of authenticator data (§6.1).
const (
	flagPresent    = 1 << 0 // UP: somebody touched it
	flagVerified   = 1 << 2 // UV: by PIN, finger or face
	flagEligible   = 1 << 3 // BE: it can be copied to other devices
	flagBackedUp   = 1 << 4 // BS: it was
	flagCredential = 1 << 6 // AT
	flagExtensions = 1 << 7 // ED
)

var (
	errAuthData   = errors.New("the authenticator data is malformed")
	errRelying    = errors.New("it was made for another relying party")
	errPresence   = errors.New("nobody was there (UP)")
	errVerified   = errors.New("the person was not verified (UV)")
	errBackup     = errors.New("its flags of backup contradict each other, or what was stored (BE, BS)")
	errCredential = errors.New("the credential's id or key is malformed")
)

// authData is authenticator data, read to its last byte.
type authData struct {
	flags     byte
	count     uint32
	aaguid    []byte
	id        []byte // of the credential; nil without flagCredential
	cose      []byte
	publicKey publicKey
}

func (a authData) has(flag byte) bool { return a.flags&flag != 0 }

// readAuthData reads authenticator data and makes the checks that both ceremonies share: steps
// 13 to 17 of §7.1, 15 to 19 of §7.2.
func (rp RelyingParty) readAuthData(data []byte, d Demand) (a authData, err error) {
	if len(data) < 37 || len(data) > maxAuthData {
		return a, errAuthData
	}
	hash := sha256.Sum256([]byte(rp.ID))
	if rp.ID == "" || !bytes.Equal(data[:32], hash[:]) {
		return a, errRelying
	}
	a.flags, a.count = data[32], binary.BigEndian.Uint32(data[33:37])
	rest := data[37:]
	if a.has(flagCredential) {
		if rest, err = a.readCredential(rest); err != nil {
			return a, err
		}
	}
	if a.has(flagExtensions) {
		var v any
		if v, rest, err = readCBOR(rest); err != nil {
			return a, err
		}
		if _, ok := v.(map[any]any); !ok {
			return a, errAuthData
		}
	}
	switch {
	case len(rest) != 0:
		return a, errAuthData
	case !a.has(flagPresent):
		return a, errPresence
	case d.UserVerified && !a.has(flagVerified):
		return a, errVerified
	case a.has(flagBackedUp) && !a.has(flagEligible):
		return a, errBackup
	}
	return a, nil
}

// readCredential reads attested credential data (§6.5.2) and returns what stands behind it.
func (a *authData) readCredential(data []byte) ([]byte, error) {
	if len(data) < 18 {
		return nil, errAuthData
	}
	n := int(binary.BigEndian.Uint16(data[16:18]))
	if n == 0 || n > MaxID || len(data) < 18+n {
		return nil, errCredential
	}
	a.aaguid, a.id = data[:16], data[18:18+n]
	k, rest, err := readKey(data[18+n:])
	if err != nil {
		return nil, err
	}
	a.publicKey, a.cose = k, data[18+n:len(data)-len(rest)]
	return rest, nil
}
