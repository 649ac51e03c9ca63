#!/usr/bin/env bash
# huma 2.37.2 takes a member in another letter case for a known one, although its
# own OpenAPI document says additionalProperties: false.
#
# A good engineer expects {"Disabled":true} to be refused where the schema has
# "disabled" alone: JSON names are compared exactly (RFC 8259 §8.3, JSON Schema
# 2020-12 §10.3.2.3). It passes validation; what happens then is up to the decoder:
# encoding/json sets the field, a decoder that compares exactly drops it and the
# caller is told 2xx. ValidateStrictCasing, a variable of the package, is off.
# Gatehouse refuses such members itself (admin/adminhttp TestMembersInAnotherCase).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
cat > go.mod <<'MOD'
module finding
go 1.25
require github.com/danielgtaylor/huma/v2 v2.37.2
MOD
cat > main.go <<'GO'
package main

import (
	"fmt"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

type user struct {
	Disabled bool `json:"disabled"`
}

func main() {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	schema := huma.SchemaFromType(registry, reflect.TypeOf(user{}))
	fmt.Println("additionalProperties:", schema.AdditionalProperties)
	for _, member := range []string{"disabled", "Disabled", "DISABLED", "enabled"} {
		var result huma.ValidateResult
		huma.Validate(registry, schema, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, map[string]any{member: true}, &result)
		fmt.Printf("%s: %d errors\n", member, len(result.Errors))
	}
}
GO
export GOFLAGS=-mod=mod
go run . > seen 2> build || { cat build; exit 1; }
cat > want <<'WANT'
additionalProperties: false
disabled: 0 errors
Disabled: 0 errors
DISABLED: 0 errors
enabled: 2 errors
WANT
cat seen
diff want seen
