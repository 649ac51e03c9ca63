package main

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/realmfile"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/internal/yamltree"
)

// readRealmFile reads YAML, of which JSON is a part. Names that are unknown or come
// twice are errors.
func readRealmFile(b []byte) (f realmfile.RealmFile, err error) {
	if len(bytes.TrimSpace(b)) == 0 {
		return f, fmt.Errorf("is empty")
	}
	text := b
	if !jsontext.Value(b).IsValid() {
		tree, err := yamltree.Parse(b)
		if err != nil {
			return f, err
		}
		if b, err = json.Marshal(tree); err != nil {
			return f, err
		}
	}
	err = exactjson.Unmarshal(b, &f, exactjson.Strict())
	var at *json.SemanticError
	if !errors.As(err, &at) { // the library's text names types of ours
		return f, err
	}
	what := "is not of the kind that is expected there"
	var ours *gatehouse.Error
	switch {
	case errors.Is(err, json.ErrUnknownName):
		what = "is not known" + meant("", at.JSONPointer.LastToken(), membersAt(reflect.TypeFor[realmfile.RealmFile](), at.JSONPointer.Parent()))
	case errors.As(at.Err, &ours) && ours.Public != "":
		what = ours.Public
	}
	return f, fmt.Errorf("%s%s %s", linePrefix(text, at.JSONPointer), at.JSONPointer, what)
}

func linePrefix(text []byte, at jsontext.Pointer) string {
	if line := yamltree.Line(text, at); line > 0 {
		return fmt.Sprintf("line %d: ", line)
	}
	return ""
}

// membersAt are the names that an object of a file may have.
func membersAt(t reflect.Type, at jsontext.Pointer) (names []string) {
	inner := func() {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
	}
	inner()
	for token := range at.Tokens() {
		switch t.Kind() {
		case reflect.Map, reflect.Slice:
			t = t.Elem()
		case reflect.Struct:
			for f := range fieldsByName(t) {
				if f.name == token {
					t = f.Type
					break
				}
			}
		}
		inner()
	}
	if t.Kind() == reflect.Struct {
		for f := range fieldsByName(t) {
			names = append(names, f.name)
		}
	}
	return names
}

type namedField struct {
	reflect.StructField
	name string // in JSON
}

func fieldsByName(t reflect.Type) iter.Seq[namedField] {
	return func(yield func(namedField) bool) {
		for _, f := range reflect.VisibleFields(t) {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && f.IsExported() && !yield(namedField{f, name}) {
				return
			}
		}
	}
}

// withLines adds to the places that a refusal names the lines at which they stand.
func withLines(text []byte, err error) error {
	var e *gatehouse.Error
	if !errors.As(err, &e) {
		return err
	}
	out := *e
	out.Fields = map[string]string{}
	for at, what := range e.Fields {
		pointer := at
		if inside, ok := strings.CutPrefix(at, "file."); ok { // found by the schema of the API
			pointer = "/" + strings.ReplaceAll(inside, ".", "/")
		}
		if line := yamltree.Line(text, jsontext.Pointer(pointer)); line > 0 && strings.HasPrefix(pointer, "/") {
			what += fmt.Sprintf(" (line %d)", line)
		}
		out.Fields[at] = what
	}
	return &out
}

// realmYAML writes a file that readRealmFile reads as it was: with texts over several
// lines as such where YAML can hold them, else as JSON.
func realmYAML(realm string, file object) ([]byte, error) {
	exact, err := json.Marshal(file, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return nil, err
	}
	want, err := readRealmFile(exact)
	if err != nil {
		return nil, err
	}
	head := fmt.Sprintf(realmFileHead, realm)
	if text, err := yamlText(file); err == nil {
		if got, err := readRealmFile(text); err == nil && reflect.DeepEqual(got, want) {
			return append([]byte(head), text...), nil
		}
	}
	return append(exact, '\n'), nil
}

// yamlText writes a value as YAML, texts over several lines as such.
func yamlText(v any) ([]byte, error) {
	exact, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	return yamltree.Write(exact)
}
