package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/admin/mails"
)

const (
	// mailPatience is how long a test message is waited for: a try with all its bounds.
	mailPatience = time.Minute
	mailAsk      = 500 * time.Millisecond
)

func (a *app) mailCommand() *cobra.Command {
	c := &cobra.Command{Use: "mail", Short: "Messages to people: what waits, and a try whether mail arrives"}
	var state string
	list := &cobra.Command{
		Use:   "list",
		Short: "List the messages of the last two weeks: what waits, what was sent or given up",
		Long: `Lists messages to people, of all realms, the oldest first. It shows to whom and about what, how often it was tried and what the
mail server answered, and never what a message says.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			all := []mails.Mail{}
			for after := ""; ; {
				var out kernel.Page[mails.Mail]
				query := url.Values{"limit": {fmt.Sprint(kernel.MaxPage)}}
				for name, v := range map[string]string{"after": after, "state": state} {
					if v != "" {
						query.Set(name, v)
					}
				}
				if err := a.call(c.Context(), "GET", "/mails?"+query.Encode(), nil, &out); err != nil {
					return err
				}
				all = append(all, out.Items...)
				if after = out.Next; after == "" {
					return a.print(all, func(w io.Writer) { printMails(w, all) })
				}
			}
		},
	}
	list.Flags().StringVar(&state, "state", "", "only those: waiting, sent or failed")
	c.AddCommand(list, &cobra.Command{
		Use:   "test ADDRESS",
		Short: "Send a test message, and say what came of it",
		Long: `Queues a test message and waits until the mail server has taken or refused it, for up to a minute. A refusal that may pass is
tried again later; the list tells how it went on.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var m mails.Mail
			if err := a.call(c.Context(), "POST", "/mails", mails.NewMail{To: args[0]}, &m); err != nil {
				return err
			}
			if err := a.tried(c.Context(), &m); err != nil {
				return err
			}
			switch {
			case m.State == "sent":
				return a.done("message %s was taken by the mail server", m.ID)
			case m.Tries == 0:
				return fmt.Errorf("message %s waits, and was not tried within %s: no node sends, or others wait before it (`gatehouse mail list`)", m.ID, mailPatience)
			case m.State == "waiting":
				return fmt.Errorf("message %s was not sent, and is tried again: %s", m.ID, printable(m.Error))
			}
			return fmt.Errorf("message %s was refused: %s", m.ID, printable(m.Error))
		},
	})
	return c
}

// tried asks for m until it was tried, or for long enough.
func (a *app) tried(ctx context.Context, m *mails.Mail) error {
	ctx, cancel := context.WithTimeout(ctx, mailPatience)
	defer cancel()
	tick := time.NewTicker(mailAsk)
	defer tick.Stop()
	for m.State == "waiting" && m.Tries == 0 {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := a.call(ctx, "GET", "/mails/"+url.PathEscape(m.ID), nil, m); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func printMails(w io.Writer, all []mails.Mail) {
	rows := [][]string{{"ID", "STATE", "REALM", "MESSAGE", "TO", "TRIES", "CREATED", "NEXT", "ERROR"}}
	for _, m := range all {
		next := ""
		if !m.NextAt.IsZero() {
			next = m.NextAt.Format(time.RFC3339)
		}
		rows = append(rows, []string{m.ID, m.State, m.Realm, m.Message, m.To, fmt.Sprint(m.Tries), m.CreatedAt.Format(time.RFC3339), next, m.Error})
	}
	table(w, rows)
}
