//go:build unix

package docs_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.yaml.in/yaml/v3"

	"github.com/gatehouse-auth/gatehouse/server/config"
)

// TestThreeNodesFiles parses what deploy/three-nodes has for systemd, Docker and the
// nodes, and sees that they agree with each other. faults' TestThreeNodes runs the rest.
func TestThreeNodesFiles(t *testing.T) {
	t.Parallel()
	const dir = "../deploy/three-nodes"
	text := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	cfg, err := config.Parse([]byte(text("gatehouse.yaml")), []string{"GATEHOUSE_STORE_DSN=postgres://gatehouse@10.0.0.21,10.0.0.22/gatehouse"})
	if err != nil {
		t.Fatal(err)
	}
	leaving := cfg.Shutdown.Delay + cfg.Shutdown.Grace + 10*time.Second

	// HAProxy notices a node that stops before it takes no more connections, also when a check is too slow.
	proxy := text("haproxy.cfg")
	every, slow := lasts(t, proxy, `inter (\S+) fall 2 rise 2`), lasts(t, proxy, `timeout check (\S+)`)
	if notices := 3 * every; notices+slow > cfg.Shutdown.Delay {
		t.Errorf("HAProxy notices after %v and %v, the node goes on for %v", notices, slow, cfg.Shutdown.Delay)
	}

	t.Run("systemd", func(t *testing.T) {
		const file = "gatehouse.service.d/three-nodes.conf"
		if stop := lasts(t, text(file), `TimeoutStopSec=(\d+)`); stop < leaving {
			t.Errorf("systemd kills after %v, before %v", stop, leaving)
		}
		if _, err := exec.LookPath("systemd-analyze"); err != nil {
			if os.Getenv("GATEHOUSE_TEST_STRICT") != "" {
				t.Fatal("systemd-analyze is missing")
			}
			t.Skip("systemd-analyze is missing; make test installs it")
		}
		unit, err := os.ReadFile("../deploy/systemd/gatehouse.service")
		if err != nil {
			t.Fatal(err)
		}
		sh := newShell(t)
		verify := func(dropIn string) string {
			own := t.TempDir()
			if err := os.Mkdir(filepath.Join(own, "gatehouse.service.d"), 0o700); err != nil {
				t.Fatal(err)
			}
			for name, b := range map[string]string{"gatehouse.service": strings.ReplaceAll(string(unit), "/usr/bin/gatehouse", sh.program), file: dropIn} {
				if err := os.WriteFile(filepath.Join(own, name), []byte(b), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", filepath.Join(own, "gatehouse.service")).CombinedOutput()
			if err != nil {
				return err.Error() + "\n" + string(out)
			}
			return string(out)
		}
		if said := verify(text(file)); said != "" {
			t.Errorf("systemd-analyze verify: %s", said)
		}
		if said := verify(text(file) + "\nTimeoutStop=1\n"); !strings.Contains(said, "TimeoutStop") {
			t.Errorf("the file beside the unit is not read: %q", said)
		}
	})

	t.Run("compose", func(t *testing.T) {
		var compose struct {
			Secrets  map[string]any
			Volumes  map[string]any
			Networks map[string]any
			Services map[string]struct {
				Image           string
				Volumes         []string
				Secrets         []any
				StopGracePeriod string `yaml:"stop_grace_period"`
				Environment     map[string]string
				Networks        map[string]struct {
					Address string `yaml:"ipv4_address"`
				}
			}
		}
		if err := yaml.Unmarshal([]byte(text("compose.yaml")), &compose); err != nil {
			t.Fatal(err)
		}
		if len(compose.Services) != 6 || len(compose.Networks) != 1 {
			t.Fatalf("%d services, %d networks", len(compose.Services), len(compose.Networks))
		}
		everything := proxy + text("README.md") + text("postgresql/standby-start.sh")
		for name, s := range compose.Services {
			if s.Image == "" || len(s.Networks) != 1 {
				t.Errorf("%s has image %q and %d networks", name, s.Image, len(s.Networks))
			}
			for _, n := range s.Networks {
				if !strings.Contains(everything, n.Address) {
					t.Errorf("nobody goes to %s at %s", name, n.Address)
				}
			}
			for _, v := range s.Volumes {
				from, _, _ := strings.Cut(v, ":")
				if strings.HasPrefix(from, ".") {
					if _, err := os.Stat(filepath.Join(dir, from)); err != nil {
						t.Errorf("%s mounts what is not there: %v", name, err)
					}
				} else if _, ok := compose.Volumes[from]; !ok {
					t.Errorf("%s mounts %s", name, v)
				}
			}
			for _, secret := range s.Secrets {
				if m, ok := secret.(map[string]any); ok {
					secret = m["source"]
				}
				if _, ok := compose.Secrets[secret.(string)]; !ok {
					t.Errorf("%s has a secret %v", name, secret)
				}
			}
			if !strings.HasPrefix(name, "gw") {
				continue
			}
			if stop, err := time.ParseDuration(s.StopGracePeriod); err != nil || stop < leaving {
				t.Errorf("Docker kills %s after %q, before %v", name, s.StopGracePeriod, leaving)
			}
			environ := []string{"GATEHOUSE_STORE_DSN=postgres://x@y/z"}
			for key, value := range s.Environment {
				if key != "GATEHOUSE_STORE_DSN_FILE" {
					environ = append(environ, key+"="+value)
				}
			}
			if c, err := config.Parse([]byte(text("gatehouse.yaml")), environ); err != nil || c.Data != "/data" || c.MasterKeyFile != "/run/secrets/master.key" {
				t.Errorf("%s: data in %q, master key in %q: %v", name, c.Data, c.MasterKeyFile, err)
			}
		}
	})

	readme := text("README.md")
	// commands are those of the README below a sentence, as one script with some of its text
	// replaced; all that is to be replaced must be there.
	commands := func(t *testing.T, below string, replace ...string) string {
		t.Helper()
		_, script, found := strings.Cut(readme, below)
		_, script, begins := strings.Cut(script, "```text\n")
		script, _, ends := strings.Cut(script, "```")
		if !found || !begins || !ends {
			t.Fatalf("the README has no commands below %q", below)
		}
		for i := 0; i < len(replace); i += 2 {
			if !strings.Contains(script, replace[i]) {
				t.Errorf("the commands below %q have no %q", below, replace[i])
			}
			script = strings.ReplaceAll(script, replace[i], replace[i+1])
		}
		return script
	}
	bash := func(t *testing.T, dir, script string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s\n%s", err, script, out)
		}
	}

	t.Run("certificates", func(t *testing.T) {
		made := t.TempDir()
		bash(t, made, commands(t, "The databases' certificates"))
		pem, err := os.ReadFile(filepath.Join(made, "db-ca.pem"))
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		for name, address := range map[string]string{"db1": "10.0.0.21", "db2": "10.0.0.22"} {
			pair, err := tls.LoadX509KeyPair(filepath.Join(made, name+".pem"), filepath.Join(made, name+".key"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: address}); err != nil || pair.Leaf.IsCA {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, file := range []string{"primary.conf", "standby.conf"} {
			conf := text("postgresql/" + file)
			for key, suffix := range map[string]string{"ssl_cert_file": "pem", "ssl_key_file": "key"} {
				if !strings.Contains(conf, "\n"+key+" = '/etc/postgresql/17/main/gatehouse."+suffix+"'\n") {
					t.Errorf("%s has another %s than the README says", file, key)
				}
			}
		}
		if !strings.Contains(readme, "`/etc/postgresql/17/main/gatehouse.pem` and `gatehouse.key`") {
			t.Error("the README puts them elsewhere")
		}
	})

	t.Run("nodes", func(t *testing.T) {
		unit, err := os.ReadFile("../deploy/systemd/gatehouse.service")
		if err != nil {
			t.Fatal(err)
		}
		dropIn := text("gatehouse.service.d/three-nodes.conf")
		for _, line := range []string{"User=gatehouse", "Group=gatehouse", "WorkingDirectory=/srv/gatehouse", "ReadWritePaths=/srv/gatehouse/data",
			"ExecStart=/usr/bin/gatehouse serve --config /srv/gatehouse/gatehouse.yaml", "LoadCredential=dsn:/etc/gatehouse/dsn", "Environment=GATEHOUSE_STORE_DSN_FILE=%d/dsn"} {
			if !strings.Contains("\n"+string(unit)+dropIn, "\n"+line+"\n") {
				t.Errorf("the unit has no %s, which the README goes by", line)
			}
		}
		if cfg.Data != "data" || cfg.MasterKeyFile != "data/master.key" {
			t.Errorf("data in %q, master key in %q", cfg.Data, cfg.MasterKeyFile)
		}
		root := t.TempDir()
		sh := newShell(t)
		// As on one machine, where the three nodes are directories; nobody is made, and nobody owns them.
		at := func(node string) string { return filepath.Join(root, node) }
		for _, node := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
			bash(t, dir, "useradd() { :; }\n"+commands(t, "the unit and its directory are where the table says",
				"-o gatehouse -g gatehouse ", "", "/srv/gatehouse /srv", at(node)+" "+at(node)+"/srv", at(node)+"/srv/gatehouse/data", at(node)+"/data", " /etc/gatehouse", " "+at(node)+"/etc"))
		}
		bash(t, dir, commands(t, "both go to the others", "runuser -u gatehouse -- gatehouse", sh.program, "-o gatehouse -g gatehouse ", "",
			"-C /srv/gatehouse -xp", "-C "+root+"/$node -xp", "/srv/gatehouse", at("10.0.0.1"), "ssh root@$node ", ""))
		first, err := os.ReadFile(filepath.Join(at("10.0.0.1"), "data/master.key"))
		if err != nil {
			t.Fatal(err)
		}
		for _, node := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
			key, err := os.ReadFile(filepath.Join(at(node), "data/master.key"))
			if err != nil || string(key) != string(first) {
				t.Errorf("%s has another master key: %v", node, err)
			}
			bash(t, root, "test $(stat -c %a "+at(node)+"/data/master.key) = 600; test $(stat -c %a "+at(node)+"/data) = 700")
			if out, err := exec.CommandContext(t.Context(), "cmp", dir+"/gatehouse.yaml", at(node)+"/gatehouse.yaml").CombinedOutput(); err != nil {
				t.Errorf("%s", out)
			}
		}
	})

	t.Run("docker", func(t *testing.T) {
		sh := newShell(t)
		here := t.TempDir()
		// What needs Docker or somebody's rights is noted and not done.
		bash(t, here, `chown() { for file in "${@:2}"; do test -f "$file"; echo "$file $1" >>done; done; }
docker() {
  case "$*" in
    "build -f ../docker/Dockerfile -t gatehouse ../.."|"compose up -d") echo "$*" >>done ;;
    "run --rm --user 0 -v ./secrets:/secrets gatehouse "*) shift 7; `+sh.program+` "$@" ;;
    *) echo "docker $*"; return 1 ;;
  esac
}
`+commands(t, "The certificate that is made here", "/secrets/new", "secrets/new"))
		b, err := os.ReadFile(filepath.Join(here, "done"))
		if err != nil {
			t.Fatal(err)
		}
		if want := "build -f ../docker/Dockerfile -t gatehouse ../..\nsecrets/master.key 65532\nsecrets/dsn 65532\nsecrets/postgres 999\nsecrets/replicator 999\ncompose up -d\n"; string(b) != want {
			t.Errorf("done was %s", b)
		}
		image, err := os.ReadFile("../deploy/docker/Dockerfile")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(image), "\nUSER 65532:65532\n") {
			t.Error("the image runs as somebody else")
		}
		for _, match := range regexp.MustCompile(`(?m)^  (\S+): \{file: (\S+)\}$`).FindAllStringSubmatch(text("compose.yaml"), -1) {
			st, err := os.Stat(filepath.Join(here, match[2]))
			if err != nil || st.Mode().Perm() != 0o400 || st.Size() == 0 {
				t.Errorf("secret %s: %v, %v", match[1], st, err)
			}
		}
		if _, err := tls.LoadX509KeyPair(filepath.Join(here, "secrets/gatehouse.pem"), filepath.Join(here, "secrets/gatehouse.pem")); err != nil {
			t.Error(err)
		}
		c, err := config.Parse([]byte(text("gatehouse.yaml")), []string{"GATEHOUSE_STORE_DSN_FILE=" + filepath.Join(here, "secrets/dsn")})
		if err != nil {
			t.Fatal(err)
		}
		to, err := pgconn.ParseConfig(c.Store.DSN)
		password, err2 := os.ReadFile(filepath.Join(here, "secrets/postgres"))
		if err != nil || err2 != nil || to.Host != "10.0.0.21" || len(to.Fallbacks) != 1 || to.Fallbacks[0].Host != "10.0.0.22" || to.Fallbacks[0].TLSConfig != nil ||
			to.User != "gatehouse" || to.Password != strings.TrimSpace(string(password)) {
			t.Errorf("%+v, %v, %v", to, err, err2)
		}
	})

	scripts, err := filepath.Glob(dir + "/postgresql/*.sh")
	if err != nil || len(scripts) != 2 {
		t.Fatalf("%q, %v", scripts, err)
	}
	for _, script := range scripts {
		if out, err := exec.CommandContext(t.Context(), "bash", "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
}

// lasts finds a time in a file; a number alone is one of seconds.
func lasts(t *testing.T, text, pattern string) time.Duration {
	t.Helper()
	m := regexp.MustCompile(`(?m)^[^#\n]*` + pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s", pattern)
	}
	value := m[1]
	if regexp.MustCompile(`^\d+$`).MatchString(value) {
		value += "s"
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
