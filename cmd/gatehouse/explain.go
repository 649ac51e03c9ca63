package main

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/records"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/docs"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
	"github.com/gatehouse-auth/gatehouse/policy"
)

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain REQUEST_ID",
		Short: "Show why a request was allowed or denied, from credential to rule",
		Long: `Shows what is recorded of a request: who asked, what the route asked for and what the caller held, each step of the
decision, and of a request that the policies refused, those that came nearest to permitting it. The id stands in the
answer to the request: in X-Request-Id, and as request_id in the body of a refusal.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var out records.Explanation
			if err := a.call(c.Context(), "GET", "/realms/"+url.PathEscape(a.realmName())+"/explain/"+url.PathEscape(args[0]), nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			p := a.paper(a.out)
			if out.Counted {
				p.line("This request was refused and counted together with others like it, so it has no event of its own.")
				p.line("It is one of those that are counted here:")
				p.line("")
			}
			sorted.Slice(out.Events, func(x, y audit.Entry) int { return x.Time.Compare(y.Time) })
			for i := range out.Events {
				if i > 0 {
					p.line("")
				}
				p.event(&out.Events[i])
			}
			p.near(out.Near)
			return nil
		},
	}
}

// event prints what is recorded of a request, or of what it brought about.
func (p *paper) event(e *audit.Entry) {
	verdict := p.in(green, "ALLOWED")
	switch {
	case e.Outcome == gatehouse.OutcomeError:
		verdict = p.in(red, "FAILED")
	case e.Outcome != gatehouse.OutcomeSuccess && e.Kind == audit.KindRequestDecide:
		verdict = p.in(red, "REFUSED")
	case e.Outcome != gatehouse.OutcomeSuccess:
		verdict = p.in(red, "FAILURE")
	case e.Kind != audit.KindRequestDecide:
		verdict = p.in(green, "DONE")
	}
	what := e.Kind
	if e.Method != "" {
		what = e.Method + " " + e.Host + e.Path
	}
	if e.Status != 0 {
		what += fmt.Sprintf(" → %d", e.Status)
	}
	p.line("%s  %s", verdict, p.in(bold, printable(what)))
	p.entry("when", e.Time.UTC().Format(time.RFC3339Nano))
	p.entry("who", who(&e.Actor))
	p.entry("from", e.Address)
	p.entry("about", about(e))
	p.entry("route", e.Route)
	p.entry("asked", e.Detail["asked"])
	if e.Detail["asked"] != "" { // recorded together
		p.entry("held", "roles: "+cmp.Or(e.Detail["roles"], "none")+"; scopes: "+scopesHeld(e.Detail["scopes"]))
	}
	for _, name := range []string{"error", "kind", "network", "count", "first", "last", "requests", "client_request_id"} {
		p.entry(name, e.Detail[name])
	}
	p.reason(e)
	p.steps(e.Chain)
}

func scopesHeld(s string) string {
	if s == gatehouse.ScopeAll {
		return "all (*)"
	}
	return cmp.Or(s, "none")
}

// reason says in words what the code of a refusal means, and what mends it.
func (p *paper) reason(e *audit.Entry) {
	if e.Outcome == gatehouse.OutcomeSuccess || e.Reason == "" {
		p.entry("why", e.Reason)
		return
	}
	page, known := docs.ErrorPage(e.Reason)
	if !known {
		p.entry("why", e.Reason)
		return
	}
	p.entry("why", e.Reason+": "+plainText(page.Meaning))
	p.entry("to mend", plainText(page.Fix))
}

// plainText takes the marks of Markdown out of a sentence of a page.
func plainText(s string) string { return strings.NewReplacer("`", "", "**", "").Replace(s) }

func who(a *gatehouse.Actor) string {
	if a.ID == "" && a.Name == "" {
		if a.Scheme == "" {
			return "nobody"
		}
		return strings.TrimSpace("not known, by " + string(a.Scheme) + " " + a.Credential)
	}
	out := cmp.Or(a.Name, a.ID)
	if a.Name != "" && a.ID != "" {
		out += " (" + a.ID + ")"
	}
	if a.Scheme != "" {
		out += ", by " + strings.TrimSpace(string(a.Scheme)+" "+a.Credential)
	}
	return out
}

// about names the target, and what was to be done with it.
func about(e *audit.Entry) string {
	target := strings.TrimSpace(e.Target.Type + " " + e.Target.ID)
	if name := e.Detail["username"]; name != "" {
		target += " (" + name + ")"
	}
	if action := e.Detail["action"]; action != "" {
		return strings.TrimSpace(action + " on " + target)
	}
	return target
}

func (p *paper) steps(chain []gatehouse.Step) {
	if len(chain) == 0 {
		return
	}
	p.line("")
	for _, s := range chain {
		mark := p.in(green, "ok    ")
		switch s.Outcome {
		case gatehouse.OutcomeFailure:
			mark = p.in(red, "no    ")
		case gatehouse.OutcomeError:
			mark = p.in(red, "failed")
		}
		text := s.Code
		if s.Note != "" {
			text += map[bool]string{true: "", false: ": "}[text == ""] + s.Note
		}
		for _, r := range s.Reasons {
			text += "; " + r.Effect + " " + r.PolicyID
			if r.Note != "" {
				text += " (" + r.Note + ")"
			}
		}
		body := wrap(printable(strings.TrimPrefix(text, "; ")), columns-24)
		p.line("  %-13s %s  %s", printable(s.Name), mark, strings.Join(body, "\n"+strings.Repeat(" ", 24)))
	}
}

// near prints what would have permitted a request that the policies refused.
func (p *paper) near(traces []policy.Trace) {
	if len(traces) == 0 {
		return
	}
	title := "What came nearest to permitting it, by the roles and policies of now:"
	if traces[0].Outcome == "matched" {
		title = "What decides, and what came nearest, by the roles and policies of now:"
	}
	p.line("")
	p.line("  %s", p.in(bold, title))
	for _, t := range traces {
		title := t.Effect + " " + t.PolicyID
		if t.Line > 0 {
			title += fmt.Sprintf(" (line %d)", t.Line)
		}
		if t.Note != "" {
			title += ": " + t.Note
		}
		if t.Outcome == "matched" {
			title += "   matched"
		}
		p.line("    %s", printable(title))
		for i, f := range t.Failed {
			lead := "not met: "
			if t.Outcome == "error" && i == len(t.Failed)-1 {
				lead = "depends on what is not recorded: "
			}
			p.line("      %s%s", p.in(red, lead), printable(f))
		}
	}
}
