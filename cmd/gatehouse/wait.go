package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/client"
	"github.com/gatehouse-auth/gatehouse/internal/duration"
)

// waiter is what came of --wait.
type waiter struct {
	text string // of the flag; "" does not wait
	last *adminhttp.Wait
	told bool // it was printed already
}

// change does one request of the management API that changes something, and with --wait
// has it answered when all nodes know.
func (a *app) change(ctx context.Context, c *client.Client, method, path string, in, out any) error {
	if a.wait.text == "" {
		return c.Do(ctx, method, path, in, out)
	}
	atMost, err := duration.Parse(a.wait.text)
	if err != nil || atMost <= 0 || atMost > adminhttp.MaxWait {
		return usagef("--wait: %q is not a duration of at most %v", a.wait.text, adminhttp.MaxWait)
	}
	var told adminhttp.Wait
	if err := c.DoAndWait(ctx, method, path, in, out, atMost, &told); err != nil {
		return err
	}
	a.wait.last = &told // each comes after the changes before it, so the last one is about all
	return nil
}

// waited tells what came of --wait, on standard error, so that what a command prints stays
// what it is; it returns the exit code.
func (a *app) waited() int {
	w := a.wait.last
	switch {
	case a.wait.text == "":
		return exitOK
	case w == nil:
		fmt.Fprintln(a.errOut, "gatehouse: --wait: there was no change to wait for")
		return exitOK
	}
	a.tellWait()
	switch w.Outcome {
	case "proven":
		return exitOK
	case "pending":
		return exitPending
	}
	return exitUnproven
}

// tellWait prints what came of waiting, once.
func (a *app) tellWait() {
	switch w := a.wait.last; {
	case a.wait.told || w == nil:
		return
	case a.json:
		_ = (&app{out: a.errOut}).printLine(object{"wait": w})
	default:
		printWait(a.errOut, w)
	}
	a.wait.told = true
}

// outsiders are those who are no nodes, as [adminhttp.Outside.Who] names them.
var outsiders = map[string]string{
	"key_set":     "programs that check tokens by the key set alone",
	"status_list": "programs that read status lists",
	"stream":      "programs that follow the stream of revocations",
	"open":        "open WebSockets and event streams",
}

func printWait(out io.Writer, w *adminhttp.Wait) {
	switch w.Outcome {
	case "proven":
		fmt.Fprintf(out, "proven after %d ms: no node answers without this any more\n", w.Took)
	case "pending":
		fmt.Fprintf(out, "pending after %d ms: the change is made, and a node may still answer without it\n", w.Took)
	default:
		fmt.Fprintf(out, "failed: the change is made, and nothing is known of the other nodes: %s\n", printable(w.Reason))
	}
	rows := [][]string{}
	for _, n := range w.Nodes {
		state := n.State
		if state != "pending" {
			state += fmt.Sprintf(" after %d ms", n.After)
		} else if n.MaxStaleness == 0 {
			state += ", and goes on however old its view is"
		}
		rows = append(rows, []string{"  node " + n.ID, n.Host, state})
		for _, v := range n.Verdicts {
			verdict := "refused: " + v.Reason
			if !v.Refused {
				verdict = "LET IN"
			}
			rows = append(rows, []string{"    " + v.Kind + " " + printable(v.ID), "", verdict})
		}
	}
	for _, o := range w.Outside {
		who, known := outsiders[o.Who]
		if !known {
			who = o.Who
		}
		rows = append(rows, []string{"  not proven", who, "until " + o.Until.Format(time.RFC3339) + " at the latest"})
	}
	table(out, rows)
}
