package markup

import (
	"bytes"
	"strings"
	"testing"
	"testing/fstest"
)

func set(t *testing.T, text string) (*Set, error) {
	t.Helper()
	return Parse(fstest.MapFS{"page.html": {Data: []byte(text)}}, "*.html", "f")
}

type person struct {
	Name string
	Age  int
	Tags []string
	Next *person
	At   string
	HTML HTML
	Any  any
}

func fill(t *testing.T, text string, data any) (string, error) {
	t.Helper()
	s, err := set(t, text)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	err = s.Execute(&b, "page.html", data, map[string]Func{"f": func(args ...any) (any, error) {
		out := ""
		for _, a := range args {
			out += "<" + a.(string) + ">"
		}
		return out, nil
	}})
	return b.String(), err
}

func TestFill(t *testing.T) {
	p := person{Name: `<b a="1" b='2'>&amp;`, Age: 7, Tags: []string{"x", "<y>"}, Next: &person{Name: "n", Age: 1}, At: "/a?b=c&d=e", HTML: "<i>", Any: 3}
	for text, want := range map[string]string{
		`{{.Name}}`:                                `&lt;b a=&#34;1&#34; b=&#39;2&#39;&gt;&amp;amp;`,
		`<p title="{{.Name}}">`:                    `<p title="&lt;b a=&#34;1&#34; b=&#39;2&#39;&gt;&amp;amp;">`,
		`{{.Age}}{{.Any}}{{.Next.Age}}`:            `731`,
		`{{range .Tags}}[{{.}}]{{$.Age}}{{end}}`:   `[x]7[&lt;y&gt;]7`,
		`{{range .Next.Tags}}x{{else}}none{{end}}`: `none`,
		`{{if .Name}}a{{else}}b{{end}}{{if .Next.Next}}a{{else}}b{{end}}{{if .Next.Tags}}a{{else}}b{{end}}`: `abb`,
		`<p {{if .Age}}class="x"{{end}}>`:                          `<p class="x">`,
		`<script type="module" src="{{.At}}"></script>{{.Age}}`:    `<script type="module" src="/a?b=c&amp;d=e"></script>7`,
		`<a href="{{.At}}">`:                                       `<a href="/a?b=c&amp;d=e">`,
		`<a href="/x?{{.Name}}">`:                                  `<a href="/x?&lt;b a=&#34;1&#34; b=&#39;2&#39;&gt;&amp;amp;">`,
		`{{.HTML}}`:                                                `<i>`,
		`{{f "a" .Next.Name}}{{/* a remark */}}`:                   `&lt;a&gt;&lt;n&gt;`,
		`{{define "in"}}({{.Name}}){{end}}{{template "in" .Next}}`: `(n)`,
		"<!doctype html>\n<p>{{.Age}}":                             "<!doctype html>\n<p>7",
	} {
		if got, err := fill(t, text, p); err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", text, got, err, want)
		}
	}
	if got, err := fill(t, `{{.a}}{{range .list}}{{.b}}{{end}}`, map[string]any{"a": "1", "list": []map[string]string{{"b": "2"}}}); err != nil || got != "12" {
		t.Errorf("a map: %q %v", got, err)
	}
	if got, err := fill(t, `{{.Name}}`, person{Name: "a\xffb"}); err != nil || got != "a\uFFFDb" {
		t.Errorf("what is not UTF-8: %q %v", got, err)
	}
}

