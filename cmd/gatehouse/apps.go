package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/admin/apps"
)

// userApps is about the clients that a user lets have something.
func (a *app) userApps() *cobra.Command {
	c := &cobra.Command{Use: "apps", Short: "Programs that a user lets have something (connected apps): list, revoke"}
	c.AddCommand(
		&cobra.Command{Use: "list USER", Short: "List the clients that a user lets have something, and what", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			var out apps.Page
			if err := a.call(c.Context(), "GET", a.realmPath("users", args[0], "apps"), nil, &out); err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) { printApps(w, out.Items) })
		}},
		&cobra.Command{
			Use: "revoke USER CLIENT", Short: "Take back all that a user lets a client have, and end every login of it", Args: cobra.ExactArgs(2),
			Example: "  gatehouse user apps revoke alice cli_01m814rehzpn30eps80gwbc1mh",
			RunE: func(c *cobra.Command, args []string) error {
				var out apps.Revoked
				if err := a.call(c.Context(), "DELETE", a.realmPath("users", args[0], "apps", args[1]), nil, &out); err != nil {
					return err
				}
				return a.print(out, func(w io.Writer) {
					fmt.Fprintf(w, "revoked: %s has nothing of %s any more; %d logins ended\n", printable(args[1]), printable(args[0]), out.Grants)
				})
			},
		},
	)
	return c
}

// printApps writes each app on a line of its own, with what it may do below.
func printApps(w io.Writer, list []apps.App) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no client has anything of this user")
	}
	for _, app := range list {
		used := "not used"
		if !app.LastUsedAt.IsZero() {
			used = "last used " + app.LastUsedAt.UTC().Format("2006-01-02 15:04 UTC")
		}
		fmt.Fprintf(w, "%s  %s  %s  %d logins, since %s, %s\n", printable(app.ClientID), printable(app.ClientName), printable(strings.Join(app.Hosts, ",")),
			app.Grants, app.Since.UTC().Format("2006-01-02"), used)
		for _, at := range app.Access {
			fmt.Fprintf(w, "  %s: %s\n", printable(at.Resource), printable(strings.Join(at.Scopes, " ")))
		}
	}
}
