package examples_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestGeneratedClients takes the document of the management API from a running server,
// has two validators check it, and uses the clients that four generators make of it.
func TestGeneratedClients(t *testing.T) {
	at := os.Getenv("GATEHOUSE_OPENAPI")
	if at == "" {
		t.Skip("needs validators and generators: make openapi")
	}
	h := newHouse(t, newFacade(t), "http://127.0.0.1:9", "", nil)
	a := call(t, "GET", h.URL+"/admin/v1/openapi.json", func(*http.Request) {})
	if a.status != http.StatusOK {
		t.Fatalf("the document: %d %s", a.status, a.body)
	}
	work := t.TempDir()
	document := filepath.Join(work, "openapi.json")
	if err := os.WriteFile(document, a.body, 0o600); err != nil {
		t.Fatal(err)
	}
	// run runs a line of a shell below work, where $T are the tools, $D is the document
	// and $S the program that uses the client.
	run := func(t *testing.T, dir, line string) string {
		t.Helper()
		source, err := filepath.Abs(filepath.Join("generated", dir))
		if err != nil {
			t.Fatal(err)
		}
		in := filepath.Join(work, dir)
		if err := os.MkdirAll(in, 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", line)
		cmd.Dir = in
		cmd.Env = append(os.Environ(), "T="+at, "D="+document, "S="+source, "GATEHOUSE_URL="+h.URL, "GATEHOUSE_TOKEN="+h.operator,
			"REDOCLY_TELEMETRY=off", "CI=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for name, line := range map[string]string{
		"openapi-spec-validator": `"$T/python/bin/openapi-spec-validator" "$D"`,
		"redocly":                `"$T/typescript/node_modules/.bin/redocly" lint --extends recommended --max-problems 500 "$D"`,
	} {
		t.Run(name, func(t *testing.T) {
			if out := run(t, "check", line); strings.Contains(out, "You have ") { // warnings
				t.Error(out)
			}
		})
	}
	for language, lines := range map[string][]string{
		"go": {`cp "$S"/* . && "$T/bin/oapi-codegen" -generate types,client -package main -o client.go "$D"`, `go vet . && go build -o call .`, `./call`},
		"typescript": {`cp "$S"/* . && ln -s "$T/typescript/node_modules" . && node_modules/.bin/openapi-typescript "$D" -o schema.d.ts`,
			`node_modules/.bin/tsc --strict --module nodenext --target es2022 call.ts`, `node call.js`},
		// The frame of the generated client does not pass mypy; the program that uses it must.
		"python": {`PATH="$T/python/bin:$PATH" openapi-python-client generate --path "$D" --meta none --output-path gatehouse_client --fail-on-warning`,
			`cp "$S/call.py" . && "$T/python/bin/mypy" --check-untyped-defs --follow-imports=silent call.py && "$T/python/bin/python" -m compileall -q gatehouse_client`, `"$T/python/bin/python" call.py`},
		"java": {`java -jar "$T"/java/openapi-generator-cli-*.jar generate -g java --library native -i "$D" -o . > generate.log`,
			`cp "$S/Call.java" src/main/java/ && mvn -q -B -DskipTests compile dependency:copy-dependencies -DoutputDirectory=lib > maven.log`,
			`java -cp "target/classes:lib/*" Call`},
	} {
		t.Run(language, func(t *testing.T) {
			said := ""
			for _, line := range lines {
				said = run(t, language, line)
			}
			if want := "user by " + language + " realm_not_found"; said != want {
				t.Errorf("said %q, want %q", said, want)
			}
		})
	}
}
