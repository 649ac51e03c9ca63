package authz

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// shop is a decider of one realm with one policy.
func shop(t *testing.T, w *world, rule string) *Decider {
	t.Helper()
	w.docs["shop"] = []policy.Document{{ID: "p", Text: rule}}
	d, _, _ := newDecider(t, w)
	return d
}

// TestAccountsAsEntities: policies that look at an account, as the owner of a thing
// say, see it as it is now. One that is disabled, or of the other kind, is not
// there; one that the directory does not have may have been pushed.
func TestAccountsAsEntities(t *testing.T) {
	attributes := map[string]any{"level": int64(3)}
	w := newWorld()
	w.subjects["shop|ann"] = gatehouse.Subject{Kind: gatehouse.KindUser, Name: "ann", Attributes: attributes, Roles: []string{"clerk"}}
	w.subjects["shop|bot"] = gatehouse.Subject{Kind: gatehouse.KindService, Name: "bot", Attributes: attributes}
	w.subjects["shop|off"] = gatehouse.Subject{Kind: gatehouse.KindUser, Name: "off", Attributes: attributes, Disabled: true}
	pushed := func(typ, id string) {
		w.entities["shop|"+typ+"|"+id] = policy.EntityRecord{Realm: "shop", Type: typ, ID: id, Attributes: attributes}
	}
	pushed("User", "pushed")
	pushed("Service", "pushed")
	pushed("User", "off")     // must not stand in for an account that is disabled
	pushed("Service", "ann")  // nor for one of another kind
	pushed("Document", "ann") // is no account at all
	d := shop(t, w, `permit(principal, action, resource) when { resource.owner has level && resource.owner.level == 3 };`)
	for _, c := range []struct {
		typ, id string
		want    string
	}{
		{"User", "ann", "permitted"}, {"Service", "bot", "permitted"}, {"User", "pushed", "permitted"}, {"Service", "pushed", "permitted"},
		{"Document", "ann", "permitted"}, {"User", "off", "no_permit"}, {"Service", "off", "no_permit"}, {"Service", "ann", "no_permit"}, {"User", "bot", "no_permit"},
		{"User", "nobody", "no_permit"}, {"Document", "nobody", "no_permit"},
	} {
		owned := gatehouse.Resource{Type: "Thing", ID: "x", Attributes: map[string]any{"owner": gatehouse.EntityRef{Type: c.typ, ID: c.id}}}
		for range 2 { // read, and from memory
			if got := ask(d, who("shop", "chief"), "a", owned); got.Code != c.want {
				t.Errorf("%s::%q: %+v, want %s", c.typ, c.id, got, c.want)
			}
		}
	}
	// An account is a resource too, and roles are its ancestors.
	d = shop(t, w, `permit(principal, action, resource in Role::"clerk");`)
	if got := ask(d, who("shop", "chief"), "a", gatehouse.Resource{Type: "User", ID: "ann"}); !got.Allowed {
		t.Errorf("%+v", got)
	}
	// A directory that fails denies, also where a pushed entity has that name.
	d = shop(t, w, `permit(principal, action, resource) when { resource.owner has level };`)
	ask(d, who("shop", "chief"), "a", gatehouse.Resource{Type: "Thing", ID: "x", Attributes: map[string]any{}})
	w.set(func() { w.people = errors.New("down") })
	got := ask(d, who("shop", "chief"), "a", gatehouse.Resource{Type: "Thing", ID: "x", Attributes: map[string]any{"owner": gatehouse.EntityRef{Type: "User", ID: "pushed"}}})
	if got.Code != policy.CodeEvaluationError || got.Allowed || !strings.Contains(strings.Join(got.Errors, " "), "down") {
		t.Errorf("%+v", got)
	}
}

