package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
)

// MaxBytes bounds a configuration before it is parsed.
const MaxBytes = 1 << 20

// Load reads a configuration file, overlays the environment and checks the
// whole. Relative paths inside are relative to the file's directory. What is
// wrong comes as [*Problems], all at once, and shows no value that may be a
// secret; the configuration is then as far as it could be read, to look for more.
func Load(path string, environ []string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return LoadText(data, path, environ)
}

// Unread reports whether nothing is known of a file, because it is no YAML.
func (c *Config) Unread() bool { return c.at == nil }

// Again reads the file once more that c was read from, with the same environment. The
// error is [ErrNoFile] where there was none.
func (c *Config) Again() (Config, error) {
	if c.file == "" {
		return Config{}, ErrNoFile
	}
	next, err := Load(c.file, c.environ)
	next.Now, next.Version = c.Now, c.Version
	return next, err
}

// ErrNoFile says that a configuration came from no file.
var ErrNoFile = errors.New("the configuration came from no file")

// File is the file that c was read from; "" for none.
func (c *Config) File() string { return c.file }

// LoadText is [Load] of a file that may not be written yet: its text, and its path.
func LoadText(data []byte, path string, environ []string) (Config, error) {
	c, err := Parse(data, environ)
	c.file, c.environ = path, environ
	if p, ok := err.(*Problems); ok {
		p.File = path
	} else if err != nil {
		return Config{}, err
	}
	resolvePaths(reflect.ValueOf(&c).Elem(), filepath.Dir(path))
	return c, err
}

// Parse is Load on bytes; relative paths stay as they are.
func Parse(data []byte, environ []string) (Config, error) {
	var c Config
	if len(data) > MaxBytes {
		return c, fmt.Errorf("larger than %d bytes", MaxBytes)
	}
	d := decode(data, &c)
	if d.unread {
		return c, &Problems{List: d.problems}
	}
	c.at = d.at
	found := &Problems{List: append(d.problems, overlayEnvironment(&c, environ, func(path string) { d.at[path] = place{} })...)}
	c.fillDefaults(func(path string) bool { _, ok := d.at[path]; return ok })
	told := map[string]bool{}
	for _, p := range found.List {
		told[p.Key] = true
	}
	c.validate(func(path string, err error) {
		if told[path] {
			return // it could not even be read
		}
		at := placeOf(d.at, path)
		found.List = append(found.List, Problem{Key: path, Line: at.line, Column: at.column, Err: err})
	})
	if len(found.List) == 0 {
		return c, nil
	}
	found.sort()
	return c, found
}

// FillDefaults gives every key that is empty its default.
func (c *Config) FillDefaults() { c.fillDefaults(func(string) bool { return false }) }

func (c *Config) fillDefaults(written func(path string) bool) {
	setDefaults(reflect.ValueOf(c).Elem(), "", written)
	if c.MasterKeyFile == "" {
		c.MasterKeyFile = filepath.Join(c.Data, "master.key")
	}
	for i := range c.Routes {
		if c.Routes[i].CORS == nil {
			c.Routes[i].CORS = c.Gateway.CORS
		}
	}
	if len(c.Upstreams) == 1 {
		for only := range c.Upstreams {
			for i := range c.Routes {
				if c.Routes[i].Upstream == "" {
					c.Routes[i].Upstream = only
				}
			}
		}
	}
	for i := range c.Routes {
		c.Routes[i].StrictPaths = c.Upstreams[c.Routes[i].Upstream].StrictPaths
	}
}

// resolvePaths makes the paths below v relative to dir.
func resolvePaths(v reflect.Value, dir string) {
	switch v.Kind() {
	case reflect.Struct:
		if shapeOf(v.Type()) != shapeGroup {
			return
		}
		for _, k := range keysOf(v.Type()) {
			f := v.FieldByIndex(k.index)
			if k.tag.Get("form") == "path" && f.String() != "" && !filepath.IsAbs(f.String()) {
				f.SetString(filepath.Join(dir, f.String()))
			}
			resolvePaths(f, dir)
		}
	case reflect.Slice:
		for i := range v.Len() {
			resolvePaths(v.Index(i), dir)
		}
	case reflect.Map:
		for _, name := range v.MapKeys() {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(v.MapIndex(name))
			resolvePaths(e, dir)
			v.SetMapIndex(name, e)
		}
	}
}
