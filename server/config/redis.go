package config

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Redis says on which server of Redis or Valkey all nodes count together.
type Redis struct {
	URL      string        `json:"url,omitempty" secret:"true" pattern:"^rediss?://[^/@?#\\s]+(/[0-9]{1,4})?$" reload:"restart" doc:"'rediss://host:6379/0', or 'redis://' without TLS; without user and password. Empty: each node counts its share."`
	Username string        `json:"username,omitempty" reload:"restart" doc:"Of the server's access list; the default user when empty."`
	Password string        `json:"password,omitempty" secret:"true" reload:"restart" doc:"Better through GATEHOUSE_LIMITS_REDIS_PASSWORD_FILE."`
	CAFile   string        `json:"ca_file,omitempty" form:"path" reload:"restart" doc:"CA certificates (PEM) for 'rediss://', in place of the system's."`
	CertFile string        `json:"cert_file,omitempty" form:"path" reload:"restart" doc:"Certificate chain (PEM) that Gatehouse shows a 'rediss://' server which asks for one (tls-auth-clients); read again when it changes."`
	KeyFile  string        `json:"key_file,omitempty" form:"path" reload:"restart" doc:"Private key (PEM) of 'cert_file'."`
	Prefix   string        `json:"prefix,omitempty" default:"gatehouse:" pattern:"^[!-~]{1,64}$" reload:"restart" doc:"How the names of all keys there begin."`
	Timeout  time.Duration `json:"timeout,omitempty" minimum:"5ms" maximum:"1s" default:"50ms" reload:"restart" doc:"How long a request waits for its answer. After that the server counts as away, and nobody waits until it is back."`
}

// RedisServer is where a [Redis] is.
type RedisServer struct {
	Address  string // host:port
	TLS      bool
	Database int
}

// Server reads URL, which must not be empty. Its errors do not show it.
func (r Redis) Server() (s RedisServer, err error) {
	u, err := url.Parse(r.URL)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return s, errors.New("rediss://host:port, with the number of a database or without")
	}
	port := u.Port()
	if port == "" {
		port = "6379"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return s, errors.New("a port from 1 to 65535")
	}
	s = RedisServer{Address: net.JoinHostPort(u.Hostname(), port), TLS: u.Scheme == "rediss"}
	if db := strings.Trim(u.Path, "/"); db != "" {
		s.Database, err = strconv.Atoi(db)
	}
	return s, err
}

func (r Redis) validate(report reporter) {
	const path = "limits.redis"
	if r.URL == "" {
		if r.Username != "" || r.Password != "" || r.CAFile != "" || r.CertFile != "" || r.KeyFile != "" {
			report(path+".url", errors.New("needed: the rest says how to reach it"))
		}
		return
	}
	s, err := r.Server()
	switch {
	case err != nil:
		report(path+".url", err)
	case r.Username != "" && r.Password == "":
		report(path+".password", errors.New("needed with a username"))
	case r.CAFile != "" && !s.TLS:
		report(path+".ca_file", errors.New("for rediss:// only; nothing is verified on redis://"))
	case (r.CertFile == "") != (r.KeyFile == ""):
		report(path, errors.New("cert_file and key_file belong together"))
	case r.CertFile != "" && !s.TLS:
		report(path+".cert_file", errors.New("for rediss:// only; redis:// shows no certificate"))
	}
}
