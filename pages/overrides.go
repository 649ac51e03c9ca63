package pages

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse/internal/markup"
	"github.com/gatehouse-auth/gatehouse/internal/nearest"
)

// What a directory of overrides holds: texts/LANGUAGE.json and templates/PAGE.html.
const (
	textsDir     = "texts"
	templatesDir = "templates"
)

// Bounds of it: of one file and of one text, in bytes. Ours are a tenth of that.
const (
	maxOverrideFile = 256 << 10
	maxText         = 4 << 10
)

// Overrides are texts and templates of an operator, each in the place of one of ours, which are there for all others.
// They are immutable.
type Overrides struct{ dress *dress }

// ReadOverrides reads the directory dir and proves that every page can be drawn with what is in it, in every state that the
// gallery knows, and still asks browsers for what it asked for before. All that is wrong is told at once ([errors.Join]), each with
// its file and, where it has one, its line. What begins with a dot is not looked at.
func ReadOverrides(dir string) (*Overrides, error) {
	ours, err := ownDress()
	if err != nil {
		return nil, err
	}
	r := overrideReader{dir: dir, ours: ours}
	r.entries(".", func(name string) {
		switch name {
		case textsDir:
			r.entries(textsDir, r.texts)
		case templatesDir:
			r.entries(templatesDir, r.template)
		default:
			r.wrong(name, 0, "is not known: there can be %s and %s", textsDir, templatesDir)
		}
	})
	if len(r.problems) > 0 {
		return nil, errors.Join(r.problems...)
	}
	worn := r.dress()
	if len(r.problems) == 0 && len(r.templates) > 0 {
		for _, err := range compare(ours, worn, r.concerns) {
			r.problems = append(r.problems, fmt.Errorf("%s: %w", filepath.Join(dir, templatesDir), err))
		}
	}
	if len(r.problems) > 0 {
		return nil, errors.Join(r.problems...)
	}
	return &Overrides{worn}, nil
}

// overrideReader reads a directory of overrides and notes what is wrong with it.
type overrideReader struct {
	dir       string
	ours      *dress
	languages map[string]*language // by tag, those that say something else
	templates map[string][]byte    // by the path of ours that they take the place of
	problems  []error
}

func (r *overrideReader) wrong(name string, line int, format string, args ...any) {
	at := filepath.Join(r.dir, filepath.FromSlash(name))
	if line > 0 {
		at = fmt.Sprintf("%s:%d", at, line)
	}
	r.problems = append(r.problems, fmt.Errorf("%s: %w", at, fmt.Errorf(format, args...)))
}

// entries calls each with what stands in a folder of the directory.
func (r *overrideReader) entries(folder string, each func(name string)) {
	list, err := os.ReadDir(filepath.Join(r.dir, folder))
	if err != nil {
		r.problems = append(r.problems, err)
	}
	for _, e := range list {
		if !strings.HasPrefix(e.Name(), ".") {
			each(e.Name())
		}
	}
}

// read is a file, as far as one may be; nil when it cannot be read.
func (r *overrideReader) read(name string) []byte {
	f, err := os.Open(filepath.Join(r.dir, filepath.FromSlash(name)))
	if err != nil {
		r.problems = append(r.problems, err)
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxOverrideFile+1))
	switch {
	case err != nil:
		r.problems = append(r.problems, err)
	case len(b) > maxOverrideFile:
		r.wrong(name, 0, "has more than %d bytes", maxOverrideFile)
	case !utf8.Valid(b):
		r.wrong(name, 0, "is not UTF-8")
	default:
		return b
	}
	return nil
}

var place = regexp.MustCompile(`\{\d\}`)

// places are the places that a text has to fill, in order.
func places(text string) []string {
	found := place.FindAllString(text, -1)
	slices.Sort(found)
	return found
}

// texts reads the texts of one language.
func (r *overrideReader) texts(file string) {
	name := path.Join(textsDir, file)
	i := slices.IndexFunc(r.ours.languages, func(l *language) bool { return l.Tag+".json" == file })
	if i < 0 {
		r.wrong(name, 0, "is not known: there can be %s, each with .json behind it", strings.Join(tags[:], ", "))
		return
	}
	b := r.read(name)
	if b == nil {
		return
	}
	ours := r.ours.languages[i]
	worn := &language{Tag: ours.Tag, Name: ours.Name, Dir: ours.Dir, texts: maps.Clone(ours.texts)}
	line := func(at int64) int { return 1 + bytes.Count(b[:at], []byte("\n")) }
	d := jsontext.NewDecoder(bytes.NewReader(b)) // refuses a name that is there twice
	err := members(d, func(key, text string) {
		at := line(d.InputOffset())
		was, known := ours.texts[key]
		switch {
		case !known && nearest.Name(key, slices.Sorted(maps.Keys(ours.texts))) != "":
			r.wrong(name, at, "there is no text %q; did you mean %q?", key, nearest.Name(key, slices.Sorted(maps.Keys(ours.texts))))
		case !known:
			r.wrong(name, at, "there is no text %q", key)
		case strings.TrimSpace(text) == "":
			r.wrong(name, at, "%q says nothing", key)
		case len(text) > maxText:
			r.wrong(name, at, "%q has more than %d bytes", key, maxText)
		case !slices.Equal(places(was), places(text)):
			r.wrong(name, at, "%q must have the places %q of ours, each as often, and has %q", key, places(was), places(text))
		default:
			worn.texts[key] = text
		}
	})
	if err != nil {
		r.wrong(name, line(d.InputOffset()), "is not an object of texts: %w", err)
	}
	worn.Name = worn.texts["language"]
	if r.languages == nil {
		r.languages = map[string]*language{}
	}
	r.languages[ours.Tag] = worn
}

