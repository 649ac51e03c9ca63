package main

import (
	"net/netip"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) keyCommand() *cobra.Command {
	c := &cobra.Command{Use: "key", Short: "API keys: create, import, update, rotate, disable, revoke, report as leaked"}
	var owner string
	list := &cobra.Command{Use: "list", Short: "List keys", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		q := url.Values{}
		if owner != "" {
			q.Set("owner", owner)
		}
		return a.list(c.Context(), a.realmPath("keys"), q, "id", "name", "owner_name", "environment", "status", "scopes", "expires_at", "last_used_at")
	}}
	list.Flags().StringVar(&owner, "owner", "", "only keys of this user, by id or username")
	c.AddCommand(a.keyCreate(), a.keyImport(), a.keyUpdate(), a.keySwitch("disable", true), a.keySwitch("enable", false), a.keyRotate(), a.keyLeaked(), list,
		&cobra.Command{Use: "show KEY", Short: "Show a key, by id", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			return a.get(c.Context(), a.realmPath("keys", args[0]))
		}},
		&cobra.Command{Use: "usage KEY", Short: "Show how often a key was used, per day", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			return a.list(c.Context(), a.realmPath("keys", args[0], "usage"), nil, "day", "count", "last_used_at")
		}},
		&cobra.Command{Use: "revoke KEY", Short: "End a key, now", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			if err := a.call(c.Context(), "POST", a.realmPath("keys", args[0], "revoke"), nil, nil); err != nil {
				return err
			}
			return a.done("key %s is revoked", args[0])
		}},
	)
	return c
}

func (a *app) keyCreate() *cobra.Command {
	var name, owner, environment string
	var scopes, roles, nets []string
	var limits keyLimits
	expires := lifetime{least: time.Minute, most: 36_500 * 24 * time.Hour}
	c := &cobra.Command{
		Use:   "create",
		Short: "Create a key; it is shown once",
		Example: `  gatehouse key create --owner bob --name "nightly export" --scope documents:read --expires 2160h
  gatehouse key create --owner ci --name trying --environment test --allow-from 192.0.2.0/24`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if name == "" {
				return usagef("--name is needed: what is the key for?")
			}
			if err := oneOf("environment", environment, "live", "test"); err != nil {
				return err
			}
			if err := checkNets(nets); err != nil {
				return err
			}
			body := object{"name": name, "environment": environment}
			if owner != "" {
				body["owner"] = owner
			}
			body["scopes"] = append([]string{}, scopes...)
			if c.Flags().Changed("role") {
				body["role_limit"] = roles
			}
			if len(nets) > 0 {
				body["allowed_nets"] = nets
			}
			if expires.value > 0 {
				body["expires_at"] = time.Now().Add(expires.value).UTC().Format(time.RFC3339)
			}
			if err := limits.put(c, body); err != nil {
				return err
			}
			var out object
			if err := a.call(c.Context(), "POST", a.realmPath("keys"), body, &out); err != nil {
				return err
			}
			return a.showSecret(out, "key", "text")
		},
	}
	limits.add(c)
	c.Flags().StringVar(&name, "name", "", "what the key is for (required)")
	c.Flags().StringVar(&owner, "owner", "", "user or service that the key speaks for; yourself when empty")
	c.Flags().StringVar(&environment, "environment", "live", "live or test")
	c.Flags().StringSliceVar(&scopes, "scope", nil, "what the key may do; may be repeated")
	c.Flags().StringSliceVar(&roles, "role", nil, "use only these of the owner's roles; may be repeated")
	c.Flags().StringSliceVar(&nets, "allow-from", nil, "accept the key only from this network; may be repeated")
	lifetimeVar(c, &expires, "expires", "end the key after this long: 90d, 2160h; without it, it does not end")
	return c
}

// checkNets names the one that is no network, which the server's answer does not.
func checkNets(nets []string) error {
	for _, n := range nets {
		if _, err := netip.ParseAddr(n); err == nil {
			continue
		}
		p, err := netip.ParsePrefix(n)
		switch {
		case err != nil:
			return usagef("--allow-from: %q is neither an address nor a network such as 192.0.2.0/24 or 2001:db8::/32", n)
		case p != p.Masked():
			return usagef("--allow-from: %q has bits of a host; the network is %s", n, p.Masked())
		}
	}
	return nil
}

func (a *app) keyRotate() *cobra.Command {
	overlap := lifetime{value: 24 * time.Hour, most: 90 * 24 * time.Hour}
	c := &cobra.Command{
		Use:   "rotate KEY",
		Short: "Make a successor; the old key goes on for the overlap",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var out object
			if err := a.call(c.Context(), "POST", a.realmPath("keys", args[0], "rotate"), object{"overlap": overlap.value.String()}, &out); err != nil {
				return err
			}
			return a.showSecret(out, "key", "text")
		},
	}
	lifetimeVar(c, &overlap, "overlap", "how long both keys work, at most 90d; 0 ends the old one at once")
	return c
}

func (a *app) keyLeaked() *cobra.Command {
	return &cobra.Command{
		Use:   "leaked",
		Short: "Disable a key that leaked; whoever holds the key may do this",
		Long:  "Reads the leaked key from standard input (or asks for it) and disables it. No login is needed: holding the key is proof enough.",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			key, err := a.readPassword("Leaked key")
			if err != nil {
				return err
			}
			if err := a.callPublic(c.Context(), "POST", "/keys/leaked", object{"key": key.Reveal()}, nil); err != nil {
				return err
			}
			return a.done("the key is disabled")
		},
	}
}
