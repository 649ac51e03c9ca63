package rar

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
)

// Most of what one request asks for.
const (
	maxText    = 8 << 10 // bytes
	maxDetails = 10
	maxNumber  = 40 // characters
	maxSchemas = 256
)

// ErrInvalid refuses details (RFC 9396 §5). Its text says what to mend.
var ErrInvalid = gatehouse.E(gatehouse.Invalid, "invalid_authorization_details", "The authorization details are refused.")

func invalid(text string) error {
	e := *ErrInvalid
	e.Public = text
	return &e
}

// Reader reads details. The zero value is ready, and safe for concurrent use.
type Reader struct {
	mu   sync.Mutex
	made map[string]*jsonschema.Schema // by the text of the schema
}

// Read reads the parameter authorization_details, of which each has to be of a type that there is and that is among may. The error is of
// code invalid_authorization_details.
func (r *Reader) Read(types []gatehouse.DetailType, may []string, text string) (gatehouse.Details, error) {
	if text == "" {
		return nil, nil
	}
	var list []jsontext.Value
	if len(text) > maxText {
		return nil, invalid("authorization_details must have at most 8192 bytes.")
	}
	if err := exactjson.Unmarshal([]byte(text), &list); err != nil || len(list) == 0 || len(list) > maxDetails {
		return nil, invalid("authorization_details must be a JSON array of 1 to 10 objects, each member once.")
	}
	var out gatehouse.Details
	for _, v := range list {
		d, err := r.read(types, may, v)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	return out, nil
}

func (r *Reader) read(types []gatehouse.DetailType, may []string, v jsontext.Value) (string, error) {
	members, err := object(v)
	if err != nil {
		return "", invalid("Each detail must be an object, with numbers of at most 40 characters and without exponents.")
	}
	name, _ := members["type"].(string)
	t, ok := typeOf(types, name)
	if !ok || !slices.Contains(may, name) {
		return "", invalid("A detail is of a type that this server does not have, or that the client is not registered for.")
	}
	schema, err := r.schema(t)
	if err != nil {
		return "", err
	}
	delete(members, "type")
	if err := schema.Validate(members); err != nil { // its text quotes what was sent
		return "", invalid("A detail is not as its type demands: a member is missing, unknown, or of another form.")
	}
	if err := v.Canonicalize(jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false)); err != nil {
		return "", invalid("A detail cannot be read.")
	}
	return string(v), nil
}

func typeOf(types []gatehouse.DetailType, name string) (gatehouse.DetailType, bool) {
	i := slices.IndexFunc(types, func(t gatehouse.DetailType) bool { return t.Type == name })
	if i < 0 || name == "" {
		return gatehouse.DetailType{}, false
	}
	return types[i], true
}

// object reads a JSON object whose numbers can be computed with: an exponent of nine digits would be a number of a gigabyte.
func object(v jsontext.Value) (map[string]any, error) {
	d := jsontext.NewDecoder(strings.NewReader(string(v)))
	for {
		t, err := d.ReadToken()
		if err != nil {
			break // the end, or what is found below
		}
		if t.Kind() == '0' && (len(t.String()) > maxNumber || strings.ContainsAny(t.String(), "eE")) {
			return nil, errors.New("a number is too long")
		}
	}
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(string(v)))
	if err != nil {
		return nil, err
	}
	members, ok := parsed.(map[string]any)
	if !ok {
		return nil, errors.New("no object")
	}
	return members, nil
}

// Still are those of d whose types there still are, and are among may.
func Still(types []gatehouse.DetailType, may []string, d gatehouse.Details) gatehouse.Details {
	return slices.DeleteFunc(slices.Clone(d), func(text string) bool {
		t, ok := typeOf(types, typeName(text))
		return !ok || !slices.Contains(may, t.Type)
	})
}

// Kept are those of d for which an answer of before counts.
func Kept(types []gatehouse.DetailType, d gatehouse.Details) gatehouse.Details {
	return slices.DeleteFunc(slices.Clone(d), func(text string) bool {
		t, _ := typeOf(types, typeName(text))
		return !t.Remember
	})
}

// typeName is the type of a detail that was read.
func typeName(detail string) string {
	members, err := object(jsontext.Value(detail))
	if err != nil {
		return ""
	}
	name, _ := members["type"].(string)
	return name
}

// Names are those of types.
func Names(types []gatehouse.DetailType) (names []string) {
	for _, t := range types {
		names = append(names, t.Type)
	}
	return names
}
