package realmfile_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/store"
)

type m = map[string]any

// acme makes a realm and returns the path of its file.
func acme(h *testadmin.House, root string) string {
	h.Want(201, root, "POST", "/realms", m{"name": "acme"})
	return "/realms/acme/file"
}

// TestRealmFileFaultsAtOnce: plan and apply tell the same of a file, all of it at once,
// each fault at its place.
func TestRealmFileFaultsAtOnce(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	at := acme(h, root)
	h.Want(200, root, "POST", at+"/apply", m{"file": m{"users": m{"Ada": m{}, "bot": m{"kind": "service"}}}})
	file := m{
		"title":           "a\u0007b",
		"settings":        m{"access_token_ttl": "9h", "password_min_length": 2},
		"scopes":          m{"admin:x": "no"},
		"trusted_issuers": m{"https://x.example": m{"issuer": "https://x.example", "algorithms": []any{"HS256"}}},
		"schema":          "entity {",
		"roles":           m{"a": m{"parents": []any{"b"}}, "b": m{"parents": []any{"a"}}, "c": m{"parents": []any{"nobody"}}, "realm-admin": m{}},
		"policies":        m{"p": m{"text": "forbid ("}, "q": m{"text": "permit (principal, action, resource)\nwhen { context.noSuchFact };"}, "-r": m{"text": "x"}},
		"users": m{"ada": m{}, "bot": m{"kind": "user"}, "eve": m{"roles": []any{"ghost"}}, "bad name": m{}, "max": m{"attributes": m{"x": 1.5}},
			"me": m{}, "liz": m{"email": "none"}},
	}
	want := []string{"/title", "/settings/access_token_ttl", "/settings/password_min_length", "/scopes", "/trusted_issuers/https:~1~1x.example/audience",
		"/trusted_issuers/https:~1~1x.example/algorithms", "/schema", "/roles/c", "/roles/realm-admin", "/policies/p/text", "/policies/q/text", "/policies/-r/id",
		"/users/ada", "/users/bot", "/users/eve/roles", "/users/bad name", "/users/max/attributes", "/users/me/username", "/users/liz/email"}
	var told [2]m
	for i, verb := range []string{"/plan", "/apply"} {
		r := h.Want(422, root, "POST", at+verb, m{"file": file}).JSON
		told[i], _ = r["fields"].(m)
		if r["code"] != "realm_file_invalid" {
			t.Errorf("%s: code %v", verb, r["code"])
		}
		for _, place := range want {
			if told[i][place] == nil {
				t.Errorf("%s does not name %s", verb, place)
			}
		}
		for place, what := range told[i] {
			if !slices.Contains(want, place) {
				t.Errorf("%s names %s: %v", verb, place, what)
			}
		}
	}
	if fmt.Sprint(told[0]) != fmt.Sprint(told[1]) {
		t.Errorf("plan: %v\napply: %v", told[0], told[1])
	}
	// Faults of one kind keep its code.
	r := h.Want(422, root, "POST", at+"/plan", m{"file": m{"users": m{"x": m{"roles": []any{"ghost"}}, "y": m{"roles": []any{"ghost"}}}}}).JSON
	if r["code"] != "role_unknown" || len(r["fields"].(m)) != 2 {
		t.Errorf("two unknown roles: %v", r)
	}
	circle := h.Want(422, root, "POST", at+"/plan", m{"file": m{"roles": m{"a": m{"parents": []any{"b"}}, "b": m{"parents": []any{"a"}}}}}).JSON
	if !strings.Contains(fmt.Sprint(circle["fields"]), "circle") {
		t.Errorf("circle: %v", circle)
	}
}

// TestRealmFilePlanRights: who may read sees the plan, and what would be refused to him,
// while nothing is recorded as an attempt of his; the file is refused as each change is.
func TestRealmFilePlanRights(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	at := acme(h, root)
	reader, _ := h.Key(root, "acme", h.Person(root, "acme", "rhea", "realm-admin"), "admin:read")
	body := m{"file": m{"title": "New", "roles": m{"a": m{}}, "users": m{"x": m{"roles": []any{"a"}, "disabled": true}}}}
	before := len(h.Recorded())
	plan := h.Want(200, reader, "POST", at+"/plan", body).JSON
	for _, ch := range plan["changes"].([]any) {
		if ch.(m)["refused"] == nil {
			t.Errorf("a reader may make %v", ch)
		}
	}
	if len(plan["changes"].([]any)) != 3 || len(h.Recorded()) != before {
		t.Errorf("%v; recorded %v", plan, h.Recorded()[before:])
	}
	for _, ch := range h.Want(200, root, "POST", at+"/plan", body).JSON["changes"].([]any) {
		if ch.(m)["refused"] != nil {
			t.Errorf("an administrator is refused %v", ch)
		}
	}
	if r := h.Call(reader, "POST", at+"/apply", body); r.Status != 403 || len(h.Recorded()) == before {
		t.Errorf("a reader applies: %d %s", r.Status, r.Body)
	}
	stranger, _ := h.Key(root, "acme", h.Person(root, "acme", "sven"), "*")
	for _, verb := range []string{"/plan", "/apply"} {
		if r := h.Call(stranger, "POST", at+verb, body); r.Status != 403 {
			t.Errorf("a stranger, %s: %d %s", verb, r.Status, r.Body)
		}
	}
}

