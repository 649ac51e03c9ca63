// Command call uses the client that oapi-codegen makes of the management API's document: it
// reads who the caller is, and changes a setting. scripts/test-openapi makes client.go.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	c, err := NewClientWithResponses(os.Getenv("GATEHOUSE_URL"), WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+os.Getenv("GATEHOUSE_TOKEN"))
		return nil
	}))
	if err != nil {
		return err
	}
	me, err := c.MeWithResponse(ctx)
	if err != nil || me.JSON200 == nil {
		return fmt.Errorf("me: %v %s", err, me.Body)
	}
	patch := RealmPatch{}
	patch.Title = new(string)
	*patch.Title = "by go"
	realm, err := c.UpdateRealmWithResponse(ctx, "main", nil, patch)
	if err != nil || realm.JSON200 == nil {
		return fmt.Errorf("realm: %v %s", err, realm.Body)
	}
	missing, err := c.GetRealmWithResponse(ctx, "none")
	if err != nil || missing.ApplicationproblemJSON404 == nil {
		return fmt.Errorf("a realm that is not there: %v %s", err, missing.Body)
	}
	fmt.Println(me.JSON200.Kind, realm.JSON200.Title, missing.ApplicationproblemJSON404.Code)
	return nil
}
