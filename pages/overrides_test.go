package pages

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// overridesIn is a directory with these files.
func overridesIn(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ourTemplate is a template of the program with one thing in it changed.
func ourTemplate(t *testing.T, name, from, to string) string {
	t.Helper()
	b, err := templates.ReadFile("templates/" + name)
	if err != nil || !strings.Contains(string(b), from) {
		t.Fatalf("%s has no %q: %v", name, from, err)
	}
	return strings.Replace(string(b), from, to, 1)
}

// TestExportIsTaken: what the program writes for an operator to begin with is taken as it is, and no file is written over.
func TestExportIsTaken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	if err := Export(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadOverrides(dir); err != nil {
		t.Errorf("ours are refused: %v", err)
	}
	if err := Export(dir); err == nil {
		t.Error("it writes over files")
	}
}

// TestOverrides: pages are drawn with the texts and templates of an operator, and with ours again when there are none any more.
func TestOverrides(t *testing.T) {
	o, err := ReadOverrides(overridesIn(t, map[string]string{
		"texts/de.json":          `{"signin.title": "Herein <b>spaziert</b>", "signin.lead": "mit {0}"}`,
		"templates/signout.html": ourTemplate(t, "signout.html", "</header>", `<p id="ours">Saffron &amp; Sons</p></header>`),
		".git/config":            "is not looked at",
	}))
	if err != nil {
		t.Fatal(err)
	}
	house := newHouse(t, false)
	b := house.browser()
	if page := b.get("/signin?lang=de"); strings.Contains(page.body, "Herein") {
		t.Fatal("worn before it was said")
	}
	house.pages.Wear(o)
	if page := b.get("/signin?lang=de"); !strings.Contains(page.body, "Herein &lt;b&gt;spaziert&lt;/b&gt;") || !strings.Contains(page.body, "mit Gatehouse") {
		t.Errorf("not worn, or as markup: %s", page.body)
	}
	if page := b.get("/signin?lang=en"); !strings.Contains(page.body, "Sign in") {
		t.Errorf("another language: %s", page.body)
	}
	b.signIn("")
	page := b.get("/signout")
	if !strings.Contains(page.body, `<p id="ours">Saffron &amp; Sons</p>`) {
		t.Errorf("the template is not worn: %s", page.body)
	}
	house.pages.Wear(nil)
	if page := b.get("/signout"); strings.Contains(page.body, "Saffron") {
		t.Errorf("still worn: %s", page.body)
	}
}

// TestOverridesRefused: what cannot be shown, or would make a page that does not work or a form that counts for nothing, is told
// with file and line, all of it at once.
func TestOverridesRefused(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		want       []string
	}{
		"a text that is not there":  {"texts/en.json", "{\n\"signin.titel\": \"x\",\n\"nothing\": \"x\"}", []string{`texts/en.json:2: there is no text "signin.titel"; did you mean "signin.title"?`, `en.json:3: there is no text "nothing"`}},
		"a place that is missing":   {"texts/en.json", "{\n\n\"signin.lead\": \"with us\"}", []string{`texts/en.json:3: "signin.lead" must have the places ["{0}"]`}},
		"a place that is not there": {"texts/ja.json", `{"signin.title": "{0}"}`, []string{`"signin.title" must have the places []`}},
		"a text that says nothing":  {"texts/en.json", `{"signin.title": " "}`, []string{"says nothing"}},
		"a long text":               {"texts/en.json", `{"signin.title": "` + strings.Repeat("a", maxText+1) + `"}`, []string{"more than 4096 bytes"}},
		"a text twice":              {"texts/en.json", "{\"signin.title\": \"a\",\n\"signin.title\": \"b\"}", []string{`duplicate`}},
		"no object":                 {"texts/en.json", `["signin.title"]`, []string{`en.json:1: is not an object of texts`}},
		"a number":                  {"texts/en.json", `{"signin.title": 1}`, []string{"is not an object of texts"}},
		"more behind it":            {"texts/en.json", `{"signin.title": "a"} {}`, []string{"is not an object of texts"}},
		"a language of nobody":      {"texts/tlh.json", `{}`, []string{"there can be en, de, fr, es, ja"}},
		"a large file":              {"texts/en.json", strings.Repeat(" ", maxOverrideFile+1), []string{"more than 262144 bytes"}},
		"no text at all":            {"texts/en.json", "{\"signin.title\": \"\xff\"}", []string{"is not UTF-8"}},
		"a folder of nobody":        {"text/en.json", "{}", []string{"text: is not known: there can be texts and templates"}},
		"a template of nobody":      {"templates/login.html", "", []string{"login.html: is no template"}},
		"the gallery":               {"templates/gallery.html", "", []string{"gallery.html: is no template"}},
		"a template that is broken": {"templates/signout.html", "{{template \"door\" .}}\n{{if .Form}}", []string{"signout.html:2", "EOF"}},
		"a value as markup":         {"templates/signout.html", "{{template \"door\" .}}\n<p title={{.Title}}>", []string{"signout.html", "line 2", "outside of double quotes"}},
		"a value in a script":       {"templates/signout.html", "{{template \"door\" .}}\n\n<script>let x = \"{{.Title}}\"</script>", []string{"signout.html", "line 3", "<script"}},
		"a text of nobody":          {"templates/signout.html", ourTemplate(t, "signout.html", `{{t "signout.title"}}`, `{{ t "signout.titel"}}`), []string{`signout.html:4: there is no text "signout.titel"`}},
		"a value of nobody":         {"templates/signout.html", ourTemplate(t, "signout.html", `{{t "signout.title"}}`, `{{.Secrets}}`), []string{"page signout", "Secrets"}},
		"no token":                  {"templates/signout.html", ourTemplate(t, "signout.html", `<input type="hidden" name="form" value="{{.Form}}">`, ``), []string{`page signout, state`, `the form to /signout`, `has lost <input type="hidden" name="form"`}},
		"a token of another kind":   {"templates/signout.html", ourTemplate(t, "signout.html", `value="{{.Form}}"`, `value="fixed"`), []string{`has lost <input type="hidden" name="form"`}},
		"a field less":              {"templates/signin.html", ourTemplate(t, "signin.html", `name="password" type="password"`, `type="password"`), []string{`has lost <input type="password" id="password" name="password"`}},
		"a field more":              {"templates/signin.html", ourTemplate(t, "signin.html", `<input id="password"`, `<input name="pin" type="text"><input id="password"`), []string{`has <input type="text" name="pin" value="">, which the program does not take`}},
		"another place to send to":  {"templates/signin.html", ourTemplate(t, "signin.html", `action="{{.Action}}"`, `action="https://evil.example/"`), []string{"the content policy stops"}},
		"by get":                    {"templates/signin.html", ourTemplate(t, "signin.html", `method="post"`, `method="get"`), []string{"the form to /signin", "is missing"}},
		"no form at all":            {"templates/signout.html", `{{template "door" .}}{{template "doorend" .}}`, []string{"the form to /signout", "is missing"}},
		"a form too many":           {"templates/signedout.html", ourTemplate(t, "signedout.html", `<div class="stack">`, `<form method="post" action="/signin"></form><div class="stack">`), []string{"is not in the page of the program"}},
		"no script for passkeys":    {"templates/frame.html", ourTemplate(t, "frame.html", `{{if .Script}}<script type="module" src="{{.Script}}"></script>{{end}}`, ``), []string{"the script /ui/passkey", "is missing"}},
		"a script of its own":       {"templates/signout.html", ourTemplate(t, "signout.html", `</header>`, `</header><script type="module" src="/x.js"></script>`), []string{"the script /x.js is not in the page"}},
		"a style sheet from afar":   {"templates/frame.html", ourTemplate(t, "frame.html", `</head>`, `<link rel="stylesheet" href="https://cdn.example/a.css"></head>`), []string{"the content policy stops"}},
		"a refresh":                 {"templates/frame.html", ourTemplate(t, "frame.html", `</head>`, `<meta http-equiv="refresh" content="0; url=https://evil.example"></head>`), []string{"http-equiv"}},
		"codes that are not shown":  {"templates/factorcodes.html", ourTemplate(t, "factorcodes.html", `id="recovery-codes"`, ``), []string{`what is shown as "recovery-codes" is missing`}},
		"a form within noscript":    {"templates/signout.html", ourTemplate(t, "signout.html", `<form`, `<noscript></noscript><form`), []string{"<noscript> is not for a page"}},
		"a button outside":          {"templates/signout.html", ourTemplate(t, "signout.html", `</header>`, `</header><button name="do" value="x">x</button>`), []string{"stands outside of every form"}},
		"a field of another form":   {"templates/signout.html", ourTemplate(t, "signout.html", `id="submit"`, `id="submit" form="other"`), []string{"attribute form"}},
		"a form that does not end":  {"templates/signout.html", ourTemplate(t, "signout.html", `</form>`, ``), []string{"does not end"}},
		"by a handler":              {"templates/signout.html", ourTemplate(t, "signout.html", `id="submit"`, `id="submit" onclick="x()"`), []string{"onclick"}},
	} {
		o, err := ReadOverrides(overridesIn(t, map[string]string{c.file: c.text}))
		if err == nil || o != nil {
			t.Errorf("%s: taken", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v\nwants %s", name, err, want)
			}
		}
	}
	if _, err := ReadOverrides(filepath.Join(t.TempDir(), "nowhere")); err == nil {
		t.Error("a directory that is not there")
	}
}

