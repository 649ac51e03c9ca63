package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/rules"
	"github.com/gatehouse-auth/gatehouse/policy"
)

const maxPolicyFile = 256 << 10

func (a *app) policyCommand() *cobra.Command {
	c := &cobra.Command{Use: "policy", Short: "Cedar policies: check, store, explain"}
	var disabled bool
	put := &cobra.Command{Use: "put ID FILE", Short: "Create or replace a policy; what does not validate is not stored", Args: cobra.ExactArgs(2), RunE: func(c *cobra.Command, args []string) error {
		b, err := a.readFileOrStdin(args[1], maxPolicyFile)
		if err != nil {
			return err
		}
		var out object
		if err := a.call(c.Context(), "PUT", a.realmPath("policies", args[0]), object{"text": string(b), "disabled": disabled}, &out); err != nil {
			return err
		}
		return a.show(out)
	}}
	put.Flags().BoolVar(&disabled, "disabled", false, "store it without letting it decide")
	c.AddCommand(a.policyCheck(), a.policyExplain(), put, a.policySchema(),
		&cobra.Command{Use: "list", Short: "List policies", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			return a.list(c.Context(), a.realmPath("policies"), nil, "id", "disabled", "updated_at")
		}},
		&cobra.Command{Use: "show ID", Short: "Print a policy", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			return a.getText(c.Context(), a.realmPath("policies", args[0]))
		}},
		&cobra.Command{Use: "delete ID", Short: "Delete a policy", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			if err := a.call(c.Context(), "DELETE", a.realmPath("policies", args[0]), nil, nil); err != nil {
				return err
			}
			return a.done("policy %s is deleted", args[0])
		}},
	)
	return c
}

func (a *app) policySchema() *cobra.Command {
	c := &cobra.Command{Use: "schema", Short: "The realm's Cedar schema"}
	c.AddCommand(
		&cobra.Command{Use: "show", Short: "Print the schema", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			return a.getText(c.Context(), a.realmPath("schema"))
		}},
		&cobra.Command{Use: "put FILE", Short: "Replace the schema; every policy must validate against it", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			b, err := a.readFileOrStdin(args[0], maxPolicyFile)
			if err != nil {
				return err
			}
			if err := a.call(c.Context(), "PUT", a.realmPath("schema"), object{"text": string(b)}, nil); err != nil {
				return err
			}
			return a.done("the schema is replaced")
		}},
	)
	return c
}

