package nodes

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
)

// Operations puts the use cases about nodes into the management API.
func (s *Service) Operations(a *adminhttp.API) {
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodGet, Path: "/nodes", ID: "list-nodes", Tag: "nodes",
		Summary: "The processes that share the database, and how far each has applied what the others changed"},
		func(ctx context.Context, actor *gatehouse.Principal, _ *adminhttp.None) (*adminhttp.Out[kernel.List[Node]], error) {
			items, err := s.List(ctx, actor)
			return adminhttp.Answer(kernel.List[Node]{Items: items}, err)
		})
	adminhttp.Handle(a, adminhttp.Operation{Method: http.MethodDelete, Path: "/nodes/{node}", ID: "remove-node", Tag: "nodes", Conflicts: true,
		Summary: "Say that a silent node has stopped for good: nobody waits for it any more"},
		func(ctx context.Context, actor *gatehouse.Principal, in *struct {
			Node string `path:"node" maxLength:"64" doc:"Node id"`
		}) (*adminhttp.None, error) {
			return &adminhttp.None{}, s.Remove(ctx, actor, in.Node)
		})
}
