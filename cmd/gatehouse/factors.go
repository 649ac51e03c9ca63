package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) userFactors() *cobra.Command {
	c := &cobra.Command{Use: "factors", Short: "Second factors of a user: authenticator apps and recovery codes"}
	c.AddCommand(
		&cobra.Command{Use: "list USER", Short: "List the second factors of a user, without secrets", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			return a.list(c.Context(), a.realmPath("users", args[0], "factors"), nil, "id", "kind", "name", "confirmed", "codes_left", "created_at", "last_used_at")
		}},
		&cobra.Command{Use: "remove USER FACTOR", Short: "Remove a factor of a user who has lost it (administrators)", Args: cobra.ExactArgs(2), RunE: func(c *cobra.Command, args []string) error {
			if err := a.post(c.Context(), a.realmPath("users", args[0], "factors", args[1], "remove"), object{}, nil); err != nil {
				return err
			}
			return a.done("factor %s of %s is removed", args[1], args[0])
		}},
		a.resetFactors(),
	)
	return c
}

func (a *app) resetFactors() *cobra.Command {
	return &cobra.Command{
		Use:   "reset USER",
		Short: "Have a user who has lost every second factor replace them by a link and the password: sent to the user, or shown once where there is no address to send it to",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var out object
			if err := a.post(c.Context(), a.realmPath("users", args[0], "factors", "reset-link"), object{}, &out); err != nil {
				return err
			}
			link, _ := out["link"].(string)
			if link == "" {
				return a.done("a link to replace the second factors is on its way to %s; those of now count until then", args[0])
			}
			if a.json {
				return a.printJSON(out)
			}
			fmt.Fprintf(a.out, "\n%s\n\n", printable(link))
			fmt.Fprintf(a.errOut, "Hand this link to %s now: with it and the password the second factors are replaced, once, within the hour; those of now count until then.\n", printable(args[0]))
			return nil
		},
	}
}
