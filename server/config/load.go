package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// MaxBytes bounds a configuration before it is parsed.
const MaxBytes = 1 << 20

// Load reads a configuration file, overlays the environment and checks
// the whole. Relative paths inside are relative to the file's directory. The
// error names the line and column, and never shows a value, since values may
// be secrets.
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
	c, err := Parse(data, environ)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	c.resolvePaths(filepath.Dir(path))
	return c, nil
}

// Parse is Load on bytes; relative paths stay as they are.
func Parse(data []byte, environ []string) (Config, error) {
	var c Config
	if len(data) > MaxBytes {
		return c, fmt.Errorf("larger than %d bytes", MaxBytes)
	}
	if err := decode(data, &c); err != nil {
		return c, err
	}
	if err := overlayEnvironment(&c, environ); err != nil {
		return c, err
	}
	c.FillDefaults()
	return c, c.Validate()
}

// decode reads the one document of a file. Errors never show a value.
func decode(data []byte, c *Config) (err error) {
	// The YAML library is not ours: whatever it trips over is a wrong file.
	defer func() {
		if recover() != nil {
			err = errors.New("cannot be read as YAML")
		}
	}()
	// The excerpt that goccy can print may hold a neighbouring secret.
	plain := func(err error) error { return errors.New(strings.TrimSpace(yaml.FormatError(err, false, false))) }
	tokens := lexer.Tokenize(string(data))
	if err := checkDepth(tokens); err != nil {
		return err
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return plain(err)
	}
	documents := 0
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		documents++
		var tags tagFinder
		ast.Walk(&tags, d.Body)
		if tags.at != nil {
			return fmt.Errorf("[%d:%d] a YAML tag (!) has no meaning here", tags.at.Line, tags.at.Column)
		}
	}
	if documents > 1 {
		return errors.New("holds a second YAML document; only one is read")
	}
	err = yaml.NewDecoder(bytes.NewReader(data), yaml.Strict(), yaml.DisallowUnknownField()).Decode(c)
	if err != nil && !errors.Is(err, io.EOF) {
		return plain(err)
	}
	return nil
}

// maxDepth bounds lists and mappings within each other; the format itself needs
// nine. The parser's time grows with the square of it.
const maxDepth = 64

// checkDepth counts what opens at once: brackets, and the dashes of one line.
func checkDepth(tokens token.Tokens) error {
	brackets, dashes, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			dashes, line = 0, t.Position.Line
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType:
			dashes++
		}
		if brackets > maxDepth || dashes > maxDepth {
			return fmt.Errorf("[%d:%d] more than %d levels", t.Position.Line, t.Position.Column, maxDepth)
		}
	}
	return nil
}

// tagFinder finds the first tag of a document.
type tagFinder struct{ at *token.Position }

// Visit implements ast.Visitor.
func (f *tagFinder) Visit(n ast.Node) ast.Visitor {
	if n.Type() == ast.TagType && f.at == nil {
		f.at = n.GetToken().Position
	}
	return f
}

// FillDefaults sets what neither the file nor the environment did.
func (c *Config) FillDefaults() {
	if c.Data == "" {
		c.Data = "data"
	}
	if c.Store.Driver == "" {
		c.Store.Driver = "sqlite"
	}
	if c.MasterKeyFile == "" {
		c.MasterKeyFile = filepath.Join(c.Data, "master.key")
	}
	if c.KeyPrefix == "" {
		c.KeyPrefix = "ghk"
	}
	if c.Log.Level == "" {
		c.Log.Level = "info"
	}
	if c.Log.Format == "" {
		c.Log.Format = "text"
	}
	if c.Audit.Overflow == "" {
		c.Audit.Overflow = "block"
	}
	if c.Audit.Queue == 0 {
		c.Audit.Queue = 8192
	}
	if c.Limits.Tokens == "" {
		c.Limits.Tokens = "600/1m"
	}
	if c.Limits.Admin == "" {
		c.Limits.Admin = "1200/1m"
	}
	if c.Passwords.Queue == 0 {
		c.Passwords.Queue = 64
	}
	for i := range c.Routes {
		if c.Routes[i].CORS == nil {
			c.Routes[i].CORS = c.Gateway.CORS
		}
	}
}

