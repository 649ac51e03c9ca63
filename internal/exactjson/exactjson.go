// Package exactjson reads JSON from outside: exactly, or not at all. Duplicate
// names, invalid UTF-8 and anything after the value are refused, names match
// letter for letter, and no number becomes a float64.
//
// Every JSON text that another program wrote is read through it where the target
// can hold "any" value; TestNoFloats at the root of the module proves it.
package exactjson

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse/internal/decimal"
)

// Strict refuses members that the target does not have: among them each known
// name in another letter case, which would be a restriction silently ignored.
func Strict() json.Options { return strict }

var (
	strict  = json.RejectUnknownMembers(true)
	exactly = json.WithUnmarshalers(json.JoinUnmarshalers(json.UnmarshalFromFunc(number), json.UnmarshalFromFunc(noFloat)))
)

// errFloat is a mistake of ours: the target's type loses what was written.
var errFloat = errors.New("exactjson: a float64 cannot hold a JSON number exactly")

// Unmarshal reads one JSON value into dst. In an any, a number is an int64 when
// it is whole and fits ("1.0" and "1e0" are 1), else a [decimal.Number]; a
// float64 in dst is an error.
func Unmarshal(data []byte, dst any, opts ...json.Options) error {
	return json.Unmarshal(data, dst, append(opts, exactly)...)
}

// UnmarshalDecode is [Unmarshal] of the next value of a decoder.
func UnmarshalDecode(in *jsontext.Decoder, dst any, opts ...json.Options) error {
	return json.UnmarshalDecode(in, dst, append(opts, exactly)...)
}

// Object reads one JSON object.
func Object(data []byte) (map[string]any, error) {
	var out map[string]any
	if err := Unmarshal(data, &out); err != nil {
		return nil, err
	}
	if out == nil {
		return nil, errors.New("not a JSON object")
	}
	return out, nil
}

func number(dec *jsontext.Decoder, v *any) error {
	if dec.PeekKind() != '0' {
		return errors.ErrUnsupported // left to the default
	}
	raw, err := dec.ReadValue()
	if err != nil {
		return err
	}
	n, err := decimal.Parse(raw)
	if err != nil {
		return err
	}
	if i, err := n.Int64(); err == nil {
		*v = i
		return nil
	}
	*v = n
	return nil
}

func noFloat(*jsontext.Decoder, *float64) error { return errFloat }
