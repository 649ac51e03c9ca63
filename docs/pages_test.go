//go:build unix

package docs_test

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/examples/documents"
	"github.com/gatehouse-auth/gatehouse/internal/testpg"
)

// A page is run as a reader would: the commands of its ```sh blocks, and those
// in the cells of its tables, one after the other in one shell, in an empty home
// directory, against the real program.
//
//   - A command must succeed. One that ends in "# refused" must fail, and a call
//     must get the status that stands after it: "# 401".
//   - What a reader does by eye or hand between two commands stands in a comment
//     that nobody sees: <!-- reader: KEY=$(grep -o 'ghk_live_.*' "$OUT") -->.
//     $OUT is the file with what the command before printed. "answer COMMAND
//     LINE…" gives what is typed when COMMAND asks; ctrl_c stops the server;
//     "recorded ID" waits until a request is in the log, as slower hands would.
//   - demo, protect and serve go on in the background, as in another terminal.
//   - A block ```lang FILE is saved as FILE.
//   - The addresses and directories of the pages become free ones of the test.
//
// audiences are the pages that somebody reads to get one thing done.
var audiences = []string{"protect.md", "api-keys.md", "check-tokens.md", "policies.md", "operate.md", "cors.md", "openapi.md", "realm-file.md", "move.md", "backups.md", "upgrade.md"}

// wholeBound is for all pages together, on a small machine.
const wholeBound = 60 * time.Second

//go:embed testdata/reader.bash
var prelude string

func TestPages(t *testing.T) {
	for _, page := range audiences {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(b, []byte("\n")); n > 120 {
				t.Errorf("%d lines are no page", n)
			}
			for _, text := range untold(string(b)) {
				t.Error(text)
			}
			steps := stepsOf(string(b))
			if len(steps) < 8 {
				t.Fatalf("found only %d commands: the search is broken", len(steps))
			}
			sh := newShell(t)
			if bytes.Contains(b, []byte("/etc/gatehouse/dsn")) {
				sh.database(t)
			}
			sh.run(t, steps)
		})
	}
}

