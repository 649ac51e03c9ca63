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

// ExampleRoles returns roles to go with [ExampleDocuments], parents before their
// children: a viewer lists and reads what the policies let everybody read, a
// user also writes documents of their own, a manager also reads their teams',
// and admin may do everything with documents.
func ExampleRoles() []Role {
	doc := func(actions ...string) []Permission {
		return []Permission{{Actions: actions, ResourceType: "Document"}}
	}
	return []Role{
		{Name: "viewer", Description: "lists documents, and reads public ones", Permissions: doc("list")},
		{Name: "user", Description: "writes documents of their own", Parents: []string{"viewer"}},
		{Name: "manager", Description: "leads a team", Parents: []string{"user"}},
		{Name: "admin", Description: "everything", Parents: []string{"user"}, Permissions: doc(All)},
	}
}
