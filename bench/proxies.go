package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// nginxMain is an nginx with as many workers as a package sets up, which keeps
// its files in its own directory.
const nginxMain = `daemon off;
worker_processes auto;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000;
  client_body_temp_path client_body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  %s
}
`

// nginxCheck asks a check for everything but /public.
const nginxCheck = `
  upstream api { server %s; keepalive 64; keepalive_requests 1000000; }
  upstream check { server %s; keepalive 64; keepalive_requests 1000000; }
  server {
    listen %s;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    location = /check {
      internal;
      proxy_pass http://check;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header Connection "";
    }
    location = /public { proxy_pass http://api; }
    location / {
      auth_request /check;
      auth_request_set $user $upstream_http_x_user;
      proxy_set_header X-User $user;
      proxy_set_header Connection "";
      proxy_pass http://api;
    }
  }
`

func (b *testbed) nginxCases(ctx context.Context, program string) ([]*peerCase, error) {
	check, err := b.check(ctx)
	if err != nil {
		return nil, err
	}
	own, err := freeAddress()
	if err != nil {
		return nil, err
	}
	alone, err := b.nginx(ctx, program, own, "nginx-check", fmt.Sprintf(nginxCheck, host(b.upstream.line), host(check.line), own))
	if err != nil {
		return nil, err
	}
	// The very file that a user of ours includes, with its two small ones.
	deployed, err := filepath.Abs("deploy/nginx/gatehouse.conf")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	for name, text := range map[string]string{
		"gatehouse-listen.conf": "listen " + address + ";\n",
		"gatehouse-upstreams.conf": fmt.Sprintf("upstream gatehouse { server %s; keepalive 64; keepalive_requests 1000000; }\n"+
			"upstream gatehouse_api { server %s; keepalive 64; keepalive_requests 1000000; }\n", host(b.demo.Gateway), host(b.upstream.line)),
	} {
		if _, err := b.write("nginx-gatehouse", name, text); err != nil {
			return nil, err
		}
	}
	asking, err := b.nginx(ctx, program, address, "nginx-gatehouse", "include "+deployed+";")
	if err != nil {
		return nil, err
	}
	return []*peerCase{
		open("nginx", "nginx, no check", alone.line, []part{{"nginx", alone}}),
		b.guarded(benchCase{name: "nginx-check", title: "nginx, auth_request to a check in Go", kind: kindPeer, parts: []part{{"nginx", alone}, {"check", check}}}, alone.line),
		b.guarded(benchCase{name: "nginx-gatehouse", title: "nginx, auth_request to Gatehouse", kind: kindMixed, parts: []part{{"nginx", asking}, {"gatehouse", b.gh}}}, asking.line),
	}, nil
}

func (b *testbed) nginx(ctx context.Context, program, address, dir, http string) (*process, error) {
	out, err := exec.CommandContext(ctx, program, "-v").CombinedOutput()
	if err != nil {
		return nil, err
	}
	_, version, _ := strings.Cut(strings.TrimSpace(string(out)), "/")
	conf, err := b.write(dir, "nginx.conf", fmt.Sprintf(nginxMain, http))
	if err != nil {
		return nil, err
	}
	return b.peer(ctx, "nginx", version, address, true, nil, program, "-p", filepath.Dir(conf), "-c", conf, "-e", "stderr")
}

// caddyMain keeps Caddy on loopback, and from writing a line for each start.
const caddyMain = `{
	admin off
	auto_https off
	default_bind 127.0.0.1
	log {
		level ERROR
	}
}
`

// caddyCheck asks a check for everything but /public, as Caddy's manual shows it.
const caddyCheck = `
http://%s {
	handle /public {
		reverse_proxy %s
	}
	handle {
		forward_auth %s {
			uri /check
			copy_headers X-User
		}
		reverse_proxy %s
	}
}
`

func (b *testbed) caddyCases(ctx context.Context, program string) ([]*peerCase, error) {
	check, err := b.check(ctx)
	if err != nil {
		return nil, err
	}
	own, err := freeAddress()
	if err != nil {
		return nil, err
	}
	api := host(b.upstream.line)
	alone, err := b.caddy(ctx, program, own, "caddy-check", fmt.Sprintf(caddyCheck, own, api, host(check.line), api))
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	deployed, err := filepath.Abs("deploy/caddy/Caddyfile") // unchanged, as a user of ours has it
	if err != nil {
		return nil, err
	}
	asking, err := b.caddy(ctx, program, address, "caddy-gatehouse", "import "+deployed+"\n", "SITE=http://"+address, "GATEHOUSE="+host(b.demo.Gateway), "API="+api)
	if err != nil {
		return nil, err
	}
	return []*peerCase{
		open("caddy", "Caddy, no check", alone.line, []part{{"caddy", alone}}),
		b.guarded(benchCase{name: "caddy-check", title: "Caddy, forward_auth to a check in Go", kind: kindPeer, parts: []part{{"caddy", alone}, {"check", check}}}, alone.line),
		b.guarded(benchCase{name: "caddy-gatehouse", title: "Caddy, forward_auth to Gatehouse", kind: kindMixed, parts: []part{{"caddy", asking}, {"gatehouse", b.gh}}}, asking.line),
	}, nil
}

func (b *testbed) caddy(ctx context.Context, program, address, dir, sites string, env ...string) (*process, error) {
	version, err := moduleVersion(program)
	if err != nil {
		return nil, err
	}
	conf, err := b.write(dir, "Caddyfile", caddyMain+sites)
	if err != nil {
		return nil, err
	}
	env = append(env, "HOME="+b.dir, "XDG_DATA_HOME="+b.dir, "XDG_CONFIG_HOME="+b.dir)
	return b.peer(ctx, "caddy", version, address, false, env, program, "run", "--adapter", "caddyfile", "--config", conf)
}
