package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/client"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// app is what every command shares: where it reads and writes, and the flags
// that all commands have.
type app struct {
	in          io.Reader
	out, errOut io.Writer
	environ     []string
	called      string // how the program was called: "gatehouse", "bin/gatehouse"

	json      bool
	url       string
	tokenFile string
	realm     string
	wait      waiter

	stronger *client.Client // after a challenge was answered; see with
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "gatehouse",
		Short: "Authentication and authorization for any API, in one program",
		Long: `Authentication and authorization for any API, in one program.

Exit codes, for scripts: 0 done; 1 it failed, or the log does not verify; 2 a mistake in the command or its input;
3 not logged in, not allowed, or a token that is refused; 4 there is no such thing; 5 it is in conflict with what there
is; 6 the server cannot be reached or has no time. With --wait: 7 done, and a node may still answer without the change;
8 done, and nothing is known of the other nodes.`,
		Version:       buildVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: a.name()}
	root.SetFlagErrorFunc(a.flagMistake)
	f := root.PersistentFlags()
	f.BoolVar(&a.json, "json", false, "print JSON instead of text")
	f.StringVar(&a.url, "url", "", "server to talk to (GATEHOUSE_URL; http://127.0.0.1:8080)")
	f.StringVar(&a.tokenFile, "token-file", "", "`file` with the API key or token to use (GATEHOUSE_TOKEN, GATEHOUSE_TOKEN_FILE, or what 'gatehouse login' saved)")
	f.StringVar(&a.realm, "realm", "", "realm to work in (GATEHOUSE_REALM; main)")
	f.StringVar(&a.wait.text, "wait", "", "after a change, wait until no node answers without it any more, for as long as a `duration` (--wait=20s), 10s when none is given")
	f.Lookup("wait").NoOptDefVal = adminhttp.DefaultWait.String()
	root.AddGroup(&cobra.Group{ID: "start", Title: "Start:"}, &cobra.Group{ID: "manage", Title: "Manage:"},
		&cobra.Group{ID: "inspect", Title: "Inspect:"})
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("start", a.demoCommand(), a.protectCommand(), a.initCommand(), a.serveCommand(), a.configCommand(), a.loginCommand(), a.logoutCommand())
	add("manage", a.userCommand(), a.roleCommand(), a.keyCommand(), a.clientCommand(), a.realmCommand(), a.providerCommand(), a.policyCommand(), a.panicCommand(), a.breachedCommand(), a.backupCommand(), a.restoreCommand(), a.moveCommand(), a.nodeCommand(), a.mailCommand(), a.adminCommand())
	add("inspect", a.tokenCommand(), a.auditCommand(), a.explainCommand(), a.joseCommand(), a.uiCommand(), a.versionCommand())
	a.requireSubcommands(root)
	a.callByName(root)
	return root
}

// requireSubcommands makes "gatehouse user" and "gatehouse user frob" usage
// errors rather than silent help with exit code 0, and so are too few arguments.
func (a *app) requireSubcommands(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if check(c, args) != nil {
				return operandMistake(c, args)
			}
			if slices.Contains(args, "") { // would be the path of a whole list
				return usagef("an empty argument: %s", c.UseLine())
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		a.requireSubcommands(sub)
	}
	if c.HasSubCommands() && c.Run == nil && c.RunE == nil {
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				typed := append(strings.Fields(strings.TrimPrefix(c.CommandPath(), a.name())), args[0])
				return usagef("there is no command %q%s", strings.Join(typed, " "), seeHelp(didYouMean(c, args[0]), c))
			}
			if c.HasParent() {
				_ = c.Help()
				return &silentError{exitUsage}
			}
			return c.Help()
		}
	}
}

// didYouMean names the commands that a mistyped one may have meant.
func didYouMean(c *cobra.Command, typed string) string {
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return meant("", typed, names)
}

// callByName writes the name by which this program was called into all texts that tell
// somebody to call it: "gatehouse" alone is not found where only bin/gatehouse is.
func (a *app) callByName(c *cobra.Command) {
	c.Long, c.Example = a.calls(c.Long), strings.ReplaceAll(c.Example, "gatehouse ", a.name()+" ")
	for _, sub := range c.Commands() {
		a.callByName(sub)
	}
}

// calls is callByName for a text in which commands stand between backquotes.
func (a *app) calls(text string) string {
	return strings.ReplaceAll(text, "`gatehouse ", "`"+a.name()+" ")
}

// name is what somebody types to call this program again.
func (a *app) name() string {
	if a.called == "" {
		return "gatehouse"
	}
	return a.called
}

// env returns the value of an environment variable that run was given.
func (a *app) env(name string) string {
	for i := len(a.environ) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(a.environ[i], name+"="); ok {
			return v
		}
	}
	return ""
}

func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// print writes v as JSON with --json, else calls text.
func (a *app) print(v any, text func(w io.Writer)) error {
	if a.json {
		return a.printJSON(v)
	}
	text(a.out)
	return nil
}

// table writes rows in columns; the first row is the heading.
func table(w io.Writer, rows [][]string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		for i := range r {
			r[i] = printable(r[i])
		}
		fmt.Fprintln(tw, strings.Join(r, "\t"))
	}
	_ = tw.Flush()
}

