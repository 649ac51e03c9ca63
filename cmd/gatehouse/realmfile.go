package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/admin/realmfile"
)

const realmFileHead = `# Realm %s, as gatehouse realm export writes it. It holds no secrets.
# A section that is left out is not touched by gatehouse realm apply.
`

// realmFileCommands are export, plan and apply.
func (a *app) realmFileCommands() []*cobra.Command {
	var withoutUsers bool
	export := &cobra.Command{Use: "export [FILE]", Short: "Write the realm as a file, without secrets (YAML; JSON with --json)", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var out struct {
				File object `json:"file"`
			}
			path := a.realmPath("file")
			if withoutUsers {
				path += "?without_users=true"
			}
			if err := a.call(c.Context(), "GET", path, nil, &out); err != nil {
				return err
			}
			text, err := realmYAML(a.realmName(), out.File)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return os.WriteFile(args[0], text, 0o600)
			}
			return a.print(out.File, func(w io.Writer) { _, _ = w.Write(text) })
		}}
	export.Flags().BoolVar(&withoutUsers, "without-users", false, "leave the users out")
	var in realmfile.FileInput
	var detailed bool
	plan := &cobra.Command{Use: "plan FILE", Short: "Show what a file would change in the realm (YAML or JSON; - is standard input)", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			out, err := a.realmFile(c, args[0], "plan", &in)
			if err != nil {
				return err
			}
			if err := a.printPlan(out, "to ", in.Prune); err != nil {
				return err
			}
			if detailed && len(out.Changes) > 0 {
				return &silentError{2}
			}
			return nil
		}}
	plan.Flags().BoolVar(&detailed, "detailed-exitcode", false, "end with 2 when there are changes, 0 when there are none, 1 on errors")
	apply := &cobra.Command{Use: "apply FILE", Short: "Make the realm as a file says, all of it or nothing (YAML or JSON; - is standard input)", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			out, err := a.realmFile(c, args[0], "apply", &in)
			if err != nil {
				return err
			}
			return a.printPlan(out, "", in.Prune)
		}}
	for _, c := range []*cobra.Command{plan, apply} {
		c.Flags().BoolVar(&in.Prune, "prune", false, "remove what a section of the file does not list")
		c.Flags().StringVar(&in.Fingerprint, "fingerprint", "", "refuse when the realm is not as the plan with this fingerprint saw it")
	}
	return []*cobra.Command{export, plan, apply}
}

// realmFile reads the file and sends it.
func (a *app) realmFile(c *cobra.Command, name, verb string, in *realmfile.FileInput) (out realmfile.RealmPlan, err error) {
	b, err := a.readFileOrStdin(name, realmfile.MaxRealmFile)
	if err != nil {
		return out, err
	}
	if in.File, err = readRealmFile(b); err != nil {
		return out, usagef("%s: %v", name, err)
	}
	post := a.post
	if verb == "plan" {
		post = a.ask
	}
	return out, withLines(b, post(c.Context(), a.realmPath("file", verb), in, &out))
}

// printPlan shows changes with what was and what will be.
func (a *app) printPlan(p realmfile.RealmPlan, to string, pruning bool) error {
	return a.print(p, func(w io.Writer) {
		for _, ch := range p.Changes {
			fmt.Fprintf(w, "%s%s %s %s\n", to, ch.Action, ch.Kind, printable(ch.Name))
			if ch.Refused != "" {
				fmt.Fprintf(w, "  you may not make this change: %s\n", printable(ch.Refused))
			}
			if ch.Action != "add" {
				showSide(w, "-", ch.Old, ch.New)
			}
			if ch.Action != "remove" {
				showSide(w, "+", ch.New, ch.Old)
			}
		}
		for _, ch := range p.Unlisted {
			why := "kept without --prune"
			if pruning {
				why = "kept, for it is your own account"
			}
			fmt.Fprintf(w, "not in the file, %s: %s %s\n", why, ch.Kind, printable(ch.Name))
		}
		fmt.Fprintf(w, "changes: %d; fingerprint of the realm before: %s\n", len(p.Changes), p.Fingerprint)
	})
}

// showSide prints the lines of one side that the other does not have.
func showSide(w io.Writer, mark string, v, other any) {
	elsewhere := map[string]bool{}
	for _, line := range linesOf(other) {
		elsewhere[line] = true
	}
	for _, line := range linesOf(v) {
		if !elsewhere[line] {
			fmt.Fprintf(w, "  %s %s\n", mark, printable(line))
		}
	}
}

func linesOf(v any) []string {
	if v == nil {
		return nil
	}
	text, err := yamlText(v)
	if err != nil {
		return []string{fmt.Sprint(v)}
	}
	return strings.Split(strings.TrimRight(string(text), "\n"), "\n")
}
