package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
)

// OpenAPIOptions say what every route that is read gets.
type OpenAPIOptions struct {
	Upstream string
	Realm    string
	Host     string
	// BasePath takes the place of the path of the document's first server.
	BasePath string
}

// Bounds of an OpenAPI document.
const (
	maxOpenAPI    = 8 << 20
	maxOperations = 5000
	maxYAMLDepth  = 64
)

var openAPIMethods = []string{"get", "put", "post", "delete", "options", "head", "patch"}

// OpenAPIRoutes reads routes out of an OpenAPI 3.0 or 3.1 document, YAML or JSON.
// Each path and method of it becomes one route, in a stable order; what the
// document does not list has no route and so does not exist.
//
//   - Every route needs an authenticated caller, and the scopes of its security
//     requirement. Several requirements ("or") that differ in scopes ask for the
//     scopes that all of them have; no requirement makes a route weaker than
//     "authenticated".
//   - An operation that says "security: []" itself is open to anonymous callers. A
//     document-wide empty list does not do that: it is more often an omission.
//   - The content types of the request body become the ones accepted.
//   - The extension x-gatehouse, on a path or an operation, adds to that: public
//     (bool), scopes, roles (lists), action, type and id of the resource ("{id}"),
//     source, fetch, hide_existence. Unknown members are errors.
//   - GET serves HEAD too, as everywhere in net/http.
func OpenAPIRoutes(document []byte, opt OpenAPIOptions) ([]enforce.Route, error) {
	doc, err := parseOpenAPI(document)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	base := opt.BasePath
	if base == "" {
		base = doc.serverPath()
	}
	base = strings.TrimRight(base, "/")
	if len(doc.Paths) == 0 {
		return nil, errors.New("openapi: the document has no paths")
	}
	var out []enforce.Route
	ids := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		if strings.HasPrefix(path, "x-") {
			continue
		}
		item := doc.Paths[path]
		if item.Ref != "" {
			return nil, fmt.Errorf("openapi: path %q is a $ref, which is not read", path)
		}
		pattern, err := muxPath(base + path)
		if err != nil {
			return nil, fmt.Errorf("openapi: path %q: %w", path, err)
		}
		ops := item.operations()
		for _, method := range openAPIMethods {
			op := ops[method]
			if op == nil {
				continue
			}
			if len(out) >= maxOperations {
				return nil, fmt.Errorf("openapi: more than %d operations", maxOperations)
			}
			route, err := doc.route(strings.ToUpper(method)+" "+pattern, item, op, opt)
			if err != nil {
				return nil, fmt.Errorf("openapi: %s %q: %w", strings.ToUpper(method), path, err)
			}
			if ids[route.ID] {
				route.ID = route.Pattern // the specification wants unique names; not every document heeds it
			}
			ids[route.ID] = true
			out = append(out, route)
		}
	}
	return out, nil
}

type openAPI struct {
	OpenAPI  string                 `yaml:"openapi" json:"openapi"`
	Servers  []openAPIServer        `yaml:"servers" json:"servers"`
	Security []map[string][]string  `yaml:"security" json:"security"`
	Paths    map[string]openAPIPath `yaml:"paths" json:"paths"`
}

type openAPIServer struct {
	URL string `yaml:"url" json:"url"`
}

type openAPIPath struct {
	Ref     string            `yaml:"$ref" json:"$ref"`
	Get     *openAPIOperation `yaml:"get" json:"get"`
	Put     *openAPIOperation `yaml:"put" json:"put"`
	Post    *openAPIOperation `yaml:"post" json:"post"`
	Delete  *openAPIOperation `yaml:"delete" json:"delete"`
	Options *openAPIOperation `yaml:"options" json:"options"`
	Head    *openAPIOperation `yaml:"head" json:"head"`
	Patch   *openAPIOperation `yaml:"patch" json:"patch"`
	Ours    map[string]any    `yaml:"x-gatehouse" json:"x-gatehouse"`
}

func (p openAPIPath) operations() map[string]*openAPIOperation {
	return map[string]*openAPIOperation{"get": p.Get, "put": p.Put, "post": p.Post, "delete": p.Delete,
		"options": p.Options, "head": p.Head, "patch": p.Patch}
}

