package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// Validate checks everything that can be checked without opening anything, and
// returns all problems at once, as [*Problems].
func (c *Config) Validate() error {
	found := &Problems{}
	c.validate(func(path string, err error) { found.List = append(found.List, Problem{Key: path, Err: err}) })
	if len(found.List) == 0 {
		return nil
	}
	found.sort()
	return found
}

// validate reports what is wrong: first what the tags say of each key, then what
// keys mean together.
func (c *Config) validate(report reporter) {
	checkTags(reflect.ValueOf(c).Elem(), "", report)
	switch {
	case c.Store.Driver == "sqlite" && c.Store.DSN != "":
		report("store.dsn", errors.New("only for postgres; SQLite keeps its file in data"))
	case c.Store.Driver == "postgres" && c.Store.DSN == "":
		report("store.dsn", errors.New("needed for postgres"))
	}
	if _, err := c.Store.AloneFor(); err != nil && c.Store.Alone != "" {
		report("store.alone", err)
	}
	if c.Audit.Retention > 0 && c.Audit.Retention < 24*time.Hour {
		report("audit.retention", errors.New("at least 24h, or nothing to keep events for good"))
	}
	if c.KeyPrefix != "" && !credential.ValidKeyPrefix(c.KeyPrefix) {
		report("key_prefix", errors.New("not gha, ghc, gho, ghr, ghs or ght, which other credentials have"))
	}
	c.validateIssuers(report)
	c.validateListeners(report)
	c.validateCertificates(report)
	c.Limits.Redis.validate(report)
	c.Mail.validate(report)
	for _, realm := range slices.Sorted(maps.Keys(c.LDAP)) {
		c.LDAP[realm].validate("ldap."+realm, report)
	}
	for _, err := range parts(c.Gateway.Options.Validate()) {
		path, text, _ := strings.Cut(err.Error(), ": ")
		report("gateway."+path, errors.New(text))
	}
	routes := slices.Clone(c.Routes)
	if err := c.Gateway.CORS.Validate(); err != nil {
		report("gateway.cors", err)
		for i := range routes { // said once, and not for each route that has it from there
			if routes[i].CORS == c.Gateway.CORS {
				routes[i].CORS = nil
			}
		}
	}
	c.validateRoutes(routes, report)
}

// validateIssuers sees to it that a host name tells the realm.
func (c *Config) validateIssuers(report reporter) {
	taken := map[string]string{hostOf(c.Issuer): "issuer"}
	for _, realm := range slices.Sorted(maps.Keys(c.RealmIssuers)) {
		path, issuer := "realm_issuers."+realm, c.RealmIssuers[realm]
		if realm == gatehouse.MainRealm {
			report(path, errors.New("that of realm main is 'issuer'"))
			continue
		}
		u, err := url.Parse(issuer)
		if err != nil || web.CheckBaseURL(issuer) != nil {
			if issuer == "" {
				report(path, errors.New("needed"))
			}
			continue // said by its form
		}
		if u.Path != "" {
			report(path, errors.New("no path: the host is the realm's alone"))
		}
		host := hostOf(issuer)
		if name := taken[host]; name != "" {
			report(path, fmt.Errorf("%s has this host already", name))
		}
		taken[host] = path
	}
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return web.HostName(u.Host)
}

func (c *Config) validateListeners(report reporter) {
	taken := map[string]string{}
	for _, l := range []struct {
		name string
		Listener
	}{{"auth", c.Listen.Auth}, {"gateway", c.Listen.Gateway}, {"mtls", c.Listen.MTLS}, {"metrics", c.Listen.Metrics}} {
		path := "listen." + l.name
		if (l.CertFile == "") != (l.KeyFile == "") {
			report(path, errors.New("cert_file and key_file belong together"))
		}
		host, port, err := net.SplitHostPort(l.Address)
		if err != nil || port == "0" {
			continue // port 0 is any free one
		}
		for other, name := range taken {
			otherHost, otherPort, err := net.SplitHostPort(other)
			if err == nil && otherPort == port && (otherHost == host || everyAddress(host) || everyAddress(otherHost)) {
				report(path+".address", fmt.Errorf("listen.%s has this port already", name))
			}
		}
		taken[l.Address] = l.name
	}
	if c.Listen.Auth.Address == "" {
		report("listen.auth.address", errors.New("needed"))
	}
	if len(c.Routes) > 0 && c.Listen.Gateway.Address == "" {
		report("listen.gateway.address", errors.New("needed when there are routes"))
	}
}

// validateCertificates checks that certificates can come from where they are to.
func (c *Config) validateCertificates(report reporter) {
	of := c.ClientCertificates
	switch {
	case c.Listen.MTLS.Address != "" && c.Listen.MTLS.CertFile == "":
		report("listen.mtls.cert_file", errors.New("needed: certificates of clients come by TLS alone"))
	case c.Listen.MTLS.Address != "" && of.URL == "":
		report("client_certificates.url", errors.New("needed with listen.mtls: clients find it by that"))
	case of.URL != "" && !strings.HasPrefix(of.URL, "https://"):
		report("client_certificates.url", errors.New("https: certificates of clients come by TLS alone"))
	case of.URL != "" && c.Listen.MTLS.Address == "" && !of.FromProxies:
		report("client_certificates.url", errors.New("needs listen.mtls, or from_proxies and a proxy there"))
	}
	if of.FromProxies && len(c.TrustedProxies) == 0 {
		report("client_certificates.from_proxies", errors.New("needs trusted_proxies: nobody else is believed"))
	}
	if of.Gateway && c.Listen.Gateway.CertFile == "" {
		report("client_certificates.gateway", errors.New("needs cert_file of listen.gateway"))
	}
}

func everyAddress(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

func (c *Config) validateRoutes(routes []enforce.Route, report reporter) {
	names := make([]string, 0, len(c.Upstreams))
	for name := range c.Upstreams {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, r := range routes {
		if slices.Contains(names, r.Upstream) {
			continue
		}
		text := "names none of the upstreams"
		if len(names) > 0 {
			text += ": " + strings.Join(names, ", ")
		}
		report(fmt.Sprintf("routes[%d].upstream", i), errors.New(text))
	}
	c.validateSessions(routes, report)
	for _, err := range parts(enforce.CheckRoutes(routes)) {
		var r *enforce.RouteError
		if errors.As(err, &r) {
			report(fmt.Sprintf("routes[%d]", r.Index), fmt.Errorf("%s: %w", r.Name, r.Err))
		} else {
			report("routes", err)
		}
	}
}

// validateSessions checks that people can come to the routes that accept sessions.
func (c *Config) validateSessions(routes []enforce.Route, report reporter) {
	for i := range routes {
		r := &routes[i]
		if !r.AcceptsSessions() || slices.ContainsFunc(c.Gateway.Origins, func(o string) bool {
			u, err := url.Parse(o)
			return r.Host == "" || err == nil && web.HostName(u.Host) == web.HostName(r.Host)
		}) {
			continue
		}
		report(fmt.Sprintf("routes[%d].schemes", i), errors.New("session: gateway.origins names no origin under which a browser can reach this route"))
	}
}

// parts are the errors that [errors.Join] made one of.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err != nil {
		return []error{err}
	}
	return nil
}
