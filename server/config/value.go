package config

import (
	"encoding"
	"errors"
	"fmt"
	"net"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/duration"
	"github.com/gatehouse-auth/gatehouse/internal/nearest"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// setText sets a scalar, or a list of texts, from its written form. Errors say
// what is expected and never show the text, which may be a secret.
func setText(f reflect.Value, text string) error {
	switch shapeOf(f.Type()) {
	case shapeDuration:
		d, err := duration.Parse(text)
		if err != nil {
			return err
		}
		f.SetInt(int64(d))
	case shapeWritten:
		return f.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
	case shapeText:
		f.SetString(text)
	case shapeAny:
		f.Set(reflect.ValueOf(text))
	case shapeNumber:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || f.OverflowInt(n) {
			return errors.New("a whole number")
		}
		f.SetInt(n)
	case shapeBool:
		if text != "true" && text != "false" {
			return errors.New("true or false")
		}
		f.SetBool(text == "true")
	case shapeList:
		if f.Type().Elem().Kind() != reflect.String {
			return errors.New("can only be set in the file")
		}
		words := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
		f.Set(reflect.MakeSlice(f.Type(), len(words), len(words)))
		for i, w := range words {
			f.Index(i).SetString(w)
		}
	default:
		return errors.New("can only be set in the file")
	}
	return nil
}

// reporter takes what is wrong with the key at a path.
type reporter func(path string, err error)

// checkTags reports every value below v that is not as its key's tags say.
func checkTags(v reflect.Value, path string, report reporter) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			checkTags(v.Elem(), path, report)
		}
	case reflect.Struct:
		if shapeOf(v.Type()) != shapeGroup {
			return
		}
		for _, k := range keysOf(v.Type()) {
			f, at := v.FieldByIndex(k.index), join(path, k.name)
			k.check(f, at, report)
			checkTags(f, at, report)
		}
	case reflect.Slice:
		for i := range v.Len() {
			checkTags(v.Index(i), fmt.Sprintf("%s[%d]", path, i), report)
		}
	case reflect.Map:
		for _, name := range v.MapKeys() {
			checkTags(v.MapIndex(name), join(path, name.String()), report)
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// check reports what is wrong with the value of one key. Lists and maps are
// checked element by element.
func (k key) check(f reflect.Value, path string, report reporter) {
	if f.IsZero() && k.required() {
		report(path, errors.New("needed"))
		return
	}
	switch shapeOf(f.Type()) {
	case shapeText:
		if err := k.checkText(f.String()); f.String() != "" && err != nil {
			report(path, err)
		}
	case shapeList:
		for i := range f.Len() {
			if e := f.Index(i); e.Kind() == reflect.String {
				if err := k.checkText(e.String()); err != nil {
					report(fmt.Sprintf("%s[%d]", path, i), err)
				}
			}
		}
	case shapeMap:
		for _, name := range f.MapKeys() {
			if e := f.MapIndex(name); e.Kind() == reflect.String {
				if err := k.checkText(e.String()); err != nil {
					report(join(path, name.String()), err)
				}
			}
		}
	case shapeNumber, shapeDuration:
		if err := k.checkBounds(f); err != nil {
			report(path, err)
		}
	}
}

func (k key) checkText(s string) error {
	if e := k.enum(); e != nil && !slices.Contains(e, s) {
		err := "one of " + strings.Join(e, ", ")
		if near := nearest.Name(s, e); near != "" {
			err += "; did you mean " + near + "?"
		}
		return errors.New(err)
	}
	if p := k.tag.Get("pattern"); p != "" && !regexp.MustCompile(p).MatchString(s) {
		return errors.New("must match " + p)
	}
	switch k.tag.Get("form") {
	case "base_url":
		return web.CheckBaseURL(s)
	case "host_port":
		if _, port, err := net.SplitHostPort(s); err != nil {
			return errors.New("host:port, such as 127.0.0.1:8080")
		} else if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
			return errors.New("host:port, with a port from 0 to 65535")
		}
	case "network":
		if s == "unix" || strings.HasPrefix(s, "unix:") || strings.HasPrefix(s, "/") {
			return errors.New("no listener is a UNIX socket, so no proxy can come by one; name addresses and networks")
		}
		if _, err := web.NewProxies(web.ProxyConfig{Trusted: []string{s}}); err != nil {
			return errors.New("an address or a network, such as 10.0.0.0/8")
		}
	}
	return nil
}

// checkBounds compares a number or a duration with its bounds.
func (k key) checkBounds(f reflect.Value) error {
	bound := func(tag string) (reflect.Value, string, bool) {
		text := k.tag.Get(tag)
		if text == "" {
			return f, "", false
		}
		b := reflect.New(f.Type()).Elem()
		if err := setText(b, text); err != nil {
			panic("config: " + tag + " of " + k.name + ": " + err.Error()) // as in setDefaults
		}
		return b, text, true
	}
	low, lowText, hasLow := bound("minimum")
	high, highText, hasHigh := bound("maximum")
	switch {
	case hasLow && hasHigh && (f.Int() < low.Int() || f.Int() > high.Int()):
		return fmt.Errorf("%s to %s", lowText, highText)
	case hasLow && f.Int() < low.Int():
		return fmt.Errorf("at least %s", lowText)
	case hasHigh && f.Int() > high.Int():
		return fmt.Errorf("at most %s", highText)
	}
	return nil
}
