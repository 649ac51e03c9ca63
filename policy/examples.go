package policy

import "embed"

//go:embed examples admin.cedar admin.cedarschema
var texts embed.FS // read-only

// text returns an embedded file; a missing one cannot get through the build.
func text(name string) string {
	b, err := texts.ReadFile(name)
	if err != nil {
		panic("policy: " + name + " is not embedded")
	}
	return string(b)
}

// ExampleDocuments returns the example policies for an API of documents: owners
// read their own, owners with the role user change them, public documents are
// readable by every authenticated caller, managers read their team's.
func ExampleDocuments() string { return text("examples/documents.cedar") }

// ExampleDocumentsSchema returns the schema that [ExampleDocuments] fits.
func ExampleDocumentsSchema() string { return text("examples/documents.cedarschema") }

// ExampleRoles returns roles to go with [ExampleDocuments]: admin may do
// everything with documents, user creates and lists, viewer reads all, manager
// lists (and reads by policy).
func ExampleRoles() []Role {
	doc := func(actions ...string) []Permission {
		return []Permission{{Actions: actions, ResourceType: "Document"}}
	}
	return []Role{
		{Name: "admin", Description: "everything", Parents: []string{"user", "viewer"}, Permissions: doc(All)},
		{Name: "user", Description: "creates documents, and owns what they create", Permissions: doc("list", "create")},
		{Name: "viewer", Description: "reads all documents", Permissions: doc("list", "read")},
		{Name: "manager", Description: "leads a team", Parents: []string{"user"}},
	}
}
