package admin_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
)

// personal says of each table that names a person in a column, or is personal by docs/data.md, in which member of
// [admin.OwnData] its rows are, or after a dash why they are in none.
var personal = map[string]string{
	"users": "profile", "factors": "factors", "passkeys": "passkeys", "provider_links": "links", "api_keys": "keys", "sessions": "sessions",
	"grants": "logins", "consents": "apps", "audit_batches": "events",
	"audit_positions":   "- the places of events, which name nobody",
	"audit_tiles":       "- hashes of events",
	"audit_checkpoints": "- signatures over them",
	"audit_filters":     "- by which the search for events goes",
	"audit_removals":    "- what was removed by its age",
	"opaque_tokens":     "- the tokens of a login, by hashes",
	"tickets":           "- what can be used once, sealed, for minutes; what a sign-in or consent leaves is in the others",
	"session_clients":   "- which programs are to be told of the end of a session, which is there itself, with the logins by it",
	"personal_salts":    "- what a key is made of; no more is told by it",
	"mails":             "- sealed, and gone when they were sent",
	"entities":          "- the operator's own data, under names that the operator chooses; told in docs/data.md",
}

// TestOwnDataIsWhole: each table that has a person's rows is in what the person takes along, or left out for a reason.
func TestOwnDataIsWhole(t *testing.T) {
	files, err := filepath.Glob("../store/migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal("no migrations", err)
	}
	found := map[string]bool{}
	column := regexp.MustCompile(`(?m)\b(user_id|owner_id|subject|user|owner|person|email|username|actor)\s+TEXT\b`)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?ms)^CREATE TABLE (?:IF NOT EXISTS )?(\w+) \((.*?)^\)`).FindAllStringSubmatch(string(b), -1) {
			if column.MatchString(m[2]) {
				found[m[1]] = true
			}
		}
		for _, m := range regexp.MustCompile(`(?m)^ALTER TABLE (\w+) ADD COLUMN (.*)$`).FindAllStringSubmatch(string(b), -1) {
			if column.MatchString(m[2]) {
				found[m[1]] = true
			}
		}
	}
	page, err := os.ReadFile("../docs/data.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "| table | class | until |\n|---|---|---|\n")
	section, _, _ = strings.Cut(section, "\n\n")
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if !strings.Contains(cells[2], "person") {
			continue
		}
		for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[1], -1) {
			found[m[1]] = true
		}
	}
	if len(found) < 12 {
		t.Fatalf("these alone: %v", found)
	}
	var members []string
	for f := range reflect.TypeFor[admin.OwnData]().Fields() {
		members = append(members, f.Tag.Get("json"))
	}
	for table := range found {
		switch in, told := personal[table]; {
		case !told:
			t.Errorf("%s has rows of people: put them into OwnData, or say here why not", table)
		case !strings.HasPrefix(in, "- ") && !slices.Contains(members, in):
			t.Errorf("%s would be in %q, which OwnData has not", table, in)
		}
	}
	for table := range personal {
		if !found[table] {
			t.Errorf("%s names nobody", table)
		}
	}
}

// TestOwnData: everybody gets what is kept of the own account, and of nobody else's, in the own realm, without secrets; a key that may
// not read the account gets nothing.
func TestOwnData(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Want(201, root, "POST", "/realms", map[string]any{"name": "acme"})
	h.Want(200, root, "PATCH", "/realms/main", map[string]any{"settings": map[string]any{"scopes": map[string]string{"documents:read": "Read"}}})
	bob, ann := h.Person(root, "main", "bob"), h.Person(root, "main", "ann")
	whole, _ := h.Key(root, "main", bob, "*")
	part, _ := h.Key(root, "main", bob, "documents:read")
	h.Key(root, "main", ann, "*")
	r := h.Want(200, whole, "GET", "/realms/main/me/data", nil)
	for _, want := range []string{`"username":"bob"`, `"kind":"user.create"`, `"apps":[]`, `"links":[]`, `"logins":[]`} {
		if !strings.Contains(r.Body, want) {
			t.Errorf("%s is not in %s", want, r.Body)
		}
	}
	for _, not := range []string{whole, part, "argon2", ann, root} {
		if strings.Contains(r.Body, not) {
			t.Errorf("%q is in %s", not, r.Body)
		}
	}
	if n := strings.Count(r.Body, `"owner":"`+bob+`"`); n < 2 {
		t.Errorf("%d keys in %s", n, r.Body)
	}
	h.Want(403, part, "GET", "/realms/main/me/data", nil)
	h.Want(403, whole, "GET", "/realms/acme/me/data", nil)
	h.Want(401, "", "GET", "/realms/main/me/data", nil)
	h.Want(404, root, "GET", "/realms/acme/me/data", nil) // who administers is nobody there
}
