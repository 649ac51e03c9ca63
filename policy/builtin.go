package policy

import (
	"slices"

	"github.com/gatehouse-auth/gatehouse"
)

// The built-in roles. They are given to people like any role, and what they may
// do is fixed in this package: no role, policy or schema of a realm adds to it,
// inherits it or takes it away. The first four count in realm main only and
// reach over every realm; realm-admin counts in the other realms, each for itself, and
// gatehouse-guard in all, each for itself.
const (
	RoleAdmin      = gatehouse.RoleAdmin      // everything
	RoleOperator   = gatehouse.RoleOperator   // reads all; writes subjects, entities, grants; revokes
	RoleAuditor    = gatehouse.RoleAuditor    // reads all but backups
	RoleBackup     = gatehouse.RoleBackup     // starts backups
	RoleRealmAdmin = gatehouse.RoleRealmAdmin // everything inside its own realm
	RoleGuard      = gatehouse.RoleGuard      // follows the revocations of its own realm
)

// IsBuiltinRole reports whether a role's name is reserved for Gatehouse.
func IsBuiltinRole(name string) bool { return gatehouse.IsBuiltinRole(name) }

// BuiltinRoles returns the built-in roles that count in a realm, for listing.
func BuiltinRoles(realm string) []Role {
	guard := Role{Realm: realm, Name: RoleGuard, Description: "follows this realm's revocations, sees nothing else"}
	if realm != gatehouse.MainRealm {
		return []Role{{Realm: realm, Name: RoleRealmAdmin, Description: "administers this realm"}, guard}
	}
	return []Role{
		{Realm: realm, Name: RoleAdmin, Description: "administers everything"},
		{Realm: realm, Name: RoleOperator, Description: "reads everything, looks after people, revokes"},
		{Realm: realm, Name: RoleAuditor, Description: "reads everything, changes nothing"},
		{Realm: realm, Name: RoleBackup, Description: "starts backups, sees nothing"},
		guard,
	}
}

// Actions on what is administered.
const (
	AdminRead   = "read"
	AdminWrite  = "write"  // create, change, remove
	AdminRevoke = "revoke" // take access away: keys, grants, sessions, tokens
	AdminGrant  = "grant"  // give roles to a subject
	AdminManage = "manage" // realms as such, backup, removing signing keys
)

// Types of what is administered. A user or service account is a Subject and a
// role Roles, because User, Service and Role are the types of who asks.
const (
	AdminRealm      = "Realm"
	AdminSubject    = "Subject"
	AdminKey        = "Key"
	AdminClient     = "Client"
	AdminRole       = "Roles"
	AdminPolicy     = "Policy" // policies and the schema
	AdminEntity     = "Entity"
	AdminSigningKey = "SigningKey"
	AdminGrants     = "Grant"
	AdminToken      = "Token"
	// AdminRevocations is the stream of what is no longer valid.
	AdminRevocations = "Revocations"
	AdminAudit       = "Audit"
	AdminDecision    = "Decision"
	AdminBackup      = "Backup"
	// AdminConfiguration is the configuration of the server itself.
	AdminConfiguration = "Configuration"
	// AdminNode is a process that shares the database.
	AdminNode = "Node"
	// AdminMail is the queue of messages to people.
	AdminMail = "Mail"
)

// Administration compiles the set that guards Gatehouse's own management. It
// holds nothing from any realm.
func Administration() (*Set, error) {
	s, err := Compile(Input{
		BuiltIn: []Document{{ID: "administration", Text: text("admin.cedar")}},
		Schema:  &Schema{Text: text("admin.cedarschema")},
	})
	return s, err
}

// BuiltinRolesOf returns which of the assigned roles are built in and count in
// realm, sorted. There is no inheritance among them.
func BuiltinRolesOf(realm string, assigned []string) []string {
	var out []string
	for _, r := range BuiltinRoles(realm) {
		if slices.Contains(assigned, r.Name) {
			out = append(out, r.Name)
		}
	}
	slices.Sort(out)
	return out
}
