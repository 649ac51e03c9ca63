package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse"
)

// providerCommand is about the OpenID providers by whose accounts people sign in.
func (a *app) providerCommand() *cobra.Command {
	c := &cobra.Command{Use: "provider", Short: "OpenID providers by whose accounts people sign in"}
	c.AddCommand(a.addProvider(),
		&cobra.Command{Use: "list", Short: "List the providers, and the address that each has to be told", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			return a.list(c.Context(), a.realmPath("providers"), nil, "id", "title", "issuer", "client_id", "create_accounts", "has_secret", "redirect_uri")
		}},
		&cobra.Command{Use: "show NAME", Short: "Show how a provider is set up", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			list, _, err := a.providers(c.Context())
			if err != nil {
				return err
			}
			i := slices.IndexFunc(list, func(p object) bool { return p["id"] == args[0] })
			if i < 0 {
				return usagef("there is no provider %s", args[0])
			}
			return a.show(list[i])
		}},
		&cobra.Command{Use: "secret NAME FILE", Short: "Set the client secret that a provider gave (- is standard input)", Args: cobra.ExactArgs(2), RunE: func(c *cobra.Command, args []string) error {
			return a.setProviderSecret(c.Context(), args[0], args[1])
		}},
		&cobra.Command{Use: "remove NAME", Short: "Remove a provider: nobody signs in by it any more; sessions go on", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			list, version, err := a.providers(c.Context())
			if err != nil {
				return err
			}
			rest := slices.DeleteFunc(slices.Clone(list), func(p object) bool { return p["id"] == args[0] })
			if len(rest) == len(list) {
				return usagef("there is no provider %s", args[0])
			}
			if err := a.setProviders(c.Context(), rest, version); err != nil {
				return err
			}
			return a.done("nobody signs in by %s any more", args[0])
		}},
	)
	return c
}

func (a *app) addProvider() *cobra.Command {
	var p struct {
		preset, team, key                 string
		issuer, client, secret, title, ca string
		scopes, factors, algorithms       []string
		create, private                   bool
	}
	c := &cobra.Command{
		Use:     "add NAME",
		Aliases: []string{"create"},
		Short:   "Add a provider, or set one up anew; NAME is part of the address that it sends browsers back to",
		Example: `  gatehouse provider add acme --issuer https://login.acme.example --client-id gatehouse --secret-file acme.secret --create-accounts
  gatehouse provider add github --preset github --client-id Iv1.0123456789 --secret-file github.secret
  gatehouse provider add apple --preset apple --client-id com.example.signin --team-id ABCDE12345 --key-id KEY1234567 --secret-file AuthKey.p8`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			list, version, err := a.providers(c.Context())
			if err != nil {
				return err
			}
			one := object{"id": args[0], "client_id": p.client}
			for name, value := range map[string]string{"preset": p.preset, "issuer": p.issuer, "title": p.title, "team_id": p.team, "key_id": p.key} {
				if value != "" {
					one[name] = value
				}
			}
			if p.create {
				one["create_accounts"] = true
			}
			if p.private {
				one["allow_private_address"] = true
			}
			for name, values := range map[string][]string{"scopes": p.scopes, "second_factor_by": p.factors, "algorithms": p.algorithms} {
				if len(values) > 0 {
					one[name] = values
				}
			}
			if p.ca != "" {
				pem, err := a.readFileOrStdin(p.ca, 64<<10)
				if err != nil {
					return err
				}
				one["ca"] = string(pem)
			}
			if i := slices.IndexFunc(list, func(p object) bool { return p["id"] == args[0] }); i >= 0 {
				if grants, ok := list[i]["grants"]; ok { // no flag says them
					one["grants"] = grants
				}
				list[i] = one
			} else {
				list = append(list, one)
			}
			if err := a.setProviders(c.Context(), list, version); err != nil {
				return err
			}
			if p.secret != "" {
				if err := a.setProviderSecret(c.Context(), args[0], p.secret); err != nil {
					return err
				}
			}
			return a.list(c.Context(), a.realmPath("providers"), nil, "id", "title", "issuer", "client_id", "create_accounts", "has_secret", "redirect_uri")
		},
	}
	f := c.Flags()
	f.StringVar(&p.preset, "preset", "", "what is known of it: "+strings.Join(gatehouse.PresetNames(), ", "))
	f.StringVar(&p.issuer, "issuer", "", "issuer identifier, exactly as its metadata have it; that of the preset by default")
	f.StringVar(&p.team, "team-id", "", "team whose key signs the client secret (apple)")
	f.StringVar(&p.key, "key-id", "", "name of that key (apple); --secret-file is the key itself")
	f.StringVar(&p.client, "client-id", "", "what the provider knows this realm by")
	f.StringVar(&p.secret, "secret-file", "", "file with the client secret (- is standard input)")
	f.StringVar(&p.title, "title", "", "what people know it by; NAME by default")
	f.StringSliceVar(&p.scopes, "scope", nil, "scope to ask for beside openid: profile and email by default")
	f.BoolVar(&p.create, "create-accounts", false, "make an account for everybody who signs in there and has none")
	f.StringSliceVar(&p.factors, "second-factor-by", nil, "value of amr or acr by which it says that it has seen two factors; none by default")
	f.StringSliceVar(&p.algorithms, "algorithm", nil, "algorithm of its ID tokens: RS256, ES256 and EdDSA by default")
	f.StringVar(&p.ca, "ca", "", "file with the certificates that vouch for its hosts, in PEM")
	f.BoolVar(&p.private, "allow-private-address", false, "it is at a private address")
	return c
}

// providers are those in the settings of the realm, and the version of it that they are of.
func (a *app) providers(ctx context.Context) (list []object, version any, err error) {
	var realm struct {
		Version  int64 `json:"version"`
		Settings struct {
			Providers []object `json:"providers"`
		} `json:"settings"`
	}
	err = a.call(ctx, "GET", a.realmPath(), nil, &realm)
	return realm.Settings.Providers, realm.Version, err
}

func (a *app) setProviders(ctx context.Context, list []object, version any) error {
	return a.call(ctx, "PATCH", a.realmPath(), object{"settings": object{"providers": list}, "version": version}, nil)
}

func (a *app) setProviderSecret(ctx context.Context, name, file string) error {
	b, err := a.readFileOrStdin(file, 8<<10)
	if err != nil {
		return err
	}
	return a.call(ctx, "PUT", a.realmPath("providers", name, "secret"), object{"secret": strings.TrimRight(string(b), "\r\n")}, nil)
}
