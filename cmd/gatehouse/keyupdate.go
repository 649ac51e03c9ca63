package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// keyLimits are the flags for notes and quotas, the same for a new key and for one
// that is changed.
type keyLimits struct {
	metadata   []string
	day, month int64
}

func (l *keyLimits) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&l.metadata, "metadata", nil, "note about the key, as name=value; may be repeated; never a secret")
	c.Flags().Int64Var(&l.day, "quota-day", 0, "most uses in a day (UTC); 0: any number")
	c.Flags().Int64Var(&l.month, "quota-month", 0, "most uses in a month (UTC); 0: any number")
}

// put adds the members that were given to the body of a request.
func (l *keyLimits) put(c *cobra.Command, body object) error {
	if c.Flags().Changed("metadata") {
		notes := object{}
		for _, note := range l.metadata {
			if note == "" && len(l.metadata) == 1 {
				break // --metadata "" removes all of them
			}
			name, value, ok := strings.Cut(note, "=")
			if _, twice := notes[name]; !ok || name == "" || twice {
				return usagef("--metadata %q: write name=value, each name once", note)
			}
			notes[name] = value
		}
		body["metadata"] = notes
	}
	if c.Flags().Changed("quota-day") {
		body["quota_day"] = l.day
	}
	if c.Flags().Changed("quota-month") {
		body["quota_month"] = l.month
	}
	return nil
}

func (a *app) keyUpdate() *cobra.Command {
	var limits keyLimits
	var name string
	var scopes, nets []string
	c := &cobra.Command{
		Use:   "update KEY",
		Short: "Rename or narrow a key, or change its notes and quotas; what is not named stays as it is",
		Example: `  gatehouse key update $KEY_ID --name "nightly export" --scope documents:read
  gatehouse key update $KEY_ID --quota-day 10000 --metadata contract=4711`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			body := object{}
			if c.Flags().Changed("name") {
				body["name"] = name
			}
			if c.Flags().Changed("scope") {
				body["scopes"] = append([]string{}, scopes...)
			}
			if c.Flags().Changed("allow-from") {
				body["allowed_nets"] = append([]string{}, nets...)
			}
			if err := limits.put(c, body); err != nil {
				return err
			}
			if len(body) == 0 {
				return errNothing
			}
			var out object
			if err := a.call(c.Context(), "PATCH", a.realmPath("keys", args[0]), body, &out); err != nil {
				return err
			}
			return a.show(out)
		},
	}
	limits.add(c)
	c.Flags().StringVar(&name, "name", "", "what the key is for")
	c.Flags().StringSliceVar(&scopes, "scope", nil, "keep only this of what the key may do; may be repeated")
	c.Flags().StringSliceVar(&nets, "allow-from", nil, "accept the key only from this network, within those it has; may be repeated")
	return c
}

// keySwitch is disable and enable.
func (a *app) keySwitch(verb string, disabled bool) *cobra.Command {
	short := "Refuse a key until it is enabled again"
	if !disabled {
		short = "Accept a disabled key again"
	}
	return &cobra.Command{Use: verb + " KEY", Short: short, Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		if err := a.call(c.Context(), "PATCH", a.realmPath("keys", args[0]), object{"disabled": disabled}, nil); err != nil {
			return err
		}
		return a.done("key %s is %sd", args[0], verb)
	}}
}
