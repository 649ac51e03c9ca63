package config

import (
	"strings"
	"testing"
	"time"
)

// TestRedis: an address of the server that counts says where it is and nothing of who we are,
// and what is wrong with it is told without a secret.
func TestRedis(t *testing.T) {
	for url, want := range map[string]RedisServer{
		"redis://127.0.0.1:6379":       {"127.0.0.1:6379", false, 0},
		"rediss://counts.example":      {"counts.example:6379", true, 0},
		"rediss://counts.example:1/15": {"counts.example:1", true, 15},
		"redis://[2001:db8::1]:6380/2": {"[2001:db8::1]:6380", false, 2},
		"redis://[2001:db8::1]":        {"[2001:db8::1]:6379", false, 0},
	} {
		c := Config{Limits: Limits{Redis: Redis{URL: url}}}
		c.FillDefaults()
		if got, err := c.Limits.Redis.Server(); err != nil || got != want {
			t.Errorf("%s: %+v, %v", url, got, err)
		}
		if c.Limits.Redis.Prefix != "gatehouse:" || c.Limits.Redis.Timeout != 50*time.Millisecond {
			t.Errorf("%+v", c.Limits.Redis)
		}
		if err := c.Validate(); err != nil && strings.Contains(err.Error(), "redis") {
			t.Errorf("%s: %v", url, err)
		}
	}
	for name, c := range map[string]struct {
		redis Redis
		want  string
	}{
		"password in the URL":     {Redis{URL: "rediss://:hunter2@counts.example"}, "limits.redis.url: must match"},
		"user in the URL":         {Redis{URL: "rediss://hunter2@counts.example"}, "limits.redis.url: must match"},
		"an option in the URL":    {Redis{URL: "rediss://counts.example/0?password=hunter2"}, "limits.redis.url: must match"},
		"another scheme":          {Redis{URL: "http://counts.example"}, "limits.redis.url: must match"},
		"no host":                 {Redis{URL: "redis://:6379"}, "limits.redis.url: "},
		"port of words":           {Redis{URL: "redis://counts.example:hunter2"}, "limits.redis.url: "},
		"port 0":                  {Redis{URL: "redis://counts.example:0"}, "limits.redis.url: a port from 1 to 65535"},
		"port too large":          {Redis{URL: "redis://counts.example:65536"}, "limits.redis.url: a port from 1 to 65535"},
		"password alone":          {Redis{Password: "hunter2"}, "limits.redis.url: needed"},
		"user without a password": {Redis{URL: "redis://counts.example", Username: "u"}, "limits.redis.password: needed"},
		"CA without TLS":          {Redis{URL: "redis://counts.example", CAFile: "ca.pem"}, "limits.redis.ca_file: for rediss:// only"},
		"certificate alone":       {Redis{CertFile: "c.pem", KeyFile: "c.key"}, "limits.redis.url: needed"},
		"key alone":               {Redis{KeyFile: "c.key"}, "limits.redis.url: needed"},
		"certificate without key": {Redis{URL: "rediss://counts.example", CertFile: "c.pem"}, "limits.redis: cert_file and key_file belong together"},
		"key without certificate": {Redis{URL: "rediss://counts.example", KeyFile: "c.key"}, "limits.redis: cert_file and key_file belong together"},
		"certificate without TLS": {Redis{URL: "redis://counts.example", CertFile: "c.pem", KeyFile: "c.key"}, "limits.redis.cert_file: for rediss:// only"},
		"prefix of spaces":        {Redis{URL: "redis://counts.example", Prefix: "a b"}, "limits.redis.prefix: must match"},
		"no time":                 {Redis{URL: "redis://counts.example", Timeout: time.Millisecond}, "limits.redis.timeout: 5ms to 1s"},
	} {
		all := Config{Limits: Limits{Redis: c.redis}}
		all.FillDefaults()
		err := all.Validate()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	got, err := Parse([]byte("limits: {redis: {url: redis://counts.example, username: gate}}"), []string{"GATEHOUSE_LIMITS_REDIS_PASSWORD=hunter2"})
	if got.Limits.Redis.Password != "hunter2" {
		t.Errorf("%v", err)
	}
}
