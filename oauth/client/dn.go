package client

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDN bounds a distinguished name, in bytes.
const maxDN = 1024

var errDN = errors.New("it is no distinguished name")

// attribute is one attribute of a name: its type, dotted, and its value, which as hex is that of DER.
type attribute struct {
	kind, value string
	hex         bool
}

// attributeTypes are those that have a short name (RFC 4514 §3), and such as certificates of companies have. Others are written dotted.
func attributeTypes() map[string]string {
	return map[string]string{"CN": "2.5.4.3", "L": "2.5.4.7", "ST": "2.5.4.8", "O": "2.5.4.10", "OU": "2.5.4.11", "C": "2.5.4.6", "STREET": "2.5.4.9",
		"DC": "0.9.2342.19200300.100.1.25", "UID": "0.9.2342.19200300.100.1.1", "SERIALNUMBER": "2.5.4.5", "EMAILADDRESS": "1.2.840.113549.1.9.1",
		"BUSINESSCATEGORY": "2.5.4.15", "ORGANIZATIONIDENTIFIER": "2.5.4.97"}
}

// parseDN reads the text of a name (RFC 4514 §3), the last part first: in the order that certificates have.
func parseDN(s string) ([][]attribute, error) {
	if s == "" || len(s) > maxDN || !utf8.ValidString(s) {
		return nil, errDN
	}
	var out [][]attribute
	next := []attribute{}
	for {
		a, rest, err := parseAttribute(s)
		if err != nil {
			return nil, err
		}
		next = append(next, a)
		if rest == "" {
			break
		}
		if s = rest[1:]; rest[0] == ',' {
			out, next = append(out, next), []attribute{}
		}
	}
	out = append(out, next)
	slices.Reverse(out)
	return out, nil
}

// parseAttribute reads what comes before the next comma or plus, with which rest begins.
func parseAttribute(s string) (a attribute, rest string, err error) {
	name, rest, ok := strings.Cut(strings.TrimLeft(s, " "), "=")
	if a.kind = attributeTypes()[strings.ToUpper(name)]; a.kind == "" && dotted(name) {
		a.kind = name
	}
	if !ok || a.kind == "" {
		return a, "", errDN
	}
	rest = strings.TrimLeft(rest, " ")
	if after, ok := strings.CutPrefix(rest, "#"); ok {
		end := strings.IndexAny(after, ",+")
		if end < 0 {
			end = len(after)
		}
		der, err := hex.DecodeString(strings.TrimRight(after[:end], " "))
		if err != nil || len(der) == 0 {
			return a, "", errDN
		}
		a.value, a.hex = string(der), true
		return a, after[end:], nil
	}
	var value []byte
	kept := 0 // bytes that are not spaces at the end
	for rest != "" && rest[0] != ',' && rest[0] != '+' {
		switch c := rest[0]; {
		case c == '\\':
			text, n := unescape(rest[1:])
			if n == 0 {
				return a, "", errDN
			}
			value, rest = append(value, text), rest[1+n:]
			kept = len(value)
			continue
		case c < ' ' || c == '"' || c == ';' || c == '<' || c == '>' || c == 0x7f:
			return a, "", errDN
		default:
			if value = append(value, c); c != ' ' {
				kept = len(value)
			}
		}
		rest = rest[1:]
	}
	a.value = string(value[:kept])
	if a.value == "" || !utf8.ValidString(a.value) {
		return a, "", errDN
	}
	return a, rest, nil
}

// unescape reads what follows a backslash: a special character, or a byte in hex. n is how long that is, 0 for neither.
func unescape(s string) (b byte, n int) {
	if s != "" && strings.IndexByte(` "#+,;<=>\`, s[0]) >= 0 {
		return s[0], 1
	}
	if len(s) >= 2 {
		if v, err := strconv.ParseUint(s[:2], 16, 8); err == nil {
			return byte(v), 2
		}
	}
	return 0, 0
}

// dotted reports whether s is an object identifier.
func dotted(s string) bool {
	parts := strings.Split(s, ".")
	return len(parts) > 1 && !slices.ContainsFunc(parts, func(p string) bool {
		n, err := strconv.ParseUint(p, 10, 31)
		return err != nil || strconv.FormatUint(n, 10) != p
	})
}

// rdnSET is a part of a name as certificates have it; its name tells package asn1 that it is a SET.
type rdnSET []struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// hasSubject reports whether the name in DER is what is registered: the same types with the same values, letter for letter, in the same
// order. Names are compared by what they are made of: two texts can be one name, and one text could be made to look as two names.
func hasSubject(der []byte, registered string) bool {
	want, err := parseDN(registered)
	if err != nil {
		return false
	}
	var have []rdnSET
	if rest, err := asn1.Unmarshal(der, &have); err != nil || len(rest) > 0 || len(have) != len(want) {
		return false
	}
	for i, set := range have {
		if len(set) != len(want[i]) {
			return false
		}
		left := slices.Clone(want[i]) // a set has no order
		for _, h := range set {
			at := slices.IndexFunc(left, func(w attribute) bool { return w.kind == h.Type.String() && w.is(h.Value) })
			if at < 0 {
				return false
			}
			left = slices.Delete(left, at, at+1)
		}
	}
	return true
}

// is reports whether a value of a certificate is that of a.
func (a attribute) is(v asn1.RawValue) bool {
	if a.hex {
		return bytes.Equal(v.FullBytes, []byte(a.value))
	}
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String:
		return v.Class == asn1.ClassUniversal && string(v.Bytes) == a.value
	}
	return false // of other alphabets, the bytes may look as another text
}