// TestPlaces: a template that puts a value where escaping does not help is not read.
func TestPlaces(t *testing.T) {
	for text, why := range map[string]string{
		`<p title={{.Name}}>`:                                      "outside of double quotes",
		`<p title='{{.Name}}'>`:                                    "not in double quotes",
		`<p {{.Name}}>`:                                            "outside of double quotes",
		`<{{.Name}}>`:                                              "outside of double quotes",
		`<p {{.Name}}="x">`:                                        "outside of double quotes",
		`<p onclick="{{.Name}}">`:                                  "onclick takes no values",
		`<p ONCLICK="f({{.Name}})">`:                               "onclick takes no values",
		`<p style="{{.Name}}">`:                                    "style takes no values",
		`<iframe srcdoc="{{.Name}}">`:                              "srcdoc takes no values",
		`<script>{{.Name}}</script>`:                               "<script",
		`<script src="{{.At}}"></script>`:                          "<script",
		`<script type="module" src="{{.At}}">{{.Name}}</script>`:   "<script",
		`<script type="module" src="{{.At}}" onload="x"></script>`: "<script",
		`<STYLE>{{.Name}}</STYLE>`:                                 "<style",
		`<!-- {{.Name}} -->`:                                       "<!--",
		`<p title="{{if .Age}}x">{{else}}y{{end}}`:                 "different places",
		`<p {{range .Tags}}title="{{end}}>`:                        "different places",
		`<p on{{if .Age}} x="y"{{end}}click="f">`:                  "different places",
		`<p title="{{.Name}}`:                                      "ends within a tag",
		`<p title="{{template "page.html" .}}">`:                   "within a tag",
		`{{template "other" .}}`:                                   "no template",
		`{{.Name | f}}`:                                            "pipes",
		`{{$x := .Name}}`:                                          "pipes and variables",
		`{{with .Next}}{{.Name}}{{end}}`:                           "not known",
		`{{range $i, $x := .Tags}}{{end}}`:                         "variables",
		`{{.Name "x"}}`:                                            "methods",
		`{{f (f "x")}}`:                                            "not known",
		`{{1}}`:                                                    "not known",
		`{{g}}`:                                                    "not defined",
		`<p "x">`:                                                  "a quote in a tag",
	} {
		if _, err := set(t, text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", text, err, why)
		}
	}
	if _, err := Parse(fstest.MapFS{"a.html": {Data: []byte(`{{define "x"}}{{end}}`)}, "b.html": {Data: []byte(`{{define "x"}}{{end}}`)}}, "*.html"); err == nil {
		t.Error("two templates with one name")
	}
}

func TestRefusedValues(t *testing.T) {
	for text, data := range map[string]any{
		`<a href="{{.At}}">`:                            person{At: "javascript:alert(1)"},
		`<a class="x" href="{{.HTML}}">`:                person{HTML: "javascript:alert(1)"},
		`<form action="{{.At}}">`:                       person{At: "//evil.example"},
		`<script type="module" src="{{.At}}"></script>`: person{At: "//evil.example"},
		`<button formaction="{{.At}}">`:                 person{At: "https://evil.example"},
		`<img src="{{if .Age}}{{.At}}{{end}}">`:         person{Age: 1, At: `/\evil.example`},
		`<a href="{{if .Age}}/{{end}}{{.At}}">`:         person{At: "javascript:alert(1)"},
		`{{.Nobody}}`:                                   person{},
		`{{.Next.Name}}`:                                person{},
		`{{.Tags}}`:                                     person{},
		`{{range .Name}}{{end}}`:                        person{},
		`{{.Any}}`:                                      person{},
		`{{template "page.html" .}}`:                    person{},
	} {
		if got, err := fill(t, text, data); err == nil {
			t.Errorf("%s: %q", text, got)
		}
	}
}

func TestOwnPath(t *testing.T) {
	for s, want := range map[string]bool{
		"/": true, "/account": true, "/a/b?c=d&e=%2F#f": true, "/" + strings.Repeat("a", 2047): true,
		"": false, "account": false, "//evil.example": false, "/\\evil.example": false, "\\\\evil.example": false, "https://evil.example": false,
		"/\t/evil.example": false, "/\n/evil.example": false, "/a b": false, "/ä": false, "/a\x00": false, "/a\\b": false, "/" + strings.Repeat("a", 14<<10): false,
		"javascript:alert(1)": false, " /a": false,
	} {
		if OwnPath(s) != want {
			t.Errorf("OwnPath(%.40q) = %v", s, !want)
		}
	}
}