// TestStatesShowAllForms: what overrides are measured by is complete: each field and button of each template is in a state.
func TestStatesShowAllForms(t *testing.T) {
	d, err := ownDress()
	if err != nil {
		t.Fatal(err)
	}
	h, err := galleryHandler()
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, e := range gallery() {
		for _, s := range e.states {
			page, err := h.drawn(d, s)
			if err != nil {
				t.Fatal(err)
			}
			if shape := shapeOf(page); len(shape.wrong) > 0 {
				t.Errorf("%s/%s: %v", e.page, s.name, shape.wrong)
			}
			all.WriteString(page)
		}
	}
	shown := all.String()
	files, err := templates.ReadDir("templates")
	if err != nil {
		t.Fatal(err)
	}
	fixed := regexp.MustCompile(`<(?:form|input|button|select)[^>]*? id="([a-z-]+)"`)
	var seen []string
	for _, f := range files {
		b, err := templates.ReadFile("templates/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fixed.FindAllStringSubmatch(string(b), -1) {
			seen = append(seen, m[1])
			if !strings.Contains(shown, `id="`+m[1]+`"`) {
				t.Errorf("no state of %s shows %q: an override could lose it", f.Name(), m[1])
			}
		}
	}
	if slices.Sort(seen); len(slices.Compact(seen)) < 30 {
		t.Errorf("%d controls: the search is broken", len(seen))
	}
}

// TestOverrideThatFails: where a template of an operator cannot show what no state has, people get ours.
func TestOverrideThatFails(t *testing.T) {
	o, err := ReadOverrides(overridesIn(t, map[string]string{
		"templates/signin.html": ourTemplate(t, "signin.html", `<h1>`, `<h1>{{if .Problem}}{{if .Passkey}}{{.Nothing}}{{end}}{{end}}Theirs `)}))
	if err != nil {
		t.Fatal(err)
	}
	h, err := galleryHandler()
	if err != nil {
		t.Fatal(err)
	}
	h.Wear(o)
	for _, c := range []struct {
		view   signInView
		theirs bool
	}{{signInView{}, true}, {signInView{Problem: "x", Passkey: "/x"}, false}} {
		page, err := h.shown(func(v *visit) error { return v.ask(200, c.view) })
		if err != nil || strings.Contains(page, "Theirs") != c.theirs || !strings.Contains(page, `id="identifier"`) {
			t.Errorf("%+v: %v %s", c.theirs, err, page)
		}
	}
}