// TestMissingFacts: a fact that there is none of is absent, not empty, and does not
// take others with it.
func TestMissingFacts(t *testing.T) {
	for _, f := range policy.Facts() {
		var rule string
		switch f.Name {
		case "authenticated", "scheme", "scopes", "time":
			continue // are always there
		default:
			rule = fmt.Sprintf(`permit(principal, action, resource) when { !(context has %s) && context has scheme && context has time && context has authenticated && !context.authenticated };`, f.Name)
		}
		d := shop(t, newWorld(), rule)
		anonymous := &gatehouse.Principal{Realm: "shop", Kind: gatehouse.KindAnonymous}
		if got := ask(d, anonymous, "a", gatehouse.Resource{Type: "T", ID: "x"}); !got.Allowed {
			t.Errorf("%s: %+v", f.Name, got)
		}
	}
}

// TestWhoIsAPrincipal: what policies are told about each kind of caller. What the
// directory or the verified claims say stands above what an account's own
// attributes call themselves.
func TestWhoIsAPrincipal(t *testing.T) {
	w := newWorld()
	liar := map[string]any{"username": "root", "realm": "main", "email": "root@example.com", "roles": []any{"clerk"}, "groups": []any{"staff"}, "level": int64(3)}
	w.subjects["shop|liar"] = gatehouse.Subject{Kind: gatehouse.KindUser, Name: "liar", Attributes: liar}
	w.subjects["shop|bot"] = gatehouse.Subject{Kind: gatehouse.KindService, Name: "bot", Email: "bot@example.com", Groups: []string{"staff"}, Roles: []string{"clerk"}}
	client := &gatehouse.Principal{Realm: "shop", Kind: gatehouse.KindClient, ID: "app", Name: "App", Roles: []string{"clerk", "unheard-of"}, Groups: []string{"staff"}, Attributes: liar}
	foreign := &gatehouse.Principal{Realm: "shop", Kind: gatehouse.KindUser, ID: "ext", Foreign: true, Name: "ext", Attributes: liar}
	anonymous := &gatehouse.Principal{Realm: "shop", Kind: gatehouse.KindAnonymous}
	for _, c := range []struct {
		p    *gatehouse.Principal
		when string
	}{
		{who("shop", "liar"), `principal is User && principal.username == "liar" && principal.realm == "shop" && !(principal has email) && principal.roles == [] && principal.groups == [] && principal.level == 3`},
		{who("shop", "bot"), `principal is Service && principal.email == "bot@example.com" && principal in Group::"staff" && principal in Role::"clerk" && principal.groups == ["staff"]`},
		{client, `principal is Client && principal.username == "App" && principal in Role::"clerk" && principal.roles == ["clerk"] && principal in Group::"staff" && principal.realm == "shop"`},
		{foreign, `principal is User && principal.username == "ext" && principal.roles == [] && principal.groups == [] && !(principal has email)`},
		{anonymous, `principal is Anonymous && principal == Anonymous::"anonymous"`},
	} {
		d := shop(t, w, "permit(principal, action, resource) when { "+c.when+" };")
		if got := ask(d, c.p, "a", gatehouse.Resource{Type: "T", ID: "x"}); !got.Allowed {
			t.Errorf("%s %s: %+v", c.p.Kind, c.p.ID, got)
		}
	}
	d := shop(t, w, "permit(principal, action, resource);")
	roles, err := d.Roles(t.Context(), client)
	if err != nil || !slices.Equal(roles, []string{"clerk"}) {
		t.Errorf("%v %v", roles, err)
	}
	if roles, err := d.Roles(t.Context(), anonymous); err != nil || len(roles) != 0 {
		t.Errorf("%v %v", roles, err)
	}
}

