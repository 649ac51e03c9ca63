package clients

import (
	"context"
	"embed"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/policy"
)

//go:embed snippets
var snippetFiles embed.FS

// Snippet is how a program of one kind is set up for one client. No secret is in it: that comes from the program's environment.
type Snippet struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// SnippetKinds are those that there are.
func SnippetKinds() []string {
	return []string{"curl", "go", "node", "python", "nginx", "oauth2-proxy"}
}

var (
	errSnippetKind  = gatehouse.E(gatehouse.NotFound, "snippet_not_found", "There is no such snippet: curl, go, node, python, nginx and oauth2-proxy are there.")
	errSnippetUnfit = gatehouse.E(gatehouse.Unprocessable, "snippet_unfit", "There is no such snippet for this client: one that proves itself by keys, pushes or signs its requests or must send proofs needs a library; nginx and oauth2-proxy are for clients with a secret and authorization_code; a device alone has curl.")
)

// Snippet returns the one of that kind for a client. Errors: client_not_found, snippet_not_found, snippet_unfit.
func (s *Service) Snippet(ctx context.Context, actor *gatehouse.Principal, realm, id, kind string) (Snippet, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminClient, realm, id); err != nil {
		return Snippet{}, err
	}
	c, err := s.c.Clients.Client(ctx, realm, id)
	if err != nil {
		return Snippet{}, kernel.OrMissing(err, errUnknown)
	}
	text, err := snippet(c, kind, s.c.Issuer(realm))
	return Snippet{Kind: kind, Text: text}, err
}

// snippet fills in one kind of snippet.
func snippet(c client.Client, kind, issuer string) (string, error) {
	quote := quotes(kind)
	if quote == nil {
		return "", errSnippetKind
	}
	m := c.Metadata
	if !slices.Contains([]string{client.AuthBasic, client.AuthPost, client.AuthNone}, m.AuthMethod) || m.MustPush() || m.MustBind() || m.RequireSignedRequest {
		return "", errSnippetUnfit
	}
	file := kind
	switch code := m.May(client.GrantAuthorizationCode); {
	case kind == "nginx" || kind == "oauth2-proxy":
		if !code || m.Public() {
			return "", errSnippetUnfit
		}
	case code:
		file += "-code"
	case m.May(client.GrantClientCredentials):
		file += "-service"
	case kind == "curl" && m.May(client.GrantDeviceCode):
		file += "-device"
	default:
		return "", errSnippetUnfit
	}
	text, err := snippetFiles.ReadFile("snippets/" + file + ".txt")
	if err != nil {
		return "", err
	}
	redirect, host := "", ""
	if len(m.RedirectURIs) > 0 {
		redirect = m.RedirectURIs[0]
		if u, err := url.Parse(redirect); err == nil { // its host has nothing but letters, digits, dots and hyphens: it is registered
			host = u.Hostname()
		}
	}
	pairs := []string{"@ISSUER@", quote(issuer), "@TOKEN@", quote(issuer + "/token"), "@AUTHORIZE@", quote(issuer + "/authorize"), "@DEVICE@", quote(issuer + "/device_authorization"),
		"@CLIENT_ID@", quote(c.ID), "@REDIRECT@", quote(redirect), "@SCOPE@", quote(m.Scope), "@METHOD@", quote(m.AuthMethod), "@HOST@", host}
	filled := strings.NewReplacer(append(pairs, proofs(m.AuthMethod, quote(c.ID))...)...).Replace(string(text))
	return withoutEmpty(filled), nil
}

// proofs are the lines by which a client proves itself, or says who it is, in each language.
func proofs(method, id string) []string {
	const goSecret, noteSecret = `os.Getenv("CLIENT_SECRET")`, " CLIENT_SECRET comes from the environment."
	switch method {
	case client.AuthNone:
		return []string{"@CURL_AUTH@", "-d client_id=" + id, "@SECRET_NOTE@", "", "@GO_POST@", `form.Set("client_id", ` + id + `)`, "@GO_BASIC@", "", "@NODE_METHOD@", "client.None()", "@PYTHON_SECRET@", "None"}
	case client.AuthPost:
		return []string{"@CURL_AUTH@", "-d client_id=" + id + ` --data-urlencode client_secret="$CLIENT_SECRET"`, "@SECRET_NOTE@", noteSecret,
			"@GO_POST@", "form.Set(\"client_id\", " + id + ")\n\tform.Set(\"client_secret\", " + goSecret + ")", "@GO_BASIC@", "",
			"@NODE_AUTH@", "form.set(\"client_id\", " + id + ");\nform.set(\"client_secret\", secret);", "@NODE_METHOD@", "client.ClientSecretPost(process.env.CLIENT_SECRET)",
			"@PYTHON_AUTH@", `form |= {"client_id": ` + id + `, "client_secret": secret}`, "@PYTHON_SECRET@", `os.environ["CLIENT_SECRET"]`}
	}
	return []string{"@CURL_AUTH@", "-u " + id + `:"$CLIENT_SECRET"`, "@SECRET_NOTE@", noteSecret, "@GO_POST@", "", "@GO_BASIC@", "r.SetBasicAuth(" + id + ", " + goSecret + ")",
		"@NODE_AUTH@", "headers.Authorization = \"Basic \" + Buffer.from(" + id + " + \":\" + secret).toString(\"base64\");", "@NODE_METHOD@", "client.ClientSecretBasic(process.env.CLIENT_SECRET)",
		"@PYTHON_AUTH@", `headers["Authorization"] = "Basic " + base64.b64encode((` + id + ` + ":" + secret).encode()).decode()`, "@PYTHON_SECRET@", `os.environ["CLIENT_SECRET"]`}
}

// quotes writes a text so that it is one word, and nothing but text, in the language of a kind: names and addresses were chosen by
// somebody, and may hold what a shell would run. Nil: there is no such kind.
func quotes(kind string) func(string) string {
	switch kind {
	case "curl":
		return func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
	case "go", "node", "python", "oauth2-proxy": // what is quoted here is ASCII, which is written alike in all of them
		return strconv.QuoteToASCII
	case "nginx": // has a host alone
		return func(string) string { return "" }
	}
	return nil
}

// withoutEmpty leaves out lines of which only the indentation is left.
func withoutEmpty(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" || strings.Trim(line, "\n") == "" {
			out.WriteString(line)
		}
	}
	return out.String()
}
