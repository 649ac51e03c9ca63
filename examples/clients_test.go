package examples_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// clients are the programs below clients/, one a language, and the libraries that
// each can use. docs/clients.md has the line that each library needs.
var clients = []struct {
	language  string
	argv      func(at string) []string // at is where scripts/test-clients has put them
	libraries []string
}{
	{"python", func(at string) []string { return []string{at + "/python/bin/python", "clients/python/check.py"} },
		[]string{"PyJWT", "python-jose", "Authlib", "joserfc", "simplejwt", "flask-jwt-extended"}},
	{"node", func(at string) []string { return []string{"node", at + "/node/check.js"} },
		[]string{"jsonwebtoken", "express-jwt", "koa-jwt", "passport-jwt", "express-oauth2-jwt-bearer", "@fastify/jwt",
			"aws-jwt-verify", "hono", "oauth4webapi", "jose"}},
	{"go", func(at string) []string { return []string{at + "/go-clients"} },
		[]string{"golang-jwt", "go-oidc", "go-jwt-middleware", "jwx", "zitadel/oidc"}},
	{"java", func(at string) []string { return []string{"java", "-cp", at + "/java:" + at + "/java/lib/*", "Check"} },
		[]string{"nimbus", "spring", "java-jwt", "jjwt", "jose4j"}},
	{"rust", func(at string) []string { return []string{at + "/rust/debug/clients"} },
		[]string{"jsonwebtoken", "jwt-authorizer"}},
}

// refusedByAll are those forgeries (see forger) that no library with the line of
// docs/clients.md may accept. What some of them do not look at, typ and nbf for
// one, is not here: the page says what else must be checked.
var refusedByAll = []string{"changed claims", "changed signature", "no signature", "two parts", "zero signature",
	"HS256 with the public PEM", "HS256 with the public JWK", "HS256 with nothing", "expired", "wrong audience", "wrong audiences",
	"wrong issuer", "a stranger's signature", "an unknown key", "a key embedded in the header", "alg none", "alg None"}

// TestClients: every library of docs/clients.md that can be had in five languages
// reads our tokens with the line that the page gives, and refuses what is forged.
func TestClients(t *testing.T) {
	at := os.Getenv("GATEHOUSE_CLIENTS")
	if at == "" {
		t.Skip("needs the libraries of five languages: make clients")
	}
	f := newFacade(t)
	h := newHouse(t, f, "http://127.0.0.1:9", "", nil)
	real := h.login(t)
	forge := newForger(t, h, real)
	id, _ := forge.claims["client_id"].(string)
	forged := forge.forgeries(real)
	for _, program := range clients {
		for _, library := range program.libraries {
			t.Run(program.language+" "+library, func(t *testing.T) {
				ask := startClient(t, append(program.argv(at), library), "ISSUER="+h.URL, "AUDIENCE="+h.URL, "CLIENT_ID="+id)
				for what, token := range map[string]string{"a token": h.login(t), "a token made here": forge.sign(nil, nil)} {
					if library == "flask-jwt-extended" && what == "a token made here" {
						continue // it is given one key, not the set
					}
					if said := ask(token); said != "accepted" {
						t.Errorf("%s: %s", what, said)
					}
				}
				for _, what := range refusedByAll {
					token, known := forged[what]
					if !known {
						t.Fatalf("no such forgery: %s", what)
					}
					if said := ask(token); !strings.HasPrefix(said, "refused") {
						t.Errorf("%s: %s", what, said)
					}
				}
			})
		}
	}
}

// TestClientsPage: the rows of docs/clients.md that say that they are run are those
// whose libraries TestClients has.
func TestClientsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{"nimbus": "Nimbus", "spring": "spring-security"} // where the page writes more than the programs
	found := map[string]bool{}
	for row := range strings.Lines(string(page)) {
		cells := strings.Split(row, "|")
		if len(cells) != 6 || strings.TrimSpace(cells[4]) != "yes" {
			continue
		}
		var any bool
		for _, program := range clients {
			for _, library := range program.libraries {
				name := library
				if n := names[library]; n != "" {
					name = n
				}
				if strings.Contains(cells[1], name) {
					any, found[program.language+" "+library] = true, true
				}
			}
		}
		if !any {
			t.Errorf("docs/clients.md says that %sis run; it is not", cells[1])
		}
	}
	for _, program := range clients {
		for _, library := range program.libraries {
			if !found[program.language+" "+library] {
				t.Errorf("docs/clients.md has no row for %s (%s) that says that it is run", library, program.language)
			}
		}
	}
}

// startClient starts one program and returns what asks it about a token.
func startClient(t *testing.T, argv []string, env ...string) func(token string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(withoutProxies(), env...)
	var complaints output
	cmd.Stderr = &complaints
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", filepath.Base(argv[0]), complaints.String())
		}
	})
	return func(token string) string {
		t.Helper()
		if _, err := io.WriteString(in, token+"\n"); err != nil || !lines.Scan() {
			t.Fatalf("no answer: %v %v", err, lines.Err())
		}
		return lines.Text()
	}
}

// withoutProxies is the environment of programs that ask a server on this machine.
func withoutProxies() []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(strings.ToUpper(e), "HTTP_PROXY") || strings.HasPrefix(strings.ToUpper(e), "HTTPS_PROXY")
	})
}