// TestRealmFileNames: two spellings of one username are one, or a fault; never a change
// that is found again each time.
func TestRealmFileNames(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	at := acme(h, root)
	file := m{"users": m{"Zoe\u0308": m{"attributes": m{"list": []any{}, "big": 1234567890123456789}}}}
	h.Want(200, root, "POST", at+"/apply", m{"file": file})
	if again := h.Want(200, root, "POST", at+"/apply", m{"file": file, "prune": true}).JSON; len(again["changes"].([]any)) > 0 {
		t.Errorf("again: %v", again)
	}
	for what, users := range map[string]m{"another spelling": {"zoë": m{}}, "twice": {"kim": m{}, "KIM": m{}}, "null": {"kim": m{"attributes": m{"a": nil}}}} {
		for _, verb := range []string{"/plan", "/apply"} {
			if r := h.Call(root, "POST", at+verb, m{"file": m{"users": users}}); r.Status != 422 {
				t.Errorf("%s, %s: %d %s", what, verb, r.Status, r.Body)
			}
		}
	}
}

// TestRealmFileBounds goes from full lists to other full lists: on the way none may be
// too long.
func TestRealmFileBounds(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	at := acme(h, root)
	full := func(kind string) m {
		scopes, issuers, roles, parents := m{}, m{}, m{}, []any{}
		for i := range 200 {
			scopes[fmt.Sprintf("%s%d", kind, i)] = "x"
		}
		for i := range 50 {
			url := fmt.Sprintf("https://%s%d.example", kind, i)
			issuers[url] = m{"issuer": url, "audience": "us", "algorithms": []any{"ES256"}}
		}
		for i := range 10 { // each inherits the one before: they go in the other order
			roles[fmt.Sprintf("%s%d", kind, i)] = m{"parents": parents}
			parents = []any{fmt.Sprintf("%s%d", kind, i)}
		}
		return m{"scopes": scopes, "trusted_issuers": issuers, "roles": roles, "users": m{kind: m{"roles": parents}}}
	}
	for _, kind := range []string{"a", "b"} {
		h.Want(200, root, "POST", at+"/apply", m{"file": full(kind), "prune": true})
		if left := h.Want(200, root, "POST", at+"/plan", m{"file": full(kind), "prune": true}).JSON["changes"].([]any); len(left) > 0 {
			t.Errorf("%s: left %v", kind, left)
		}
	}
}

// TestRealmFileKeepsAWayBack: no file removes the account of who applies it, or takes
// the last administrator away.
func TestRealmFileKeepsAWayBack(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	h.Person(root, "main", "ada", "gatehouse-admin")
	at := "/realms/main/file"
	body := m{"file": m{"users": m{}}, "prune": true}
	plan := h.Want(200, root, "POST", at+"/plan", body)
	if applied := h.Want(200, root, "POST", at+"/apply", body); applied.Body != plan.Body {
		t.Errorf("planned %s, applied %s", plan.Body, applied.Body)
	}
	users := h.Want(200, root, "GET", at, nil).JSON["file"].(m)["users"].(m)
	if got := slices.Sorted(maps.Keys(users)); len(got) != 1 || got[0] != "root" {
		t.Errorf("left: %v", got)
	}
	for what, root1 := range map[string]m{"without roles": {"roles": []any{}}, "disabled": {"roles": []any{"gatehouse-admin"}, "disabled": true}} {
		for _, verb := range []string{"/plan", "/apply"} {
			if r := h.Call(root, "POST", at+verb, m{"file": m{"users": m{"root": root1}}}); r.Status != 409 || r.Str("code") != "last_administrator" ||
				r.Str("fields", "/users/root") == "" {
				t.Errorf("%s, %s: %d %s", what, verb, r.Status, r.Body)
			}
		}
	}
	// Another one comes and this one goes, in one file.
	h.Want(200, root, "POST", at+"/apply", m{"file": m{"users": m{"root": m{}, "zoe": m{"roles": []any{"gatehouse-admin"}}}}})
}

