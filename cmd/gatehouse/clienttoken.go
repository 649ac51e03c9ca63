package main

import (
	"time"

	"github.com/spf13/cobra"
)

// clientToken is about the tokens by which clients register themselves.
func (a *app) clientToken() *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "Tokens by which clients register themselves"}
	life := lifetime{value: 24 * time.Hour, least: time.Minute, most: 90 * 24 * time.Hour}
	var note string
	var uses int
	create := &cobra.Command{Use: "create", Short: "Make such a token; it is shown once", Args: cobra.NoArgs,
		Example: `  gatehouse client token create --uses 20 --expires 7d --note "workshop"`,
		RunE: func(c *cobra.Command, _ []string) error {
			var out object
			if err := a.call(c.Context(), "POST", a.realmPath("client-registration-tokens"), object{"note": note, "uses": uses, "expires_in": life.value.String()}, &out); err != nil {
				return err
			}
			return a.showSecret(out, "", "token")
		}}
	create.Flags().StringVar(&note, "note", "", "what it is for")
	create.Flags().IntVar(&uses, "uses", 1, "how many clients may register by it, at most 1000")
	lifetimeVar(create, &life, "expires", "how long it counts, at most 90d")
	c.AddCommand(create,
		&cobra.Command{Use: "list", Short: "List these tokens", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			return a.list(c.Context(), a.realmPath("client-registration-tokens"), nil, "id", "note", "uses_left", "expires_at")
		}},
		&cobra.Command{Use: "delete TOKEN_ID", Short: "Remove such a token; what registered by it stays", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			if err := a.call(c.Context(), "DELETE", a.realmPath("client-registration-tokens", args[0]), nil, nil); err != nil {
				return err
			}
			return a.done("token %s is removed", args[0])
		}})
	return c
}
