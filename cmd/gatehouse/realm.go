package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"
)

func (a *app) realmCommand() *cobra.Command {
	c := &cobra.Command{Use: "realm", Short: "Realms, their settings and signing keys"}
	var title string
	create := &cobra.Command{Use: "create NAME", Short: "Create a realm with its first signing key", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		var out object
		if err := a.call(c.Context(), "POST", "/realms", object{"name": args[0], "title": title}, &out); err != nil {
			return err
		}
		return a.show(out)
	}}
	create.Flags().StringVar(&title, "title", "", "name for people, shown in login prompts")
	set := &cobra.Command{
		Use:     "set NAME FILE",
		Short:   "Change what a JSON file names; null sets a default (RFC 7396; - is standard input)",
		Example: `  echo '{"settings":{"access_token_ttl":"5m","password_min_length":15}}' | gatehouse realm set main -`,
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			b, err := a.readFileOrStdin(args[1], 1<<20)
			if err != nil {
				return err
			}
			body, err := jsonObject(args[1], b)
			if err != nil {
				return err
			}
			a.realm = args[0]
			var out object
			if err := a.call(c.Context(), "PATCH", a.realmPath(), body, &out); err != nil {
				return err
			}
			return a.show(out)
		},
	}
	c.AddCommand(create, set,
		&cobra.Command{Use: "list", Short: "List realms", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			return a.list(c.Context(), "/realms", nil, "name", "title", "disabled")
		}},
		&cobra.Command{Use: "show NAME", Short: "Show a realm", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			a.realm = args[0]
			return a.get(c.Context(), a.realmPath())
		}},
		a.signingKeyCommand(),
		a.scopeCommand(),
	)
	c.AddCommand(a.realmFileCommands()...)
	return c
}

func (a *app) scopeCommand() *cobra.Command {
	c := &cobra.Command{Use: "scope", Short: "The scopes that keys and tokens of the realm can be given"}
	change := func(ctx context.Context, name string, meaning any) error {
		body := object{"settings": object{"scopes": object{name: meaning}}}
		return a.call(ctx, "PATCH", a.realmPath(), body, nil)
	}
	var anew bool
	add := &cobra.Command{Use: "add SCOPE MEANING", Short: "Add a scope, or with --replace say anew what it means", Args: cobra.ExactArgs(2), RunE: func(c *cobra.Command, args []string) error {
		if !anew { // who holds the scope was given what it meant before
			scopes, err := a.scopes(c.Context())
			if err != nil {
				return err
			}
			if meaning, there := scopes[args[0]]; there && meaning != args[1] {
				return usagef("%s is there already and means %q; --replace gives it the new meaning", args[0], meaning)
			}
		}
		if err := change(c.Context(), args[0], args[1]); err != nil {
			return err
		}
		return a.done("keys and tokens can be given %s", args[0])
	}}
	add.Flags().BoolVar(&anew, "replace", false, "change the meaning of a scope that is there")
	c.AddCommand(add,
		&cobra.Command{Use: "remove SCOPE", Short: "Remove a scope; keys and tokens that have it keep it", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			if err := change(c.Context(), args[0], nil); err != nil {
				return err
			}
			return a.done("%s is given no more", args[0])
		}},
		&cobra.Command{Use: "list", Short: "List the scopes and what they mean", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			scopes, err := a.scopes(c.Context())
			if err != nil {
				return err
			}
			return a.print(scopes, func(w io.Writer) {
				rows := [][]string{{"SCOPE", "MEANING"}}
				for _, name := range slices.Sorted(maps.Keys(scopes)) {
					rows = append(rows, []string{name, scopes[name]})
				}
				table(w, rows)
			})
		}},
	)
	return c
}

// scopes is the realm's catalogue.
func (a *app) scopes(ctx context.Context) (map[string]string, error) {
	var realm struct {
		Settings struct {
			Scopes map[string]string `json:"scopes"`
		} `json:"settings"`
	}
	err := a.call(ctx, "GET", a.realmPath(), nil, &realm)
	return realm.Settings.Scopes, err
}

func (a *app) signingKeyCommand() *cobra.Command {
	c := &cobra.Command{Use: "signing-key", Short: "Keys that sign the realm's tokens"}
	post := func(use, short, verb, said string) *cobra.Command {
		return &cobra.Command{Use: use + " KID", Short: short, Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			if err := a.call(c.Context(), "POST", a.realmPath("signing-keys", args[0], verb), nil, nil); err != nil {
				return err
			}
			return a.done(said, args[0])
		}}
	}
	c.AddCommand(
		&cobra.Command{Use: "list", Short: "List signing keys and where they stand", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			return a.list(c.Context(), a.realmPath("signing-keys"), nil, "kid", "algorithm", "state", "created_at", "activated_at", "retired_at")
		}},
		a.rotateSigningKey(),
		post("retire", "Stop signing with a key; tokens it signed live on", "retire", "key %s signs nothing any more"),
		&cobra.Command{Use: "remove KID", Short: "Forget a key; every token it signed is refused from now on", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			if err := a.call(c.Context(), "DELETE", a.realmPath("signing-keys", args[0]), nil, nil); err != nil {
				return err
			}
			return a.done("key %s is removed, and every token it signed is refused", args[0])
		}},
	)
	return c
}

func (a *app) rotateSigningKey() *cobra.Command {
	var now bool
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new key; it is published first and signs when every verifier can know it",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if now {
				fmt.Fprintln(a.errOut, "Programs that keep a copy of the key set refuse new tokens until they fetch it again: most within 5 minutes, some after 15 and more.")
			}
			var out object
			if err := a.call(c.Context(), "POST", a.realmPath("signing-keys", "rotate"), object{"now": now}, &out); err != nil {
				return err
			}
			return a.show(out)
		},
	}
	c.Flags().BoolVar(&now, "now", false, "sign with it at once: for a key that leaked")
	return c
}
