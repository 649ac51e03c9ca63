package identity

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse"
)

// Bounds of a user record.
const (
	MaxDisplayName    = 200 // characters
	MaxEmail          = 254 // bytes, RFC 5321 §4.5.3.1
	MaxMemberships    = 200 // roles, and groups
	MaxAttributes     = 200 // members, counted at all depths
	MaxAttributeDepth = 5
	MaxAttributeText  = 4096 // bytes of one text
)

// emailForm is a shape, not a grammar: one @, a local part without blanks or
// quotes, a host with a dot. That mail arrives is the only proof of an address.
var emailForm = regexp.MustCompile(`^[^\s@"<>(),:;\[\]\\]{1,64}@[\pL\pN](?:[\pL\pN-]*[\pL\pN])?(?:\.[\pL\pN](?:[\pL\pN-]*[\pL\pN])?)+$`)

// nameForm is the form of role and group names: scope characters (RFC 6749 §3.3).
var nameForm = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]{1,128}$`)

// ValidateUser checks u before it is stored: known kind, username with the right
// key, bounded texts, roles and groups, and attributes as policies can read them
// (see [NormalizeAttributes], which comes first for attributes from JSON). The
// error has one entry in Fields for each faulty member, never its value.
// Error: user_invalid.
func ValidateUser(u *User) error {
	faults := map[string]string{}
	if u.Kind != gatehouse.KindUser && u.Kind != gatehouse.KindService {
		faults["kind"] = "must be user or service"
	}
	name, key, err := NormalizeUsername(u.Username)
	if err != nil {
		faults["username"] = errUsername.Public
	} else if name != u.Username || key != u.UsernameKey {
		faults["username"] = "is not in the form in which it is stored"
	}
	if !validDisplayName(u.DisplayName) {
		faults["display_name"] = "must be at most 200 characters without control characters"
	}
	if !validEmail(u.Email) {
		faults["email"] = "is not an e-mail address"
	}
	if !validNames(u.Roles) {
		faults["roles"] = "must be at most 200 different names of plain characters"
	}
	if !validNames(u.Groups) {
		faults["groups"] = "must be at most 200 different names of plain characters"
	}
	if _, err := NormalizeAttributes(u.Attributes); err != nil {
		faults["attributes"] = errAttributes.Public
	}
	if len(faults) == 0 {
		return nil
	}
	e := gatehouse.E(gatehouse.Unprocessable, "user_invalid", "Some members of the user are not valid.")
	e.Fields = faults
	return e
}

func emailOK(s string) bool { return len(s) <= MaxEmail && plainText(s) && emailForm.MatchString(s) }

func validDisplayName(s string) bool {
	return utf8.RuneCountInString(s) <= MaxDisplayName && plainText(s)
}

func validEmail(s string) bool { return s == "" || emailOK(s) }

func plainText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		// Format characters reverse or hide text for the one who reads a log.
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d' || r == '\u2028' || r == '\u2029'
	})
}

func validNames(list []string) bool {
	seen := make(map[string]bool, len(list))
	for _, s := range list {
		if seen[s] || !nameForm.MatchString(s) {
			return false
		}
		seen[s] = true
	}
	return len(list) <= MaxMemberships
}

var errAttributes = gatehouse.E(gatehouse.Unprocessable, "attributes_invalid",
	"Attributes are texts, booleans, whole numbers, lists and objects: at most 200 members, 5 levels deep, 4096 bytes a text.")

// NormalizeAttributes returns a copy of attributes with the types that policies
// read: string, bool, int64, []any, map[string]any. Whole numbers of any Go type
// become int64; other numbers and null are refused, since Cedar has neither.
// Error: attributes_invalid.
func NormalizeAttributes(attributes map[string]any) (map[string]any, error) {
	if attributes == nil {
		return nil, nil
	}
	left := MaxAttributes
	v, ok := normalizeValue(attributes, MaxAttributeDepth, &left)
	if !ok {
		return nil, errAttributes
	}
	return v.(map[string]any), nil
}

func normalizeValue(v any, depth int, left *int) (any, bool) {
	if *left--; *left < -1 { // the outermost object is no member
		return nil, false
	}
	switch v := v.(type) {
	case string:
		return v, len(v) <= MaxAttributeText && utf8.ValidString(v) && !strings.ContainsRune(v, 0)
	case bool:
		return v, true
	case int:
		return int64(v), true
	case int64:
		return v, true
	case []string:
		list := make([]any, len(v))
		for i, s := range v {
			list[i] = s
		}
		return normalizeValue(list, depth, left)
	case []any:
		if depth == 0 {
			return nil, false
		}
		out := make([]any, 0, min(len(v), MaxAttributes))
		for _, e := range v {
			n, ok := normalizeValue(e, depth-1, left)
			if !ok {
				return nil, false
			}
			out = append(out, n)
		}
		return out, true
	case map[string]any:
		if depth == 0 {
			return nil, false
		}
		out := make(map[string]any, min(len(v), MaxAttributes))
		for k, e := range v {
			n, ok := normalizeValue(e, depth-1, left)
			if !ok || k == "" || len(k) > 128 || !plainText(k) {
				return nil, false
			}
			out[k] = n
		}
		return out, true
	}
	return nil, false
}
