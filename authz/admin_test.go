package authz

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// TestAdministration: who may do what to whom. A realm's own roles and policies
// have no say in it, and a person with an administrative role is changed only by
// who could give that role.
//
// ASVS: 8.2.1
func TestAdministration(t *testing.T) {
	w := newWorld()
	w.docs["main"] = []policy.Document{{ID: "all", Text: `permit(principal, action, resource);`}}
	delete(w.schemas, "main")
	w.roles["main"] = append(w.roles["main"], policy.Role{Name: policy.RoleAdmin, Permissions: []policy.Permission{{Actions: []string{"*"}, ResourceType: "*"}}})
	w.subjects["main|backup"] = gatehouse.Subject{Kind: gatehouse.KindService, Name: "backup", Roles: []string{policy.RoleBackup}}
	w.subjects["main|former"] = gatehouse.Subject{Kind: gatehouse.KindUser, Name: "former", Roles: []string{policy.RoleAdmin}, Disabled: true}
	d, _, _ := newDecider(t, w)
	read, write := []string{ScopeAdminRead}, []string{ScopeAdminWrite}
	for _, c := range []struct {
		realm, id               string
		scopes                  []string
		action, typ, target, on string
		code                    string
	}{
		{"main", "root", []string{"*"}, "manage", policy.AdminRealm, "shop", "", "permitted"},
		{"main", "root", read, "read", policy.AdminSubject, "shop", "", "permitted"},
		{"main", "root", read, "write", policy.AdminSubject, "shop", "", CodeInsufficientScope},
		{"main", "root", read, "revoke", policy.AdminKey, "shop", "", CodeInsufficientScope}, // only to read is to read
		{"main", "root", read, "grant", policy.AdminSubject, "shop", "", CodeInsufficientScope},
		{"main", "root", read, "manage", policy.AdminRealm, "shop", "", CodeInsufficientScope},
		{"main", "root", write, "read", policy.AdminSubject, "shop", "", CodeInsufficientScope},
		{"main", "root", nil, "read", policy.AdminSubject, "shop", "", CodeInsufficientScope},
		{"main", "alice", []string{"*"}, "read", policy.AdminSubject, "main", "", "no_permit"}, // the realm's own admin role and permit-all say nothing here
		{"main", "oper", write, "write", policy.AdminSubject, "main", "", "permitted"},         // somebody new
		{"main", "oper", write, "write", policy.AdminSubject, "main", "bob", "permitted"},
		{"main", "oper", write, "write", policy.AdminSubject, "main", "root", "forbidden"},
		{"main", "oper", write, "write", policy.AdminSubject, "main", "nobody", "forbidden"},
		{"main", "oper", write, "write", policy.AdminSubject, "shop", "chief", "forbidden"},
		{"main", "oper", write, "write", policy.AdminSubject, "shop", "fake", "permitted"}, // a role of main does not count in shop
		{"main", "oper", write, "write", policy.AdminKey, "main", "root", "forbidden"},     // a key of root's is root
		{"main", "oper", write, "write", policy.AdminKey, "main", "bob", "no_permit"},
		{"main", "oper", write, "write", policy.AdminEntity, "main", "root", "permitted"}, // an entity of that name is nobody
		{"main", "oper", read, "read", policy.AdminSubject, "main", "root", "permitted"},  // to look at somebody changes nothing
		{"main", "oper", write, "revoke", policy.AdminSubject, "main", "root", "permitted"},
		{"main", "oper", write, "grant", policy.AdminSubject, "main", "bob", "no_permit"},
		{"main", "root", write, "grant", policy.AdminSubject, "shop", "chief", "permitted"},
		{"main", "backup", write, "manage", policy.AdminBackup, "main", "", "permitted"},
		{"main", "backup", read, "read", policy.AdminSubject, "main", "", "no_permit"},
		{"shop", "chief", write, "write", policy.AdminPolicy, "shop", "p", "permitted"},
		{"shop", "chief", write, "write", policy.AdminSubject, "shop", "chief", "permitted"},
		{"shop", "chief", read, "read", policy.AdminSubject, "main", "", "forbidden"},
		{"shop", "fake", read, "read", policy.AdminSubject, "shop", "", "no_permit"},
		{"main", "ghost", read, "read", policy.AdminSubject, "main", "", CodeSubjectDisabled},
		{"main", "former", read, "read", policy.AdminSubject, "main", "", CodeSubjectDisabled},
		{"nowhere", "root", read, "read", policy.AdminSubject, "main", "", codeRealmUnknown},
		{"main", "root", read, "no such action", policy.AdminSubject, "main", "", CodeInsufficientScope},
		{"main", "root", write, "no such action", policy.AdminSubject, "main", "", "no_permit"},
		{"main", "root", write, "write", "not a type", "main", "", "evaluation_error"},
	} {
		p := who(c.realm, c.id)
		p.Scopes = c.scopes
		got := d.DecideAdmin(context.Background(), p, c.action, c.typ, c.target, c.on)
		if got.Code != c.code || got.Allowed != (c.code == "permitted") {
			t.Errorf("%+v: %+v", c, got)
		}
		// What is missing is told, so that somebody knows what to ask for.
		want := map[string][]string{CodeInsufficientScope: {ScopeAdminWrite}, "no_permit": {c.action + " on " + c.typ}}[c.code]
		if c.code == CodeInsufficientScope && c.action == "read" {
			want = []string{ScopeAdminRead}
		}
		if !slices.Equal(got.Missing, want) {
			t.Errorf("%+v: missing %q, want %q", c, got.Missing, want)
		}
	}
	for name, p := range map[string]*gatehouse.Principal{"nobody": nil, "anonymous": {Realm: "main", Kind: gatehouse.KindAnonymous, Scopes: read}} {
		if got := d.DecideAdmin(context.Background(), p, "read", policy.AdminRealm, "main", ""); got.Code != CodeUnauthenticated || got.Allowed {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// A client that acts for itself is not in the directory, even under the id of
	// somebody who is.
	robot := who("main", "root")
	robot.Kind = gatehouse.KindClient
	if got := d.DecideAdmin(context.Background(), robot, "read", policy.AdminRealm, "main", ""); got.Code != "forbidden" || len(got.Reasons) != 1 {
		t.Errorf("%+v", got)
	}
}

// TestAdministrationNarrowed: a credential that is limited to roles administers
// with those of its owner's that the limit names, and with nothing inherited.
func TestAdministrationNarrowed(t *testing.T) {
	w := newWorld()
	w.subjects["main|both"] = gatehouse.Subject{Kind: gatehouse.KindUser, Name: "both", Roles: []string{policy.RoleAdmin, policy.RoleBackup}}
	d, _, _ := newDecider(t, w)
	for _, c := range []struct {
		limit          []string
		manages, reads bool
	}{
		{nil, true, true},
		{[]string{}, false, false},
		{[]string{policy.RoleAdmin}, true, true},
		{[]string{policy.RoleBackup}, true, false},
		{[]string{policy.RoleAuditor}, false, false}, // which is not theirs to have
	} {
		p := who("main", "both")
		p.RoleLimit = c.limit
		manages := d.DecideAdmin(t.Context(), p, policy.AdminManage, policy.AdminBackup, "main", "")
		reads := d.DecideAdmin(t.Context(), p, policy.AdminRead, policy.AdminSubject, "main", "")
		if manages.Allowed != c.manages || reads.Allowed != c.reads {
			t.Errorf("limit %q: manages %+v, reads %+v", c.limit, manages, reads)
		}
	}
}

// halfBlind is a directory that knows who asks and cannot look up anybody else.
type halfBlind struct {
	*world
	sees string
}

func (h halfBlind) Subject(ctx context.Context, realm, id string) (gatehouse.Subject, error) {
	if id != h.sees {
		return gatehouse.Subject{}, errors.New("down")
	}
	return h.world.Subject(ctx, realm, id)
}

// TestAdministrationInTheDark: where it cannot be told whether somebody is an
// administrator, he is not changed, not even by one who might.
//
// ASVS: 16.5.3
func TestAdministrationInTheDark(t *testing.T) {
	d := must(New(t.Context(), Config{Store: newWorld(), Directory: halfBlind{newWorld(), "root"}, Logger: discard}))
	for _, action := range []string{policy.AdminWrite, policy.AdminGrant} {
		if got := d.DecideAdmin(t.Context(), who("main", "root"), action, policy.AdminSubject, "main", "bob"); got.Code != CodeDirectory || got.Allowed {
			t.Errorf("%s: %+v", action, got)
		}
	}
	if got := d.DecideAdmin(t.Context(), who("main", "root"), policy.AdminRevoke, policy.AdminSubject, "main", "bob"); !got.Allowed {
		t.Errorf("taking access away must work when little else does: %+v", got)
	}
}
