package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/server"
	"github.com/gatehouse-auth/gatehouse/store"
)

// maxDSN bounds the file with a connection string.
const maxDSN = 64 << 10

func (a *app) moveCommand() *cobra.Command {
	var config, to, dsnFile string
	c := &cobra.Command{
		Use:   "move --to postgres|sqlite[:DIR]",
		Short: "Move everything into another, empty database (the server must not run)",
		Long: `Copies everything that the configuration's database holds into an empty one, compares it, verifies the audit logs in the
copy, and lets it take the place of the old one, which is not used again. Nothing ends by it: keys, tokens and logins go on.

  --to postgres --dsn-file FILE   PostgreSQL; FILE holds the connection string ("-": standard input)
  --to sqlite                     SQLite in the data directory of the configuration
  --to sqlite:DIR                 SQLite in another directory, where the server's data shall be from now on

The master key stays where it is. Killed or failed, it can be run again in the same way; until it has ended, the old
database is the one that is served.`,
		Example: "  gatehouse move --config /srv/gatehouse/gatehouse.yaml --to postgres --dsn-file /etc/gatehouse/dsn",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.loadConfig(config)
			if err != nil {
				return err
			}
			o, err := a.moveTarget(to, dsnFile)
			if err != nil {
				return err
			}
			if !a.json {
				o.Copied = func(t store.Copied) { fmt.Fprintf(a.errOut, "%-20s %10d rows\n", t.Table, t.Rows) }
			}
			moved, err := server.Move(c.Context(), cfg, o)
			if err != nil {
				return err
			}
			return a.print(moved, func(w io.Writer) { a.announceMove(w, moved, o, config) })
		},
	}
	c.Flags().StringVar(&config, "config", "gatehouse.yaml", "configuration file")
	c.Flags().StringVar(&to, "to", "", "where to: postgres, sqlite, or sqlite:DIR")
	c.Flags().StringVar(&dsnFile, "dsn-file", "", "`file` with the connection string of PostgreSQL to move to")
	return c
}

// moveTarget reads where to move. A connection string holds a password, and whoever is
// on the machine sees the command line.
func (a *app) moveTarget(to, dsnFile string) (server.MoveOptions, error) {
	kind, dir, _ := strings.Cut(to, ":")
	switch {
	case kind == "postgres" && dir == "" && dsnFile != "":
		text, err := a.readFileOrStdin(dsnFile, maxDSN)
		if err != nil {
			return server.MoveOptions{}, usagef("%v", err)
		}
		dsn := strings.TrimSpace(string(text))
		if dsn == "" {
			return server.MoveOptions{}, usagef("%s: no connection string in it", dsnFile)
		}
		return server.MoveOptions{To: server.StoreConfig{Driver: "postgres", DSN: dsn}}, nil
	case kind == "postgres" && dir == "":
		return server.MoveOptions{}, usagef("--to postgres needs --dsn-file FILE, with a connection string in it")
	case strings.HasPrefix(kind, "postgres"):
		return server.MoveOptions{}, usagef("a connection string does not belong on the command line, where everybody on the machine can read its password: write it into a file, and --to postgres --dsn-file FILE")
	case kind == "sqlite" && dsnFile != "":
		return server.MoveOptions{}, usagef("--dsn-file is for --to postgres")
	case kind == "sqlite" && (dir != "" || to == "sqlite"):
		if dir != "" {
			path, err := filepath.Abs(dir)
			if err != nil {
				return server.MoveOptions{}, usagef("%v", err)
			}
			dir = path
		}
		return server.MoveOptions{To: server.StoreConfig{Driver: "sqlite"}, Data: dir}, nil
	}
	return server.MoveOptions{}, usagef("--to is postgres, sqlite or sqlite:DIR")
}

// announceMove says what has to be changed before the server is started again.
func (a *app) announceMove(w io.Writer, moved store.Moved, o server.MoveOptions, config string) {
	if moved.Finished {
		fmt.Fprintln(w, "Everything had arrived in an earlier run; that run is finished now.")
	}
	fmt.Fprintf(w, "moved: %s\n   to: %s\n\nEvery table was compared, and the audit logs verify. The old database is not used again.\n\nBefore you start the server, write into %s:\n\n",
		printable(moved.From), printable(moved.To), config)
	switch {
	case o.To.Driver == "postgres":
		fmt.Fprint(w, "  store: {driver: postgres}\n\nand name the file with the connection string in GATEHOUSE_STORE_DSN_FILE.\n")
	case o.Data != "":
		fmt.Fprintf(w, "  store: {driver: sqlite}\n  data: %s\n\nThe master key was not copied: put master.key there by yourself, or name it in master_key_file.\n", printable(o.Data))
	default:
		fmt.Fprint(w, "  store: {driver: sqlite}\n\nand take GATEHOUSE_STORE_DSN and GATEHOUSE_STORE_DSN_FILE out of its environment.\n")
	}
	if o.Data == "" {
		fmt.Fprintln(w, "The data directory, with master.key and audit.heads, stays where it is.")
	}
}
