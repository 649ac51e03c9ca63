package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// opaPolicy is roles with permissions, the least that anybody writes: no owner, no
// team, no credential.
const opaPolicy = `package gatehouse

default allow := false

allow if {
	some role in data.people[input.subject].roles
	some grant in data.roles[role]
	input.action in grant.actions
	input.resource.type == grant.type
}
`

const opaData = `{
  "people": {"alice": {"roles": ["admin"]}, "bob": {"roles": ["user"]}, "carol": {"roles": ["viewer"]}, "dave": {"roles": ["manager"]}},
  "roles": {
    "admin": [{"type": "Document", "actions": ["create", "read", "update", "delete", "list"]}],
    "manager": [{"type": "Document", "actions": ["create", "read", "update", "list"]}],
    "user": [{"type": "Document", "actions": ["create", "read", "list"]}],
    "viewer": [{"type": "Document", "actions": ["read", "list"]}]
  }
}
`

const (
	opaAllowed = `{"input":{"subject":"bob","action":"read","resource":{"type":"Document","id":"1"}}}`
	opaDenied  = `{"input":{"subject":"bob","action":"delete","resource":{"type":"Document","id":"1"}}}`
)

// opaCases: a decision over HTTP.
func (b *testbed) opaCases(ctx context.Context, program string) ([]*peerCase, error) {
	version, err := moduleVersion(program)
	if err != nil {
		return nil, err
	}
	policy, err := b.write("opa", "policy.rego", opaPolicy)
	if err != nil {
		return nil, err
	}
	data, err := b.write("opa", "data.json", opaData)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := b.peer(ctx, "opa", version, address, false, []string{"HOME=" + b.dir}, program,
		"run", "--server", "--addr", address, "--log-level", "error", "--skip-version-check", policy, data)
	if err != nil {
		return nil, err
	}
	ask := func(body string) *benchCase {
		return &benchCase{name: "opa", title: "OPA, decision over HTTP", kind: kindPeer, parts: []part{{"opa", p}}, want: 200, floor: "floor",
			next: send("POST", p.line, "/v1/data/gatehouse/allow", body, "Content-Type", "application/json")}
	}
	return []*peerCase{{benchCase: *ask(opaAllowed), text: `"result":true`, refused: ask(opaDenied).next(0), status: 200, refusal: `"result":false`}}, nil
}

// expressCases: an API that checks tokens itself, which is the example of ours for it.
func (b *testbed) expressCases(ctx context.Context, node, modules string) ([]*peerCase, error) {
	out, err := exec.CommandContext(ctx, node, "--version").Output()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, "express")
	for _, name := range []string{"server.js", "package.json"} {
		text, err := os.ReadFile(filepath.Join("examples/express", name))
		if err != nil {
			return nil, err
		}
		if _, err := b.write("express", name, string(text)); err != nil {
			return nil, err
		}
	}
	modules, err = filepath.Abs(modules)
	if err != nil {
		return nil, err
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(address, ":")
	version := strings.TrimSpace(string(out))
	for _, name := range []string{"express", "jose"} {
		v, err := npmVersion(filepath.Join(modules, name, "package.json"))
		if err != nil {
			return nil, err
		}
		version += ", " + name + " " + v
	}
	p, err := b.peer(ctx, "node", version, address, false, []string{"PORT=" + port, "ISSUER=" + b.demo.Issuer, "NODE_ENV=production"},
		node, filepath.Join(dir, "server.js"))
	if err != nil {
		return nil, err
	}
	plain := open("express", "node, express, no check", p.line, []part{{"node", p}})
	plain.floor, plain.text = "floor", "Hello"
	checking := b.guarded(benchCase{name: "express-jose", title: "node, express with jose", kind: kindPeer, parts: []part{{"node", p}}}, p.line)
	checking.floor, checking.text = "floor", "private page"
	return []*peerCase{plain, checking}, nil
}

func npmVersion(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var p struct{ Version string }
	err = json.Unmarshal(b, &p)
	return p.Version, err
}
