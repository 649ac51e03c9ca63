package config

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse/internal/duration"
	"github.com/gatehouse-auth/gatehouse/internal/yamltree"
)

// Text writes a configuration as a file: every key that says something, in the order
// of the reference. Read again it is the same.
func Text(c Config) ([]byte, error) {
	var out bytes.Buffer
	if err := write(jsontext.NewEncoder(&out), reflect.ValueOf(c)); err != nil {
		return nil, err
	}
	return yamltree.Write(out.Bytes())
}

// write writes a value as JSON, with durations and rates as people write them.
func write(enc *jsontext.Encoder, v reflect.Value) error {
	switch shapeOf(v.Type()) {
	case shapeGroup:
		return writeGroup(enc, reflect.Indirect(v))
	case shapeList:
		return writeAll(enc, jsontext.BeginArray, jsontext.EndArray, func(each func(string, reflect.Value) error) error {
			for i := range v.Len() {
				if err := each("", v.Index(i)); err != nil {
					return err
				}
			}
			return nil
		})
	case shapeMap:
		return writeAll(enc, jsontext.BeginObject, jsontext.EndObject, func(each func(string, reflect.Value) error) error {
			for _, name := range sortedNames(v) {
				if err := each(name, v.MapIndex(reflect.ValueOf(name))); err != nil {
					return err
				}
			}
			return nil
		})
	case shapeNumber:
		return enc.WriteToken(jsontext.Int(v.Int()))
	case shapeBool:
		return enc.WriteToken(jsontext.Bool(v.Bool()))
	case shapeDuration:
		return enc.WriteToken(jsontext.String(duration.Format(time.Duration(v.Int()))))
	case shapeWritten:
		text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
		if err != nil {
			return err
		}
		return enc.WriteToken(jsontext.String(string(text)))
	case shapeAny:
		return enc.WriteToken(jsontext.String(fmt.Sprint(v.Interface())))
	}
	return enc.WriteToken(jsontext.String(v.String()))
}

func writeGroup(enc *jsontext.Encoder, v reflect.Value) error {
	return writeAll(enc, jsontext.BeginObject, jsontext.EndObject, func(each func(string, reflect.Value) error) error {
		for _, k := range keysOf(v.Type()) {
			f := v.FieldByIndex(k.index)
			// A number that is 0 where the default is another was written so.
			if f.IsZero() && !k.required() && (k.tag.Get("default") == "" || !f.CanInt()) {
				continue
			}
			if err := each(k.name, f); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeAll writes what members gives, with its name where it has one.
func writeAll(enc *jsontext.Encoder, begin, end jsontext.Token, members func(each func(string, reflect.Value) error) error) error {
	if err := enc.WriteToken(begin); err != nil {
		return err
	}
	err := members(func(name string, v reflect.Value) error {
		if begin.Kind() == '{' {
			if err := enc.WriteToken(jsontext.String(name)); err != nil {
				return err
			}
		}
		return write(enc, v)
	})
	if err != nil {
		return err
	}
	return enc.WriteToken(end)
}
