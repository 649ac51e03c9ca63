package main

import "github.com/gatehouse-auth/gatehouse/server"

// demoPage is what somebody reads who has just started Gatehouse for the first time:
// where to look, and lines to paste. Commands begin at the margin and are broken only
// where a shell takes the break, so that they can be copied as they stand.
func (a *app) demoPage(p *paper, d *server.Demo) {
	bob, carol := d.Users["bob"], d.Users["carol"]
	try := func(what string, lines ...string) {
		p.line("")
		p.line("%s", p.in(faint, "# "+what))
		for _, l := range lines {
			p.line("%s", l)
		}
	}
	p.line("%s", p.in(bold, "Gatehouse is running, with a small API of documents behind it to try it on."))
	p.line("")
	p.line("  Open in a browser  %s", p.in(blue, d.Issuer))
	p.line("  The API            %s  (every request passes Gatehouse)", p.in(blue, d.Gateway))
	if d.Outbox != "" {
		p.line("  Its mail           %s  (nothing is sent: look at it there)", p.in(blue, d.Outbox))
	}
	if d.Program != "" {
		p.line("  Sign in            %s  (as a program has people do)", p.in(blue, d.Program))
	}
	p.line("  Stop               Ctrl-C; everything is made anew at the next start")
	p.line("")
	p.line("%s", p.in(bold, "Paste into another terminal, from top to bottom:"))
	try("Anybody may see this: 200", "curl -i "+d.Gateway+"/public")
	try("Nobody is known yet: 401, and how to do better", "curl -i "+d.Gateway+"/private")
	try("Bob, with his password: 200", "curl -i -u 'bob:"+bob.Password+"' "+d.Gateway+"/private")
	try("Bob, with an API key: his documents, and what is public", "KEY="+bob.APIKey,
		`curl -i -H "Authorization: Bearer $KEY" `+d.Gateway+"/documents")
	try("Carol may look, but not write: 403", "CAROL="+carol.APIKey,
		`curl -i -H "X-API-Key: $CAROL" -H 'Content-Type: application/json' \`,
		`  -d '{"title":"Mine"}' `+d.Gateway+"/documents")
	try("A signed token, used, then ended everywhere at once: 200, 204, 401", "TOKEN=$(curl -s -X POST -u 'bob:"+bob.Password+`' \`,
		"  "+d.Issuer+"/tokens |", `  sed 's/.*"access_token":"\([^"]*\)".*/\1/')`,
		`curl -i -H "Authorization: Bearer $TOKEN" `+d.Gateway+"/private",
		`curl -i -X DELETE -H "Authorization: Bearer $TOKEN" `+d.Issuer+"/tokens",
		`curl -i -H "Authorization: Bearer $TOKEN" `+d.Gateway+"/private")
	try("The operator: who is there, what happened, and is the record whole?", "export GATEHOUSE_URL="+d.Issuer, "export GATEHOUSE_TOKEN="+d.AdminToken,
		a.name()+" user list", a.name()+" audit list --limit 10", a.name()+" audit verify")
	try("Why was that refused? (REQUEST_ID is in the answer: X-Request-Id)", a.name()+" explain REQUEST_ID")
}
