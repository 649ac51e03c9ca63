package adminhttp

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/internal/duration"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
)

const (
	// WaitType is the media type of an answer to a request that asked to wait.
	WaitType = "application/vnd.gatehouse.wait+json"
	// DefaultWait and MaxWait bound for how long a request waits for the nodes. After a
	// minute of silence a node may take another one for gone, and go on alone.
	DefaultWait, MaxWait = 10 * time.Second, 30 * time.Second
)

// waited is the answer to a request that asked to wait (wait=nodes). The change stands,
// whatever it says.
type waited struct {
	// Status and Answer are of the answer that there would be without waiting.
	Status int  `json:"status"`
	Answer any  `json:"answer,omitempty"`
	Wait   Wait `json:"wait"`
}

// Wait says which nodes know of a change.
type Wait struct {
	// Outcome is proven: no node answers without the change any more; pending: a node may; or
	// failed: nothing is known of them, and Reason says why. The change stands in any case.
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"`
	// Took is counted from the end of the change.
	Took int64 `json:"took_ms"`
	// Nodes are those that may have answered without the change.
	Nodes []WaitedNode `json:"nodes"`
	// Outside is what no node can prove: who else may go by what was before, and until when.
	Outside []Outside `json:"outside"`
}

// WaitedNode is what is known of one node.
type WaitedNode struct {
	ID   string `json:"id"`
	Host string `json:"host"`
	// Answering is true of the node that gives this answer.
	Answering bool `json:"answering"`
	// State is confirmed, silent, pending or left, as [peers.State] has them.
	State string `json:"state"`
	// After is when State was known, from the end of the change.
	After int64 `json:"after_ms,omitzero"`
	// MaxStaleness is how old the node's view gets before it refuses. Absent: it goes on (a
	// route says stale: serve), so its silence proves nothing.
	MaxStaleness int64 `json:"max_staleness_ms,omitzero"`
	// Verdicts are what its checker makes of what a panic ended: what a request with it would
	// get at this node. Absent: it was not asked, or has not said, as one of an older version.
	Verdicts []Verdict `json:"verdicts,omitempty"`
}

// Verdict is what one node's checker makes of something that was ended.
type Verdict struct {
	// Kind is key: an API key; grant: the tokens of a login; or user, client or realm:
	// whatever was issued to it until the panic.
	Kind    string `json:"kind"`
	ID      string `json:"id"`
	Refused bool   `json:"refused"`
	// Reason is the code of the rule that refuses it.
	Reason string `json:"reason,omitempty"`
}

// Outside is somebody who checks credentials and is no node.
type Outside struct {
	// Who is key_set: programs that check tokens by the key set alone; status_list: those that
	// read status lists; stream: those that follow the stream of revocations; or open:
	// WebSockets and event streams through the gateway.
	Who string `json:"who"`
	// Until is the latest time.
	Until time.Time `json:"until"`
}

// Waiting is how the API waits for the nodes.
type Waiting struct {
	// Nodes waits until no node answers without what was committed before the call, for as
	// long as atMost, or until ctx ends; and asks each what its checker makes of some
	// credentials.
	Nodes func(ctx context.Context, atMost time.Duration, questions ...peers.Question) peers.Proof
	// Outside says who else may go by what was true in a realm before a moment, and until when.
	Outside func(ctx context.Context, realm string, at time.Time) []Outside
	Now     func() time.Time
}

// waits has an operation take wait, and describes it. Its answer then is described with the
// parameter, not among the answers of the operation: else each client that is generated from
// the document would have to tell two types apart at each change, though it never waits.
func (a *API) waits(h *huma.Operation) {
	a.waiting[h.Method+" "+h.Path] = true
	h.Parameters = append(h.Parameters, a.waitParams...)
}

func waitParams() []*huma.Param {
	lasts := durationSchema("").Schema(nil)
	lasts.PatternDescription = "" // no word of JSON Schema
	return []*huma.Param{
		{Name: "wait", In: "query", Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{"nodes"}},
			Description: "nodes: answer when no node goes by what was before. The answer is then " + WaitType + ": an object with outcome (proven, pending or failed), nodes and outside, and with status and answer, which are what the operation answers without this. 200 when it is proven, else 202; the change stands in any case"},
		{Name: "wait_for", In: "query", Schema: lasts,
			Description: "With wait: for how long at most, 10s by default, 30s at most"},
	}
}

