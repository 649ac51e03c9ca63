package main

import (
	"encoding/json"
	"os"

	"github.com/spf13/cobra"
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
		&cobra.Command{Use: "show ID", Short: "Show a policy", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			return a.get(c.Context(), a.realmPath("policies", args[0]))
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
			return a.get(c.Context(), a.realmPath("schema"))
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
	var action, resource, attributes, contextJSON, roles string
	c := &cobra.Command{
		Use:     "explain --principal USER --action ACTION --resource TYPE/ID",
		Short:   "Ask whether somebody may do something, and why; exit code 3 when denied",
		Example: `  gatehouse policy explain --principal bob --action read --resource Document/1 --attributes '{"visibility":"public"}'`,
		Args:    cobra.NoArgs,
	}
	var principal string
	c.Flags().StringVar(&principal, "principal", "", "user, by name or id")
	c.Flags().StringVar(&action, "action", "", "action")
	c.Flags().StringVar(&resource, "resource", "", "TYPE/ID")
	c.Flags().StringVar(&attributes, "attributes", "", "attributes of the resource, as a JSON object")
	c.Flags().StringVar(&contextJSON, "context", "", "context, as a JSON object")
	_ = roles
	for _, f := range []string{"principal", "action", "resource"} {
		_ = c.MarkFlagRequired(f)
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		typ, id, ok := cutResource(resource)
		if !ok {
			return usagef("--resource: TYPE/ID")
		}
		res := object{"type": typ, "id": id}
		body := object{"principal": principal, "action": action, "resource": res}
		for flag, into := range map[string]func(object){attributes: func(o object) { res["attributes"] = o }, contextJSON: func(o object) { body["context"] = o }} {
			if flag == "" {
				continue
			}
			var o object
			if err := json.Unmarshal([]byte(flag), &o); err != nil {
				return usagef("not a JSON object: --attributes and --context take one")
			}
			into(o)
		}
		var out object
		if err := a.call(c.Context(), "POST", a.realmPath("decisions"), body, &out); err != nil {
			return err
		}
		if err := a.show(out); err != nil {
			return err
		}
		if allowed, _ := out["allowed"].(bool); !allowed {
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

// readIfSet reads a file, or nothing when the name is empty.
func readIfSet(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	b, err := os.ReadFile(name)
	return string(b), err
}
