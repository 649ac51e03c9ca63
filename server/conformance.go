package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/oauth/openid"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// ConformanceConfig says where the issuer runs that the OpenID Foundation's conformance suite tests, and where the suite is.
type ConformanceConfig struct {
	Data   string // directory; made anew at each start, and refused where it holds anything but a demo
	Listen string // an address of this machine alone
	Suite  string // base URL of the suite, as its pages show it
	Alias  string // of the plans' configuration: it is part of the addresses that the suite is called at
	FAPI2  bool   // for the plans of FAPI 2.0; else for those of OpenID Connect
	// ClientAuth and SenderConstrain are the suite's variants of FAPI 2.0: private_key_jwt (default) or mtls, and dpop (default) or mtls.
	ClientAuth, SenderConstrain string
	Logout                      string // the channel of whose plan the clients are told that a sign-in has ended, SuiteBack or SuiteFront; "" for no such plan
	// SuiteCA is a file with the certificate that the suite shows, or that of who signed it (PEM); "" trusts those that the
	// system does.
	SuiteCA string
	Log     LogConfig
}

// Conformance is a running issuer for the conformance suite.
type Conformance struct {
	Issuer string
	// Configuration is what the suite is given for its plans.
	Configuration SuiteConfiguration

	server *Server
	cfg    ConformanceConfig
}

// StartConformance starts an issuer over TLS on this machine, with throwaway data: a person, clients of the suite, and open
// registration. None of it can be had by a configuration. End it with [Conformance.Close].
func StartConformance(ctx context.Context, cfg ConformanceConfig) (_ *Conformance, err error) {
	host, port, err := net.SplitHostPort(cfg.Listen)
	if at, parsed := netip.ParseAddr(host); err != nil || parsed != nil || !at.IsLoopback() {
		return nil, fmt.Errorf("conformance: %s is not an address of this machine alone", cfg.Listen)
	}
	if !strings.HasPrefix(cfg.Suite, "https://") {
		return nil, fmt.Errorf("conformance: the suite is at an https address; %q is none", cfg.Suite)
	}
	if !slices.Contains([]string{"", SuiteBack, SuiteFront}, cfg.Logout) {
		return nil, fmt.Errorf("conformance: there are the channels %s and %s", SuiteBack, SuiteFront)
	}
	if err := cfg.checkVariants(); err != nil {
		return nil, err
	}
	cfg.Suite = strings.TrimSuffix(cfg.Suite, "/") + "/"
	if err := freshDemoData(ctx, cfg.Data); err != nil {
		return nil, err
	}
	c := &Conformance{cfg: cfg}
	defer func() {
		if err != nil {
			c.Close(context.WithoutCancel(ctx))
		}
	}()
	roots, err := cfg.certify()
	if err != nil {
		return nil, err
	}
	conf, err := cfg.config(port)
	if err != nil {
		return nil, err
	}
	if err := conf.Validate(); err != nil {
		return nil, err
	}
	if err := GenerateMasterKey(conf.MasterKeyFile); err != nil {
		return nil, err
	}
	if c.server, err = New(ctx, conf); err != nil {
		return nil, err
	}
	if err := c.server.Start(ctx); err != nil {
		return nil, err
	}
	c.Issuer = c.server.Issuer()
	return c, c.fill(ctx, roots)
}

// Wait returns when the server ends.
func (c *Conformance) Wait(ctx context.Context) error { return c.server.Wait(ctx) }

// Close ends everything.
func (c *Conformance) Close(ctx context.Context) {
	if c.server != nil {
		c.server.Close(ctx)
	}
}

func (cfg ConformanceConfig) certFile() string { return filepath.Join(cfg.Data, "tls.pem") }
func (cfg ConformanceConfig) keyFile() string  { return filepath.Join(cfg.Data, "tls.key") }