func (c *Config) resolvePaths(dir string) {
	for _, p := range []*string{&c.Data, &c.MasterKeyFile, &c.Audit.File, &c.Listen.Auth.CertFile, &c.Listen.Auth.KeyFile,
		&c.Listen.Gateway.CertFile, &c.Listen.Gateway.KeyFile, &c.Listen.Metrics.CertFile, &c.Listen.Metrics.KeyFile} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	for name, u := range c.Upstreams {
		if u.CAFile != "" && !filepath.IsAbs(u.CAFile) {
			u.CAFile = filepath.Join(dir, u.CAFile)
			c.Upstreams[name] = u
		}
	}
}

const envPrefix = "GATEHOUSE_"

// overlayEnvironment sets scalar members from GATEHOUSE_<PATH>, or from the
// file that GATEHOUSE_<PATH>_FILE names. Maps and lists of rules stay in the
// file. A variable that names no member is an error, so that a typing mistake
// in the name of a security setting is not silently nothing; the client's own
// variables (GATEHOUSE_URL, GATEHOUSE_TOKEN, …) are none of ours.
func overlayEnvironment(c *Config, environ []string) error {
	vars := map[string]string{}
	for _, kv := range environ {
		k, v, _ := strings.Cut(kv, "=")
		if name, ok := strings.CutPrefix(k, envPrefix); ok {
			vars[name] = v
		}
	}
	for _, reserved := range []string{"URL", "TOKEN", "TOKEN_FILE", "REALM", "CONFIG", "TEST_STRICT", "TEST_POSTGRES_URL", "MASTER_KEY"} {
		delete(vars, reserved)
	}
	used := map[string]bool{}
	err := overlayStruct(reflect.ValueOf(c).Elem(), "", vars, used)
	if err != nil {
		return err
	}
	for name := range vars {
		if !used[name] {
			return fmt.Errorf("environment: %s%s names no setting", envPrefix, name)
		}
	}
	return nil
}

func overlayStruct(v reflect.Value, prefix string, vars map[string]string, used map[string]bool) error {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if tag == "-" {
			continue // no setting
		}
		name := prefix + strings.ToUpper(tag)
		f := v.Field(i)
		if f.Kind() == reflect.Struct {
			if err := overlayStruct(f, name+"_", vars, used); err != nil {
				return err
			}
			continue
		}
		text, direct := vars[name]
		file, fromFile := vars[name+"_FILE"]
		// A member whose own name ends in _file is set by its own variable.
		if direct && fromFile {
			return fmt.Errorf("environment: both %s%s and %s%s_FILE are set", envPrefix, name, envPrefix, name)
		}
		if fromFile {
			b, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("environment: %s%s_FILE: %w", envPrefix, name, err)
			}
			text, direct = strings.TrimRight(string(b), "\r\n"), true
			used[name+"_FILE"] = true
		} else if direct {
			used[name] = true
		}
		if !direct {
			continue
		}
		if err := setScalar(f, text); err != nil {
			return fmt.Errorf("environment: %s%s: %w", envPrefix, name, err)
		}
	}
	return nil
}

func setScalar(f reflect.Value, text string) error {
	if t, ok := f.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return t.UnmarshalText([]byte(text))
	}
	switch f.Kind() {
	case reflect.String:
		f.SetString(text)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return errors.New("not a number")
		}
		f.SetInt(n)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("not true or false")
		}
		f.SetBool(b)
	case reflect.Slice:
		if f.Type().Elem().Kind() != reflect.String {
			return errors.New("can only be set in the file")
		}
		f.Set(reflect.ValueOf(strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })))
	default:
		return errors.New("can only be set in the file")
	}
	return nil
}
