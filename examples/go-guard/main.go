// Command go-guard is an API in Go that Gatehouse's guard protects.
//
// It checks access tokens itself, or, with -behind-gateway, the signed word of
// the gateway about who calls.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/guard"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:3000", "address to listen on")
	issuer := flag.String("issuer", "", "issuer URL of the realm")
	audience := flag.String("audience", "", "what tokens must be meant for; the issuer when empty")
	behind := flag.Bool("behind-gateway", false, "read the gateway's assertion; -audience is then this API's name in gatehouse.yaml")
	local := flag.Bool("local", false, "the issuer is on this machine or network, perhaps without TLS")
	follow := flag.Bool("follow", false, "follow revocations with the API key in GATEHOUSE_KEY")
	events := flag.String("events", "", "address of the stream of revocations, where it does not follow from the issuer")
	stale := flag.Duration("max-staleness", 0, "how long to go on without hearing of revocations")
	lists := flag.Bool("read-lists", false, "past max-staleness, read the status lists in place of refusing")
	flag.Parse()
	if *audience == "" {
		*audience = *issuer
	}

	var following *guard.Follow
	if *follow {
		following = &guard.Follow{Key: gatehouse.Secret(os.Getenv("GATEHOUSE_KEY")), URL: *events, MaxStaleness: *stale, ReadLists: *lists}
	}
	g, err := guard.NewRemote(guard.RemoteConfig{
		Issuer:              *issuer,
		Audience:            *audience,
		Assertions:          *behind,
		AllowPrivateAddress: *local,
		Follow:              following,
		Routes: []enforce.Route{ // what is not here does not exist
			{Pattern: "GET /public", Anonymous: true},
			{Pattern: "GET /private", Authenticated: true},
			{Pattern: "GET /notes", Scopes: []string{"notes:read"}},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()

	api := http.NewServeMux()
	api.HandleFunc("GET /public", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{"message": "Hello, world!"})
	})
	api.HandleFunc("GET /private", func(w http.ResponseWriter, r *http.Request) {
		p := guard.Principal(r.Context())
		answer(w, map[string]any{"message": "This is the private page", "subject": p.ID, "user": p.Name, "roles": p.Roles})
	})
	api.HandleFunc("GET /notes", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{"notes": []string{}, "subject": guard.Principal(r.Context()).ID})
	})
	srv := &http.Server{Addr: *listen, Handler: g.Handler(api), ReadHeaderTimeout: 10 * time.Second}
	log.Print(srv.ListenAndServe())
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the caller has gone, if anything
}
