package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/server"
)

func (a *app) serveCommand() *cobra.Command {
	var config string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Runs the server until it is told to stop.

SIGHUP reads the configuration anew, as "config reload" does. SIGTERM, or Ctrl-C, stops it so that no request is lost:
/readyz answers 503 and everything goes on for shutdown.delay, then no new connections are taken, and requests that run get
shutdown.grace to end. A second one stops it at once.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := server.LoadToStart(c.Context(), config, a.environ)
			if err != nil {
				return a.loadError(config, err)
			}
			return a.serve(c.Context(), cfg, nil)
		},
	}
	c.Flags().StringVar(&config, "config", "gatehouse.yaml", "configuration file")
	return c
}

// serve runs until the context ends; ready is called when requests are answered.
// SIGHUP reloads the configuration.
func (a *app) serve(ctx context.Context, cfg server.Config, ready func(*server.Server) error) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	cfg.Version = buildVersion()
	s, err := server.New(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		hurry, stop := again(ctx)
		defer stop()
		s.Close(hurry)
	}()
	if err := s.Start(ctx); err != nil {
		return err
	}
	if ready == nil {
		ready = a.announce
	}
	if err := ready(s); err != nil {
		return err
	}
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				_, _ = s.Reload(ctx) // the server's log says what is wrong
			}
		}
	}()
	return s.Wait(ctx)
}

// again ends when the program is told to stop once more, after ctx told it first: then
// nothing that still runs is waited for.
func again(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.WithoutCancel(ctx), os.Interrupt, syscall.SIGTERM)
}

// announce says where the server is and, at the first start, how to become its
// administrator.
func (a *app) announce(s *server.Server) error {
	out := object{"issuer": s.Issuer(), "auth": s.AuthURL(), "gateway": s.GatewayURL()}
	secret := s.BootstrapSecret()
	if secret != "" {
		out["bootstrap_secret"], out["setup"] = secret.Reveal(), s.SetupURL()
	}
	return a.print(out, func(w io.Writer) {
		fmt.Fprintf(w, "gatehouse is ready: auth %s, gateway %s\n", s.AuthURL(), s.GatewayURL())
		if secret != "" {
			fmt.Fprintf(w, "\nThere is no administrator yet. Until %s, make one in a browser, once:\n\n  %s\n\nor with this one-time secret:\n\n  %s\n\n  %s login --bootstrap --url %s\n",
				s.BootstrapEnd().UTC().Format("2006-01-02 15:04 MST"), s.SetupURL(), secret.Reveal(), a.name(), s.AuthURL())
		}
	})
}