// TestMembershipsAreKeptApart: what is shared among callers of the same roles and
// groups is not given to one whose groups only look like theirs, as names from
// another issuer may.
func TestMembershipsAreKeptApart(t *testing.T) {
	d := shop(t, newWorld(), `permit(principal in Group::"staff", action, resource);`)
	for _, c := range []struct {
		roles, groups []string
		in            bool
	}{
		{nil, []string{"staff"}, true}, {nil, []string{"staff", "x"}, true}, {nil, []string{"staff x"}, false}, {nil, []string{`staff" "x`}, false},
		{[]string{"clerk"}, []string{"staff"}, true}, {[]string{"clerk"}, []string{"clerk staff"}, false}, {nil, []string{"clerk] [staff"}, false}, {nil, nil, false},
	} {
		p := who("shop", "ext")
		p.Foreign, p.Roles, p.Groups = true, c.roles, c.groups
		if got := ask(d, p, "a", gatehouse.Resource{Type: "T", ID: "x"}); got.Allowed != c.in {
			t.Errorf("roles %q, groups %q: %+v", c.roles, c.groups, got)
		}
	}
}

// TestTooManyMemberships: who is in more groups than policies can hold is denied,
// each time, and others are not.
func TestTooManyMemberships(t *testing.T) {
	w := newWorld()
	many := make([]string, policy.MaxParents+1)
	for i := range many {
		many[i] = fmt.Sprint("g", i)
	}
	w.subjects["shop|joiner"] = gatehouse.Subject{Kind: gatehouse.KindUser, Name: "joiner", Groups: many}
	d := shop(t, w, `permit(principal, action, resource);`)
	foreign := who("shop", "ext")
	foreign.Foreign, foreign.Groups = true, many
	for range 2 {
		if got := ask(d, who("shop", "joiner"), "a", gatehouse.Resource{Type: "T", ID: "x"}); got.Allowed || got.Code != CodeDirectory {
			t.Errorf("%+v", got)
		}
		if got := ask(d, foreign, "a", gatehouse.Resource{Type: "T", ID: "x"}); got.Allowed || got.Code != policy.CodeEvaluationError {
			t.Errorf("%+v", got)
		}
		if _, err := d.Roles(t.Context(), foreign); err == nil {
			t.Error("roles of somebody about whom nothing can be decided")
		}
	}
	if got := ask(d, who("shop", "chief"), "a", gatehouse.Resource{Type: "T", ID: "x"}); !got.Allowed {
		t.Errorf("%+v", got)
	}
}

// TestRolesAreTheCallers: whoever changes the list he was given changes nothing.
func TestRolesAreTheCallers(t *testing.T) {
	d, _, _ := newDecider(t, newWorld())
	first := must(d.Roles(t.Context(), who("main", "bob")))
	first[0] = "admin"
	if again := must(d.Roles(t.Context(), who("main", "bob"))); slices.Contains(again, "admin") {
		t.Error(again)
	}
}

// overtaken is a store and directory in which a change is committed, and applied,
// while a record is being read.
type overtaken struct {
	*world
	during func()
}

func (o *overtaken) Subject(ctx context.Context, realm, id string) (gatehouse.Subject, error) {
	s, err := o.world.Subject(ctx, realm, id)
	o.change()
	return s, err
}

func (o *overtaken) Entity(ctx context.Context, realm, typ, id string) (policy.EntityRecord, error) {
	e, err := o.world.Entity(ctx, realm, typ, id)
	o.change()
	return e, err
}

func (o *overtaken) change() {
	if f := o.during; f != nil {
		o.during = nil
		f()
	}
}

