package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/realms"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/audit"
)

func (a *app) panicCommand() *cobra.Command {
	c := &cobra.Command{Use: "panic", Short: "End everything of a user, key, client or realm at once, on every node, and prove it",
		Long: `Ends everything at once, and waits until no node answers without that: see --wait, which is always on here. What is ended
stays ended: 'panic undo' lets an account or a realm be used again, and brings none of the old credentials back.`}
	var me bool
	including := func(c *cobra.Command) *cobra.Command {
		c.Flags().BoolVar(&me, "including-me", false, "also when it ends your own access, that of the last administrator, or everything of the realm main")
		return c
	}
	c.AddCommand(including(&cobra.Command{
		Use: "user USER", Short: "End a user's logins, tokens, keys, passkeys and password, and disable the account", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			a.always()
			before, _ := a.newest(c.Context(), audit.KindUserPanic, "")
			var out users.Panicked
			if err := a.call(c.Context(), "POST", a.realmPath("users", args[0], "panic"), object{"including_me": me}, &out); err != nil {
				return err
			}
			defer a.tellCheckpoint(c.Context(), audit.KindUserPanic, out.ID, before)
			return a.print(out, func(w io.Writer) {
				password := "no password"
				if out.Password {
					password = "the password"
				}
				fmt.Fprintf(w, "%s (%s) is disabled; ended: %d logins with their tokens, %d browser sessions, %d keys, %d passkeys, %d links with accounts elsewhere, %s\n", printable(out.Username), printable(out.ID), out.Grants, out.Sessions, out.Keys, out.Passkeys, out.Links, password)
			})
		},
	}), including(&cobra.Command{
		Use: "key KEY", Short: "End an API key", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			a.always()
			before, _ := a.newest(c.Context(), audit.KindKeyRevoke, "")
			if err := a.call(c.Context(), "POST", a.realmPath("keys", args[0], "panic"), object{"including_me": me}, nil); err != nil {
				return err
			}
			defer a.tellCheckpoint(c.Context(), audit.KindKeyRevoke, args[0], before)
			return a.done("key %s is ended", args[0])
		},
	}), including(&cobra.Command{
		Use: "client CLIENT", Short: "End every login and token that was issued to a client", Args: cobra.ExactArgs(1),
		Long: `Ends what was issued to a client until now, whoever logged in there. Who logs in from now on is let in: a client is not an account that
can be disabled.`,
		RunE: func(c *cobra.Command, args []string) error {
			a.always()
			before, _ := a.newest(c.Context(), audit.KindCutoffSet, "")
			if err := a.call(c.Context(), "POST", a.realmPath("clients", args[0], "panic"), object{"including_me": me}, nil); err != nil {
				return err
			}
			defer a.tellCheckpoint(c.Context(), audit.KindCutoffSet, args[0], before)
			return a.done("everything that was issued to %s until now is ended", args[0])
		},
	}), including(a.panicRealm(&me)), a.panicUndo())
	return c
}

func (a *app) panicRealm(me *bool) *cobra.Command {
	return &cobra.Command{
		Use: "realm REALM", Short: "End every login, token, key and password of a realm, and disable it", Args: cobra.ExactArgs(1),
		Long: `Ends everything that can be shown in a realm, tokens of trusted issuers among it, whoever holds it: what was made until now is dead for
good, also when the realm is enabled again. Every account needs a new password or key then. The realm main stays enabled, since nobody could
turn it on again: 'gatehouse admin recover' on the server makes the next administrator.`,
		RunE: func(c *cobra.Command, args []string) error {
			a.always()
			a.realm = args[0]
			before, _ := a.newest(c.Context(), audit.KindRealmPanic, "")
			var out realms.Realm
			if err := a.call(c.Context(), "POST", a.realmPath("panic"), object{"including_me": *me}, &out); err != nil {
				return err
			}
			defer a.tellCheckpoint(c.Context(), audit.KindRealmPanic, out.Name, before)
			return a.print(out, func(w io.Writer) {
				state := "disabled"
				if !out.Disabled {
					state = "enabled as ever"
				}
				fmt.Fprintf(w, "realm %s is %s; every login, token, key and password of %s and before is dead\n", printable(out.Name), state, out.CutOffAt.Format(time.RFC3339))
			})
		},
	}
}

