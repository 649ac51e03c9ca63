//go:build unix

package faults_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testpg"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

// commands runs what stands in the README below a sentence, line by line, as somebody who
// sits at a server of PostgreSQL; password is what he types when he is asked.
func (h *house) commands(t *testing.T, at *testpg.Server, below, password string) {
	t.Helper()
	_, text, found := strings.Cut(h.readme, below)
	_, text, begins := strings.Cut(text, "```text\n")
	text, _, ends := strings.Cut(text, "```")
	if !found || !begins || !ends {
		t.Fatalf("the README has no commands below %q", below)
	}
	exports := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "export ") {
			exports += line + "; "
			continue
		}
		if !regexp.MustCompile(`^[a-z]`).MatchString(line) { // SQL
			sql(t, at.Local("postgres"), line)
			continue
		}
		cmd := exec.Command("bash", "-c", exports+line)
		cmd.Dir = ".."
		cmd.Env = append(os.Environ(), at.Environ()...)
		cmd.Stdin = strings.NewReader(password + "\n" + password + "\n")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal to ask for the password
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
}

// origin is how the README has a standby connect to its primary.
func (h *house) origin(t *testing.T, from, name string) string {
	t.Helper()
	m := regexp.MustCompile(`pg_basebackup -d '(host=10\.0\.0\.21 user=replicator application_name=db2) sslmode=require' -D \S+ -X stream -R\n`).FindStringSubmatch(h.readme)
	if m == nil {
		t.Fatal("the README copies the primary in another way than testpg.Follow")
	}
	return h.at(strings.NewReplacer("10.0.0.21", from, "=db2", "="+name).Replace(m[1])) + " sslmode=disable port=" + h.port
}

// follow makes a standby by the README.
func (h *house) follow(t *testing.T, from, name string, set testpg.Settings) *testpg.Server {
	t.Helper()
	s, err := testpg.Follow(h.origin(t, from, name), h.password, set)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func (h *house) waitedFor(t *testing.T, by *testpg.Server) {
	t.Helper()
	if !strings.Contains(h.readme, "`SELECT sync_state FROM pg_stat_replication` says `sync`") {
		t.Error("the README asks in another way whether the standby is waited for")
	}
	testwait.Until(t, 20*time.Second, "the standby is waited for", func() bool {
		return query[string](t, by.Local("postgres"), `SELECT coalesce(max(sync_state), '') FROM pg_stat_replication`) == "sync"
	})
}