// TestChangesOvertakeLoads: what was read before a change and arrives after it
// serves the question that it was read for, and no other.
//
// ASVS: 8.3.2
func TestChangesOvertakeLoads(t *testing.T) {
	o := &overtaken{world: newWorld()}
	o.docs["shop"] = []policy.Document{{ID: "p", Text: `permit(principal in Role::"clerk", action, resource) when { resource.folder has open && resource.folder.open };`}}
	folder := func(open bool) policy.EntityRecord {
		return policy.EntityRecord{Realm: "shop", Type: "Folder", ID: "f", Attributes: map[string]any{"open": open}}
	}
	o.entities["shop|Folder|f"] = folder(true)
	d := must(New(t.Context(), Config{Store: o, Directory: o, Logger: discard}))
	file := gatehouse.Resource{Type: "File", ID: "x", Attributes: map[string]any{"folder": gatehouse.EntityRef{Type: "Folder", ID: "f"}}}
	o.during = func() {
		o.set(func() { o.subjects["shop|chief"] = gatehouse.Subject{Kind: gatehouse.KindUser, Name: "chief"} })
		d.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "shop", ID: "chief"})
	}
	ask(d, who("shop", "chief"), "a", file)
	if got := ask(d, who("shop", "chief"), "a", file); got.Allowed {
		t.Errorf("a role that was taken away while it was read counts on: %+v", got)
	}
	o.set(func() {
		o.subjects["shop|chief"] = gatehouse.Subject{Kind: gatehouse.KindUser, Name: "chief", Roles: []string{"clerk"}}
	})
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicUser, Realm: "shop", ID: "chief"})
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicEntity, Realm: "shop"})
	if got := ask(d, who("shop", "chief"), "a", file); !got.Allowed {
		t.Fatalf("%+v", got)
	}
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicEntity, Realm: "shop"})
	o.during = func() {
		o.set(func() { o.entities["shop|Folder|f"] = folder(false) })
		d.Apply(gatehouse.Change{Topic: gatehouse.TopicEntity, Realm: "shop", ID: "Folder/f", Value: folder(false)})
	}
	ask(d, who("shop", "chief"), "a", file)
	if got := ask(d, who("shop", "chief"), "a", file); got.Allowed {
		t.Errorf("an entity that was changed while it was read counts on: %+v", got)
	}
}

// impatient is a store that gives up when its caller has left.
type impatient struct{ *world }

func (i impatient) Realm(ctx context.Context, name string) (gatehouse.Realm, error) {
	if err := ctx.Err(); err != nil {
		return gatehouse.Realm{}, err
	}
	return i.world.Realm(ctx, name)
}

// TestRetryOutlivesItsCaller: one who hangs up does not leave a realm without rules.
func TestRetryOutlivesItsCaller(t *testing.T) {
	w, clk := newWorld(), &clock{}
	d := must(New(t.Context(), Config{Store: impatient{w}, Directory: w, Logger: discard, Now: clk.now}))
	w.set(func() { w.rules = errors.New("down") })
	d.Apply(gatehouse.Change{Topic: gatehouse.TopicRole, Realm: "shop"})
	w.set(func() { w.rules = nil })
	clk.advance(time.Second)
	left, leave := context.WithCancel(t.Context())
	leave()
	r := gatehouse.AccessRequest{Principal: who("shop", "chief"), Action: "a", Resource: gatehouse.Resource{Type: "T", ID: "x"}}
	d.Decide(left, r)
	if got := d.Decide(t.Context(), r); !got.Allowed {
		t.Errorf("%+v", got)
	}
}

// TestPlaces: the places of the caches are FNV-1a over realm, the byte 0xff, which
// no text has, and id.
func TestPlaces(t *testing.T) {
	for _, c := range [][2]string{{"", ""}, {"main", ""}, {"", "main"}, {"main", "usr_1"}, {"mai", "nusr_1"}, {"ünï", "日本"}} {
		h := fnv.New64a()
		h.Write([]byte(c[0] + "\xff" + c[1]))
		if got := hash2(c[0], c[1]); got != h.Sum64() {
			t.Errorf("%q: %x, want %x", c, got, h.Sum64())
		}
	}
}

// TestCacheBounds: as many callers are kept ready as is said, and none where the
// caches are switched off.
func TestCacheBounds(t *testing.T) {
	off := newCache[int, int](0)
	off.put(1, 1, off.generation(1))
	if _, ok := off.get(1, 1); ok {
		t.Error("a cache of no size keeps something")
	}
	d, _, _ := newDecider(t, newWorld())
	for i := range 3 * maxSubjects {
		d.subjects.put(subjectKey{id: fmt.Sprint(i)}, nil, 0)
	}
	if n := len(slices.Collect(d.subjects.entries.Keys())); n > maxSubjects+maxSubjects/8 {
		t.Errorf("%d callers are kept", n)
	}
}
