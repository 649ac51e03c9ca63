package rar

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/gatehouse-auth/gatehouse"
)

// maxSchema bounds the text of a schema, in bytes, and maxRules the rules of a type.
const (
	maxSchema = 16 << 10
	maxRules  = 50
)

// nowhere loads nothing: a schema that leads elsewhere would have the server fetch, or read files.
type nowhere struct{}

func (nowhere) Load(string) (any, error) { return nil, errors.New("it refers to another document") }

// compile makes a schema of its text.
func compile(text []byte) (*jsonschema.Schema, error) {
	if len(text) > maxSchema {
		return nil, errors.New("it has more than 16384 bytes")
	}
	members, err := object(jsontext.Value(text))
	switch {
	case err != nil:
		return nil, errors.New("it is no JSON object, or has a number with an exponent")
	case members["type"] != "object":
		return nil, errors.New(`it must have "type": "object"`)
	}
	if at := open(members); at != "" { // RFC 9396 §5
		return nil, errors.New("it admits what it does not name, at " + at + `: an object must have "additionalProperties": false, a list "items", and everything a type`)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(nowhere{})
	c.AssertFormat()
	const at = "urn:gatehouse:detail"
	if err := c.AddResource(at, any(members)); err != nil {
		return nil, errors.New("it is no JSON Schema")
	}
	s, err := c.Compile(at)
	if err != nil {
		return nil, errors.New("it is no JSON Schema, or refers to another document")
	}
	return s, nil
}

// schema is that of a type, compiled once.
func (r *Reader) schema(t gatehouse.DetailType) (*jsonschema.Schema, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.made[string(t.Schema)]; s != nil {
		return s, nil
	}
	s, err := compile(t.Schema)
	if err != nil { // it was checked when it was set
		return nil, gatehouse.ErrInternal.With(err)
	}
	if r.made == nil || len(r.made) >= maxSchemas {
		r.made = map[string]*jsonschema.Schema{}
	}
	r.made[string(t.Schema)] = s
	return s, nil
}

// Check says what is wrong with a type; nil for nothing.
func Check(t gatehouse.DetailType) error {
	visible := func(s string) bool {
		return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
	}
	switch {
	case !visible(t.Type) || len(t.Type) > 128 || strings.ContainsAny(t.Type, " \"\\"):
		return errors.New("a type must have 1 to 128 characters, without spaces and quotes")
	case !visible(t.Description) || len(t.Description) > 200:
		return errors.New(t.Type + ": the description must say in 1 to 200 bytes what is allowed")
	case len(t.Compare) > maxRules:
		return errors.New(t.Type + ": there are more than 50 rules")
	}
	for member, rule := range t.Compare {
		if !slices.Contains([]string{ruleEqual, ruleSubset, ruleAtMost, ruleAtLeast}, rule) || !visible(member) || len(member) > 128 {
			return errors.New(t.Type + ": a rule must be equal, subset, at_most or at_least, for a member")
		}
	}
	if _, err := compile(t.Schema); err != nil {
		return errors.New(t.Type + ": the schema is refused: " + err.Error())
	}
	return nil
}
