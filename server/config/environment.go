package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/nearest"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
)

const envPrefix = "GATEHOUSE_"

// clientVariables belong to the commands, and to the tests.
var clientVariables = []string{"URL", "TOKEN", "TOKEN_FILE", "REALM", "CONFIG", "TEST_STRICT", "TEST_POSTGRES_URL", "TEST_LONG", "MASTER_KEY"} // read-only

// environment is what GATEHOUSE_… variables say of a configuration.
type environment struct {
	vars  map[string]string // without the prefix
	used  map[string]bool
	names []string // that would set something
	errs  []Problem
	set   func(path string) // told of each key that is set
}

// overlayEnvironment sets scalars from GATEHOUSE_<PATH>, or from the file that
// GATEHOUSE_<PATH>_FILE names. Maps and lists of rules stay in the file. A
// variable that names no key is an error, so that a typing mistake in the name of
// a security setting is not silently nothing.
func overlayEnvironment(c *Config, environ []string, set func(path string)) []Problem {
	e := &environment{set: set, vars: map[string]string{}, used: map[string]bool{}}
	for _, kv := range environ {
		k, v, _ := strings.Cut(kv, "=")
		if name, ok := strings.CutPrefix(k, envPrefix); ok && !slices.Contains(clientVariables, name) {
			e.vars[name] = v
		}
	}
	e.overlay(reflect.ValueOf(c).Elem(), "", "")
	for name := range e.vars {
		if e.used[name] {
			continue
		}
		text := "names no setting"
		if near := nearestUpper(name, e.names); near != "" {
			text += "; did you mean " + envPrefix + near + "?"
		}
		e.fail(name, errors.New(text))
	}
	sorted.Slice(e.errs, func(a, b Problem) int { return strings.Compare(a.Key, b.Key) })
	return e.errs
}

// fail notes what is wrong with a variable. Its value is never shown.
func (e *environment) fail(name string, err error) {
	e.errs = append(e.errs, Problem{Key: "environment: " + envPrefix + name, Err: err})
}

func (e *environment) overlay(v reflect.Value, prefix, path string) {
	for _, k := range keysOf(v.Type()) {
		name, f := prefix+strings.ToUpper(k.name), v.FieldByIndex(k.index)
		if shapeOf(f.Type()) == shapeGroup && f.Kind() == reflect.Struct {
			e.overlay(f, name+"_", join(path, k.name))
			continue
		}
		e.names = append(e.names, name)
		text, direct := e.vars[name]
		file, fromFile := e.vars[name+"_FILE"]
		e.used[name], e.used[name+"_FILE"] = e.used[name] || direct, e.used[name+"_FILE"] || fromFile
		switch {
		case direct && fromFile:
			e.fail(name, errors.New("set twice: here and in "+name+"_FILE"))
			continue
		case fromFile:
			b, err := os.ReadFile(file)
			if err != nil {
				e.fail(name+"_FILE", err)
				continue
			}
			text = strings.TrimRight(string(b), "\r\n")
		case !direct:
			continue
		}
		if err := setText(f, text); err != nil {
			e.fail(name, fmt.Errorf("must be %w", err))
		}
		e.set(join(path, k.name)) // stands in no file
	}
}

func nearestUpper(name string, names []string) string {
	lower := make([]string, len(names))
	for i, n := range names {
		lower[i] = strings.ToLower(n)
	}
	return strings.ToUpper(nearest.Name(name, lower))
}