// TestRealmFileLarge: a realm with more users than a file can hold is kept as a file
// without them.
func TestRealmFileLarge(t *testing.T) {
	h := testadmin.New(t)
	root := h.Bootstrap()
	at := acme(h, root)
	if err := h.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for i := range 5001 {
			name := fmt.Sprintf("u%d", i)
			u := identity.User{ID: "usr_" + name, Realm: "acme", Kind: "user", Username: name, UsernameKey: name, Version: 1, CreatedAt: time.Now()}
			if i == 0 {
				u.Roles = []string{"held"}
			}
			if err := tx.InsertUser(ctx, u); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if r := h.Want(422, root, "GET", at, nil); r.Str("code") != "realm_too_large" {
		t.Error(r.Body)
	}
	h.Want(200, root, "POST", at+"/apply", m{"file": m{"roles": m{"held": m{}, "free": m{}}}})
	if r := h.Want(409, root, "POST", at+"/plan", m{"file": m{"roles": m{}}, "prune": true}); r.Str("code") != "role_in_use" {
		t.Error(r.Body)
	}
	export := h.Want(200, root, "GET", at+"?without_users=true", nil).JSON
	if left := h.Want(200, root, "POST", at+"/plan", m{"file": export["file"], "prune": true, "fingerprint": export["fingerprint"]}).JSON; len(left["changes"].([]any)) > 0 {
		t.Errorf("changes: %v", left)
	}
	if r := h.Want(422, root, "POST", at+"/plan", m{"file": m{"users": m{"u1": m{}}}}); r.Str("code") != "realm_too_large" {
		t.Error(r.Body)
	}
}

// TestRealmFilesAtOnce applies many files to one realm at once: of those with one plan,
// one wins and all others are told; without, each is whole, while the API changes the
// realm too.
func TestRealmFilesAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, h *testadmin.House) {
		root := h.Bootstrap()
		at := acme(h, root)
		began := time.Now()
		file := func(i int) m {
			n := fmt.Sprint(i)
			return m{"title": n, "scopes": m{"s": n}, "roles": m{"r": m{"description": n}}, "users": m{"u": m{"display_name": n}, "own" + n: m{}}}
		}
		print := h.Want(200, root, "GET", at, nil).Str("fingerprint")
		const many = 24
		answers := make(chan testadmin.Reply, many)
		for i := range many {
			go func() {
				answers <- h.Call(root, "POST", at+"/apply", m{"file": m{"users": m{fmt.Sprint("first", i): m{}}}, "fingerprint": print})
			}()
		}
		won := 0
		for range many {
			switch r := <-answers; {
			case r.Status == 200:
				won++
			case r.Status != 409 || r.Str("code") != "realm_changed":
				t.Errorf("%d %s", r.Status, r.Body)
			}
		}
		if won != 1 {
			t.Errorf("%d files were applied with one plan", won)
		}

		var stop atomic.Bool
		var others sync.WaitGroup
		for i := range 8 { // they hold connections of PostgreSQL, and wait for rows that files hold
			others.Go(func() {
				for n := 0; !stop.Load(); n++ {
					r := h.Call(root, "POST", "/realms/acme/users", m{"username": fmt.Sprintf("api-%d-%d", i, n)})
					if r.Status != 201 {
						t.Errorf("a user by the API: %d %s", r.Status, r.Body)
					}
					if r := h.Call(root, "PATCH", "/realms/acme/users/u", m{"email": fmt.Sprintf("a%d@b.example", n)}); r.Status >= 500 {
						t.Errorf("a change by the API: %d %s", r.Status, r.Body)
					}
				}
			})
		}
		applied := map[string]bool{}
		for i := range many {
			go func() { answers <- h.Call(root, "POST", at+"/apply", m{"file": file(i)}) }()
		}
		for range many {
			r := <-answers
			if r.Status == 200 {
				applied[r.Str("fingerprint")] = true
			} else if r.Status != 409 {
				t.Errorf("%d %s", r.Status, r.Body)
			}
		}
		stop.Store(true)
		others.Wait()
		if len(applied) < 2 {
			t.Errorf("only %d of %d files were applied beside the API", len(applied), many)
		}
		now := h.Want(200, root, "GET", at, nil).JSON["file"].(m)
		title := now["title"].(string)
		if now["scopes"].(m)["s"] != title || now["roles"].(m)["r"].(m)["description"] != title || now["users"].(m)["u"].(m)["display_name"] != title {
			t.Errorf("parts of several files: %v %v %v %v", title, now["scopes"], now["roles"], now["users"].(m)["u"])
		}
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("took %v: did transactions wait for each other until they were ended?", took)
		}
	})
}
