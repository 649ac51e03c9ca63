package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/server"
)

func (a *app) initCommand() *cobra.Command {
	var issuer, listen, gateway string
	c := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Make a directory with a configuration and a master key",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			path, err := server.InitConfig(dir, issuer, listen, gateway)
			if err != nil {
				return usagef("%v", err)
			}
			return a.print(object{"config": path}, func(w io.Writer) {
				fmt.Fprintf(w, "%s is ready. Next:\n\n  edit %s            # upstreams and routes\n  %s serve --config %s\n", dir, path, a.name(), path)
			})
		},
	}
	c.Flags().StringVar(&issuer, "issuer", "", "public base URL; http://LISTEN when empty")
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "address of the auth listener")
	c.Flags().StringVar(&gateway, "gateway", "127.0.0.1:8081", "address of the gateway")
	return c
}
