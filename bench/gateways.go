package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Programs in front of an API that verify tokens by themselves. Each checks the
// signature, issuer, audience and expiry of the same ES256 token, in the best set-up
// that its manual shows; none of them decides by policy, records, or knows what was
// revoked.

// issuerKey is the key set of the demo as it is published, and its key as PEM, which
// is what some programs want.
func (b *testbed) issuerKey(ctx context.Context) (set, public string, err error) {
	r, err := http.NewRequestWithContext(ctx, "GET", b.demo.Issuer+"/.well-known/jwks.json", nil)
	if err != nil {
		return "", "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", "", err
	}
	var keys struct {
		Keys []struct {
			Kty string `json:"kty"`
			X   string `json:"x"`
			Y   string `json:"y"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(raw, &keys); err != nil {
		return "", "", err
	}
	for _, k := range keys.Keys {
		if k.Kty != "EC" {
			continue
		}
		x, errX := base64.RawURLEncoding.DecodeString(k.X)
		y, errY := base64.RawURLEncoding.DecodeString(k.Y)
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err := errors.Join(errX, errY, err); err != nil {
			return "", "", err
		}
		der, err := x509.MarshalPKIXPublicKey(key)
		return string(raw), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), err
	}
	return "", "", errors.New("the issuer has no EC key")
}

// haproxyConf verifies each token anew: HAProxy remembers none.
const haproxyConf = `global
  log stderr format raw local0 emerg
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend gate
  bind %s
  http-request set-var(txn.jwt) http_auth_bearer
  http-request set-var(txn.exp) var(txn.jwt),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless { var(txn.jwt),jwt_header_query('$.alg') -m str ES256 }
  http-request deny deny_status 401 unless { var(txn.jwt),jwt_payload_query('$.iss') -m str %[2]s }
  http-request deny deny_status 401 unless { var(txn.jwt),jwt_payload_query('$.aud') -m sub %[2]s }
  http-request deny deny_status 401 unless { var(txn.exp),sub(txn.now) -m int gt 0 }
  http-request deny deny_status 401 unless { var(txn.jwt),jwt_verify("ES256","%[3]s") -m int 1 }
  http-request set-header X-User %%[var(txn.jwt),jwt_payload_query('$.sub')]
  http-request del-header Authorization
  default_backend api
backend api
  server one %[4]s
`

func (b *testbed) haproxyCases(ctx context.Context, program string) ([]*peerCase, error) {
	out, err := exec.CommandContext(ctx, program, "-v").Output()
	if err != nil {
		return nil, err
	}
	words := strings.Fields(string(out))
	_, public, err := b.issuerKey(ctx)
	if err != nil {
		return nil, err
	}
	key, err := b.write("haproxy", "issuer.pem", public)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	conf, err := b.write("haproxy", "haproxy.cfg", fmt.Sprintf(haproxyConf, address, b.demo.Issuer, key, host(b.upstream.line)))
	if err != nil {
		return nil, err
	}
	p, err := b.peer(ctx, "haproxy", words[min(2, len(words)-1)], address, false, nil, program, "-db", "-f", conf)
	if err != nil {
		return nil, err
	}
	return []*peerCase{b.guarded(benchCase{name: "haproxy-jwt", title: "HAProxy, jwt_verify (each time)", kind: kindPeer, parts: []part{{"haproxy", p}}}, p.line)}, nil
}

// envoyConf has one listener; %[4]s is the cache of verified tokens, or nothing.
const envoyConf = `
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: %[1]s}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: gate
          generate_request_id: false
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{match: {prefix: "/"}, route: {cluster: api}}]
          http_filters:
          - name: envoy.filters.http.jwt_authn
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
              providers:
                gatehouse:
                  issuer: %[2]q
                  audiences: [%[2]q]
                  local_jwks: {inline_string: %[3]q}
                  claim_to_headers: [{header_name: x-user, claim_name: sub}]
                  %[4]s
              rules: [{match: {prefix: "/"}, requires: {provider_name: gatehouse}}]
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: api
    type: STATIC
    load_assignment:
      cluster_name: api
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %[5]s}}}}]}]
`

func (b *testbed) envoyCases(ctx context.Context, program string) ([]*peerCase, error) {
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return nil, err
	}
	_, build, _ := strings.Cut(string(out), "version:") // a commit, the version, and how it was built
	parts := strings.Split(build, "/")
	version := parts[min(1, len(parts)-1)]
	set, _, err := b.issuerKey(ctx)
	if err != nil {
		return nil, err
	}
	_, upstream, _ := strings.Cut(host(b.upstream.line), ":")
	var cases []*peerCase
	for _, c := range []struct{ name, title, cache string }{
		{"envoy-jwt", "Envoy, jwt_authn (each time)", ""},
		{"envoy-jwt-cache", "Envoy, jwt_authn with its cache", "jwt_cache_config: {jwt_cache_size: 4000}"},
	} {
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		_, port, _ := strings.Cut(address, ":")
		conf, err := b.write(c.name, "envoy.yaml", fmt.Sprintf(envoyConf, port, b.demo.Issuer, set, c.cache, upstream))
		if err != nil {
			return nil, err
		}
		p, err := b.peer(ctx, "envoy", version, address, false, nil, program, "-c", conf, "--use-dynamic-base-id", "--log-level", "critical",
			"--base-id-path", filepath.Join(filepath.Dir(conf), "base-id"))
		if err != nil {
			return nil, err
		}
		cases = append(cases, b.guarded(benchCase{name: c.name, title: c.title, kind: kindPeer, parts: []part{{"envoy", p}}}, p.line))
	}
	return cases, nil
}

// oauth2ProxyCases: bearer tokens alone, without its sessions and log lines.
func (b *testbed) oauth2ProxyCases(ctx context.Context, program string) ([]*peerCase, error) {
	version, err := moduleVersion(program)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := b.peer(ctx, "oauth2-proxy", version, address, false, nil, program,
		"--http-address="+address, "--upstream="+b.upstream.line, "--provider=oidc", "--oidc-issuer-url="+b.demo.Issuer, "--skip-oidc-discovery",
		"--login-url="+b.demo.Issuer+"/none", "--redeem-url="+b.demo.Issuer+"/none", "--oidc-jwks-url="+b.demo.Issuer+"/.well-known/jwks.json",
		"--client-id="+b.demo.Issuer, "--client-secret=unused", "--cookie-secret=0123456789abcdef", "--email-domain=*", "--oidc-email-claim=sub",
		"--skip-jwt-bearer-tokens", "--bearer-token-login-fallback=false", "--oidc-enabled-signing-alg=ES256",
		"--request-logging=false", "--auth-logging=false", "--standard-logging=false")
	if err != nil {
		return nil, err
	}
	c := b.guarded(benchCase{name: "oauth2-proxy", title: "oauth2-proxy, bearer token (each time)", kind: kindPeer, parts: []part{{"oauth2-proxy", p}}}, p.line)
	c.status = http.StatusForbidden // what it says to a bearer token that is not good
	return []*peerCase{c}, nil
}

// nginxLua verifies a token with OpenSSL, once, and remembers it until it expires, in
// memory that all workers share.
const nginxLua = `
  lua_package_path "%[1]s/usr/share/lua/5.1/?.lua;;";
  lua_package_cpath "%[1]s/usr/lib/x86_64-linux-gnu/lua/5.1/?.so;;";
  lua_shared_dict tokens 16m;
  init_by_lua_block {
    local pkey, digest, cjson = require "openssl.pkey", require "openssl.digest", require "cjson.safe"
    local key = pkey.new([[%[2]s]])
    local function unbase64(s)
      return ngx.decode_base64((s:gsub("-", "+"):gsub("_", "/")) .. ("="):rep(-#s %% 4))
    end
    local function int(s)
      s = s:gsub("^%%z+", "")
      if s == "" or s:byte() > 127 then s = "\0" .. s end
      return "\2" .. string.char(#s) .. s
    end
    function verify(token)
      local head, body, sig = token:match("^([%%w_-]+)%%.([%%w_-]+)%%.([%%w_-]+)$")
      if not head then return end
      local header, claims, raw = cjson.decode(unbase64(head)), cjson.decode(unbase64(body)), unbase64(sig)
      if not header or not claims or header.alg ~= "ES256" or not raw or #raw ~= 64 then return end
      local der = int(raw:sub(1, 32)) .. int(raw:sub(33))
      if not key:verify("\48" .. string.char(#der) .. der, digest.new("sha256"):update(head .. "." .. body)) then return end
      local audience = false
      for _, a in ipairs(type(claims.aud) == "table" and claims.aud or {claims.aud}) do audience = audience or a == "%[3]s" end
      local left = (tonumber(claims.exp) or 0) - ngx.time()
      if claims.iss ~= "%[3]s" or not audience or left <= 0 then return end
      return claims.sub, left
    end
  }
  upstream api { server %[4]s; keepalive 64; keepalive_requests 1000000; }
  server {
    listen %[5]s;
    proxy_http_version 1.1;
    location / {
      access_by_lua_block {
        local token = (ngx.var.http_authorization or ""):match("^Bearer (.+)$")
        if not token then return ngx.exit(401) end
        local seen = ngx.shared.tokens
        local subject = seen:get(token)
        if not subject then
          local left
          subject, left = verify(token)
          if not subject then return ngx.exit(401) end
          seen:set(token, subject, left)
        end
        ngx.req.set_header("X-User", subject)
        ngx.req.clear_header("Authorization")
      }
      proxy_set_header Connection "";
      proxy_pass http://api;
    }
  }
`

func (b *testbed) nginxLuaCases(ctx context.Context, program, lua string) ([]*peerCase, error) {
	lua, err := filepath.Abs(lua)
	if err != nil {
		return nil, err
	}
	_, public, err := b.issuerKey(ctx)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	modules := ""
	for _, name := range []string{"ndk_http_module.so", "ngx_http_lua_module.so"} {
		modules += "load_module " + filepath.Join(lua, "usr/lib/nginx/modules", name) + ";\n"
	}
	conf, err := b.write("nginx-lua", "nginx.conf", modules+fmt.Sprintf(nginxMain, fmt.Sprintf(nginxLua, lua, public, b.demo.Issuer, host(b.upstream.line), address)))
	if err != nil {
		return nil, err
	}
	env := []string{"LD_LIBRARY_PATH=" + filepath.Join(lua, "usr/lib/x86_64-linux-gnu") + ":" + filepath.Join(lua, "lib/x86_64-linux-gnu")}
	p, err := b.peer(ctx, "nginx with Lua", "Debian's libnginx-mod-http-lua", address, true, env, program, "-p", filepath.Dir(conf), "-c", conf, "-e", "stderr")
	if err != nil {
		return nil, err
	}
	return []*peerCase{b.guarded(benchCase{name: "nginx-lua", title: "nginx with Lua, verified once", kind: kindPeer, parts: []part{{"nginx", p}}}, p.line)}, nil
}
