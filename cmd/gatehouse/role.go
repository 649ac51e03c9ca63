package main

import (
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) roleCommand() *cobra.Command {
	c := &cobra.Command{Use: "role", Short: "Roles and what they permit"}
	var description string
	var parents, permissions []string
	put := &cobra.Command{
		Use:   "put NAME",
		Short: "Create or replace a role",
		Example: `  gatehouse role put editor --permit Document:read,update --parent viewer
  gatehouse role put admin --permit 'Document:*'`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			body := object{"description": description, "parents": append([]string{}, parents...)}
			perms := []object{}
			for _, p := range permissions {
				typ, actions, ok := strings.Cut(p, ":")
				if !ok || typ == "" || actions == "" {
					return usagef("--permit %s: TYPE:ACTION,ACTION", p)
				}
				perms = append(perms, object{"resource_type": typ, "actions": strings.Split(actions, ",")})
			}
			body["permissions"] = perms
			var out object
			if err := a.call(c.Context(), "PUT", a.realmPath("roles", args[0]), body, &out); err != nil {
				return err
			}
			return a.show(out)
		},
	}
	put.Flags().StringVar(&description, "description", "", "what the role is for")
	put.Flags().StringSliceVar(&parents, "parent", nil, "role whose permissions this one has too; may be repeated")
	put.Flags().StringArrayVar(&permissions, "permit", nil, "TYPE:ACTION,ACTION ('*' for all); may be repeated")
	c.AddCommand(put,
		&cobra.Command{Use: "list", Short: "List roles", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			return a.list(c.Context(), a.realmPath("roles"), nil, "name", "parents", "permissions", "description")
		}},
		&cobra.Command{Use: "show NAME", Short: "Show a role", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			return a.get(c.Context(), a.realmPath("roles", args[0]))
		}},
		&cobra.Command{Use: "delete NAME", Short: "Delete a role that nobody holds", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			if err := a.call(c.Context(), "DELETE", a.realmPath("roles", args[0]), nil, nil); err != nil {
				return err
			}
			return a.done("role %s is deleted", args[0])
		}},
		a.roleAssign("assign", "Give a user a role", true), a.roleAssign("unassign", "Take a role from a user", false),
	)
	return c
}

func (a *app) roleAssign(use, short string, give bool) *cobra.Command {
	return &cobra.Command{Use: use + " USER ROLE", Short: short, Args: cobra.ExactArgs(2), RunE: func(c *cobra.Command, args []string) error {
		var u struct {
			Roles   []string `json:"roles"`
			Version int64    `json:"version"` // nobody's change in between is lost
		}
		path := a.realmPath("users", args[0])
		var raw json.RawMessage
		if err := a.call(c.Context(), "GET", path, nil, &raw); err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &u); err != nil {
			return err
		}
		roles := []string{}
		for _, r := range u.Roles {
			if r != args[1] {
				roles = append(roles, r)
			}
		}
		if give {
			roles = append(roles, args[1])
		}
		var out object
		if err := a.call(c.Context(), "PATCH", path, object{"roles": roles, "version": u.Version}, &out); err != nil {
			return err
		}
		return a.show(out)
	}}
}
