package token

// appendDER appends the signature r || s of RFC 7518 §3.4, two integers of equal
// length, as the ASN.1 that crypto/ecdsa reads (RFC 3279 §2.2.3).
func appendDER(b, signature []byte) []byte {
	n := len(signature) / 2
	r, s := trimInteger(signature[:n]), trimInteger(signature[n:])
	body := 2 + len(r) + pad(r) + 2 + len(s) + pad(s)
	b = append(b, 0x30)
	if body >= 0x80 { // two of 66 bytes, as of P-521, at most
		b = append(b, 0x81)
	}
	b = append(b, byte(body))
	for _, v := range [...][]byte{r, s} {
		b = append(b, 0x02, byte(len(v)+pad(v)))
		if pad(v) == 1 {
			b = append(b, 0) // or it would be negative
		}
		b = append(b, v...)
	}
	return b
}

// trimInteger cuts leading zeros but for the last byte.
func trimInteger(v []byte) []byte {
	for len(v) > 1 && v[0] == 0 {
		v = v[1:]
	}
	return v
}

func pad(v []byte) int { return int(v[0] >> 7) }
