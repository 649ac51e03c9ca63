package server

import (
	"crypto/tls"
	"errors"
	"net"
	"os"

	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/breached"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/internal/telemetry"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/internal/writable"
	"github.com/gatehouse-auth/gatehouse/pages"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// parts are what a server has from its configuration, its files and its environment,
// before it opens a database or a port. A start is made of them and a check of a
// configuration ends with them, so that neither refuses what the other takes.
type parts struct {
	log       *telemetry.Log
	proxies   *web.Proxies
	box       *seal.Box
	heads     *audit.HeadFile
	upstreams *gateway.Upstreams
	// countersTLS is for the server that counts for all nodes; nil without TLS.
	countersTLS *tls.Config
	breached    *breached.Filter // nil without one
	mail        mail.Settings
	overrides   *pages.Overrides // nil without any
	ldap        ldapDirectories
	certs       map[string]*certificates // by the name of the listener, of those with TLS
}

// prepare makes the parts and tells everything that is wrong with them. It changes
// nothing; what could not be made is nil. before are the upstreams that it takes the place
// of and known the filter of breached passwords; nil at start.
func prepare(cfg Config, before *gateway.Upstreams, known *breached.Filter) (p parts, problems []config.Problem) {
	note := func(key string, err error) bool {
		if err != nil {
			problems = append(problems, config.Problem{Key: key, Err: err})
		}
		return err == nil
	}
	var err error
	p.log, err = telemetry.NewLog(os.Stderr, logOptions(cfg.Log))
	note("log", err)
	p.proxies, err = web.NewProxies(web.ProxyConfig{Trusted: cfg.TrustedProxies, Certificates: cfg.ClientCertificates.FromProxies})
	note("trusted_proxies", err)
	p.box, err = openBox(cfg.MasterKeyFile, os.Getenv("GATEHOUSE_MASTER_KEY"))
	note("master_key_file", err)
	if note("data", writable.Directory(cfg.Data)) {
		p.heads, err = audit.OpenHeadFile(headsPath(cfg))
		note("data", err)
	}
	if file := cfg.Audit.File; file != "" && note("audit.file", writable.File(file)) {
		note("audit.file", audit.CheckFile(file))
	}
	var ours *certificates // for the server that counts
	if r := cfg.Limits.Redis; r.CertFile != "" && r.KeyFile != "" {
		ours, err = newCertificates(r.CertFile, r.KeyFile, clockOf(cfg))
		note("limits.redis.cert_file", err)
	}
	p.countersTLS, err = countersTLS(cfg.Limits.Redis, ours)
	note("limits.redis.ca_file", err)
	if file := cfg.Passwords.BreachedFile; file != "" {
		p.breached, err = known.Again(file)
		note("passwords.breached_file", err)
	}
	if dir := cfg.Pages.Overrides; dir != "" {
		p.overrides, err = pages.ReadOverrides(dir)
		for _, err := range apart(err) {
			note("pages.overrides", err)
		}
	}
	var key string
	p.mail, key, err = mailSettings(cfg.Mail)
	note(key, err)
	p.ldap = newLDAP(cfg.LDAP, note)
	p.certs = map[string]*certificates{}
	for _, l := range []struct {
		name string
		config.Listener
	}{{"auth", cfg.Listen.Auth}, {"gateway", cfg.Listen.Gateway}, {"mtls", cfg.Listen.MTLS}, {"metrics", cfg.Listen.Metrics}} {
		if l.Address == "" {
			continue
		}
		_, err := net.ResolveTCPAddr("tcp", l.Address) // a name that is none, before it is listened on
		note("listen."+l.name+".address", err)
		if l.CertFile != "" && l.KeyFile != "" {
			p.certs[l.name], err = newCertificates(l.CertFile, l.KeyFile, clockOf(cfg))
			note("listen."+l.name+".cert_file", err)
		}
	}
	if list := upstreams(cfg); before == nil {
		p.upstreams, err = gateway.NewUpstreams(list)
	} else {
		p.upstreams, err = before.Renew(list)
	}
	for _, err := range apart(err) {
		key := "upstreams"
		var bad *gateway.UpstreamError
		if errors.As(err, &bad) {
			if key, err = key+"."+bad.Name, bad.Err; bad.Key != "" {
				key += "." + bad.Key
			}
		}
		note(key, err)
	}
	return p, problems
}

// apart are the errors that [errors.Join] made one of.
func apart(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err != nil {
		return []error{err}
	}
	return nil
}
