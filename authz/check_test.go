package authz

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// try tries a change on what is stored now, as package admin does before it writes.
func try(ctx context.Context, d *Decider, realm string, c Candidate) error {
	p, err := d.Prepare(realm, c)
	if err != nil {
		return err
	}
	return p.Confirm(ctx, d.store)
}

func TestCheck(t *testing.T) {
	w := newWorld()
	d, _, _ := newDecider(t, w)
	ctx := context.Background()
	ok := []Candidate{
		{}, {PutPolicy: &policy.Document{ID: "new", Text: `forbid(principal is Anonymous, action, resource);`}},
		{PutRole: &policy.Role{Name: "new", Parents: []string{"admin"}}}, {DeletePolicy: "documents"}, {DeleteRole: "manager"},
		{PutSchema: &policy.Schema{}},
	}
	for i, c := range ok {
		if err := try(ctx, d, "main", c); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	bad := map[string]Candidate{
		"policy documents:1:1 (documents)": {PutPolicy: &policy.Document{ID: "documents", Text: `permit(principal, action, resource) when { resource.nope };`}},
		"policy off:1:":                    {PutPolicy: &policy.Document{ID: "off", Disabled: true, Text: `permit(`}},
		"role new":                         {PutRole: &policy.Role{Name: "new", Parents: []string{"ghost"}}},
		"role user":                        {DeleteRole: "viewer"}, // user inherits from it
		"schema:1:":                        {PutSchema: &policy.Schema{Text: "entity"}},
		"role admin (role:admin#1)":        {PutSchema: &policy.Schema{Text: "entity User;"}},
	}
	for place, c := range bad {
		err := try(ctx, d, "main", c)
		var e *gatehouse.Error
		if !errors.As(err, &e) || e.Code != "policy_invalid" || e.Kind != gatehouse.Unprocessable {
			t.Errorf("%s: %v", place, err)
			continue
		}
		found := false
		for k := range e.Fields {
			found = found || strings.HasPrefix(k, place)
		}
		if !found {
			t.Errorf("%s: %v", place, e.Fields)
		}
	}
	for _, c := range []Candidate{{PutRole: &policy.Role{Name: policy.RoleAdmin}}, {DeleteRole: policy.RoleRealmAdmin}} {
		if err := try(ctx, d, "main", c); gatehouse.CodeOf(err) != "role_built_in" {
			t.Errorf("%v", err)
		}
	}
}

// TestPlacesOfProblems: every problem has a place of its own, which says where to
// look and nothing that is not known.
func TestPlacesOfProblems(t *testing.T) {
	d, _, _ := newDecider(t, newWorld())
	for _, c := range []struct {
		change Candidate
		want   []string
	}{
		{Candidate{PutRole: &policy.Role{Name: "new", Parents: []string{"ghost"}}}, []string{"role new"}},
		{Candidate{PutPolicy: &policy.Document{ID: "off", Text: "permit("}}, []string{"policy off:1:8"}},
		{Candidate{PutPolicy: &policy.Document{ID: "two", Text: "forbid(principal, action, resource) when { context.x };\nforbid(principal, action, resource) when { context.y };"}},
			[]string{"policy two:1:1 (two#1)", "policy two:2:1 (two#2)"}},
		{Candidate{PutSchema: &policy.Schema{Text: "entity User; entity D; action read appliesTo { principal: [User], resource: [D], context: {time: Long, acr: Long} };"}},
			[]string{"schema", "schema [2]"}},
	} {
		err := try(t.Context(), d, "shop", c.change)
		var e *gatehouse.Error
		if !errors.As(err, &e) {
			t.Errorf("%v: %v", c.want, err)
			continue
		}
		if got := slices.Sorted(maps.Keys(e.Fields)); !slices.Equal(got, c.want) {
			t.Errorf("problems at %q, want %q", got, c.want)
		}
	}
}

// TestSeveralChangesAtOnce: a change that says more than one thing is judged by all
// of it, however harmless the first of them is.
func TestSeveralChangesAtOnce(t *testing.T) {
	good := &policy.Document{ID: "good", Text: `forbid(principal is Anonymous, action, resource);`}
	nonsense := &policy.Schema{Text: "entity"}
	for name, c := range map[string]struct {
		change Candidate
		place  string // of the problem; empty when there is none
	}{
		"a policy and a broken role":           {Candidate{PutPolicy: good, PutRole: &policy.Role{Name: "new", Parents: []string{"ghost"}}}, "role new"},
		"a policy and a role that is needed":   {Candidate{PutPolicy: good, DeleteRole: "viewer"}, "role user"},
		"a policy and a broken schema":         {Candidate{PutPolicy: good, PutSchema: nonsense}, "schema:1"},
		"a policy less and a broken role":      {Candidate{DeletePolicy: "documents", PutRole: &policy.Role{Name: "new", Parents: []string{"ghost"}}}, "role new"},
		"a policy less and one role less":      {Candidate{DeletePolicy: "documents", DeleteRole: "viewer"}, "role user"},
		"a policy less and a broken schema":    {Candidate{DeletePolicy: "documents", PutSchema: nonsense}, "schema:1"},
		"a policy less and a broken policy":    {Candidate{DeletePolicy: "documents", PutPolicy: &policy.Document{ID: "bad", Text: "permit("}}, "policy bad:1"},
		"a role in place of its namesake":      {Candidate{PutRole: &policy.Role{Name: "viewer"}, DeletePolicy: "documents"}, ""},
		"a policy in place of its namesake":    {Candidate{PutPolicy: &policy.Document{ID: "documents", Text: good.Text}, DeleteRole: "manager"}, ""},
		"a schema and the policy it would ban": {Candidate{DeletePolicy: "documents", PutSchema: &policy.Schema{Text: documentsOnly}}, ""},
		"a schema and a policy that it bans":   {Candidate{PutPolicy: good, PutSchema: &policy.Schema{Text: documentsOnly}}, "policy documents"},
	} {
		w := newWorld()
		w.roles["main"] = []policy.Role{{Name: "viewer"}, {Name: "user", Parents: []string{"viewer"}}, {Name: "manager"}}
		d, _, _ := newDecider(t, w)
		err := try(t.Context(), d, "main", c.change)
		if c.place == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var e *gatehouse.Error
		if !errors.As(err, &e) || e.Code != "policy_invalid" {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if places := strings.Join(slices.Sorted(maps.Keys(e.Fields)), "\n"); !strings.Contains(places, c.place) {
			t.Errorf("%s: %s", name, places)
		}
	}
}

// documentsOnly is a schema that the example policies do not fit.
const documentsOnly = `entity User; entity Anonymous; entity Document; action read appliesTo { principal: [User, Anonymous], resource: [Document] };`

// TestFactsOfOldPolicies: what was stored before facts were checked stays, unless
// the change itself writes policies or a schema.
func TestFactsOfOldPolicies(t *testing.T) {
	old := policy.Document{ID: "old", Text: `forbid(principal, action, resource) when { context has tenant };`}
	for name, c := range map[string]struct {
		change Candidate
		taken  bool
	}{
		"a role":         {Candidate{PutRole: &policy.Role{Name: "new"}}, true},
		"a role less":    {Candidate{DeleteRole: "clerk"}, true},
		"its own again":  {Candidate{PutPolicy: &old, DeleteRole: "clerk"}, false},
		"another schema": {Candidate{PutSchema: &policy.Schema{Text: documentsOnly}}, false},
	} {
		w := newWorld()
		w.docs["shop"] = []policy.Document{old}
		d, _, _ := newDecider(t, w)
		p, err := d.Prepare("shop", c.change)
		if err == nil {
			p.base = nil // as when the rules in force come from another node
			err = p.Confirm(t.Context(), w)
		}
		if (err == nil) != c.taken {
			t.Errorf("%s: %v", name, err)
		}
		batch := &Batch{}
		if _, err := batch.Prepare("shop", c.change); err != nil {
			t.Fatal(err)
		}
		w.set(func() {
			if c.change.PutSchema != nil {
				w.schemas["shop"] = *c.change.PutSchema
			}
		})
		if err := batch.Confirm(t.Context(), w, "shop"); (err == nil) != c.taken {
			t.Errorf("%s, in a batch: %v", name, err)
		}
	}
}

// TestConfirmWithoutRules: where no rules are in force, a change is judged by what
// is stored, and only one that does nothing but take a policy away is let through
// unseen: that is how such rules are mended.
func TestConfirmWithoutRules(t *testing.T) {
	bad := policy.Document{ID: "bad", Text: "permit("}
	for name, c := range map[string]struct {
		change Candidate
		taken  bool
	}{
		"nothing":                                 {Candidate{}, false},
		"the bad policy goes":                     {Candidate{DeletePolicy: "bad"}, true},
		"another policy goes":                     {Candidate{DeletePolicy: "all"}, true},
		"the bad policy is mended":                {Candidate{PutPolicy: &policy.Document{ID: "bad", Text: "forbid(principal, action, resource);"}}, true},
		"another policy comes":                    {Candidate{PutPolicy: &policy.Document{ID: "more", Text: "forbid(principal, action, resource);"}}, false},
		"a role comes":                            {Candidate{PutRole: &policy.Role{Name: "new"}}, false},
		"a role goes":                             {Candidate{DeleteRole: "clerk"}, false},
		"a policy goes and a broken role comes":   {Candidate{DeletePolicy: "bad", PutRole: &policy.Role{Name: "new", Parents: []string{"ghost"}}}, false},
		"a policy goes and a broken one comes":    {Candidate{DeletePolicy: "bad", PutPolicy: &policy.Document{ID: "worse", Text: "permit("}}, false},
		"a policy goes and a broken schema comes": {Candidate{DeletePolicy: "bad", PutSchema: &policy.Schema{Text: "entity"}}, false},
	} {
		w := newWorld()
		w.docs["shop"] = append(w.docs["shop"], bad)
		d, _, _ := newDecider(t, w)
		if err := try(t.Context(), d, "shop", c.change); (err == nil) != c.taken {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestConfirmReadsTheStore: what the transaction cannot read is an error, the first
// time: a transaction in which a statement failed is over (PostgreSQL).
func TestConfirmReadsTheStore(t *testing.T) {
	w := newWorld()
	d, _, _ := newDecider(t, w)
	doc := Candidate{PutPolicy: &policy.Document{ID: "new", Text: `forbid(principal, action, resource);`}}
	down := errors.New("down")
	for name, c := range map[string]struct {
		change Candidate
		tx     *holes
	}{
		"schema, for one document": {doc, &holes{world: w, schema: down}},
		"schema":                   {Candidate{PutRole: &policy.Role{Name: "new"}}, &holes{world: w, schema: down}},
		"roles":                    {Candidate{PutRole: &policy.Role{Name: "new"}}, &holes{world: w, roles: down}},
		"policies":                 {Candidate{PutRole: &policy.Role{Name: "new"}}, &holes{world: w, policies: down}},
	} {
		p := must(d.Prepare("main", c.change))
		if err := p.Confirm(t.Context(), c.tx); !errors.Is(err, down) || c.tx.schemas > 1 {
			t.Errorf("%s: %v, after %d reads of the schema", name, err, c.tx.schemas)
		}
		batch := &Batch{}
		must(batch.Prepare("main", c.change))
		if err := batch.Confirm(t.Context(), c.tx, "main"); !errors.Is(err, down) {
			t.Errorf("%s, in a batch: %v", name, err)
		}
	}
	// A realm without a schema has none, which is no error.
	p := must(d.Prepare("shop", doc))
	if err := p.Confirm(t.Context(), w); err != nil {
		t.Error(err)
	}
	if p := must(d.Prepare("nowhere", doc)); p.Confirm(t.Context(), w) != nil {
		t.Error("the rules of a realm that is made in the same transaction are judged as they are")
	}
}

// TestBatch: what is committed must fit together; what lies between need not.
func TestBatch(t *testing.T) {
	ghost := &policy.Role{Name: "new", Parents: []string{"ghost"}}
	for name, c := range map[string]struct {
		changes []Candidate
		write   func(w *world) // what the transaction wrote
		code    string
	}{
		"nothing": {nil, func(w *world) { w.docs["shop"] = []policy.Document{{ID: "bad", Text: "permit("}} }, ""},
		"a role before its parent": {[]Candidate{{PutRole: ghost}, {PutRole: &policy.Role{Name: "ghost"}}},
			func(w *world) { w.roles["shop"] = []policy.Role{*ghost, {Name: "ghost"}} }, ""},
		"a role without its parent": {[]Candidate{{PutRole: ghost}}, func(w *world) { w.roles["shop"] = []policy.Role{*ghost} }, "policy_invalid"},
		"a policy": {[]Candidate{{PutPolicy: &policy.Document{ID: "p", Text: "forbid(principal, action, resource);"}}},
			func(w *world) {
				w.docs["shop"] = []policy.Document{{ID: "p", Text: "forbid(principal, action, resource);"}}
			}, ""},
		"a policy that reads no fact": {[]Candidate{{PutPolicy: &policy.Document{ID: "p", Text: "forbid(principal, action, resource) when { context.x };"}}, {PutRole: &policy.Role{Name: "r"}}},
			func(w *world) {
				w.docs["shop"] = []policy.Document{{ID: "p", Text: "forbid(principal, action, resource) when { context.x };"}}
			}, "policy_invalid"},
		"a schema of facts that there are not": {[]Candidate{{PutSchema: &policy.Schema{Text: strings.Replace(documentsOnly, "[Document]", "[Document], context: {risk?: Long}", 1)}}},
			func(w *world) {
				w.docs["shop"] = nil
				w.schemas["shop"] = policy.Schema{Text: strings.Replace(documentsOnly, "[Document]", "[Document], context: {risk?: Long}", 1)}
			}, "policy_invalid"},
		// One that is switched off must be ready to be switched on.
		"a disabled policy that does not compile": {[]Candidate{{PutPolicy: &policy.Document{ID: "p", Disabled: true, Text: "permit("}}},
			func(w *world) {
				w.docs["shop"] = append(w.docs["shop"], policy.Document{ID: "p", Disabled: true, Text: "permit("})
			}, "policy_invalid"},
		// One that was switched off before, and is none of this, need not.
		"a disabled policy of before": {[]Candidate{{PutPolicy: &policy.Document{ID: "p", Text: "forbid(principal, action, resource);"}}},
			func(w *world) {
				w.docs["shop"] = append(w.docs["shop"], policy.Document{ID: "old", Disabled: true, Text: "permit("},
					policy.Document{ID: "p", Text: "forbid(principal, action, resource);"})
			}, ""},
		"a built-in role":      {[]Candidate{{PutRole: &policy.Role{Name: policy.RoleAdmin}}}, func(*world) {}, "role_built_in"},
		"a built-in role less": {[]Candidate{{DeleteRole: policy.RoleRealmAdmin}}, func(*world) {}, "role_built_in"},
	} {
		w := newWorld()
		batch := &Batch{}
		err := func() error {
			for _, x := range c.changes {
				p, err := batch.Prepare("shop", x)
				if err != nil {
					return err
				}
				if err := p.Confirm(t.Context(), w); err != nil {
					return err // what is in between was judged
				}
			}
			c.write(w)
			return batch.Confirm(t.Context(), w, "shop")
		}()
		if (err == nil) != (c.code == "") || err != nil && gatehouse.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
	}
}
