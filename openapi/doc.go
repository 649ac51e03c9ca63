// Package openapi reads the routes of an API out of its OpenAPI document: 3.0, 3.1
// and 3.2, YAML or JSON.
//
// # Threats
//
// A rule that comes out weaker than the document: what cannot be expressed as a
// route becomes one that nobody may call, and is told by name. Documents that
// exhaust their reader: size, depth, and what aliases make of them are bounded.
// Nothing outside the document is fetched.
//
// It must never import gateway, guard, store or server.
package openapi
