package main

import (
	"net/url"

	"github.com/spf13/cobra"
)

func (a *app) userExport() *cobra.Command {
	return &cobra.Command{
		Use:   "export USER",
		Short: "Print all that is kept of a user, as JSON: profile, factors, passkeys, links, keys, sessions, logins, events; no secrets",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var profile object
			if err := a.call(c.Context(), "GET", a.realmPath("users", args[0]), nil, &profile); err != nil {
				return err
			}
			id, _ := profile["id"].(string)
			out := object{"profile": profile}
			for name, list := range map[string]struct {
				path  string
				query url.Values
			}{
				"factors":      {a.realmPath("users", id, "factors"), nil},
				"passkeys":     {a.realmPath("users", id, "passkeys"), nil},
				"links":        {a.realmPath("users", id, "links"), nil},
				"sessions":     {a.realmPath("users", id, "sessions"), nil},
				"logins":       {a.realmPath("users", id, "grants"), nil},
				"keys":         {a.realmPath("keys"), url.Values{"owner": {id}}},
				"events_by":    {a.realmPath("audit", "events"), url.Values{"actor": {id}, "limit": {"1000"}}},
				"events_about": {a.realmPath("audit", "events"), url.Values{"target": {id}, "limit": {"1000"}}},
			} {
				items, err := a.all(c.Context(), list.path, list.query)
				if err != nil {
					return err
				}
				out[name] = items
			}
			return a.printJSON(out)
		},
	}
}
