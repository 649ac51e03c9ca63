package main

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/admin/nodes"
)

func (a *app) nodeCommand() *cobra.Command {
	c := &cobra.Command{Use: "node", Short: "The processes that share the database: list, remove one that has stopped"}
	c.AddCommand(&cobra.Command{
		Use:   "list",
		Short: "List the processes that share the database, and how far each has applied what the others changed",
		Long: `Lists the processes that share the database. SEEN is how long ago a process last said that it works, AGE how old its view was
then at most, and POSITION what it had applied: a snapshot of PostgreSQL. One that says nothing for 5 s is silent.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var out kernel.List[nodes.Node]
			if err := a.call(c.Context(), "GET", "/nodes", nil, &out); err != nil {
				return err
			}
			return a.print(out.Items, func(w io.Writer) { printNodes(w, out.Items) })
		},
	}, &cobra.Command{
		Use:   "remove NODE",
		Short: "Say that a silent process has stopped for good, so that nobody waits for it",
		Long: `Takes a process from the list that says nothing any more, such as one whose machine is gone. A process that stops well
leaves by itself. Be sure that it has stopped: one that is only cut off from the database may still let requests in by what it
knew, and nobody waits for it any more.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.call(c.Context(), "DELETE", "/nodes/"+url.PathEscape(args[0]), nil, nil); err != nil {
				return err
			}
			return a.done("node %s is no longer listed", args[0])
		},
	})
	return c
}

func printNodes(w io.Writer, all []nodes.Node) {
	rows := [][]string{{"ID", "STATE", "HOST", "VERSION", "ADDRESS", "STARTED", "SEEN", "AGE", "POSITION", "LEASES"}}
	for _, n := range all {
		state, age := n.State, "nothing read"
		if n.Answering {
			state += ", answers"
		}
		if n.Age != nil {
			age = milliseconds(*n.Age)
		}
		rows = append(rows, []string{n.ID, state, n.Host, n.Version, cmp.Or(n.Addresses["auth"], n.Addresses["gateway"]), n.StartedAt.Format(time.RFC3339),
			milliseconds(n.Silent) + " ago", age, n.Position, strings.Join(n.Leases, ", ")})
	}
	table(w, rows)
}

// milliseconds shows a time to the tenth of a second.
func milliseconds(n int64) string { return fmt.Sprintf("%.1fs", float64(n)/1000) }
