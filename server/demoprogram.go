package server

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
	"github.com/gatehouse-auth/gatehouse/examples/program"
)

// demoScope is what the demo's program asks people for.
const demoScope = "documents:read offline_access"

// startProgram registers a program that acts for people, and starts it beside the server, as somebody would have it on a machine.
func (d *Demo) startProgram(ctx context.Context) error {
	api, err := client.New(d.Issuer, gatehouse.Secret(d.AdminToken))
	if err != nil {
		return err
	}
	var made struct {
		ID string `json:"client_id"`
	}
	if err := api.Do(ctx, "POST", "/realms/main/clients", map[string]any{"client_name": "A small program", "token_endpoint_auth_method": "none",
		"grant_types": []string{"authorization_code", "refresh_token"}, "redirect_uris": []string{"http://127.0.0.1/back"}, "scope": demoScope}, &made); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	d.Program, err = d.serve("127.0.0.1:0", program.New(program.Config{Issuer: d.Issuer, Client: made.ID, Scope: demoScope}))
	return err
}