// members calls each with the members of an object of strings, and fails when d has anything else.
func members(d *jsontext.Decoder, each func(name, value string)) error {
	errNot := errors.New("it must be { \"key\": \"text\", … }")
	if t, err := d.ReadToken(); err != nil {
		return err
	} else if t.Kind() != '{' {
		return errNot
	}
	for d.PeekKind() == '"' {
		t, err := d.ReadToken()
		if err != nil {
			return err
		}
		name := t.String()
		if t, err = d.ReadToken(); err != nil {
			return err
		} else if t.Kind() != '"' {
			return errNot
		}
		each(name, t.String())
	}
	if _, err := d.ReadToken(); err != nil { // the end of the object
		return err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return errNot
	}
	return nil
}

// template reads a template.
func (r *overrideReader) template(file string) {
	name := path.Join(templatesDir, file)
	if _, err := fs.Stat(templates, name); err != nil || file == galleryTemplate {
		r.wrong(name, 0, "is no template; `gatehouse ui export` writes those that there are")
		return
	}
	b := r.read(name)
	if b == nil {
		return
	}
	for _, m := range textUsed.FindAllSubmatchIndex(b, -1) {
		if key := string(b[m[2]:m[3]]); r.ours.languages[0].texts[key] == "" {
			r.wrong(name, 1+bytes.Count(b[:m[2]], []byte("\n")), "there is no text %q", key)
		}
	}
	if r.templates == nil {
		r.templates = map[string][]byte{}
	}
	r.templates[name] = b
}

// textUsed finds the texts that a template asks for.
var textUsed = regexp.MustCompile(`\{\{-?\s*t\s+"([^"]*)"`)

// dress is ours with what was read.
func (r *overrideReader) dress() *dress {
	worn := &dress{templates: r.ours.templates}
	for _, l := range r.ours.languages {
		if other := r.languages[l.Tag]; other != nil {
			l = other
		}
		worn.languages = append(worn.languages, l)
	}
	if len(r.templates) == 0 {
		return worn
	}
	var err error
	if worn.templates, err = markup.Parse(overlay{templates, r.templates}, "templates/*.html", functions[:]...); err != nil {
		r.problems = append(r.problems, fmt.Errorf("%s: %w", filepath.Join(r.dir, templatesDir), err))
	}
	return worn
}

// concerns reports whether a page can look different: its own template is another one, or one that pages share.
func (r *overrideReader) concerns(page string) bool {
	for name := range r.templates {
		of := strings.TrimSuffix(path.Base(name), ".html")
		if of == page || !slices.ContainsFunc(gallery(), func(e exhibit) bool { return e.page == of }) {
			return true
		}
	}
	return false
}

// overlay is the files of the program with some in their places.
type overlay struct {
	embedded
	over map[string][]byte
}

func (o overlay) ReadFile(name string) ([]byte, error) {
	if b, ok := o.over[name]; ok {
		return b, nil
	}
	return o.embedded.ReadFile(name)
}

// Export writes the texts and templates of the program into the directory dir, to be changed there and named as overrides. It
// makes the directory and writes over no file.
func Export(dir string) error {
	for _, from := range []struct {
		files    embedded
		own, dir string
	}{{messages, "messages", textsDir}, {templates, "templates", templatesDir}} {
		to := filepath.Join(dir, from.dir)
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		list, err := from.files.ReadDir(from.own)
		if err != nil {
			return err
		}
		for _, e := range list {
			if e.Name() == galleryTemplate {
				continue
			}
			b, err := from.files.ReadFile(path.Join(from.own, e.Name()))
			if err != nil {
				return err
			}
			if err := writeNew(filepath.Join(to, e.Name()), b); err != nil {
				return err
			}
		}
	}
	return nil
}

type embedded interface {
	fs.ReadDirFS
	fs.ReadFileFS
}

// writeNew writes a file that is not there yet.
func writeNew(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