// database gives the reader an empty PostgreSQL database, whose connection string is in
// the file that the pages name.
func (sh *shell) database(t *testing.T) {
	t.Helper()
	pg, err := testpg.Start()
	if errors.Is(err, testpg.ErrMissing) && os.Getenv("GATEHOUSE_TEST_STRICT") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pg.Stop)
	if err := os.WriteFile(filepath.Join(sh.etc(), "dsn"), []byte(pg.DSN(t)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// etc is where the reader's /etc/gatehouse is.
func (sh *shell) etc() string { return filepath.Join(sh.dir, "etc") }

// TestREADME runs what README.md says, after `make run` and in place of it.
func TestREADME(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range untold(string(b)) {
		t.Error(text)
	}
	var steps []step
	for _, s := range stepsOf(string(b)) {
		if name, _, _ := strings.Cut(s.text, " "); name == "make" {
			continue // TestDemoLines is `make run`; this test is a part of `make test`
		}
		s.text = strings.ReplaceAll(s.text, "bin/gatehouse", "gatehouse")
		steps = append(steps, s)
	}
	if len(steps) < 6 {
		t.Fatalf("found only %d commands: the search is broken", len(steps))
	}
	newShell(t).run(t, steps)
}

// status is a promised HTTP status.
var status = regexp.MustCompile(`\b[2-5][0-9]{2}\b`)

var startsAssignment = regexp.MustCompile(`^[A-Z_]+=`)

// TestDemoLines pastes every line that `make run` prints. The comment above a
// line says which status to expect; without one, it succeeds.
func TestDemoLines(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	ctx, cancel := context.WithTimeout(t.Context(), wholeBound)
	defer cancel()
	demo := exec.CommandContext(ctx, sh.program, "demo", "--listen", sh.auth, "--gateway", sh.gateway, "--outbox", "127.0.0.1:0")
	demo.Dir, demo.Env = sh.dir, sh.env()
	stdout, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = demo.Process.Signal(os.Interrupt); _ = demo.Wait() }()

	var steps []step
	var promised []string
	lines := bufio.NewScanner(stdout)
	for last := false; !last && lines.Scan(); {
		line := lines.Text()
		if comment, ok := strings.CutPrefix(line, "# "); ok {
			promised = status.FindAllString(comment, -1)
			continue
		}
		name, _, _ := strings.Cut(line, " ")
		if name != "curl" && name != "export" && filepath.Base(name) != "gatehouse" && !startsAssignment.MatchString(line) {
			continue
		}
		for (strings.HasSuffix(line, `\`) || strings.HasSuffix(line, "|")) && lines.Scan() { // one command, broken for the eye
			line += "\n" + lines.Text()
		}
		last = strings.HasSuffix(line, "explain REQUEST_ID")
		if filepath.Base(name) == "gatehouse" { // as it was called
			line = "gatehouse" + strings.TrimPrefix(line, name)
		}
		s := step{text: line}
		s.text = strings.Replace(s.text, "REQUEST_ID", `"$REQUEST_ID"`, 1)
		if name == "curl" && len(promised) > 0 {
			s.want, promised = promised[0], promised[1:]
		}
		steps = append(steps, s)
		if strings.HasPrefix(line, "export GATEHOUSE_TOKEN=") { // the reader is slower than the queue of the log
			steps = append(steps, step{text: `recorded "$REQUEST_ID"`})
		}
		if s.want == "403" { // the reader takes the id of an answer
			steps = append(steps, step{text: `REQUEST_ID=$(grep -o 'req_[a-z0-9]*' "$OUT" | head -n 1)`})
		}
	}
	if len(steps) < 14 {
		t.Fatalf("found only %d lines to paste", len(steps))
	}
	sh.run(t, steps)
}

// step is one command, with what it promises: "" is success, "refused" is
// failure, a number is the HTTP status.
type step struct{ text, want string }

var (
	readerNote = regexp.MustCompile(`^<!-- reader: (.*) -->$`)
	promise    = regexp.MustCompile(`\s# (refused|[2-5][0-9]{2})$`)
	inTable    = regexp.MustCompile("`(gatehouse [^`]+)`")
	fence      = regexp.MustCompile("^```([a-z]*) ?(.*)$")
)

// stepsOf finds the commands of a page, in order.
func stepsOf(page string) []step {
	var steps []step
	var lang, file, block string
	open := false
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case open && line == "```":
			open = false
			if file != "" {
				steps = append(steps, step{text: "cat >" + file + " <<'END OF BLOCK'\n" + block + "END OF BLOCK"})
			}
		case open && lang == "sh":
			if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
				continue
			}
			s := step{text: line}
			if m := promise.FindStringSubmatch(line); m != nil {
				s.want = m[1]
			}
			steps = append(steps, s)
		case open:
			block += line + "\n"
		case fence.MatchString(line):
			m := fence.FindStringSubmatch(line)
			open, lang, file, block = true, m[1], m[2], ""
		case readerNote.MatchString(line):
			steps = append(steps, step{text: readerNote.FindStringSubmatch(line)[1]})
		case strings.HasPrefix(line, "|"):
			for _, m := range inTable.FindAllStringSubmatch(line, -1) {
				steps = append(steps, step{text: m[1]})
			}
		}
	}
	return steps
}

var (
	variable = regexp.MustCompile(`\$\{?([A-Z][A-Z_]*)`)
	assigned = regexp.MustCompile(`\b([A-Z][A-Z_]*)=`)
)

// untold says what the test does for the reader and the page does not tell him: a
// variable whose value comes from nowhere, and a server that must be stopped first.
func untold(page string) (list []string) {
	known, told := map[string]bool{}, ""
	lang, open := "", false
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		switch m := fence.FindStringSubmatch(line); {
		case open && line == "```":
			open = false
			if lang == "sh" {
				told = ""
			}
		case open && lang == "sh":
			for _, v := range variable.FindAllStringSubmatch(line, -1) {
				if !known[v[1]] {
					list = append(list, fmt.Sprintf("nobody told what $%s is, in: %s", v[1], line))
					known[v[1]] = true
				}
			}
			for _, v := range assigned.FindAllStringSubmatch(line, -1) {
				known[v[1]] = true
			}
		case open:
		case m != nil:
			open, lang = true, m[1]
			if lang == "sh" && strings.Contains(told, "ctrl_c") && !strings.Contains(told, "top") {
				list = append(list, "nobody told to stop the server before: "+told)
			}
		case strings.HasPrefix(line, "<!--"):
			if strings.Contains(line, "ctrl_c") {
				told += " ctrl_c "
			}
		case !strings.HasPrefix(line, "|"):
			told += line + "\n"
			for _, w := range regexp.MustCompile(`[A-Z][A-Z_]{2,}`).FindAllString(line, -1) {
				known[w] = true
			}
		}
	}
	return list
}