func (a *app) demoCommand() *cobra.Command {
	var cfg server.DemoConfig
	var conformance bool
	suite := server.ConformanceConfig{}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Start everything with a demo API behind it, and print lines to paste",
		Long: `Starts Gatehouse on SQLite with a documents API behind it and four people in it, with credentials made fresh at each
start. With --json it prints exactly one line when it is ready.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg.Log = server.LogConfig{Level: "warn", Format: "text"}
			if conformance {
				suite.Data, suite.Log = cfg.Data, cfg.Log
				return a.conformanceDemo(c, suite)
			}
			cfg.OutboxElsewhere, cfg.Program = !c.Flags().Changed("outbox"), true
			d, err := server.StartDemo(c.Context(), cfg)
			if err != nil {
				return err
			}
			defer func() {
				hurry, stop := again(c.Context())
				defer stop()
				d.Close(hurry)
			}()
			if err := a.announceDemo(d); err != nil {
				return err
			}
			return d.Wait(c.Context())
		},
	}
	c.Flags().StringVar(&cfg.Data, "data", filepath.Join("data", "demo"), "directory; emptied at each start")
	c.Flags().StringVar(&cfg.Listen, "listen", "127.0.0.1:8080", "address of the auth listener")
	c.Flags().StringVar(&cfg.Gateway, "gateway", "127.0.0.1:8081", "address of the gateway")
	c.Flags().StringVar(&cfg.Outbox, "outbox", "127.0.0.1:8082", "address, of this machine, of the page of what would be sent by mail; without this flag, any other where that one is taken")
	c.Flags().StringVar(&cfg.Upstream, "upstream", "", "a documents API that runs already; the example when empty")
	c.Flags().BoolVar(&conformance, "conformance", false, "start an issuer over TLS for the OpenID Foundation's conformance suite instead, and print the configuration of its plans")
	c.Flags().StringVar(&suite.Listen, "issuer", "127.0.0.1:9443", "with --conformance: address, of this machine, of the issuer")
	c.Flags().StringVar(&suite.Suite, "suite", "https://localhost.emobix.co.uk:8443/", "with --conformance: where the suite is")
	c.Flags().StringVar(&suite.SuiteCA, "suite-ca", "", "with --conformance: file with the suite's certificate, or its authority's (PEM); those that the system trusts when empty")
	c.Flags().BoolVar(&suite.FAPI2, "fapi2", false, "with --conformance: for the plans of FAPI 2.0, in place of those of OpenID Connect")
	c.Flags().StringVar(&suite.ClientAuth, "client-auth-type", "", "with --fapi2: how clients prove who they are, private_key_jwt (default) or mtls")
	c.Flags().StringVar(&suite.SenderConstrain, "sender-constrain", "", "with --fapi2: what tokens are bound to, dpop (default) or mtls")
	c.Flags().StringVar(&suite.Logout, "logout", "", "with --conformance: for the plan of back-channel logout (back) or of front-channel logout (front), with clients that do not register themselves")
	c.Flags().StringVar(&suite.Alias, "alias", "gatehouse", "with --conformance: the alias of the plans")
	return c
}

// conformanceDemo prints the suite's configuration when the issuer is ready.
func (a *app) conformanceDemo(c *cobra.Command, cfg server.ConformanceConfig) error {
	d, err := server.StartConformance(c.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() {
		hurry, stop := again(c.Context())
		defer stop()
		d.Close(hurry)
	}()
	if err := a.printLine(d.Configuration); err != nil {
		return err
	}
	return d.Wait(c.Context())
}

func (a *app) announceDemo(d *server.Demo) error {
	if a.json {
		return a.printLine(d)
	}
	a.demoPage(a.paper(a.out), d)
	return nil
}

func (a *app) protectCommand() *cobra.Command {
	var o server.ProtectOptions
	c := &cobra.Command{
		Use:   "protect URL",
		Short: "Put Gatehouse in front of an API that runs already",
		Long: `Starts a gateway in front of the API at URL, deny by default. With --openapi the routes are those of the API's OpenAPI
document; without it every route takes any authenticated caller. Once it runs, the configuration is kept in the data
directory, where you can go on editing it; later starts use it as it is.`,
		Example: "  gatehouse protect http://127.0.0.1:3000 --openapi openapi.yaml\n  gatehouse protect http://127.0.0.1:3000 --openapi http://127.0.0.1:3000/openapi.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.Upstream = args[0]
			p, err := server.PrepareProtect(c.Context(), o, a.environ)
			if err != nil {
				return usagef("%v", err)
			}
			given := server.ProtectOptions{OpenAPI: o.OpenAPI}
			if c.Flags().Changed("listen") {
				given.Listen = o.Listen
			}
			if c.Flags().Changed("gateway") {
				given.Gateway = o.Gateway
			}
			for _, text := range p.Differences(given) {
				fmt.Fprintln(a.errOut, text)
			}
			if p.API != nil {
				for _, text := range p.API.Notes {
					fmt.Fprintln(a.errOut, text)
				}
			}
			return a.serve(c.Context(), p.Config, func(s *server.Server) error { return a.announceProtect(c.Context(), s, p) })
		},
	}
	c.Flags().StringVar(&o.OpenAPI, "openapi", "", "file or address of the API's OpenAPI 3 document (YAML or JSON)")
	c.Flags().StringVar(&o.Data, "data", "gatehouse-data", "directory for configuration and data")
	c.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:8080", "address of the auth listener")
	c.Flags().StringVar(&o.Gateway, "gateway", "127.0.0.1:8081", "address of the gateway")
	return c
}

// announceProtect makes the first administrator at the first start, so that
// there is something to paste at once.
func (a *app) announceProtect(ctx context.Context, s *server.Server, p server.Protect) error {
	if err := p.Keep(); err != nil {
		return err
	}
	key, err := s.FirstAdministrator(ctx, "admin")
	if err != nil {
		return err
	}
	if key != "" && p.API != nil && len(p.API.Scopes) > 0 {
		if err := s.AddScopes(ctx, key, p.API.Scopes); err != nil {
			fmt.Fprintf(a.errOut, "The document's scopes are not in the realm's catalogue: %v\n", err)
		}
	}
	out := object{"gateway": s.GatewayURL(), "issuer": s.Issuer(), "config": p.Path, "routes": len(p.Config.Routes)}
	if key != "" {
		out["admin_token"] = key.Reveal()
	}
	if a.json {
		return a.printLine(out)
	}
	w := a.paper(a.out)
	w.line("%s", w.in(bold, "Your API is protected: nobody calls it without a credential now."))
	w.line("")
	w.line("  Call it at   %s  (it is %s)", w.in(blue, s.GatewayURL()), p.Config.Upstreams["api"].URL)
	w.line("  Tokens, keys %s", w.in(blue, s.AuthURL()))
	w.line("  Rules        %s  (%d routes, deny by default)", p.Path, len(p.Config.Routes))
	w.line("")
	w.line("%s", w.in(faint, "# without a credential: 401"))
	w.line("curl -i %s%s", s.GatewayURL(), p.TryPath())
	if key != "" {
		w.line("%s", w.in(faint, "# with your key, which is shown only now"))
		w.line("export GATEHOUSE_URL=%s", s.AuthURL())
		w.line("export GATEHOUSE_TOKEN=%s", key.Reveal())
		w.line(`curl -i -H "Authorization: Bearer $GATEHOUSE_TOKEN" %s%s`, s.GatewayURL(), p.TryPath())
		w.line("%s", w.in(faint, "# a key for somebody else"))
	} else {
		w.line("%s", w.in(faint, "# a key for somebody else (GATEHOUSE_TOKEN is the key of your first start)"))
		w.line("export GATEHOUSE_URL=%s", s.AuthURL())
	}
	w.line("%s user create --service customer-1", a.name())
	w.line("%s key create --owner customer-1 --name first --scope '*'", a.name())
	return nil
}