// policyExplain asks the live decision point, and says why.
func (a *app) policyExplain() *cobra.Command {
	var action, resource, attributes, contextJSON string
	var files []string
	c := &cobra.Command{
		Use:   "explain --principal USER --action ACTION --resource TYPE/ID",
		Short: "Ask whether somebody may do something, and why; exit code 3 when denied",
		Long: "Ask the live decision point whether somebody may do something, and why. With --try FILE it answers as if the file were\n" +
			"stored under its name without .cedar; nothing is stored. Exit code 3 when denied.",
		Example: `  gatehouse policy explain --principal bob --action read --resource Document/1 --attributes '{"visibility":"public"}'`,
		Args:    cobra.NoArgs,
	}
	var principal string
	c.Flags().StringVar(&principal, "principal", "", "user, by name or id")
	c.Flags().StringVar(&action, "action", "", "action")
	c.Flags().StringVar(&resource, "resource", "", "TYPE/ID")
	c.Flags().StringVar(&attributes, "attributes", "", "attributes of the resource, as a JSON object")
	c.Flags().StringVar(&contextJSON, "context", "", "facts of the request to assume, as a JSON object, such as {\"address\":\"192.0.2.1\"}")
	c.Flags().StringArrayVar(&files, "try", nil, "policy file to try without storing it; may be given again")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if principal == "" || action == "" || resource == "" {
			return usagef("--principal, --action and --resource are needed; see %s --help", c.CommandPath())
		}
		typ, id, ok := cutResource(resource)
		if !ok {
			return usagef("--resource: %q is not of the form TYPE/ID, such as Document/1", resource)
		}
		res := object{"type": typ, "id": id}
		body := object{"principal": principal, "action": action, "resource": res}
		for _, f := range []struct {
			name, text string
			into       object
		}{{"attributes", attributes, res}, {"context", contextJSON, body}} {
			if f.text == "" {
				continue
			}
			o, err := jsonObject("--"+f.name, []byte(f.text))
			if err != nil {
				return err
			}
			f.into[f.name] = o
		}
		if len(files) > 0 {
			texts := object{}
			for _, file := range files {
				b, err := a.readFileOrStdin(file, maxPolicyFile)
				if err != nil {
					return err
				}
				texts[strings.TrimSuffix(filepath.Base(file), ".cedar")] = string(b)
			}
			body["policies"] = texts
		}
		var out rules.Answer
		if err := a.ask(c.Context(), a.realmPath("decisions"), body, &out); err != nil {
			return err
		}
		x := policy.Explanation{Principal: principal, Action: action, Resource: resource, Considered: out.Considered, Total: out.Total, Policies: out.Policies,
			Decision: gatehouse.Decision{Allowed: out.Allowed, Code: out.Code, Errors: out.Errors}}
		if err := a.print(out, func(w io.Writer) {
			for line := range strings.Lines(x.String()) {
				fmt.Fprintln(w, printable(strings.TrimSuffix(line, "\n")))
			}
		}); err != nil {
			return err
		}
		if !out.Allowed {
			return &silentError{exitDenied}
		}
		return nil
	}
	return c
}

func cutResource(s string) (typ, id string, ok bool) {
	for i := range len(s) {
		if s[i] == '/' {
			return s[:i], s[i+1:], i > 0 && i+1 < len(s)
		}
	}
	return "", "", false
}

// policyCheck compiles policies without a server: what it accepts, `put` does.
func (a *app) policyCheck() *cobra.Command {
	var schemaFile string
	c := &cobra.Command{
		Use:   "check FILE…",
		Short: "Check policies without storing them; with --schema also their types",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			in := policy.Input{CheckFacts: true}
			names := map[string]string{}
			for _, file := range args {
				b, err := a.readFileOrStdin(file, maxPolicyFile)
				if err != nil {
					return err
				}
				id := fmt.Sprintf("file%d", len(in.Documents)+1)
				names["policy "+id] = file // as Compile names its sources
				in.Documents = append(in.Documents, policy.Document{ID: id, Text: string(b)})
			}
			if schemaFile != "" {
				b, err := a.readFileOrStdin(schemaFile, maxPolicyFile)
				if err != nil {
					return err
				}
				in.Schema = &policy.Schema{Text: string(b)}
			}
			set, err := policy.Compile(in)
			var problems policy.Problems
			if errors.As(err, &problems) {
				for i, p := range problems {
					if file, ok := names[p.Source]; ok {
						problems[i].Source = file
					}
				}
				return a.policyProblems(problems)
			}
			if err != nil {
				return err
			}
			return a.print(object{"ok": true, "policies": set.Len()}, func(w io.Writer) { fmt.Fprintf(w, "%d policies are good\n", set.Len()) })
		},
	}
	c.Flags().StringVar(&schemaFile, "schema", "", "schema that the policies must validate against")
	return c
}

func (a *app) policyProblems(problems policy.Problems) error {
	out := []object{}
	for _, p := range problems {
		out = append(out, object{"source": p.Source, "policy": p.Policy, "line": p.Line, "column": p.Column, "message": p.Message})
	}
	err := a.print(object{"ok": false, "problems": out}, func(w io.Writer) {
		for _, p := range problems {
			fmt.Fprintln(w, printable(p.String()))
		}
	})
	return errors.Join(err, &silentError{exitUsage})
}