// printable keeps text from the server from steering the terminal (escape
// sequences in a username, say).
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < 0x20, r == 0x7f, r >= 0x80 && r < 0xa0:
			return '\uFFFD'
		}
		return r
	}, s)
}

// paragraph is printable for texts of several lines, such as an excerpt of a file: all
// but the first are indented, so that none can pass for a message of its own.
func paragraph(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i := range lines {
		lines[i] = printable(strings.TrimSuffix(lines[i], "\r"))
	}
	return strings.Join(lines, "\n    ")
}

func (a *app) printError(err error) {
	var problems *config.Problems
	if errors.As(err, &problems) {
		a.printProblems(problems)
		return
	}
	if a.json {
		out := map[string]any{"error": gatehouse.CodeOf(err), "message": err.Error()}
		var e *gatehouse.Error
		if errors.As(err, &e) {
			out["message"] = around(err, e) + e.Public
			if len(e.Fields) > 0 {
				out["fields"] = e.Fields
			}
		}
		enc := json.NewEncoder(a.errOut)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(out)
		return
	}
	var e *gatehouse.Error
	if !errors.As(err, &e) {
		fmt.Fprintf(a.errOut, "gatehouse: %s\n", paragraph(a.calls(err.Error())))
		return
	}
	text := e.Public
	if text == "" {
		text = e.Kind.String()
	}
	fmt.Fprintf(a.errOut, "gatehouse: %s (%s)\n", paragraph(a.calls(around(err, e)+text)), printable(e.Code))
	var request *client.RequestError
	switch {
	case errors.As(e.Cause, &request):
		if e.Kind == gatehouse.Internal { // what went wrong is in the server's log, under this id
			fmt.Fprintf(a.errOut, "  request: %s\n", printable(request.ID))
		}
	case e.Cause != nil:
		fmt.Fprintf(a.errOut, "  cause: %s\n", paragraph(causeText(e.Cause)))
	}
	if hint := a.hint(e, request != nil); hint != "" {
		fmt.Fprintf(a.errOut, "  %s\n", printable(a.calls(hint)))
	}
	names := make([]string, 0, len(e.Fields))
	for n := range e.Fields {
		names = append(names, n)
	}
	sorted.Slice(names, byNumbers)
	for _, n := range names {
		fmt.Fprintf(a.errOut, "  %s: %s\n", printable(n), paragraph(e.Fields[n]))
	}
}

// byNumbers compares names with the numbers in them as numbers: line 9 of a file comes
// before line 10.
func byNumbers(a, b string) int {
	for a != "" && b != "" {
		n, m := digits(a), digits(b)
		if n > 0 && m > 0 {
			x, y := strings.TrimLeft(a[:n], "0"), strings.TrimLeft(b[:m], "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); c != 0 {
				return c
			}
			a, b = a[n:], b[m:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// digits is how many of them s begins with.
func digits(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }

// around is what was said before e where it was wrapped, such as the line of a file.
func around(err error, e *gatehouse.Error) string {
	before, wrapped := strings.CutSuffix(err.Error(), e.Error())
	if !wrapped {
		return ""
	}
	return before
}

// causeText is the cause of a failed request without what stands beside it already.
func causeText(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err.Error()
	}
	return err.Error()
}

// hint says what to try next, where that depends on how this program was called.
func (a *app) hint(e *gatehouse.Error, answered bool) string {
	switch {
	case e.Code == "server_unreachable":
		return "server: " + a.server() + " (--url or GATEHOUSE_URL names another)"
	case e.Code == "no_route", !answered && e.Kind == gatehouse.NotFound && strings.HasPrefix(e.Code, "status_"):
		return "server: " + a.server() + " answers, and is not where Gatehouse is administered: that is the address of listen.auth"
	case e.Code == authn.CodeStepUp:
		return "credential: from " + a.tokenFrom() + "; `gatehouse login --username NAME` asks for the password and a code of the second factor, as on a terminal every command does; scripts have them in GATEHOUSE_PASSWORD and GATEHOUSE_CODE, or use an API key"
	case e.Kind == gatehouse.Unauthenticated && answered:
		return "credential: from " + a.tokenFrom() + "; `gatehouse login` saves another"
	}
	return ""
}

// configDir is where `gatehouse login` keeps credentials.
func (a *app) configDir() (string, error) {
	if d := a.env("XDG_CONFIG_HOME"); d != "" {
		return d + "/gatehouse", nil
	}
	if d := a.env("HOME"); d != "" {
		return d + "/.config/gatehouse", nil
	}
	return "", errors.New("neither XDG_CONFIG_HOME nor HOME is set")
}

// readFileOrStdin reads a file, or standard input for "-", up to limit bytes.
func (a *app) readFileOrStdin(name string, limit int64) ([]byte, error) {
	r := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, unreadable(name, err)
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, unreadable(name, err)
	}
	if int64(len(b)) > limit {
		return nil, usagef("%s: larger than %d bytes", name, limit)
	}
	return b, nil
}

// printLine writes v as one line of JSON, for scripts that wait for a line.
func (a *app) printLine(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
