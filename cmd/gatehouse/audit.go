package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/duration"
)

func (a *app) auditCommand() *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "The audit log: list, verify, checkpoint"}
	c.AddCommand(a.auditList(), a.auditVerify(), a.auditCheckpoint(), a.auditProof())
	return c
}

func (a *app) auditList() *cobra.Command {
	var kind, actor, target, outcome, from, to string
	var limit int
	c := &cobra.Command{Use: "list", Short: "List events, newest first", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		q := url.Values{"limit": {strconv.Itoa(limit)}}
		var err error
		if from, err = instantOf("from", from, duration.Parse, time.Now()); err == nil {
			to, err = instantOf("to", to, duration.Parse, time.Now())
		}
		if err != nil {
			return usagef("%v", err)
		}
		if outcome != "" {
			if err := oneOf("outcome", outcome, "success", "failure", "error"); err != nil {
				return err
			}
		}
		if limit < 1 || limit > 1000 {
			return usagef("--limit: %d is not from 1 to 1000", limit)
		}
		if actor, err = a.subjectID(c.Context(), actor); err != nil {
			return err
		}
		for name, v := range map[string]string{"kind": kind, "actor": actor, "target": target, "outcome": outcome, "from": from, "to": to} {
			if v != "" {
				q.Set(name, v)
			}
		}
		var p page
		if err := a.call(c.Context(), "GET", a.realmPath("audit", "events")+"?"+q.Encode(), nil, &p); err != nil {
			return err
		}
		return a.print(p.Items, func(w io.Writer) {
			rows := [][]string{{"TIME", "KIND", "OUTCOME", "ACTOR", "TARGET", "METHOD", "PATH", "STATUS", "REASON", "REQUEST"}}
			for _, e := range p.Items {
				actor, _ := e["actor"].(object)
				target, _ := e["target"].(object)
				status := text(e["status"])
				if status == "0" {
					status = "" // no request
				}
				rows = append(rows, []string{text(e["time"]), text(e["kind"]), text(e["outcome"]), first(actor["name"], actor["id"]),
					strings.TrimSuffix(text(target["type"])+" "+text(target["id"]), " "),
					text(e["method"]), text(e["path"]), status, text(e["reason"]), text(e["request_id"])})
			}
			table(w, rows)
		})
	}}
	c.Flags().StringVar(&kind, "kind", "", "only events of this kind; a trailing dot takes all that begin so: key.")
	c.Flags().StringVar(&actor, "actor", "", "only events of this user or service, by name or id")
	c.Flags().StringVar(&target, "target", "", "only events about this target, by id")
	c.Flags().StringVar(&outcome, "outcome", "", "success, failure or error")
	c.Flags().StringVar(&from, "from", "", "not before: 2026-01-31T08:00:00Z, 2026-01-31, or how long ago: 24h, 7d")
	c.Flags().StringVar(&to, "to", "", "not after, written in the same way")
	c.Flags().IntVar(&limit, "limit", 50, "at most this many, up to 1000")
	return c
}

// subjectID returns the id of an account by its name. What looks like an id is one:
// accounts that are gone have events, too.
func (a *app) subjectID(ctx context.Context, name string) (string, error) {
	if name == "" || strings.Contains(name, "_") {
		return name, nil
	}
	var u object
	if err := a.call(ctx, "GET", a.realmPath("users", name), nil, &u); err != nil {
		return "", err
	}
	return text(u["id"]), nil
}

func first(values ...any) string {
	for _, v := range values {
		if t := text(v); t != "" {
			return t
		}
	}
	return ""
}

func (a *app) auditVerify() *cobra.Command {
	var saved []string
	var index int64
	c := &cobra.Command{
		Use:   "verify",
		Short: "Prove that nothing was changed, inserted or removed; exit code 1 when something was",
		Long: `Recomputes the whole log of the realm from its stored events and compares it with every signed checkpoint.
With --checkpoint FILE (saved earlier with ` + "`gatehouse audit checkpoint`" + `) it also proves that today's log is a
continuation of that one: this is what tells a log that was rewritten as a whole. Two of them also prove the later one
to be a continuation of the earlier. With --index N it proves that one event is in the log.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			body := object{}
			checkpoints := []string{}
			for _, file := range saved {
				b, err := a.readFileOrStdin(file, 64<<10)
				if err != nil {
					return err
				}
				checkpoints = append(checkpoints, string(b))
			}
			body["checkpoints"] = checkpoints
			if c.Flags().Changed("index") {
				body["index"] = index
			}
			var out object
			if err := a.ask(c.Context(), a.realmPath("audit", "verify"), body, &out); err != nil {
				return err
			}
			if err := a.show(out); err != nil {
				return err
			}
			if ok, _ := out["ok"].(bool); !ok {
				return &silentError{exitFailure}
			}
			return nil
		},
	}
	c.Flags().StringArrayVar(&saved, "checkpoint", nil, "checkpoint saved earlier; given twice, also proves one the continuation of the other")
	c.Flags().Int64Var(&index, "index", 0, "prove that the event with this index is in the log")
	return c
}

func (a *app) auditCheckpoint() *cobra.Command {
	return &cobra.Command{Use: "checkpoint", Short: "Print the newest signed checkpoint; keep it elsewhere", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		var out object
		if err := a.call(c.Context(), "GET", a.realmPath("audit", "checkpoint"), nil, &out); err != nil {
			return err
		}
		return a.print(out, func(w io.Writer) { fmt.Fprint(w, text(out["note"])) })
	}}
}

func (a *app) auditProof() *cobra.Command {
	return &cobra.Command{Use: "proof INDEX", Short: "Print the proof that one event is in the log", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		if _, err := strconv.ParseInt(args[0], 10, 64); err != nil {
			return usagef("%q is no INDEX of an event: that is a whole number from 0", args[0])
		}
		return a.get(c.Context(), a.realmPath("audit", "proof")+"?index="+args[0])
	}}
}