func (a *app) panicUndo() *cobra.Command {
	c := &cobra.Command{Use: "undo", Short: "Let an account or a realm be used again; old credentials stay dead"}
	c.AddCommand(&cobra.Command{
		Use: "user USER", Short: "Enable a user again, who has no password, key or login then", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			a.always()
			if err := a.call(c.Context(), "PATCH", a.realmPath("users", args[0]), object{"disabled": false}, nil); err != nil {
				return err
			}
			return a.done("%s is enabled; what the account held stays ended, and its password, if it had one, is gone", args[0])
		},
	}, &cobra.Command{
		Use: "realm REALM", Short: "Enable a realm again, whose passwords, keys and logins of before stay dead", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			a.always()
			a.realm = args[0]
			if err := a.call(c.Context(), "PATCH", a.realmPath(), object{"disabled": false}, nil); err != nil {
				return err
			}
			return a.done("realm %s is enabled; what was ended in it stays ended: an account needs a new password ('user reset'), or a new key", args[0])
		},
	})
	return c
}

// recorded is what is read of an event.
type recorded struct {
	Index int64     `json:"index"` // -1 while it is not in the log
	Time  time.Time `json:"time"`
}

// newest is the newest event of a kind about a target, or about anything; the zero value
// where there is none. It fails for who may not read the log.
func (a *app) newest(ctx context.Context, kind, target string) (e recorded, err error) {
	query := url.Values{"kind": {kind}, "limit": {"1"}}
	if target != "" {
		query.Set("target", target)
	}
	var out struct {
		Items []recorded `json:"items"`
	}
	if err = a.call(ctx, "GET", a.realmPath("audit", "events")+"?"+query.Encode(), nil, &out); err == nil && len(out.Items) > 0 {
		e = out.Items[0]
	}
	return e, err
}

// tellCheckpoint waits until a signed checkpoint of the log has the event of a panic, for
// which the nodes were asked to hurry, and prints it. It is told that there is none, and no failure:
// what was ended is ended.
func (a *app) tellCheckpoint(ctx context.Context, kind, target string, before recorded) {
	a.tellWait() // which is what somebody in a hurry reads
	ctx, cancel := context.WithTimeout(ctx, checkpointWait)
	defer cancel()
	for pause := firstPoll; ; pause = min(2*pause, lastPoll) {
		var point struct {
			Note string `json:"note"`
		}
		e, err := a.newest(ctx, kind, target)
		if err != nil { // as after everything of the realm main was ended
			cancel()
		}
		if err == nil && e.Index >= 0 && e.Time.After(before.Time) &&
			a.call(ctx, "GET", a.realmPath("audit", "checkpoint"), nil, &point) == nil && sizeOf(point.Note) > e.Index {
			if a.json {
				_ = (&app{out: a.errOut}).printLine(object{"event": e.Index, "checkpoint": point.Note})
				return
			}
			fmt.Fprintf(a.errOut, "recorded as event %d of the log that ends with this checkpoint:\n", e.Index)
			for line := range strings.Lines(point.Note) {
				fmt.Fprintln(a.errOut, "  "+printable(strings.TrimSuffix(line, "\n")))
			}
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			fmt.Fprintln(a.errOut, "gatehouse: no checkpoint has the event yet, or you may not read the log: see 'gatehouse audit checkpoint'")
			return
		}
	}
}

const (
	checkpointWait = 5 * time.Second
	firstPoll      = 25 * time.Millisecond
	lastPoll       = 400 * time.Millisecond
)

// sizeOf is how many events the log has of which note is the checkpoint.
func sizeOf(note string) int64 {
	lines := strings.SplitN(note, "\n", 3)
	if len(lines) < 3 {
		return 0
	}
	n, _ := strconv.ParseInt(lines[1], 10, 64)
	return n
}

// always waits, also without --wait.
func (a *app) always() { a.wait.text = cmp.Or(a.wait.text, adminhttp.DefaultWait.String()) }