type openAPIOperation struct {
	ID string `yaml:"operationId" json:"operationId"`
	// Security is nil where the operation says nothing, and points to an empty
	// list where it says that nothing is needed.
	Security    *[]map[string][]string `yaml:"security" json:"security"`
	RequestBody struct {
		Content map[string]any `yaml:"content" json:"content"`
	} `yaml:"requestBody" json:"requestBody"`
	Ours map[string]any `yaml:"x-gatehouse" json:"x-gatehouse"`
}

// parseOpenAPI bounds the document before it decodes it: aliases could make a few
// lines of YAML into gigabytes.
func parseOpenAPI(document []byte) (*openAPI, error) {
	if len(document) > maxOpenAPI {
		return nil, fmt.Errorf("larger than %d bytes", maxOpenAPI)
	}
	var doc openAPI
	var err error
	if bytes.HasPrefix(bytes.TrimLeft(document, " \t\r\n"), []byte("{")) {
		err = exactjson.Unmarshal(document, &doc)
	} else {
		err = unmarshalYAML(document, &doc)
	}
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.0.") && !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		return nil, errors.New("only OpenAPI 3.0 and 3.1 are read")
	}
	return &doc, nil
}

func unmarshalYAML(document []byte, doc *openAPI) error {
	if err := boundYAML(document); err != nil {
		return err
	}
	file, err := parser.ParseBytes(document, 0)
	if err != nil {
		return errors.New(strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return errors.New("must hold exactly one document")
	}
	var v yamlBounds
	ast.Walk(&v, file.Docs[0].Body)
	if v.aliases > 0 {
		return errors.New("uses YAML anchors or aliases, which are not read")
	}
	if err := yaml.NodeToValue(file.Docs[0].Body, doc); err != nil {
		return errors.New(strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	return nil
}

// boundYAML refuses nesting that would exhaust a recursive parser. It counts
// brackets in texts too: a document that has 64 open ones is not worth parsing.
func boundYAML(document []byte) error {
	depth, deepest := 0, 0
	for line := range bytes.Lines(document) {
		rest := bytes.TrimLeft(line, " ")
		block := (len(line) - len(rest)) / 2
		for bytes.HasPrefix(rest, []byte("- ")) || bytes.HasPrefix(rest, []byte("? ")) {
			rest, block = bytes.TrimLeft(rest[2:], " "), block+1
		}
		for _, c := range rest {
			switch c {
			case '[', '{':
				depth++
			case ']', '}':
				depth = max(depth-1, 0)
			}
			deepest = max(deepest, depth)
		}
		deepest = max(deepest, block)
	}
	if deepest > maxYAMLDepth {
		return fmt.Errorf("nested deeper than %d", maxYAMLDepth)
	}
	return nil
}

type yamlBounds struct{ aliases int }

func (v *yamlBounds) Visit(n ast.Node) ast.Visitor {
	switch n.Type() {
	case ast.AliasType, ast.AnchorType, ast.MergeKeyType:
		v.aliases++
	}
	return v
}

// serverPath is the path of the first server, which clients put before every
// path of the document.
func (d *openAPI) serverPath() string {
	if len(d.Servers) == 0 {
		return ""
	}
	u, err := url.Parse(d.Servers[0].URL)
	if err != nil || strings.ContainsAny(u.Path, "{}") {
		return ""
	}
	return u.Path
}

var (
	pathParam = regexp.MustCompile(`\{([^{}]*)\}`)
	identChar = regexp.MustCompile(`[^A-Za-z0-9_]`)
)

// muxPath turns a path template into a ServeMux path. Parameters must be whole
// segments there; a segment that mixes text and parameters ("{id}.json") becomes
// one parameter, which is wider, so it is refused rather than guessed.
func muxPath(path string) (string, error) {
	if path == "" || path[0] != '/' {
		return "", errors.New("does not begin with /")
	}
	segs := strings.Split(path, "/")
	for i, seg := range segs {
		m := pathParam.FindStringSubmatch(seg)
		switch {
		case m == nil && strings.ContainsAny(seg, "{}"):
			return "", errors.New("has a brace that opens or closes nothing")
		case m == nil:
		case m[0] != seg:
			return "", fmt.Errorf("segment %q mixes text and a parameter; add the route by hand", seg)
		default:
			segs[i] = "{" + paramName(m[1]) + "}"
		}
	}
	out := strings.Join(segs, "/")
	if strings.HasSuffix(out, "/") {
		out += "{$}" // the path itself and not all below it
	}
	return out, nil
}

// paramName makes a parameter's name one that ServeMux knows: "doc-id" → "doc_id".
func paramName(s string) string {
	s = identChar.ReplaceAllString(s, "_")
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		s = "p" + s
	}
	return s
}

func (d *openAPI) route(pattern string, item openAPIPath, op *openAPIOperation, opt OpenAPIOptions) (enforce.Route, error) {
	r := enforce.Route{ID: op.ID, Pattern: pattern, Host: opt.Host, Upstream: opt.Upstream, Realm: opt.Realm, Authenticated: true}
	if r.ID == "" {
		r.ID = pattern
	}
	security := d.Security
	if op.Security != nil {
		security = *op.Security
		if len(security) == 0 || slices.ContainsFunc(security, func(m map[string][]string) bool { return len(m) == 0 }) {
			r.Anonymous, r.Authenticated = true, false
		}
	}
	if !r.Anonymous {
		r.Scopes = commonScopes(security)
	}
	for t := range op.RequestBody.Content {
		r.ContentTypes = append(r.ContentTypes, t)
	}
	slices.Sort(r.ContentTypes)
	for _, ext := range []map[string]any{item.Ours, op.Ours} {
		if err := extend(&r, ext); err != nil {
			return r, fmt.Errorf("x-gatehouse: %w", err)
		}
	}
	if r.Anonymous && len(r.Scopes)+len(r.Roles) > 0 {
		return r, errors.New("is public and needs scopes or roles")
	}
	if r.Resource != nil && r.Resource.Source == "" && r.Resource.Fetch != "" {
		r.Resource.Source = "upstream"
	}
	return r, nil
}

// commonScopes are the scopes that every alternative asks for; within one
// alternative all schemes' scopes are needed.
func commonScopes(security []map[string][]string) []string {
	var out []string
	for i, alternative := range security {
		var all []string
		for _, scopes := range alternative {
			all = append(all, scopes...)
		}
		if i == 0 {
			out = all
			continue
		}
		out = slices.DeleteFunc(out, func(s string) bool { return !slices.Contains(all, s) })
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// extend applies one x-gatehouse extension.
func extend(r *enforce.Route, ext map[string]any) error {
	resource := func() *enforce.ResourceRule {
		if r.Resource == nil {
			r.Resource = &enforce.ResourceRule{}
		}
		return r.Resource
	}
	for _, name := range slices.Sorted(maps.Keys(ext)) {
		v := ext[name]
		text, isText := v.(string)
		flag, isFlag := v.(bool)
		list, isList := texts(v)
		ok := true
		switch name {
		case "public":
			if ok = isFlag; ok && flag {
				r.Anonymous, r.Authenticated, r.Scopes = true, false, nil
			} else if ok {
				r.Anonymous, r.Authenticated = false, true
			}
		case "hide_existence":
			r.HideExistence, ok = flag, isFlag
		case "scopes":
			r.Scopes, ok = list, isList
		case "roles":
			r.Roles, ok = list, isList
		case "action":
			r.Action, ok = text, isText
		case "type":
			resource().Type, ok = text, isText
		case "id":
			resource().ID, ok = text, isText
		case "fetch":
			resource().Fetch, ok = text, isText
		case "source":
			resource().Source, ok = text, isText && slices.Contains([]string{"upstream", "body", "stored"}, text)
		default:
			return fmt.Errorf("%q is not known", name)
		}
		if !ok {
			return fmt.Errorf("%q has a value of the wrong kind", name)
		}
	}
	return nil
}

func texts(v any) ([]string, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		s, ok := e.(string)
		if !ok || s == "" {
			return nil, false
		}
		out = append(out, s)
	}
	return out, true
}