// config is the configuration of the issuer. It can reach the suite on this machine, which no configuration file could say of
// clients that register themselves.
func (cfg ConformanceConfig) config(port string) (Config, error) {
	plenty := limit.Rate{Limit: 100_000, Window: time.Minute}
	c := Config{
		Issuer: "https://localhost:" + port,
		Data:   cfg.Data,
		Listen: config.Listen{Auth: config.Listener{Address: cfg.Listen, CertFile: cfg.certFile(), KeyFile: cfg.keyFile()}},
		Log:    cfg.Log,
		Limits: config.Limits{Tokens: plenty, Admin: plenty}, // the suite asks fast, from one address
	}
	c.Fetches.AllowPrivate, c.Lenient = true, !cfg.FAPI2
	if cfg.certified() {
		if err := cfg.askForCertificates(&c, port); err != nil {
			return c, err
		}
	}
	if cfg.SuiteCA != "" {
		text, err := os.ReadFile(cfg.SuiteCA)
		if err != nil {
			return c, err
		}
		if c.Fetches.RootCAs = x509.NewCertPool(); !c.Fetches.RootCAs.AppendCertsFromPEM(text) {
			return c, fmt.Errorf("conformance: %s holds no certificate", cfg.SuiteCA)
		}
	}
	c.FillDefaults()
	return c, nil
}

// certify writes a certificate for this machine and its key, and returns who trusts it.
func (cfg ConformanceConfig) certify() (*x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	of := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "Gatehouse conformance demo"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(30 * 24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	err = errors.Join(os.WriteFile(cfg.certFile(), chain, 0o600),
		os.WriteFile(cfg.keyFile(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(chain)
	return pool, err
}

// conformancePerson is who the suite signs in as.
const conformancePerson = "alice"

// conformanceClaims are all that clients can be told of a person (OpenID Connect Core §5.1): the suite looks for each.
func conformanceClaims() map[string]any {
	return map[string]any{"given_name": "Alice", "family_name": "Example", "middle_name": "B.", "nickname": "Ali", "profile": "https://example.com/alice",
		"picture": "https://example.com/alice.png", "website": "https://alice.example.com", "gender": "female", "birthdate": "1990-04-01", "zoneinfo": "Europe/Berlin",
		"locale": "en-GB", "phone_number": "+49 30 1234567", "phone_number_verified": true,
		"address": map[string]any{"formatted": "Hauptstr. 1, 10115 Berlin", "street_address": "Hauptstr. 1", "locality": "Berlin", "postal_code": "10115", "country": "DE"}}
}

// fill makes the person and the clients, through the management API, as anybody would.
func (c *Conformance) fill(ctx context.Context, roots *x509.CertPool) error {
	boot, err := client.New(c.server.AuthURL(), "")
	if err != nil {
		return err
	}
	boot.Trust(roots)
	var first struct {
		APIKey string `json:"api_key"`
	}
	if err := boot.Do(ctx, "POST", "/bootstrap", map[string]any{"secret": c.server.BootstrapSecret().Reveal(),
		"username": "operator", "password": demoPassword()}, &first); err != nil {
		return fmt.Errorf("conformance: %w", err)
	}
	api, err := client.New(c.server.AuthURL(), gatehouse.Secret(first.APIKey))
	if err != nil {
		return err
	}
	api.Trust(roots)
	password := demoPassword()
	certificates, authority, err := c.cfg.certificates()
	if err != nil {
		return err
	}
	if err := api.Do(ctx, "PATCH", "/realms/main", map[string]any{"settings": map[string]any{"client_certificate_authorities": authority, "client_registration": gatehouse.ClientRegistrationOpen,
		"client_registration_scopes": append(openid.Scopes(), "offline_access")}}, nil); err != nil {
		return fmt.Errorf("conformance: %w", err)
	}
	err = api.Do(ctx, "POST", "/realms/main/users", map[string]any{"username": conformancePerson, "password": password,
		"display_name": "Alice Example", "email": conformancePerson + "@example.com", "roles": []string{}, "attributes": conformanceClaims()}, nil)
	if err != nil {
		return fmt.Errorf("conformance: %w", err)
	}
	made, err := c.register(ctx, api)
	if err != nil {
		return fmt.Errorf("conformance: %w", err)
	}
	c.Configuration = c.suite(password, made)
	if c.cfg.certified() {
		one, two := certificates["client"], certificates["client2"]
		c.Configuration.MTLS, c.Configuration.MTLS2 = &one, &two
	}
	return nil
}
