package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "../.."

// TestPageIsCurrent: docs/asvs.md is what the tests and notes of today make, and
// neither names anything that is not there.
func TestPageIsCurrent(t *testing.T) {
	table, err := load(module)
	if err != nil {
		t.Fatal(err)
	}
	if len(table.tests) < 20 {
		t.Fatalf("found annotations for %d requirements only: the search is broken", len(table.tests))
	}
	have, err := os.ReadFile(filepath.Join(module, "docs", "asvs.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != string(table.page()) {
		t.Error("docs/asvs.md is not current: go run ./scripts/asvs")
	}
	for _, n := range table.notes {
		if n.State == "open" && !strings.Contains(string(table.open()), n.Text) {
			t.Errorf("open, but not listed: %s", n.Text)
		}
	}
}

// TestNumbersAreTheStandards compares numbers and levels with OWASP's own list,
// where it is at hand, and misses no requirement of the chapters that we answer.
func TestNumbersAreTheStandards(t *testing.T) {
	lists, _ := filepath.Glob(filepath.Join(module, "..", "shared", "vectors", "asvs", "*.flat.json"))
	if len(lists) == 0 {
		t.Skip("OWASP's list of requirements is not beside the checkout")
	}
	var standard struct {
		Requirements []struct {
			ID    string `json:"req_id"`
			Level string `json:"L"`
			Text  string `json:"req_description"`
		} `json:"requirements"`
	}
	b, err := os.ReadFile(lists[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &standard); err != nil {
		t.Fatal(err)
	}
	table, err := load(module)
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]requirement{}
	for _, r := range table.requirements {
		ours[r.ID] = r
	}
	for _, s := range standard.Requirements {
		id := strings.TrimPrefix(s.ID, "V")
		r, listed := ours[id]
		if _, wanted := chapters[chapterOf(id)]; wanted && !listed {
			t.Errorf("%s is not answered", id)
		}
		if listed && strconv.Itoa(r.Level) != s.Level {
			t.Errorf("%s is of level %s, not %d", id, s.Level, r.Level)
		}
		if listed && strings.Contains(strings.ToLower(s.Text), strings.ToLower(r.Text)) {
			t.Errorf("%s: %q is OWASP's sentence, not ours", id, r.Text)
		}
		delete(ours, id)
	}
	for id := range ours {
		t.Errorf("%s is not in the standard", id)
	}
}

// TestLoadRefuses: what names nothing, or answers nothing, is no page.
func TestLoadRefuses(t *testing.T) {
	const requirements, notes = `[{"id":"6.2.1","level":1,"text":"long"},{"id":"6.2.2","level":1,"text":"change"}]`, `{"6.2.2":{"state":"open","text":"later"}}`
	const test = "package a\n\n// ASVS: 6.2.1\nfunc TestLong() {}\n"
	for name, c := range map[string]struct{ requirements, notes, test, want string }{
		"good":               {requirements, notes, test, ""},
		"unknown number":     {requirements, notes, strings.Replace(test, "6.2.1", "6.2.1, 6.2.99", 1), "6.2.99 is no requirement"},
		"no number":          {requirements, notes, strings.Replace(test, "6.2.1", "V6", 1), "not the number"},
		"no test":            {requirements, notes, strings.Replace(test, "TestLong", "long", 1), "not directly above a test"},
		"a helper":           {requirements, notes, strings.Replace(test, "TestLong", "Testlong", 1), "not directly above a test"},
		"blank line between": {requirements, notes, strings.Replace(test, "6.2.1\n", "6.2.1\n\n", 1), "not directly above a test"},
		"nothing answers":    {requirements, `{}`, test, "6.2.2: no test"},
		"unknown note":       {requirements, `{"6.2.2":{"state":"open","text":"x"},"1.1.1":{"state":"open","text":"x"}}`, test, "1.1.1 is no requirement"},
		"unknown state":      {requirements, `{"6.2.2":{"state":"done","text":"x"}}`, test, "a reason or open"},
		"no level":           {strings.Replace(requirements, `"level":1,`, "", 1), notes, test, "needs a level"},
		"twice":              {strings.Replace(requirements, "6.2.1", "6.2.2", 1), notes, test, "listed twice"},
	} {
		dir := t.TempDir()
		for file, text := range map[string]string{"docs/asvs-requirements.json": c.requirements, "docs/asvs-notes.json": c.notes, "a/a_test.go": c.test} {
			file = filepath.Join(dir, file)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := load(dir)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
