package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// key is one key of a configuration, as its field's tags say.
type key struct {
	name  string
	index []int // of the field in its struct
	tag   reflect.StructTag
}

// keysOf returns the keys of a struct, in the order of its fields. Those of an embedded
// struct are its own.
func keysOf(t reflect.Type) []key {
	var keys []key
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			for _, k := range keysOf(f.Type) {
				k.index = append([]int{i}, k.index...)
				keys = append(keys, k)
			}
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue // no setting
		}
		keys = append(keys, key{name, f.Index, f.Tag})
	}
	return keys
}

func (k key) required() bool { return k.tag.Get("required") == "true" }

// enum returns the values that are allowed; nil allows all.
func (k key) enum() []string {
	if e := k.tag.Get("enum"); e != "" {
		return strings.Split(e, ",")
	}
	return nil
}

// shape is what a value looks like in a file.
type shape int

const (
	shapeText shape = iota
	shapeNumber
	shapeBool
	shapeDuration
	shapeWritten // a text with a form of its own: it unmarshals itself
	shapeGroup   // a struct
	shapeList
	shapeMap
	shapeAny // a scalar whose text is taken
)

func shapeOf(t reflect.Type) shape {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return shapeDuration
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return shapeWritten
	}
	switch t.Kind() {
	case reflect.String:
		return shapeText
	case reflect.Int, reflect.Int64:
		return shapeNumber
	case reflect.Bool:
		return shapeBool
	case reflect.Struct:
		return shapeGroup
	case reflect.Pointer:
		return shapeOf(t.Elem())
	case reflect.Slice:
		return shapeList
	case reflect.Map:
		return shapeMap
	case reflect.Interface:
		return shapeAny
	}
	panic("config: no key can be a " + t.String()) // a mistake in this package; its tests see it
}

// setDefaults gives every key below v that is empty its default, in the elements
// of maps and lists too. A number that was written stays, also when it is 0.
func setDefaults(v reflect.Value, path string, written func(path string) bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			setDefaults(v.Elem(), path, written)
		}
	case reflect.Struct:
		if shapeOf(v.Type()) != shapeGroup {
			return
		}
		for _, k := range keysOf(v.Type()) {
			f, at := v.FieldByIndex(k.index), join(path, k.name)
			d := k.tag.Get("default")
			if d != "" && f.IsZero() && (f.Kind() == reflect.String || !written(at)) {
				if err := setText(f, d); err != nil {
					panic("config: default of " + k.name + ": " + err.Error()) // as above
				}
			}
			setDefaults(f, at, written)
		}
	case reflect.Slice:
		for i := range v.Len() {
			setDefaults(v.Index(i), fmt.Sprintf("%s[%d]", path, i), written)
		}
	case reflect.Map:
		for _, name := range v.MapKeys() {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(v.MapIndex(name))
			setDefaults(e, join(path, name.String()), written)
			v.SetMapIndex(name, e)
		}
	}
}

// sortedNames are the names of a map, in their order.
func sortedNames(m reflect.Value) []string {
	names := make([]string, 0, m.Len())
	for _, name := range m.MapKeys() {
		names = append(names, name.String())
	}
	slices.Sort(names)
	return names
}
