package webauthn

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
)

// Formats of attestation that are looked into (§8.7, §8.2).
const (
	formatNone   = "none"
	formatPacked = "packed"
)

var errAttestation = errors.New("the attestation is malformed, or its signature is not right")

// readAttestation takes an attestation object apart (§6.5.4).
func readAttestation(raw []byte) (format string, statement map[any]any, authData []byte, err error) {
	if len(raw) > maxAttestation {
		return "", nil, nil, errAttestation
	}
	v, rest, err := readCBOR(raw)
	if err != nil {
		return "", nil, nil, err
	}
	m, _ := v.(map[any]any)
	format, okFormat := m["fmt"].(string)
	statement, okStatement := m["attStmt"].(map[any]any)
	authData, okData := m["authData"].([]byte)
	if len(rest) != 0 || len(m) != 3 || !okFormat || !okStatement || !okData {
		return "", nil, nil, errAttestation
	}
	return format, statement, authData, nil
}

// attest is steps 21 and 22 of §7.1. A statement gives nobody more trust, since no maker's
// certificate is known here; one that contradicts itself is refused all the same.
func attest(format string, statement map[any]any, a authData, message []byte) error {
	switch format {
	case formatNone:
		if len(statement) != 0 {
			return errAttestation
		}
	case formatPacked:
		return packed(statement, a, message)
	}
	return nil
}

// aaguidExtension is id-fido-gen-ce-aaguid (§8.2.1).
var aaguidExtension = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4} // read-only

// packed verifies a statement in the format "packed" (§8.2), by the key itself or by the
// certificate that comes with it.
func packed(statement map[any]any, a authData, message []byte) error {
	alg, okAlg := statement["alg"].(int64)
	sig, okSig := statement["sig"].([]byte)
	if !okAlg || !okSig || len(sig) > maxSignature {
		return errAttestation
	}
	chain, certified := statement["x5c"]
	if !certified { // self attestation
		if len(statement) != 2 || alg != a.publicKey.algorithm || a.publicKey.verify(message, sig) != nil {
			return errAttestation
		}
		return nil
	}
	list, _ := chain.([]any)
	if len(statement) != 3 || len(list) == 0 {
		return errAttestation
	}
	der, _ := list[0].([]byte)
	cert, err := x509.ParseCertificate(der)
	if err != nil || cert.Version != 3 || cert.IsCA || (publicKey{alg, cert.PublicKey}).verify(message, sig) != nil {
		return errAttestation
	}
	for _, e := range cert.Extensions {
		if e.Id.Equal(aaguidExtension) && !bytes.Equal(e.Value, append([]byte{4, 16}, a.aaguid...)) {
			return errAttestation
		}
	}
	return nil
}
