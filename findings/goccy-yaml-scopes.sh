#!/usr/bin/env bash
# goccy/go-yaml 1.19.2 reads an OAuth scope with a colon as a mapping, once it stands in
# a list within braces: {scopes: [users:read]} becomes a list of {users: read}.
#
# A good engineer expects the text "users:read": in YAML 1.2.2 §7.3.3 a colon ends a
# name only before a space or one of the flow indicators. The same list outside of
# braces is read so, and go.yaml.in/yaml/v3 3.0.5 and PyYAML read both so. As a name in
# braces, {users:read: x}, it is cut at the first colon. It meets OpenAPI documents
# (security: [{oauth: [users:read]}]) and configurations with a line a route.
# Gatehouse reads OpenAPI documents and realm files with yaml/v3, and its own configuration says where
# a list of names holds something else.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
cat > go.mod <<'MOD'
module finding
go 1.25
require (
	github.com/goccy/go-yaml v1.19.2
	go.yaml.in/yaml/v3 v3.0.5
)
MOD
cat > main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"

	goccy "github.com/goccy/go-yaml"
	"go.yaml.in/yaml/v3"
)

func main() {
	for _, text := range []string{"scopes: [users:read]", "{scopes: [users:read]}", "- {scopes: [users:read, b]}", "{users:read: Read}"} {
		var one, other any
		if err := goccy.Unmarshal([]byte(text), &one); err != nil {
			one = err.Error()
		}
		if err := yaml.Unmarshal([]byte(text), &other); err != nil {
			other = err.Error()
		}
		a, _ := json.Marshal(one)
		b, _ := json.Marshal(other)
		fmt.Printf("%s\n  goccy %s\n  yaml  %s\n", text, a, b)
	}
}
GO
export GOFLAGS=-mod=mod
go run . > seen 2> build || { cat build; exit 1; }
cat > want <<'WANT'
scopes: [users:read]
  goccy {"scopes":["users:read"]}
  yaml  {"scopes":["users:read"]}
{scopes: [users:read]}
  goccy {"scopes":[{"users":"read"}]}
  yaml  {"scopes":["users:read"]}
- {scopes: [users:read, b]}
  goccy [{"scopes":[{"users":"read"},"b"]}]
  yaml  [{"scopes":["users:read","b"]}]
{users:read: Read}
  goccy {"users":"read: Read"}
  yaml  {"users:read":"Read"}
WANT
cat seen
diff want seen