// wait runs the operation, and then waits: its change has been committed when it answers.
func (a *API) wait(operation http.Handler, w http.ResponseWriter, r *http.Request, query url.Values) error {
	atMost, err := waitFor(query)
	if err != nil {
		return err
	}
	// The operation knows nothing of it, but that it may say what is to be asked.
	asking := &kernel.Asking{}
	r = r.Clone(kernel.WithAsking(r.Context(), asking))
	query.Del("wait")
	query.Del("wait_for")
	r.URL.RawQuery = query.Encode()
	kept := &keptAnswer{ResponseWriter: w, status: http.StatusOK}
	operation.ServeHTTP(kept, r)
	if kept.status < 200 || kept.status > 299 {
		w.WriteHeader(kept.status)
		_, _ = w.Write(kept.body.Bytes()) // who has gone hears nothing
		return nil
	}
	proof := a.c.Waiting.Nodes(r.Context(), atMost, asking.Questions()...)
	out := waited{Status: kept.status, Wait: waitView(proof, asking.Questions())}
	if kept.body.Len() > 0 {
		out.Answer = json.RawMessage(kept.body.Bytes())
	}
	if realm := r.PathValue("realm"); realm != "" {
		out.Wait.Outside = kernel.Some(a.c.Waiting.Outside(r.Context(), realm, a.c.Waiting.Now()))
	}
	body, err := json.Marshal(out)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", WaitType)
	w.Header().Del("Content-Length")
	status := http.StatusOK
	if out.Wait.Outcome != "proven" {
		status = http.StatusAccepted
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}

// waitFor reads for how long somebody wants to wait.
func waitFor(query url.Values) (time.Duration, error) {
	e := *kernel.ErrInput
	e.Fields = map[string]string{}
	atMost := DefaultWait
	if len(query["wait"]) != 1 || query.Get("wait") != "nodes" {
		e.Fields["query.wait"] = "is nodes, once"
	}
	if texts, given := query["wait_for"]; given {
		d, err := duration.Parse(texts[0])
		if len(texts) != 1 || err != nil || d <= 0 || d > MaxWait {
			e.Fields["query.wait_for"] = "is a duration of at most " + MaxWait.String() + ", once"
		}
		atMost = d
	}
	if len(e.Fields) > 0 {
		return 0, &e
	}
	return atMost, nil
}

func waitView(p peers.Proof, asked []peers.Question) Wait {
	out := Wait{Outcome: "pending", Reason: p.Failed, Took: p.Took.Milliseconds(), Nodes: []WaitedNode{}, Outside: []Outside{}}
	switch {
	case p.Failed != "":
		out.Outcome = "failed"
	case p.Proven():
		out.Outcome = "proven"
	}
	for _, n := range p.Nodes {
		view := WaitedNode{ID: n.ID, Host: n.Host, Answering: n.Self, State: string(n.State),
			After: n.After.Milliseconds(), MaxStaleness: n.MaxStaleness.Milliseconds()}
		for i, v := range n.Verdicts[:min(len(n.Verdicts), len(asked))] {
			view.Verdicts = append(view.Verdicts, Verdict{Kind: asked[i].Kind, ID: asked[i].ID, Refused: v.Refused, Reason: v.Reason})
			if !v.Refused {
				out.Outcome, out.Reason = "failed", "a node would still let in what was ended"
			}
		}
		out.Nodes = append(out.Nodes, view)
	}
	return out
}

// keptAnswer keeps what an operation answers. Those that take wait answer with a few
// kilobytes.
type keptAnswer struct {
	http.ResponseWriter
	status int
	wrote  bool
	body   bytes.Buffer
}

// WriteHeader implements [http.ResponseWriter].
func (k *keptAnswer) WriteHeader(status int) {
	if !k.wrote {
		k.status, k.wrote = status, true
	}
}

// Write implements [http.ResponseWriter].
func (k *keptAnswer) Write(b []byte) (int, error) {
	k.wrote = true
	return k.body.Write(b)
}

// Unwrap is for [http.ResponseController], by which the body's time is bounded.
func (k *keptAnswer) Unwrap() http.ResponseWriter { return k.ResponseWriter }

// takesWait tells whether an operation changes what other nodes must know of, and who may ask
// to wait: strangers may not have all nodes write.
func (op Operation) takesWait() bool {
	return op.Method != http.MethodGet && !op.Public && !op.Asks
}