// shell is one reader's terminal, with an empty home directory, free addresses
// and an API to protect.
type shell struct {
	program, dir, auth, gateway, api string
}

func newShell(t *testing.T) *shell {
	t.Helper()
	for _, name := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("GATEHOUSE_TEST_STRICT") != "" {
				t.Fatalf("the pages need %s: %v", name, err)
			}
			t.Skipf("the pages need %s: %v", name, err)
		}
	}
	api := httptest.NewServer(documents.New())
	t.Cleanup(api.Close)
	sh := &shell{program: buildOnce(t), dir: t.TempDir(), auth: freeAddress(t), gateway: freeAddress(t), api: strings.TrimPrefix(api.URL, "http://")}
	if err := os.Mkdir(sh.etc(), 0o700); err != nil {
		t.Fatal(err)
	}
	spec, err := os.ReadFile("../examples/documents/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(sh.dir, "openapi.yaml"), spec, 0o600); err != nil {
		t.Fatal(err)
	}
	return sh
}

// env has nothing of whoever runs the test but where programs are.
func (sh *shell) env() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + sh.dir, "TMPDIR=" + sh.dir, "PROGRAM=" + sh.program, "AUTH=" + sh.auth, "GATEWAY=" + sh.gateway,
		"OUT=" + filepath.Join(sh.dir, ".out"), "LOG=" + filepath.Join(sh.dir, ".log"), "HEADERS=" + filepath.Join(sh.dir, ".headers")}
}

// run does the steps and fails at the first that is not as promised.
func (sh *shell) run(t *testing.T, steps []step) {
	t.Helper()
	here := strings.NewReplacer("127.0.0.1:8080", sh.auth, "127.0.0.1:8081", sh.gateway, "127.0.0.1:3000", sh.api,
		"/srv/gatehouse", filepath.Join(sh.dir, "srv"), "/etc/gatehouse", sh.etc())
	var script strings.Builder
	script.WriteString(prelude)
	for _, s := range steps {
		fmt.Fprintf(&script, ": >\"$HEADERS\"\n{\n%s\n} >\"$OUT.new\" 2>&1 </dev/null; got=$?; mv \"$OUT.new\" \"$OUT\"\nafter $got '%s' '%s'\n",
			here.Replace(s.text), s.want, strings.ReplaceAll(s.text, "'", `'\''`))
	}
	ctx, cancel := context.WithTimeout(t.Context(), wholeBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script.String())
	cmd.Dir, cmd.Env = sh.dir, sh.env()
	// A group of its own, so that a server does not outlive a shell that hangs.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// lastPort is where the search for a free port goes on. It begins at a place of
// this process, below the ports that systems give to whoever asks for any: one
// of those can be taken between two starts of a server.
var lastPort atomic.Int32

func freeAddress(t *testing.T) string {
	t.Helper()
	lastPort.CompareAndSwap(0, int32(20000+os.Getpid()%1200*10))
	for range 1000 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(lastPort.Add(1))))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

var build = struct {
	once sync.Once
	path string
	err  error
}{}

// buildOnce builds the program as `make build` does, without debug information.
func buildOnce(t *testing.T) string {
	t.Helper()
	build.once.Do(func() {
		build.path = filepath.Join(binDir, "gatehouse")
		cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", build.path, "../cmd/gatehouse")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			build.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.path
}

var binDir string

func TestMain(m *testing.M) {
	var err error
	if binDir, err = os.MkdirTemp("", "gatehouse-pages-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(binDir)
	os.Exit(code)
}
