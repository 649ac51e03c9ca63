package main

import (
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/admin/sessions"
)

var errWhichSession = usagef("name one session, or say --all; see --help")

func (a *app) userSessions() *cobra.Command {
	c := &cobra.Command{Use: "sessions", Short: "Where a user is signed in with a browser: list, end"}
	var all bool
	var except string
	end := &cobra.Command{
		Use: "end USER [SESSION]", Short: "End a browser session of a user, or all of them", Args: cobra.RangeArgs(1, 2),
		Example: "  gatehouse user sessions end alice ses_01m814rehzpn30eps80gwbc1mh\n  gatehouse user sessions end alice --all",
		RunE: func(c *cobra.Command, args []string) error {
			if all == (len(args) == 2) {
				return errWhichSession
			}
			if !all {
				if err := a.call(c.Context(), "DELETE", a.realmPath("users", args[0], "sessions", args[1]), nil, nil); err != nil {
					return err
				}
				return a.done("session %s of %s is ended", args[1], args[0])
			}
			path := a.realmPath("users", args[0], "sessions")
			if except != "" {
				path += "?" + url.Values{"except": {except}}.Encode()
			}
			var out sessions.Ended
			if err := a.call(c.Context(), "DELETE", path, nil, &out); err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) {
				fmt.Fprintf(w, "ended: %d browser sessions of %s\n", out.Sessions, printable(args[0]))
			})
		},
	}
	end.Flags().BoolVar(&all, "all", false, "end all sessions of the user")
	end.Flags().StringVar(&except, "except", "", "with --all: the id of a session that stays")
	c.AddCommand(end, &cobra.Command{
		Use: "list USER", Short: "List the browser sessions of a user, those of the last day that are over too", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.list(c.Context(), a.realmPath("users", args[0], "sessions"), nil, "id", "open", "last_used_at", "expires_at", "address", "user_agent", "end_reason")
		},
	})
	return c
}
